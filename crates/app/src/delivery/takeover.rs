//! Takeover: what a dead process left is finished by a living one.
//!
//! A lease protects liveness only. Taking over raises the chunk's epoch, which fences the old
//! owner; then each text of the chunk without a result is judged: above the mark it was never
//! sent; at or below it, it was not sent if the wire log of an owner that is provably dead says
//! so, or if the carrier died with it and its record does not hold the text (the sandbox inside the
//! server); it is unknown otherwise. Texts that were not sent go back to wait for the gate, their
//! credits released. Nothing that may have left is sent again.

use std::collections::BTreeSet;

use domain::ids::{AccountId, StreamId};
use domain::message::{Fact, State};
use domain::permit::Rule;
use store::chunks::{self, Chunk};
use store::messages::Message;
use store::{Result, Tx, campaigns, messages, recipients};

use super::bounds::REQUEST_MAX;
use super::dispatch::Desk;
use super::record::{Lost, Report, record_and_close};
use super::stages;
use super::wire_log::Owner;

/// What a takeover found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Texts that provably never left; they wait for the gate again.
    pub unsent: usize,
    /// Texts that may have left; their credits stay reserved until evidence comes.
    pub unknown: usize,
}

/// Takes over the abandoned chunks of a stream. `is_ours` tells the chunks this process is sending
/// from right now.
pub async fn take_over_stream(
    desk: &Desk,
    account: AccountId,
    stream: StreamId,
    is_ours: impl Fn(i64) -> bool,
) -> Result<()> {
    let mut tx = desk.db.read().await?;
    let open = chunks::list_open(&mut tx, account, stream).await?;
    let now = tx.now();
    drop(tx);
    for chunk in open {
        let own = chunk.owner == desk.incarnation();
        let proof = if own {
            // A finished task of this process that could not record its end.
            if is_ours(chunk.no) {
                continue;
            }
            true
        } else {
            let owner = desk.wire_logs.owner(chunk.owner);
            if owner != Owner::Dead && now < chunk.lease_until + desk.bounds.lease_grace() {
                continue;
            }
            owner == Owner::Dead
        };
        let found = take_over_chunk(desk, account, stream, &chunk, proof).await?;
        if let Some(found) = found {
            tracing::warn!(
                component = "takeover", %account, campaign = %stream, chunk = chunk.no,
                unsent = found.unsent, unknown = found.unknown, proof,
                "took over a chunk"
            );
        }
    }
    Ok(())
}

async fn take_over_chunk(
    desk: &Desk,
    account: AccountId,
    stream: StreamId,
    chunk: &Chunk,
    proof: bool,
) -> Result<Option<Found>> {
    let log =
        if proof { desk.wire_logs.read(chunk.owner, account, stream, chunk.no) } else { None };
    let mut tx = desk.db.begin().await?;
    let lease_until = tx.now() + desk.claimant.lease;
    let owner = desk.incarnation();
    let taken = chunks::take_over(&mut tx, account, stream, chunk, owner, lease_until).await?;
    let Some(taken) = taken else { return Ok(None) };
    let mut found = Found::default();
    let mut reports = Vec::new();
    let standing = messages::lock_messages(&mut tx, account, stream, &taken.ords).await?;
    let undecided = standing
        .into_iter()
        .filter(|message| message.state == State::Reserved && message.chunk == taken.no);
    let (left, unsent): (Vec<_>, Vec<_>) = undecided.partition(|message| {
        let index = taken.ords.binary_search(&message.ord).unwrap_or(usize::MAX);
        let mark = if domain::mutant!(M17) { 0 } else { taken.mark };
        let below_mark = i64::try_from(index).is_ok_and(|index| index < mark);
        let handed_over = log.as_ref().is_none_or(|log| log.get(index).copied().unwrap_or(true));
        below_mark && handed_over
    });
    // A process that may still live writes nothing after its lease and its longest request.
    let dead_at = if proof { tx.now() } else { chunk.lease_until + REQUEST_MAX };
    let lost = Lost {
        carrier: String::new(),
        since: taken.claimed_at,
        dead_at,
        resolve_by: desk.bounds.resolve_by(stream.lane(), dead_at),
    };
    let arrived = if proof { arrived(desk, &mut tx, account, stream, &left).await? } else { None };
    for message in left.iter().chain(&unsent) {
        let report = |fact| Report::new(message.ord, message.attempt, fact);
        let may_have_left = left.iter().any(|one| one.ord == message.ord)
            && arrived.as_ref().is_none_or(|arrived| arrived.contains(&message.ord));
        if may_have_left && !domain::mutant!(M2) {
            found.unknown += 1;
            let lost = Report { lost: Some(lost.clone()), ..report(Fact::Lost) };
            reports.push(lost.because(Rule::Retry, "its process ended meanwhile"));
        } else {
            found.unsent += 1;
            let words = "its process ended before it left";
            reports.push(report(Fact::NotSent).because(Rule::TakenBack, words));
        }
    }
    record_and_close(&mut tx, account, stream, taken.tenure(), &reports).await?;
    tx.commit().await?;
    let mut tx = desk.db.begin().await?;
    stages::advance(&mut tx, account, stream).await?;
    tx.commit().await?;
    Ok(Some(found))
}

/// Which of these texts reached the carrier, if there is a witness to say so.
async fn arrived(
    desk: &Desk,
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    texts: &[Message],
) -> Result<Option<BTreeSet<i64>>> {
    let Some(witness) = &desk.witness else { return Ok(None) };
    let ords: Vec<i64> = texts.iter().map(|message| message.ord).collect();
    let list = recipients::candidates_at(tx, account, stream, "", &ords).await?;
    let shared = match stream {
        id if id.is_endless() => None,
        id => campaigns::campaign(tx, account, id).await?.sealed_body,
    };
    let taken = list.into_iter().map(|candidate| candidate.recipient).filter(|one| {
        let body = one.body.as_deref().or(shared.as_deref()).unwrap_or_default();
        witness.has_accepted(&one.phone, body)
    });
    Ok(Some(taken.map(|one| one.ord).collect()))
}
