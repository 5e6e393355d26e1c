//! The invented business: its account, sender, credits, contacts and campaign.

use domain::ids::AccountId;
use store::accounts::KeyMode;

use super::home::Cast;
use crate::entry::app::App;
use crate::entry::cli::contacts::{List, rows_bar};
use crate::entry::cli::failure::Result;
use crate::flow::accounts::{
    AccountIn, SenderIn, add_sender, adjust_credits, make_key, open_account,
};
use crate::flow::campaigns::{AudienceIn, CampaignIn, Wish, create, wish};
use crate::flow::contacts::Source;
use crate::flow::import::Imported;

/// Five thousand invented people, 4,490 of whom opted in.
const CONTACTS: &[u8] = include_bytes!("../../../../demo/contacts.csv");
/// Too few for all of them.
pub const OPENING_CREDITS: i64 = 3_000;
const NAME: &str = "Northside Physio (demo)";
const CAMPAIGN: &str = "Spring check-up week";
/// One segment.
const BODY: &str = "Northside Physio: spring check-up week is here. Pick your time at \
                    northside.example/spring or call us. Reply STOP to opt out.";
const SHORT_CODE: &str = "72345";
const ACTOR: &str = "demo";

/// The business on its first day.
pub struct Opened {
    /// Who plays.
    pub account: AccountId,
    /// Its sender.
    pub sender: domain::ids::SenderId,
    /// Its API key.
    pub key: String,
}

/// Opens the business.
pub async fn open(app: &App, segments_per_second: u32) -> Result<Opened> {
    let wanted = AccountIn {
        name: NAME.to_owned(),
        timezone: "America/Chicago".to_owned(),
        country: "US".to_owned(),
        // A demo shows something at any hour.
        quiet_hours: None,
    };
    let sender = SenderIn {
        kind: "short_code".to_owned(),
        address: SHORT_CODE.to_owned(),
        segments_per_second: Some(segments_per_second),
        answers_stop: None,
    };
    let mut tx = app.db.begin().await?;
    let account = open_account(&mut tx, &*app.dice, &wanted).await?.id;
    let sender = add_sender(&mut tx, &*app.dice, account, &sender).await?.id;
    let key = make_key(&mut tx, &*app.dice, account, "demo", KeyMode::Test).await?.key;
    let (amount, reason) = (OPENING_CREDITS, "what the demo begins with");
    adjust_credits(&mut tx, account, "demo:begin", amount, ACTOR, reason).await?;
    tx.commit().await?;
    Ok(Opened { account, sender, key })
}

/// Imports its contacts.
pub async fn import(app: &App, account: AccountId) -> Result<Imported> {
    let source = Source {
        name: "import",
        actor: ACTOR,
        evidence: "file contacts.csv of the demo",
        may_opt_in_again: false,
    };
    let list = List { bytes: CONTACTS, source, dry_run: false };
    list.import(&app.db, &*app.dice, account, &rows_bar(CONTACTS)).await
}

/// Writes its campaign and starts it.
pub async fn start_campaign(app: &App, opened: &Opened) -> Result<Cast> {
    let wanted = CampaignIn {
        name: CAMPAIGN.to_owned(),
        category: "marketing".to_owned(),
        body: BODY.to_owned(),
        audience: AudienceIn { all: Some(true), ..AudienceIn::default() },
        sender_id: Some(opened.sender),
        starts_at: None,
        resume_when_funded: true,
    };
    let mut tx = app.db.begin().await?;
    let campaign = create(&mut tx, &*app.dice, opened.account, &wanted).await?.id;
    wish(&mut tx, opened.account, campaign, Wish::Start).await?;
    tx.commit().await?;
    app.call.notify_one();
    Ok(Cast { account: opened.account, sender: opened.sender, campaign })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_one_segment() {
        let text = domain::text::finish(BODY).expect("a text");
        assert_eq!((text.segments, text.body.as_str()), (1, BODY));
    }
}
