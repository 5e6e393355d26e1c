//! Reconciling: what became of texts whose fate is unknown (CORE C.6).
//!
//! Evidence is looked for in the carrier's list of what it sent to the phone: a text of ours with
//! the same words, taken while ours may have been on its way, and bound to no other text of ours,
//! is ours. Any such text serves, because two texts with the same words to one phone are worth the
//! same. Absence is the dangerous verdict: it is given only after the time bound, by complete
//! listings that lie apart, from a list that is proven to be fresh.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use domain::ids::{AccountId, MessageId, StreamId};
use domain::instant::Instant;
use domain::lanes::Lane;
use domain::message::{Fact, State};
use domain::permit::Rule;
use futures_util::stream::{self, StreamExt};
use store::messages::{self, EventKind, MessageEvent};
use store::sweep::{self, TextTo};
use store::unknowns::{self, UnknownText};
use store::{Result, recipients};

use super::carrier::Listed;
use super::dispatch::Desk;
use super::record::{Report, record};
use super::stages;

/// The carrier is asked so long after a text can have left for the last time; then when its
/// absence may be proven. The carrier answers within seconds if it has the text.
const LOOKS: [u64; 5] = [5, 30, 120, 600, 3600];
/// Texts taken up in one look.
const TEXTS_MAX: i64 = 200;
/// Questions to the carrier at once: a twentieth of its calls.
const QUESTIONS_MAX: usize = 3;
/// Texts to one phone that are compared.
const TEXTS_OF_PHONE_MAX: i64 = 500;
/// The carrier's clock shows seconds, and is not ours.
const CLOCK_SLACK: Duration = Duration::from_secs(5);
/// Complete listings without the text that prove its absence, from a list proven to be fresh; one
/// more when nothing was sent since that could prove it.
const NEGATIVES: i64 = 2;

/// When the carrier is first asked about a text.
pub fn first_look(dead_at: Instant, resolve_by: Instant) -> Instant {
    (dead_at + Duration::from_secs(LOOKS[0])).min(resolve_by)
}

/// When the carrier is asked for the `looks`-th time, from 0.
fn look_at(looks: i64, text: &UnknownText, transit: Duration) -> Instant {
    let wait = usize::try_from(looks).ok().and_then(|n| LOOKS.get(n).copied());
    match wait.map(|seconds| text.dead_at + Duration::from_secs(seconds)) {
        Some(at) if at < text.resolve_by => at,
        _ if text.negatives == 0 => text.resolve_by,
        _ => text.negative_at + transit,
    }
}

/// Whether a text proven absent is worth sending again while it is still useful: never what goes
/// to lists, never a code.
const fn may_requeue(lane: Lane) -> bool {
    !matches!(lane, Lane::Campaign | Lane::Code)
}

/// One look: asks the carriers about the texts that are due. Answers how many were decided.
pub async fn look(desk: &Desk) -> Result<usize> {
    let mut tx = desk.db.read().await?;
    let due = unknowns::due_unknowns(&mut tx, TEXTS_MAX).await?;
    let mut groups: BTreeMap<String, Vec<UnknownText>> = BTreeMap::new();
    for text in due {
        let MessageId { account, stream, ord } = text.message;
        let found = recipients::candidates_at(&mut tx, account, stream, "", &[ord]).await?;
        let phone = found.into_iter().next().map(|one| one.recipient.phone);
        groups.entry(phone.unwrap_or_default()).or_default().push(text);
    }
    drop(tx);
    if groups.is_empty() {
        return Ok(0);
    }
    let canaries = Canaries::default();
    let canaries = &canaries;
    let mut looks = stream::iter(groups)
        .map(|(phone, texts)| async move { ask(desk, canaries, &phone, texts).await })
        .buffer_unordered(QUESTIONS_MAX);
    let mut decided = 0;
    while let Some(result) = looks.next().await {
        decided += result?;
    }
    Ok(decided)
}

/// How fresh each carrier's list is: when it took the newest text in it that we know.
#[derive(Default)]
struct Canaries(tokio::sync::Mutex<HashMap<String, Option<Instant>>>);

impl Canaries {
    async fn newest(&self, desk: &Desk, carrier: &str) -> Result<Option<Instant>> {
        let mut all = self.0.lock().await;
        if let Some(known) = all.get(carrier) {
            return Ok(*known);
        }
        let mut newest = None;
        if let Some(line) = desk.routes.line(carrier)
            && let Ok(listing) = line.carrier.newest().await
        {
            let mut tx = desk.db.read().await?;
            for text in listing.iter().filter(|text| text.receipt.is_some()).take(20) {
                let ours = sweep::texts_to(&mut tx, &text.to, TEXTS_OF_PHONE_MAX).await?;
                if ours.iter().any(|one| one.sid.as_deref() == Some(&text.sid)) {
                    newest = Some(text.created_at);
                    break;
                }
            }
        }
        all.insert(carrier.to_owned(), newest);
        Ok(newest)
    }
}

