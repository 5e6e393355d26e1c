//! Receipts: the carrier's later news. Each is recorded before it is answered 2xx; duplicates and
//! disorder change nothing. The token in the URL names the message, so a receipt also decides a
//! text whose answer was never read.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::ids::{AccountId, MessageId, StreamId};
use domain::message::{Fact, Receipt};
use store::combiner::Combiner;
use store::{Db, Result};
use twilio::wire::MessageStatus;

use super::record::{Report, record};
use super::stages;

/// One status callback, its signature checked and its token opened.
#[derive(Clone, Debug)]
pub struct ReceiptIn {
    /// Which message.
    pub message: MessageId,
    /// Which attempt its token was made for.
    pub attempt: u16,
    /// What it says.
    pub receipt: Receipt,
    /// The carrier's id.
    pub sid: String,
    /// The carrier's error code, or 0.
    pub code: i64,
}

/// It could not be kept; the carrier is asked to send it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotKept;

/// Takes receipts in batches.
pub type Receipts = Combiner<ReceiptIn, std::result::Result<(), NotKept>>;

/// What a status word means for a message; `None` for the words of inbound texts.
pub const fn meaning(status: MessageStatus) -> Option<Receipt> {
    match status {
        MessageStatus::Scheduled
        | MessageStatus::Accepted
        | MessageStatus::Queued
        | MessageStatus::Sending => Some(Receipt::Taken),
        MessageStatus::Sent => Some(Receipt::Sent),
        MessageStatus::Delivered | MessageStatus::PartiallyDelivered => Some(Receipt::Delivered),
        MessageStatus::Undelivered => Some(Receipt::Undelivered),
        MessageStatus::Failed | MessageStatus::Canceled => Some(Receipt::Failed),
        MessageStatus::Read => Some(Receipt::Read),
        MessageStatus::Receiving | MessageStatus::Received => None,
    }
}

/// Starts taking receipts.
pub fn start(db: Db) -> Receipts {
    let db = Arc::new(db);
    Combiner::start(move |batch: Vec<ReceiptIn>| {
        let db = Arc::clone(&db);
        async move { keep_batch(&db, batch).await }
    })
}

type Place = (AccountId, StreamId);

async fn keep_batch(db: &Db, batch: Vec<ReceiptIn>) -> Vec<std::result::Result<(), NotKept>> {
    let mut places: BTreeMap<Place, Vec<usize>> = BTreeMap::new();
    for (index, one) in batch.iter().enumerate() {
        places.entry((one.message.account, one.message.stream)).or_default().push(index);
    }
    let mut answers = vec![Ok(()); batch.len()];
    for (place, indexes) in places {
        let reports: Vec<Report> = indexes.iter().map(|&index| report_of(&batch[index])).collect();
        if let Err(error) = keep(db, place, &reports).await {
            tracing::error!(
                component = "receipts", account = %place.0, campaign = %place.1,
                receipts = reports.len(), %error, "receipts could not be kept"
            );
            for index in indexes {
                answers[index] = Err(NotKept);
            }
        }
    }
    answers
}

fn report_of(one: &ReceiptIn) -> Report {
    Report {
        sid: Some(one.sid.clone()),
        code: one.code,
        ..Report::new(one.message.ord, one.attempt, Fact::Receipt(one.receipt))
    }
}

async fn keep(db: &Db, (account, stream): Place, reports: &[Report]) -> Result<()> {
    let mut tx = db.begin().await?;
    let recorded = record(&mut tx, account, stream, reports).await?;
    tx.commit().await?;
    if recorded.late > 0 {
        tracing::error!(
            component = "receipts", %account, campaign = %stream, texts = recorded.late,
            "texts turned out to have left after their credits were released"
        );
    }
    // A receipt that decides the last unknown text may complete a campaign that drains.
    if recorded.turned > 0 {
        let mut tx = db.begin().await?;
        let drains = store::streams::find_stream(&mut tx, account, stream)
            .await?
            .is_some_and(|stream| stream.state == domain::campaign::State::Draining);
        if drains {
            stages::advance(&mut tx, account, stream).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}
