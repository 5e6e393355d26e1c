//! A stream's way from stage to stage, level-triggered: each call looks at what is, not at what
//! happened, so a lost wake-up costs a moment and nothing else.

use domain::campaign::{Event, PauseReason, State};
use domain::ids::{AccountId, StreamId};
use domain::message::{self, Fact};
use domain::permit::Rule;
use store::chunks::{self, ChunkState};
use store::streams::{self, Stream};
use store::{Result, Tx, messages};

use super::record::{Report, record};

/// Waiting texts canceled in one transaction.
const CANCEL_TEXTS: i64 = 2000;

/// Brings a stream as far as it can go by itself now. Answers where it stands then.
pub async fn advance(tx: &mut Tx, account: AccountId, id: StreamId) -> Result<State> {
    let before = streams::lock_stream(tx, account, id).await?;
    let mut after = before;
    if id.is_endless() {
        return Ok(after.state);
    }
    match before.state {
        State::Pausing if idle(tx, account, id).await? => after.turn(Event::Idle),
        State::Canceling
            if idle(tx, account, id).await? && cancel_waiting(tx, account, id).await? =>
        {
            after.turn(Event::Idle);
        }
        State::Running if before.position == before.total => after.turn(Event::Exhausted),
        _ => {}
    }
    if after.state == State::Draining && finished(tx, account, id).await? {
        after.turn(Event::Finished);
    }
    if after != before {
        streams::save_stream(tx, account, &before, &after).await?;
        log_turn(account, &before, &after);
    }
    Ok(after.state)
}

/// Applies an event to a locked stream's copy, if it applies.
trait Turn {
    fn turn(&mut self, event: Event);
}

impl Turn for Stream {
    fn turn(&mut self, event: Event) {
        if let Some(state) = self.state.after(event) {
            self.state = state;
        }
    }
}

/// A person's or a rule's wish about a stream. Answers the stream afterwards, or `None` when the
/// wish does not fit where it stands.
pub async fn apply(
    tx: &mut Tx,
    account: AccountId,
    id: StreamId,
    event: Event,
    reason: Option<PauseReason>,
) -> Result<Option<State>> {
    let before = streams::lock_stream(tx, account, id).await?;
    let Some(state) = before.state.after(event) else {
        return Ok(None);
    };
    let after = Stream { state, reason, need: 0, ..before };
    streams::save_stream(tx, account, &before, &after).await?;
    log_turn(account, &before, &after);
    if domain::mutant!(M19) && event == Event::Resume {
        for chunk in chunks::list_open(tx, account, id).await? {
            let again = chunk.ords.iter().map(|&ord| Report::new(ord, 1, Fact::NotSent));
            record(tx, account, id, &again.collect::<Vec<_>>()).await?;
        }
    }
    advance(tx, account, id).await.map(Some)
}

fn log_turn(account: AccountId, before: &Stream, after: &Stream) {
    tracing::info!(
        component = "stages",
        %account,
        campaign = %after.id,
        from = %before.state,
        to = %after.state,
        reason = after.reason.map(tracing::field::display),
        position = after.position,
        total = after.total,
        "stream turned"
    );
}

async fn idle(tx: &mut Tx, account: AccountId, id: StreamId) -> Result<bool> {
    Ok(chunks::count_chunks(tx, account, id, ChunkState::Open).await? == 0 || domain::mutant!(M18))
}

async fn finished(tx: &mut Tx, account: AccountId, id: StreamId) -> Result<bool> {
    let tallies = messages::tallies(tx, account, id).await?;
    let waiting = [message::State::Deferred, message::State::Reserved, message::State::Unknown]
        .iter()
        .any(|state| tallies.get(state).copied().unwrap_or(0) > 0);
    Ok(!waiting && idle(tx, account, id).await?)
}

/// Cancels texts that wait for a time; `true` when none is left.
async fn cancel_waiting(tx: &mut Tx, account: AccountId, id: StreamId) -> Result<bool> {
    let ords = messages::list_deferred(tx, account, id, CANCEL_TEXTS).await?;
    let waiting = messages::lock_messages(tx, account, id, &ords).await?;
    let reports: Vec<Report> = waiting
        .iter()
        .map(|message| {
            Report::new(message.ord, message.attempt, Fact::Canceled)
                .because(Rule::Campaign, "the campaign was canceled")
        })
        .collect();
    record(tx, account, id, &reports).await?;
    Ok(i64::try_from(ords.len()).unwrap_or(i64::MAX) < CANCEL_TEXTS)
}
