//! What is compared at the end: the carrier's own record, the database row by row, the wallet and
//! its audit.

use domain::ids::{AccountId, MessageId, StreamId};
use domain::ledger::Books;
use domain::message::State;
use domain::permit::{Category, Consent};
use serde::Deserialize;
use store::stories::{StateFilter, recipients_with_messages};
use store::{Db, audit, consents, wallets};

use super::call::{ANSWER_MAX, Api, Ask};
use super::scene::{Scene, Text, Told};
use crate::entry::cli::failure::{Result, failed};
use crate::finance::books::Check;

const ROWS_A_PAGE: i64 = 5000;
const MESSAGES_A_PAGE: usize = 5000;

/// A text that the carrier accepted, in its own words.
#[derive(Clone, Debug, Deserialize)]
pub struct Accepted {
    /// Its id.
    pub sid: String,
    /// To whom.
    pub to: String,
    /// What it says.
    pub body: String,
    /// What became of it there.
    pub status: String,
}

/// An intended text as the database knows it.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its place.
    pub id: MessageId,
    /// To whom.
    pub phone: String,
    /// What it costs.
    pub price: i64,
    /// Where it stands; `None` when it was never taken up.
    pub state: Option<State>,
    /// The carrier's id of it.
    pub sid: Option<String>,
}

/// Everything.
#[derive(Debug, Default)]
pub struct Evidence {
    /// What the carrier accepted.
    pub accepted: Vec<Accepted>,
    /// What the database holds.
    pub rows: Vec<Row>,
    /// The wallet.
    pub books: Books,
    /// The audit.
    pub checks: Vec<Check>,
    /// The campaign.
    pub campaign: Option<StreamId>,
    /// How many contacts it went to.
    pub contacts: usize,
    /// Credits the server said it gave.
    pub granted: i64,
    /// Single texts it took in.
    pub texts: Vec<Text>,
    /// Requests with one key that made two texts.
    pub taken_twice: Vec<String>,
    /// Opt-outs it took in and does not know.
    pub opt_outs_gone: Vec<String>,
}

/// Gathers it, beside the running processes.
pub async fn gather(scene: &Scene, told: &Told, db: &Db, carrier: &Api) -> Result<Evidence> {
    let checks = crate::flow::audit::audit(db, scene.account).await?.checks;
    let mut tx = db.read().await?;
    let books = wallets::wallet(&mut tx, scene.account).await?.books;
    let mut rows = Vec::new();
    for stream in audit::stream_ids(&mut tx, scene.account).await? {
        let mut after = 0;
        loop {
            let all = StateFilter::ANY;
            let account = scene.account;
            let page =
                recipients_with_messages(&mut tx, account, stream, all, after, ROWS_A_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.ord;
            rows.extend(page.into_iter().map(|row| Row {
                id: MessageId { account, stream, ord: row.ord },
                phone: row.phone,
                price: row.price,
                state: row.message.as_ref().map(|message| message.state),
                sid: row.message.and_then(|message| message.sid),
            }));
        }
    }
    let opt_outs_gone = opt_outs_gone(&mut tx, scene.account, told).await?;
    drop(tx);
    Ok(Evidence {
        accepted: carriers_record(carrier).await?,
        rows,
        books,
        checks,
        campaign: Some(scene.campaign),
        contacts: scene.contacts,
        granted: told.granted,
        texts: told.texts.clone(),
        taken_twice: told.taken_twice.clone(),
        opt_outs_gone,
    })
}

async fn opt_outs_gone(tx: &mut store::Tx, account: AccountId, told: &Told) -> Result<Vec<String>> {
    let phones: Vec<String> = told.opted_out.iter().cloned().collect();
    let standing = consents::consents_for(tx, account, Category::Marketing, &phones).await?;
    let kept = |phone: &String| standing.contains(&(phone.clone(), Consent::OptedOut));
    Ok(phones.into_iter().filter(|phone| !kept(phone)).collect())
}

async fn carriers_record(carrier: &Api) -> Result<Vec<Accepted>> {
    let mut record: Vec<Accepted> = Vec::new();
    loop {
        let path = format!("/sandbox/messages?cursor={}&limit={MESSAGES_A_PAGE}", record.len());
        let answer = carrier.insist(&Ask::get(&path), ANSWER_MAX).await?;
        answer.done("the carrier's record")?;
        let before = record.len();
        for line in answer.body.lines().filter(|line| !line.is_empty()) {
            record.push(serde_json::from_str(line).map_err(|error| {
                failed(format!("the carrier's record cannot be read ({error}): {line}"))
            })?);
        }
        if record.len() == before {
            return Ok(record);
        }
    }
}
