//! The link in a text that opts out with one press, without a log-in.
//!
//! Its token names an account and a phone and is signed; it grants that one thing and never ends.
//! Looking at the page changes nothing, so that programs that fetch links ahead unsubscribe nobody.

use domain::ids::{AccountId, RunId};
use domain::permit::{Category, Consent};
use domain::seam::Dice;
use domain::token::Secret;
use store::automations::{self, Run};
use store::consents::{self, Proof};
use store::contacts::contacts_by_phone;
use store::{Tx, accounts, settings};

use super::Result;
use super::consents::{BY_LINK, RECIPIENT, Said, record};

/// The variable that templates write the link with.
pub const VARIABLE: &str = "opt_out_link";
const PURPOSE: &str = "opt-out";
const ACCOUNT_BYTES: usize = 8;

/// Spells and reads the links of an installation.
#[derive(Clone, Debug)]
pub struct OptOutLinks {
    secret: Secret,
    public_url: String,
}

impl OptOutLinks {
    /// Links that lead to `public_url`, which has no slash at its end.
    pub const fn new(secret: Secret, public_url: String) -> Self {
        Self { secret, public_url }
    }

    /// The installation's, once a server told where it is reached.
    pub async fn load(tx: &mut Tx) -> Result<Option<Self>> {
        let place = accounts::public_place(tx).await?;
        Ok(place.map(|(secret, public_url)| Self { secret, public_url }))
    }

    /// The link for a phone.
    pub fn url(&self, account: AccountId, phone: &str) -> String {
        let mut bytes = account.0.to_be_bytes().to_vec();
        bytes.extend_from_slice(phone.as_bytes());
        format!("{}/o/{}", self.public_url, self.secret.seal(PURPOSE, &bytes))
    }
}

/// Whose opt-out a token is; `None` when it is forged.
pub fn open(secret: &Secret, token: &str) -> Option<(AccountId, String)> {
    let bytes = secret.open(PURPOSE, token)?;
    let (account, phone) = bytes.split_at_checked(ACCOUNT_BYTES)?;
    let account = AccountId(i64::from_be_bytes(account.try_into().ok()?));
    Some((account, String::from_utf8(phone.to_vec()).ok()?))
}

/// What is known of whoever pressed the button.
#[derive(Clone, Debug, Default)]
pub struct Visitor {
    /// From which address.
    pub ip: Option<String>,
    /// With which browser.
    pub user_agent: Option<String>,
}

/// What the page shows.
#[derive(Clone, Debug)]
pub struct OptOutPage {
    /// Whose texts they are.
    pub business: String,
    /// The phone, all but its last digits hidden.
    pub phone: String,
    /// The reader's language, when known.
    pub locale: Option<String>,
    /// They opted out already.
    pub is_out: bool,
}

/// What the page of a phone shows.
pub async fn page(tx: &mut Tx, account: AccountId, phone: &str) -> Result<OptOutPage> {
    let business = accounts::account(tx, account).await?.name;
    let known = contacts_by_phone(tx, account, &[phone.to_owned()]).await?;
    let locale = known.into_iter().next().and_then(|contact| contact.locale);
    let is_out = is_out(tx, account, phone).await?;
    Ok(OptOutPage { business, phone: masked(phone), locale, is_out })
}

async fn is_out(tx: &mut Tx, account: AccountId, phone: &str) -> Result<bool> {
    let standings = consents::standings(tx, account, phone).await?;
    let out = standings.iter().filter(|one| one.state == Consent::OptedOut).count();
    Ok(out == Category::ALL.len())
}

/// `•••• 0147`: enough to know one's own number by.
pub fn masked(phone: &str) -> String {
    let count = phone.chars().count();
    let last: String = phone.chars().skip(count.saturating_sub(4)).collect();
    format!("•••• {last}")
}

/// Opts a phone out of everything; a second time changes nothing.
pub async fn opt_out(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    phone: &str,
    visitor: &Visitor,
) -> Result<()> {
    settings::lock_settings(tx, account).await?;
    if is_out(tx, account, phone).await? {
        return Ok(());
    }
    consents::end_opt_in(tx, account, phone).await?;
    let said = Said {
        phone,
        categories: Category::ALL,
        state: Consent::OptedOut,
        source: BY_LINK,
        actor: RECIPIENT,
        evidence: "pressed the button behind the opt-out link of a text".to_owned(),
        proof: Proof {
            scope: Some("account".to_owned()),
            ip: visitor.ip.clone(),
            user_agent: visitor.user_agent.clone(),
            ..Proof::default()
        },
    };
    record(tx, dice, account, said).await?;
    let at = tx.now();
    let run = Run {
        id: RunId::new(at, dice),
        rule: "link.opt_out".to_owned(),
        version: settings::settings_version(tx, account).await?,
        subject: phone.to_owned(),
        outcome: "opted_out".to_owned(),
        detail: "told on the page".to_owned(),
        next_at: None,
        at,
    };
    automations::insert_runs(tx, account, &[run]).await?;
    tracing::info!(component = "links", %account, "opted out by a link");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_names_an_account_and_a_phone_and_cannot_be_forged() {
        let secret = Secret([7; 32]);
        let links = OptOutLinks::new(secret.clone(), "https://t.example".to_owned());
        let url = links.url(AccountId(42), "+13125550147");
        let token = url.strip_prefix("https://t.example/o/").expect("leads there");
        assert_eq!(open(&secret, token), Some((AccountId(42), "+13125550147".to_owned())));
        assert_eq!(open(&Secret([8; 32]), token), None);
        assert_eq!(open(&secret, &token[1..]), None);
        assert_eq!(open(&secret, &secret.seal(PURPOSE, b"short")), None);
        assert_eq!(open(&secret, &secret.seal("watch", &[0; 24])), None);
        assert!(url.len() < 80, "{url}");
    }

    #[test]
    fn phones_are_masked() {
        for (phone, shown) in [("+13125550147", "•••• 0147"), ("72", "•••• 72"), ("", "•••• ")]
        {
            assert_eq!(masked(phone), shown);
        }
    }
}
