//! The account that is tortured, and what the server told its clients about it.
//!
//! What was answered is a promise: it is kept here, beside the server, and compared at the end.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt::Write as _;

use domain::ids::{AccountId, MessageId, StreamId};
use domain::seam::Dice;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::call::{ANSWER_MAX, Api, Ask, IMPORT_MAX};
use super::faults::one_in;
use crate::entry::cli::failure::{Result, failed};

/// Area codes of invented phones; `555` stands between them and four more digits.
const AREAS: [u16; 50] = [
    201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 224, 225,
    228, 229, 231, 234, 239, 240, 248, 251, 252, 253, 254, 256, 260, 262, 267, 269, 270, 276, 281,
    301, 302, 303, 304, 305, 307, 308, 309, 310, 312, 313, 314,
];
const LINES: usize = 10_000;
/// As many contacts can be invented.
pub const CONTACTS_MAX: u32 = 500_000;

/// The invented phone of a contact.
pub fn phone(nth: usize) -> String {
    format!("+1{}555{:04}", AREAS[nth / LINES % AREAS.len()], nth % LINES)
}

/// A single text that the server has taken in.
#[derive(Clone, Debug)]
pub struct Text {
    /// Its id, as answered.
    pub id: MessageId,
    /// To whom.
    pub to: String,
    /// What it says; no other text says the same.
    pub body: String,
}

/// What the server told its clients.
#[derive(Debug, Default)]
pub struct Told {
    /// Credits it said it gave.
    pub granted: i64,
    /// Texts it took in.
    pub texts: Vec<Text>,
    /// Phones it took an opt-out of.
    pub opted_out: BTreeSet<String>,
    /// Requests with one key that made two texts.
    pub taken_twice: Vec<String>,
    /// Texts of the campaign that were seen unknown.
    pub unknowns: BTreeSet<String>,
    /// Requests that a client repeated, for want of an answer or on purpose.
    pub repeated: u64,
}

/// The account and everything about it that outlives the server.
pub struct Scene {
    /// Opens the account's routes.
    pub api: Api,
    /// Opens the operator's.
    pub operator: Api,
    /// The account.
    pub account: AccountId,
    /// Its campaign.
    pub campaign: StreamId,
    /// How many contacts it has; [`phone`] tells their phones.
    pub contacts: usize,
    /// What its clients were told.
    pub told: RefCell<Told>,
    /// How much of the killing is done, from 0 to 1.
    pub share_done: Cell<f64>,
    /// No client begins anything new.
    pub over: Cell<bool>,
}

impl Scene {
    /// Opens an account with so many contacts and starts a campaign to all of them.
    pub async fn set(operator: Api, contacts: usize, dice: &dyn Dice) -> Result<Self> {
        let made = make(
            &operator,
            "/v1/accounts",
            &json!({
                "name": "Torture", "timezone": "America/New_York", "country": "US",
                "quiet_hours": null,
            }),
        )
        .await?;
        let account: AccountId = field(&made, "id")?;
        let path = format!("/v1/accounts/{account}/keys");
        let made = make(&operator, &path, &json!({"name": "torture", "mode": "live"})).await?;
        let api = Api { port: operator.port, key: field(&made, "key")? };
        import(&api, contacts).await?;
        // A text that says the same to everybody is kept once, a personal one with each phone.
        let body = if one_in(dice, 2) { "Dear {{name}}, spring" } else { "Spring" };
        let made = make(
            &api,
            "/v1/campaigns",
            &json!({
                "name": "Torture", "category": "marketing", "audience": {"all": true},
                "body": format!("{body} check-up week has begun. Reply STOP to opt out."),
                "resume_when_funded": true,
            }),
        )
        .await?;
        let campaign: StreamId = field(&made, "id")?;
        make(&api, &format!("/v1/campaigns/{campaign}/start"), &json!({})).await?;
        Ok(Self {
            api,
            operator,
            account,
            campaign,
            contacts,
            told: RefCell::default(),
            share_done: Cell::new(0.0),
            over: Cell::new(false),
        })
    }

    /// Gives credits; `name` is this gift's own.
    pub async fn grant(&self, amount: i64, name: &str) -> Result {
        let path = format!("/v1/accounts/{}/credits", self.account);
        let body = json!({"amount": amount, "reason": "for the torture"}).to_string();
        let ask = Ask::post(&path, body.as_bytes()).once(name);
        self.operator.insist(&ask, ANSWER_MAX).await?.done("a grant of credits")?;
        self.told.borrow_mut().granted += amount;
        Ok(())
    }

    /// A path of the campaign.
    pub fn campaign_path(&self, rest: &str) -> String {
        format!("/v1/campaigns/{}{rest}", self.campaign)
    }

    /// Texts that are wanted so far, of the list and single ones.
    pub fn texts(&self) -> i64 {
        let texts = self.contacts + self.told.borrow().texts.len();
        i64::try_from(texts).unwrap_or(i64::MAX)
    }
}

/// Makes something before anything is killed.
async fn make(api: &Api, path: &str, body: &Value) -> Result<Value> {
    let body = body.to_string();
    // The path names the wish well enough: each is made once.
    let ask = Ask::post(path, body.as_bytes()).once(path);
    api.insist(&ask, ANSWER_MAX).await?.done(path)
}

async fn import(api: &Api, contacts: usize) -> Result {
    let mut csv = String::from("phone,name,consent\n");
    for nth in 0..contacts {
        writeln!(csv, "{},P{nth:06},opted_in", phone(nth)).expect("writing to a String");
    }
    let ask = Ask::post_csv("/v1/contacts/import", csv.as_bytes()).once("import");
    let done = api.insist(&ask, IMPORT_MAX).await?.done("the import")?;
    if done["created"] == contacts {
        return Ok(());
    }
    Err(failed(format!("of {contacts} contacts not all were taken: {done}")))
}

/// A value of an answer.
pub fn field<T: DeserializeOwned>(answer: &Value, name: &str) -> Result<T> {
    T::deserialize(&answer[name])
        .map_err(|error| failed(format!("an answer has no usable {name} ({error}): {answer}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_phones_can_be_texted_and_differ() {
        let last = usize::try_from(CONTACTS_MAX).expect("few") - 1;
        assert_eq!((phone(0), phone(last)), ("+12015550000".into(), "+13145559999".into()));
        let samples = (0..AREAS.len()).flat_map(|area| {
            [0, 1, 99, 100, 199, 1212, 4141, 9999].map(|line| phone(area * LINES + line))
        });
        for text in samples {
            let number = domain::phone::parse(&text, None).expect(&text);
            assert_eq!(number.e164.as_str(), text);
            let regions = ["US".to_owned(), "CA".to_owned()];
            assert_eq!(domain::phone::refusal(&number, &regions, false), None, "{text}");
        }
    }
}
