//! The beat of a chunk: what was learnt of its texts, how far the next ones may go and the lease,
//! in one commit. In the same transaction its owner learns whether to go on.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::ids::{AccountId, StreamId};
use domain::instant::Instant;
use domain::permit::Rule;
use store::chunks::{self, Chunk};
use store::{Result, Tx, recipients, streams};

use super::dispatch::{Desk, is_short};
use super::gate::Permit;
use super::record::{Report, record_states};
use super::senders::From;
use super::stages;

/// What one beat makes durable.
pub struct Beat<'a> {
    /// Whose chunk it is.
    pub account: AccountId,
    /// Which stream's.
    pub stream: StreamId,
    /// The chunk, as it was claimed.
    pub chunk: &'a Chunk,
    /// What its texts leave from.
    pub from: &'a From,
    /// What was learnt.
    pub reports: &'a [Report],
    /// How many of its texts may be on the wire from here on.
    pub mark: usize,
    /// The lease lasts until then.
    pub lease_until: Instant,
    /// Texts below the mark without an outcome: may they still leave?
    pub ahead: &'a [Ahead],
}

/// A text that is still to leave.
#[derive(Clone, Debug)]
pub struct Ahead {
    /// Its place in the chunk.
    pub index: usize,
    /// Its position in the stream.
    pub ord: i64,
    /// To whom.
    pub phone: String,
}

/// The gate saw all words against a text that were recorded so long before its claim: their
/// transactions have ended, and clocks do not differ by as much.
const WORDS_TAKE_MAX: Duration = Duration::from_secs(300);

/// Why a run takes up no more texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Paused, the process ends, the account was suspended: unsent texts wait.
    TakeBack,
    /// Canceled: unsent texts are canceled.
    Cancel,
    /// Another process owns the chunk: it decides on the unsent texts.
    Fenced,
}

/// What became known of a text between its claim and its turn.
#[derive(Clone, Debug)]
pub enum Stopped {
    /// Its recipient opted out.
    OptedOut,
    /// Its reason is gone; why, in words.
    Withdrawn(String),
}

impl Stopped {
    /// The report of a text that did not leave for this.
    pub fn report(self, permit: &Permit) -> Report {
        let report = Report::new(permit.ord(), permit.attempt(), domain::message::Fact::OptedOut);
        match self {
            Self::OptedOut => report.because(Rule::OptOut, "opted out before it left"),
            Self::Withdrawn(why) => report.because(Rule::Withdrawn, why),
        }
    }
}

/// What a beat learnt besides committing.
#[derive(Debug, Default)]
pub struct Orders {
    /// The chunk is somebody else's; the mark did not move.
    pub fenced: bool,
    /// Take up no more texts.
    pub stop: Option<Stop>,
    /// These texts, by index, must not leave.
    pub stopped: Vec<(usize, Stopped)>,
}

impl Beat<'_> {
    /// Writes it; durable once `tx` is committed.
    pub async fn write(&self, tx: &mut Tx, desk: &Desk) -> Result<Orders> {
        let Self { account, stream, .. } = *self;
        let half = record_states(tx, account, stream, self.reports).await?;
        let mark = i64::try_from(self.mark).unwrap_or(i64::MAX);
        let ours =
            chunks::advance_mark(tx, account, stream, self.chunk, mark, self.lease_until).await?;
        let mut orders = standing_orders(tx, account, stream).await?;
        orders.fenced = !ours;
        let blocked = desk.routes.blocked(self.from, tx.now());
        if blocked.is_some_and(|blocked| !is_short(&blocked, tx.now())) {
            orders.stop = orders.stop.or(Some(Stop::TakeBack));
        }
        orders.stopped = self.stopped_since(tx).await?;
        half.record_money(tx).await?;
        Ok(orders)
    }

    /// Which of the texts ahead must not leave any more. Few have a word against them since their
    /// claim; only those are looked at closely.
    async fn stopped_since(&self, tx: &mut Tx) -> Result<Vec<(usize, Stopped)>> {
        if self.ahead.is_empty() {
            return Ok(Vec::new());
        }
        let (account, stream, sender) = (self.account, self.stream, &self.from.address);
        let since = self.chunk.claimed_at - WORDS_TAKE_MAX;
        let recent = recipients::recent_stops(tx, account, stream, sender, since).await?;
        let suspects: BTreeMap<i64, usize> = self
            .ahead
            .iter()
            .filter(|one| {
                let named = |stops: &recipients::RecentStops| {
                    stops.phones.contains(&one.phone) || stops.ords.contains(&one.ord)
                };
                recent.as_ref().is_none_or(named)
            })
            .map(|one| (one.ord, one.index))
            .collect();
        let ords: Vec<i64> = suspects.keys().copied().collect();
        let found = recipients::stopped_since(tx, account, stream, sender, &ords).await?;
        let stopped = found.into_iter().filter_map(|(ord, why)| {
            Some((*suspects.get(&ord)?, why.map_or(Stopped::OptedOut, Stopped::Withdrawn)))
        });
        Ok(stopped.collect())
    }
}

async fn standing_orders(tx: &mut Tx, account: AccountId, stream: StreamId) -> Result<Orders> {
    use domain::campaign::{PauseReason, State};
    let standing = streams::standing(tx, account, stream).await?;
    let may_send = standing.is_some_and(|it| it.installation_open && it.account_active);
    let stop = match standing.map(|it| (it.state, it.reason)) {
        Some((State::Canceling | State::Canceled, _)) => Some(Stop::Cancel),
        Some((State::Running | State::Draining, _)) if may_send => None,
        // These pause what is not taken up yet; this chunk is paid, and was within its limits.
        Some((
            State::Pausing,
            Some(PauseReason::Credits | PauseReason::Budget | PauseReason::Subscription),
        )) => None,
        _ => Some(Stop::TakeBack),
    };
    Ok(Orders { stop, ..Orders::default() })
}

/// The last beat of a chunk: what is left to record, and its end, unless somebody else owns it.
/// Then the stream goes on as far as it can.
pub async fn close(
    desk: &Desk,
    (account, stream): (AccountId, StreamId),
    owned: Option<&Chunk>,
    reports: &[Report],
) -> Result<()> {
    let mut tx = desk.db.begin().await?;
    let half = record_states(&mut tx, account, stream, reports).await?;
    if let Some(chunk) = owned {
        chunks::close_chunk(&mut tx, account, stream, chunk).await?;
    }
    half.record_money(&mut tx).await?;
    tx.commit().await?;
    // In its own transaction, because it takes the stream's lock, which comes first.
    let mut tx = desk.db.begin().await?;
    stages::advance(&mut tx, account, stream).await?;
    tx.commit().await
}