/// What a carrier's list says about one phone.
struct Answer {
    /// Texts with their carriers, oldest first; then those that are bound to none of ours.
    unbound: Vec<(String, Listed)>,
    /// Carriers whose list was complete.
    complete: BTreeSet<String>,
}

async fn ask(
    desk: &Desk,
    canaries: &Canaries,
    phone: &str,
    mut texts: Vec<UnknownText>,
) -> Result<usize> {
    texts.sort_by_key(|text| (text.since, text.message));
    let since = texts[0].since - CLOCK_SLACK;
    let mut answer = question(desk, phone, since).await;
    // Read after the carrier answered: what it listed is bound by now, or still on the wire.
    let mut tx = desk.db.read().await?;
    let ours = sweep::texts_to(&mut tx, phone, TEXTS_OF_PHONE_MAX).await?;
    drop(tx);
    let bound: BTreeSet<&str> = ours.iter().filter_map(|one| one.sid.as_deref()).collect();
    answer.unbound.retain(|(_, listed)| !bound.contains(listed.sid.as_str()));
    let mut decided = 0;
    for text in texts {
        let body = ours.iter().find(|one| one.message == text.message);
        let body = body.map(|one| one.body.as_str()).unwrap_or_default();
        if is_on_wire(&ours, body) {
            // Its text and this one cannot be told apart until its answer is here.
            answer.complete.clear();
        }
        let found = answer.unbound.iter().position(|(carrier, listed)| {
            !is_on_wire(&ours, body) && fits(&text, carrier, listed, body, desk.bounds.transit)
        });
        match found {
            Some(index) => {
                let (_, listed) = answer.unbound.remove(index);
                adopt(desk, &text, &listed).await?;
                decided += 1;
            }
            None => decided += usize::from(not_found(desk, canaries, text, &answer).await?),
        }
    }
    Ok(decided)
}

/// Whether another text with these words may be on its way to the phone right now.
fn is_on_wire(ours: &[TextTo], body: &str) -> bool {
    ours.iter()
        .any(|one| one.state == Some(State::Reserved) && one.sid.is_none() && one.body == body)
}

async fn question(desk: &Desk, phone: &str, since: Instant) -> Answer {
    let mut answer = Answer { unbound: Vec::new(), complete: BTreeSet::new() };
    for line in desk.routes.lines() {
        match line.carrier.list(Some(phone), since).await {
            Ok(listing) => {
                if listing.complete {
                    answer.complete.insert(line.name.clone());
                }
                let texts = listing.texts.into_iter().rev().filter(|one| one.receipt.is_some());
                answer.unbound.extend(texts.map(|one| (line.name.clone(), one)));
            }
            Err(error) => tracing::warn!(
                component = "reconcile", carrier = line.name, %error,
                "the carrier did not say what it has"
            ),
        }
    }
    answer
}

fn fits(text: &UnknownText, carrier: &str, listed: &Listed, body: &str, transit: Duration) -> bool {
    let there = text.carrier.is_empty() || text.carrier == carrier;
    let from = text.since - CLOCK_SLACK;
    let until = text.dead_at + transit + CLOCK_SLACK;
    there && listed.says(body) && (from..=until).contains(&listed.created_at)
}

async fn adopt(desk: &Desk, text: &UnknownText, listed: &Listed) -> Result<()> {
    let MessageId { account, stream, ord } = text.message;
    let fact = listed.receipt.map_or(Fact::Accepted, Fact::Receipt);
    let mut report = Report::new(ord, text.attempt, fact);
    report.sid = Some(listed.sid.clone());
    report.code = listed.code;
    let words = format!("the carrier's list holds it as {}", listed.sid);
    decide(desk, account, stream, report.because(Rule::Retry, words.clone())).await?;
    keep_evidence(desk, text, EventKind::Listed, words).await?;
    tracing::info!(
        component = "reconcile", %account, campaign = %stream, message = %text.message,
        attempt = text.attempt, sid = listed.sid, "an unknown text was found at the carrier"
    );
    Ok(())
}

async fn decide(desk: &Desk, account: AccountId, stream: StreamId, report: Report) -> Result<()> {
    let mut tx = desk.db.begin().await?;
    record(&mut tx, account, stream, &[report]).await?;
    tx.commit().await?;
    let mut tx = desk.db.begin().await?;
    stages::advance(&mut tx, account, stream).await?;
    tx.commit().await
}

