//! Receipts: the carrier's later news. Each is recorded before it is answered 2xx; duplicates and
//! disorder change nothing. The token in the URL names the message, so a receipt also decides a
//! text whose answer was never read.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::carrier_errors;
use domain::ids::{AccountId, MessageId, StreamId};
use domain::message::{Fact, Receipt};
use futures_util::stream::{self, StreamExt as _};
use store::Result;
use store::combiner::Combiner;
use twilio::wire::MessageStatus;

use super::dispatch::Desk;
use super::record::{Report, record};
use super::{redelivery, senders, stages};

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

/// Streams whose receipts are kept at once, each in a transaction of its own: one by one, every
/// account would wait for the disk as often as there are accounts in the batch.
const PLACES_MAX: usize = 8;

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
pub fn start(desk: Arc<Desk>) -> Receipts {
    Combiner::start(move |batch: Vec<ReceiptIn>| {
        let desk = Arc::clone(&desk);
        async move { keep_batch(&desk, batch).await }
    })
}

type Place = (AccountId, StreamId);

/// Keeps receipts and answers each.
pub async fn keep_batch(
    desk: &Desk,
    batch: Vec<ReceiptIn>,
) -> Vec<std::result::Result<(), NotKept>> {
    let mut places: BTreeMap<Place, Vec<usize>> = BTreeMap::new();
    for (index, one) in batch.iter().enumerate() {
        places.entry((one.message.account, one.message.stream)).or_default().push(index);
    }
    let batch = &batch;
    let mut keeping = stream::iter(places)
        .map(|(place, indexes)| async move {
            let reports: Vec<Report> =
                indexes.iter().map(|&index| report_of(&batch[index])).collect();
            let kept = keep(desk, place, &reports).await;
            if let Err(error) = &kept {
                tracing::error!(
                    component = "receipts", account = %place.0, campaign = %place.1,
                    receipts = reports.len(), %error, "receipts could not be kept"
                );
            }
            (indexes, kept.map_err(|_| NotKept))
        })
        .buffer_unordered(PLACES_MAX);
    let mut answers = vec![Ok(()); batch.len()];
    while let Some((indexes, kept)) = keeping.next().await {
        for index in indexes {
            answers[index] = kept;
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

/// Keeps what receipts, or the carrier's own list, say about texts of one stream.
pub(super) async fn keep(desk: &Desk, place: Place, reports: &[Report]) -> Result<()> {
    let (account, stream) = place;
    let mut tx = desk.db.begin().await?;
    let ledge = redelivery::prepare(&mut tx, place, reports).await?;
    let recorded = record(&mut tx, account, stream, reports).await?;
    if let Some(before) = ledge {
        redelivery::send_again(&mut tx, account, before, &recorded.failed).await?;
    }
    // A receipt that decides the last unknown text may complete a campaign that drains.
    let drains = recorded.decided > 0
        && store::streams::find_stream(&mut tx, account, stream)
            .await?
            .is_some_and(|stream| stream.state == domain::campaign::State::Draining);
    tx.commit().await?;
    if recorded.late > 0 {
        tracing::error!(
            component = "receipts", %account, campaign = %stream, texts = recorded.late,
            "texts turned out to have left after their credits were released"
        );
    }
    for (ord, code) in &recorded.failed {
        hold_back(desk, MessageId { account, stream, ord: *ord }, *code).await?;
    }
    if drains {
        let mut tx = desk.db.begin().await?;
        stages::advance(&mut tx, account, stream).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// A text that failed because its sender, or our account at the carrier, is barred: the next ones
/// would fail alike, so nothing more leaves that way for a while.
async fn hold_back(desk: &Desk, message: MessageId, code: i64) -> Result<()> {
    let Some(what) = carrier_errors::hold(code) else { return Ok(()) };
    let MessageId { account, stream, .. } = message;
    let shared = desk.claimant.installation_sender.as_ref();
    let mut tx = desk.db.read().await?;
    let wanted = match stream {
        stream if stream.is_endless() => None,
        stream => store::campaigns::campaign(&mut tx, account, stream).await?.sender,
    };
    if let Some(from) = senders::choose(&mut tx, account, wanted, shared).await? {
        let meaning = carrier_errors::find(code).map_or("", |error| error.meaning.as_str());
        let words = format!("{message} was not delivered ({code}): {meaning}");
        desk.routes.hold_sender(&from, desk.clock.now(), what, &words);
    }
    Ok(())
}
