//! The beat of a chunk: what was learnt of its texts, how far the next ones may go and the lease,
//! in one commit. In the same transaction its owner learns whether to go on. Chunks of one stream
//! whose beats meet share a commit ([`super::beats`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::{AccountId, StreamId};
use domain::instant::Instant;
use domain::permit::Rule;
use store::chunks::{Ask, Tenure};
use store::{Result, Tx, recipients, streams};

use super::beats::{NotBeaten, Queue};
use super::dispatch::{Desk, is_short};
use super::gate::Permit;
use super::record::{Report, record_states};
use super::senders::From;
use super::stages;
use super::worker::Place;

/// What one beat makes durable.
#[derive(Debug)]
pub struct Beat {
    /// What was learnt.
    pub reports: Vec<Report>,
    /// What its owner wants of the chunk.
    pub wish: Wish,
}

/// What becomes of the chunk.
#[derive(Debug)]
pub enum Wish {
    /// Its owner goes on sending from it.
    GoOn(GoOn),
    /// Nothing more is sent from it.
    End(Tenure),
    /// Somebody else owns it: only what was learnt is kept.
    Nothing,
}

/// How the owner of a chunk goes on.
#[derive(Debug)]
pub struct GoOn {
    /// The chunk, as it was claimed.
    pub tenure: Tenure,
    /// What its texts leave from.
    pub from: From,
    /// How many of its texts may be on the wire from here on.
    pub mark: usize,
    /// The lease lasts until then.
    pub lease_until: Instant,
    /// Texts below the mark without an outcome: may they still leave?
    pub ahead: Vec<Ahead>,
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
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// The chunk is somebody else's; the mark did not move.
    pub fenced: bool,
    /// Take up no more texts.
    pub stop: Option<Stop>,
    /// These texts, by index, must not leave.
    pub stopped: Vec<(usize, Stopped)>,
}

impl Wish {
    fn ask(&self) -> Option<(Tenure, Ask)> {
        match self {
            Self::GoOn(GoOn { tenure, mark, lease_until, .. }) => {
                let mark = i64::try_from(*mark).unwrap_or(i64::MAX);
                Some((*tenure, Ask::Advance { mark, lease_until: *lease_until }))
            }
            Self::End(tenure) => Some((*tenure, Ask::Close)),
            Self::Nothing => None,
        }
    }
}

/// Writes beats of chunks of one stream; durable once `tx` is committed. Answers each.
pub async fn write(
    tx: &mut Tx,
    desk: &Desk,
    (account, stream): Place,
    beats: &[&Beat],
) -> Result<Vec<Orders>> {
    let reports: Vec<&Report> = beats.iter().flat_map(|beat| &beat.reports).collect();
    let mut half = record_states(tx, account, stream, &reports).await?;
    let asks: Vec<(Tenure, Ask)> = beats.iter().filter_map(|beat| beat.wish.ask()).collect();
    let owners = half.record_chunks(tx, &asks).await?;
    let mut all = Vec::with_capacity(beats.len());
    let mut standing = None;
    for beat in beats {
        let Wish::GoOn(go_on) = &beat.wish else {
            all.push(Orders::default());
            continue;
        };
        let stop = match standing {
            Some(stop) => stop,
            None => *standing.insert(standing_orders(tx, account, stream).await?),
        };
        let mut orders = Orders { stop, ..Orders::default() };
        orders.fenced = !owners.contains(&go_on.tenure.no);
        let blocked = desk.routes.blocked(&go_on.from, tx.now());
        if blocked.is_some_and(|blocked| !is_short(&blocked, tx.now())) {
            orders.stop = orders.stop.or(Some(Stop::TakeBack));
        }
        all.push(orders);
    }
    stop_texts(tx, (account, stream), beats, &mut all).await?;
    half.record_money(tx).await?;
    Ok(all)
}

/// Which of the texts ahead must not leave any more. Few have a word against them since their
/// claim; only those are looked at closely.
async fn stop_texts(
    tx: &mut Tx,
    (account, stream): Place,
    beats: &[&Beat],
    orders: &mut [Orders],
) -> Result<()> {
    let going: Vec<(usize, &GoOn)> = beats
        .iter()
        .enumerate()
        .filter_map(|(nth, beat)| match &beat.wish {
            Wish::GoOn(go_on) if !go_on.ahead.is_empty() => Some((nth, go_on)),
            _ => None,
        })
        .collect();
    let mut senders: BTreeMap<&str, Instant> = BTreeMap::new();
    for (_, go_on) in &going {
        let since = go_on.tenure.claimed_at - WORDS_TAKE_MAX;
        let earliest = senders.entry(&go_on.from.address).or_insert(since);
        *earliest = (*earliest).min(since);
    }
    for (sender, since) in senders {
        let recent = recipients::recent_stops(tx, account, stream, sender, since).await?;
        let of_sender = going.iter().filter(|(_, go_on)| go_on.from.address == sender);
        let suspects: BTreeMap<i64, (usize, usize)> = of_sender
            .flat_map(|(nth, go_on)| go_on.ahead.iter().map(|one| (*nth, one)))
            .filter(|(_, one)| {
                let named = |stops: &recipients::RecentStops| {
                    stops.phones.contains(&one.phone) || stops.ords.contains(&one.ord)
                };
                recent.as_ref().is_none_or(named)
            })
            .map(|(nth, one)| (one.ord, (nth, one.index)))
            .collect();
        let ords: Vec<i64> = suspects.keys().copied().collect();
        for (ord, why) in recipients::stopped_since(tx, account, stream, sender, &ords).await? {
            if let Some(&(nth, index)) = suspects.get(&ord) {
                let stopped = why.map_or(Stopped::OptedOut, Stopped::Withdrawn);
                orders[nth].stopped.push((index, stopped));
            }
        }
    }
    Ok(())
}

async fn standing_orders(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
) -> Result<Option<Stop>> {
    use domain::campaign::{PauseReason, State};
    let standing = streams::standing(tx, account, stream).await?;
    let may_send = standing.is_some_and(|it| it.installation_open && it.account_active);
    Ok(match standing.map(|it| (it.state, it.reason)) {
        Some((State::Canceling | State::Canceled, _)) => Some(Stop::Cancel),
        Some((State::Running | State::Draining, _)) if may_send => None,
        // These pause what is not taken up yet; this chunk is paid, and was within its limits.
        Some((
            State::Pausing,
            Some(PauseReason::Credits | PauseReason::Budget | PauseReason::Subscription),
        )) => None,
        _ => Some(Stop::TakeBack),
    })
}

/// The last beat of a chunk, after which the stream goes on as far as it can.
pub async fn close(
    desk: &Desk,
    place: Place,
    queue: &Queue,
    beat: &Arc<Beat>,
) -> std::result::Result<(), NotBeaten> {
    queue.write(desk, place, beat).await?;
    // In its own transaction, because it takes the stream's lock, which comes first.
    let advance = async {
        let mut tx = desk.db.begin().await?;
        stages::advance(&mut tx, place.0, place.1).await?;
        tx.commit().await
    };
    advance.await.map_err(NotBeaten::from)
}