async fn keep_evidence(
    desk: &Desk,
    text: &UnknownText,
    kind: EventKind,
    words: String,
) -> Result<()> {
    let MessageId { account, stream, ord } = text.message;
    let event = MessageEvent {
        ord,
        attempt: text.attempt,
        kind,
        code: text.looks,
        seq: 0,
        price: 0,
        sid: None,
        detail: Some(words),
    };
    let mut tx = desk.db.begin().await?;
    messages::insert_events(&mut tx, account, stream, &[event]).await?;
    tx.commit().await
}

/// The list did not hold the text. Answers whether that decided it.
async fn not_found(
    desk: &Desk,
    canaries: &Canaries,
    mut text: UnknownText,
    answer: &Answer,
) -> Result<bool> {
    let now = desk.clock.now();
    let asked: Vec<Arc<str>> = desk
        .routes
        .lines()
        .iter()
        .filter(|line| text.carrier.is_empty() || text.carrier == line.name)
        .map(|line| Arc::from(line.name.as_str()))
        .collect();
    let complete =
        !asked.is_empty() && asked.iter().all(|name| answer.complete.contains(name.as_ref()));
    let apart = text.negatives == 0 || now.since(text.negative_at) >= desk.bounds.transit;
    text.looks += 1;
    let bounded = now >= text.resolve_by || domain::mutant!(M7);
    if complete && bounded && apart {
        text.negatives += 1;
        text.negative_at = now;
        let words = format!("complete listing {} after its time bound", text.negatives);
        keep_evidence(desk, &text, EventKind::NotListed, words).await?;
        let mut fresh = true;
        for name in &asked {
            fresh &= canaries.newest(desk, name).await?.is_some_and(|at| at >= text.dead_at);
        }
        if text.negatives >= NEGATIVES + i64::from(!fresh) || domain::mutant!(M8) {
            absent(desk, &text, fresh).await?;
            return Ok(true);
        }
    }
    text.next_look = look_at(text.looks, &text, desk.bounds.transit).max(now + LOOK_LEAST);
    let MessageId { account, stream, .. } = text.message;
    let mut tx = desk.db.begin().await?;
    // A receipt may have decided it while the carrier was asked.
    if unknowns::find_unknown(&mut tx, text.message).await?.is_some() {
        unknowns::save_unknowns(&mut tx, account, stream, &[text]).await?;
    }
    tx.commit().await?;
    Ok(false)
}

/// The least time between two looks at one text.
const LOOK_LEAST: Duration = Duration::from_secs(1);

async fn absent(desk: &Desk, text: &UnknownText, fresh: bool) -> Result<()> {
    let MessageId { account, stream, ord } = text.message;
    let mut tx = desk.db.read().await?;
    let useful = recipients::candidates_at(&mut tx, account, stream, "", &[ord])
        .await?
        .first()
        .is_some_and(|one| one.recipient.not_after > tx.now());
    drop(tx);
    let again = useful && may_requeue(stream.lane());
    let fact = if again { Fact::Requeued } else { Fact::Absent };
    let proof = if fresh { "a fresh list" } else { "a list nothing newer could prove fresh" };
    let words = format!("{} complete listings after {}, {proof}", text.negatives, text.resolve_by);
    let mut report = Report::new(ord, text.attempt, fact).because(Rule::Retry, words);
    report.retry_at = desk.clock.now();
    decide(desk, account, stream, report).await?;
    tracing::warn!(
        component = "reconcile", %account, campaign = %stream, message = %text.message,
        attempt = text.attempt, listings = text.negatives, fresh, again,
        state = %(if again { State::Deferred } else { State::Absent }),
        "an unknown text is proven absent"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_carrier_is_asked_early_then_when_absence_may_be_proven() {
        let at = |seconds: u64| Instant(0) + Duration::from_secs(seconds);
        let text = |resolve_by: u64, negatives: i64| UnknownText {
            message: MessageId { account: AccountId(1), stream: StreamId(9), ord: 1 },
            attempt: 1,
            carrier: String::new(),
            since: at(0),
            dead_at: at(0),
            resolve_by: at(resolve_by),
            next_look: at(0),
            looks: 0,
            negatives,
            negative_at: at(20_000),
        };
        let transit = Duration::from_secs(120);
        let looks: Vec<Instant> = (0..7).map(|n| look_at(n, &text(15_000, 0), transit)).collect();
        let wanted = [5, 30, 120, 600, 3600, 15_000, 15_000].map(at);
        assert_eq!(looks, wanted);
        assert_eq!(look_at(0, &text(3, 0), transit), at(3));
        assert_eq!(look_at(6, &text(15_000, 1), transit), at(20_120));
    }

    #[test]
    fn lists_and_codes_are_never_sent_again() {
        for &lane in Lane::ALL {
            let never = matches!(lane, Lane::Campaign | Lane::Code);
            assert_eq!(may_requeue(lane), !never, "{lane}");
        }
    }
}
