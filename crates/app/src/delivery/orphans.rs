//! Orphans: texts a carrier holds that are bound to none of ours. Looking for them is how a
//! duplicate is detected, and how a database that went back in time is noticed before it sends
//! everything again (CORE B15, E5).
//!
//! The sweep reads the carrier's own list from where it last stood. A text it finds there is known
//! by its SID; or it is the missing end of a text of ours that is unknown or was given up, and is
//! bound to it; or it is an orphan and kept. When a text of ours with the same words to the same
//! phone is about to leave, the orphan is taken for it instead and nothing is sent.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::ids::MessageId;
use domain::instant::Instant;
use domain::message::{Fact, State};
use domain::permit::Rule;
use store::orphans::{self, Orphan, OrphanState, Watch};
use store::sweep::{self, TextTo};
use store::{Result, accounts};

use super::bounds::REQUEST_MAX;
use super::carrier::{Listed, Unanswered};
use super::dispatch::Desk;
use super::record::{Report, record};
use super::routes::Line;
use super::stages;

/// Texts to one phone that are compared.
const TEXTS_OF_PHONE_MAX: i64 = 500;
/// An orphan may be taken for a text that is still to leave for so long; API clients try again
/// with the same idempotency key for a day.
const ADOPTABLE: Duration = Duration::from_secs(24 * 3600);

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Texts of the carrier's list.
    pub listed: usize,
    /// Texts of ours whose end was found.
    pub bound: usize,
    /// New orphans.
    pub orphans: u64,
    /// The list was read as far back as asked.
    pub complete: bool,
}

/// When a sweep is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing of this process is on the wire yet.
    Start,
    /// Texts may be on the wire; the newest of the carrier's are left for the next sweep.
    Running,
}

/// Reads one carrier's list from where the last sweep ended. A carrier that was never swept begins
/// now: what it took before is not ours to know.
pub async fn sweep_line(
    desk: &Desk,
    line: &Line,
    moment: Moment,
) -> std::result::Result<Swept, SweepError> {
    let now = desk.clock.now();
    let mut tx = desk.db.begin().await?;
    let watch = if let Some(watch) = orphans::watch(&mut tx, &line.name).await? {
        watch
    } else {
        let watch = Watch { seen_until: now, ..Watch::default() };
        orphans::save_watch(&mut tx, &line.name, &watch).await?;
        watch
    };
    tx.commit().await?;
    let settle = match moment {
        Moment::Start => Duration::ZERO,
        Moment::Running => REQUEST_MAX + desk.bounds.lease,
    };
    let until = now - settle;
    if until <= watch.seen_until && moment == Moment::Running {
        return Ok(Swept { complete: true, ..Swept::default() });
    }
    let overlap = if domain::mutant!(M53) { Duration::ZERO } else { desk.bounds.transit };
    let since = watch.seen_until - overlap;
    let listing = line.carrier.list(None, since).await?;
    let ours = our_senders(desk, line).await?;
    let texts: Vec<&Listed> = listing
        .texts
        .iter()
        .filter(|one| one.receipt.is_some() && ours.contains(&one.sender))
        .filter(|one| moment == Moment::Start || one.created_at <= until)
        .collect();
    let mut swept = Swept { listed: texts.len(), complete: listing.complete, ..Swept::default() };
    let mut lost = Vec::new();
    for one in unknown_here(desk, &texts).await? {
        match bind(desk, one).await? {
            Bound::Known => {}
            Bound::Found => swept.bound += 1,
            Bound::Orphan => lost.push(orphan(line, one)),
        }
    }
    let mut tx = desk.db.begin().await?;
    swept.orphans = orphans::keep_orphans(&mut tx, &lost).await?;
    orphans::give_up_orphans(&mut tx, now - ADOPTABLE).await?;
    let before = orphans::watch(&mut tx, &line.name).await?.unwrap_or_default();
    let seen_until =
        if listing.complete { until.max(before.seen_until) } else { before.seen_until };
    orphans::save_watch(&mut tx, &line.name, &Watch { seen_until, ..before }).await?;
    tx.commit().await?;
    if swept.orphans > 0 {
        metrics::counter!("ledgerline_orphans_total").increment(swept.orphans);
        tracing::error!(
            component = "orphans",
            carrier = line.name,
            orphans = swept.orphans,
            "the carrier holds texts that nobody here knows"
        );
    }
    Ok(swept)
}

/// What texts of ours leave from there. Other software may use the carrier's account too.
async fn our_senders(desk: &Desk, line: &Line) -> Result<BTreeSet<String>> {
    let mut tx = desk.db.read().await?;
    let mut all: BTreeSet<String> = sweep::sender_addresses(&mut tx).await?.into_iter().collect();
    let shared = [desk.claimant.installation_sender.as_ref(), line.from.as_ref()];
    all.extend(shared.into_iter().flatten().map(|from| from.address.clone()));
    Ok(all)
}

/// Why a sweep could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The carrier.
    #[error("the carrier did not say what it has: {0}")]
    Carrier(#[from] Unanswered),
}

fn orphan(line: &Line, one: &Listed) -> Orphan {
    Orphan {
        carrier: line.name.clone(),
        sid: one.sid.clone(),
        phone: one.to.clone(),
        sender: one.sender.clone(),
        body: one.body.clone(),
        created_at: one.created_at,
        state: OrphanState::Open,
    }
}

/// The listed texts whose SIDs are bound to none of ours.
async fn unknown_here<'a>(desk: &Desk, texts: &[&'a Listed]) -> Result<Vec<&'a Listed>> {
    let mut unknown = Vec::new();
    for page in texts.chunks(1000) {
        let pairs: Vec<(String, String)> =
            page.iter().map(|one| (one.to.clone(), one.sid.clone())).collect();
        let mut tx = desk.db.read().await?;
        let known: BTreeSet<String> =
            sweep::known_sids(&mut tx, &pairs).await?.into_iter().collect();
        unknown.extend(page.iter().filter(|one| !known.contains(&one.sid)));
    }
    Ok(unknown)
}

enum Bound {
    /// Somebody else bound it meanwhile, or its answer is still on the wire.
    Known,
    /// It was the end of a text of ours.
    Found,
    /// It fits none of ours.
    Orphan,
}

async fn bind(desk: &Desk, one: &Listed) -> Result<Bound> {
    let mut tx = desk.db.read().await?;
    let ours = sweep::texts_to(&mut tx, &one.to, TEXTS_OF_PHONE_MAX).await?;
    drop(tx);
    if ours.iter().any(|text| text.sid.as_deref() == Some(&one.sid)) {
        return Ok(Bound::Known);
    }
    // From the newest on; a text that was never attempted cannot be the carrier's.
    let fits = |text: &&TextTo| {
        text.attempt > 0
            && text.sid.is_none()
            && one.says(&text.body)
            && text.created_at <= one.created_at + Duration::from_secs(5)
    };
    let candidates: Vec<&TextTo> = ours.iter().filter(fits).collect();
    let by_state =
        |wanted: State| candidates.iter().copied().find(|text| text.state == Some(wanted));
    if by_state(State::Reserved).is_some() {
        return Ok(Bound::Known);
    }
    let Some(text) = by_state(State::Unknown).or_else(|| candidates.first().copied()) else {
        return Ok(Bound::Orphan);
    };
    let MessageId { account, stream, ord } = text.message;
    let fact = one.receipt.map_or(Fact::Accepted, Fact::Receipt);
    let mut report = Report::new(ord, text.attempt, fact);
    (report.sid, report.code) = (Some(one.sid.clone()), one.code);
    let words = format!("the carrier's list holds it as {}", one.sid);
    let mut tx = desk.db.begin().await?;
    record(&mut tx, account, stream, &[report.because(Rule::Retry, words)]).await?;
    tx.commit().await?;
    let mut tx = desk.db.begin().await?;
    stages::advance(&mut tx, account, stream).await?;
    tx.commit().await?;
    tracing::warn!(
        component = "orphans", %account, campaign = %stream, message = %text.message,
        sid = one.sid, state = text.state.map(tracing::field::display),
        "the carrier's list held the end of a text"
    );
    Ok(Bound::Found)
}

/// Before anything is sent: does the carrier know more than the database? Then this database is
/// older than what it once wrote (a restored backup, a promoted replica), and sending waits until
/// the carrier's list was read in full twice without anything new.
pub async fn check_at_start(desk: &Desk) -> std::result::Result<(), SweepError> {
    for line in desk.routes.lines() {
        let swept = sweep_line(desk, line, Moment::Start).await?;
        if swept.orphans > 0 {
            let reason = format!(
                "{} holds {} texts this database does not know: it may be older than what it \
                 sent (a restored backup?)",
                line.name, swept.orphans
            );
            tracing::error!(component = "orphans", carrier = line.name, reason, "quarantine");
            let mut tx = desk.db.begin().await?;
            let watch = orphans::watch(&mut tx, &line.name).await?.unwrap_or_default();
            let quarantined_at = Some(watch.quarantined_at.unwrap_or(tx.now()));
            let watch = Watch { quarantined_at, reason: Some(reason), ..watch };
            orphans::save_watch(&mut tx, &line.name, &watch).await?;
            tx.commit().await?;
        }
    }
    Ok(())
}

/// How long sending waits at the start for a carrier that does not answer.
const GUARD_MAX: Duration = Duration::from_secs(30);
const GUARD_PAUSE: Duration = Duration::from_secs(1);

/// [`check_at_start`], tried again while a carrier does not answer at all: no text would get
/// through to it either. One that answers but shows no list is used without the check.
pub async fn stand_guard(desk: &Desk) {
    if domain::mutant!(M29) {
        return;
    }
    let start = desk.clock.now();
    loop {
        let error = match tokio::time::timeout(GUARD_MAX, check_at_start(desk)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => SweepError::Carrier(Unanswered {
                words: "no list in time".to_owned(),
                refused: false,
            }),
        };
        let refused = matches!(&error, SweepError::Carrier(one) if one.refused);
        if refused || desk.clock.now().since(start) >= GUARD_MAX {
            tracing::error!(
                component = "orphans", %error,
                "sending begins without knowing whether the carrier knows more than the database"
            );
            return;
        }
        tracing::warn!(component = "orphans", %error, "sending waits for the carrier's list");
        tokio::time::sleep(GUARD_PAUSE).await;
    }
}

/// One look while the server runs: sweeps each carrier, and ends a quarantine whose carrier showed
/// nothing new for the transit bound.
pub async fn look(desk: &Desk) -> std::result::Result<Swept, SweepError> {
    let mut sum = Swept { complete: true, ..Swept::default() };
    for line in desk.routes.lines() {
        let mut tx = desk.db.read().await?;
        let watch = orphans::watch(&mut tx, &line.name).await?.unwrap_or_default();
        drop(tx);
        let moment = if watch.quarantined_at.is_some() { Moment::Start } else { Moment::Running };
        let swept = sweep_line(desk, line, moment).await?;
        sum.listed += swept.listed;
        sum.bound += swept.bound;
        sum.orphans += swept.orphans;
        sum.complete &= swept.complete;
        if let Some(since) = watch.quarantined_at {
            quarantine(desk, line, since, swept).await?;
        }
    }
    Ok(sum)
}

async fn quarantine(desk: &Desk, line: &Line, since: Instant, swept: Swept) -> Result<()> {
    let now = desk.clock.now();
    let mut tx = desk.db.begin().await?;
    let watch = orphans::watch(&mut tx, &line.name).await?.unwrap_or_default();
    if swept.orphans > 0 || !swept.complete {
        // Its end is counted from the last surprise.
        let watch = Watch { quarantined_at: Some(now), ..watch };
        orphans::save_watch(&mut tx, &line.name, &watch).await?;
    } else if now.since(since) >= desk.bounds.transit {
        let watch = Watch { quarantined_at: None, reason: None, ..watch };
        orphans::save_watch(&mut tx, &line.name, &watch).await?;
        tracing::warn!(component = "orphans", carrier = line.name, "the quarantine is over");
    }
    tx.commit().await
}

/// Orphans that are the texts about to leave: for each of these `(phone, body)`, the carrier and
/// SID to be taken for it.
pub async fn adoptable(
    tx: &mut store::Tx,
    texts: &[(String, String)],
) -> Result<Vec<Option<(String, String)>>> {
    let phones: Vec<String> = texts.iter().map(|(phone, _)| phone.clone()).collect();
    let mut open = orphans::open_orphans(tx, &phones).await?;
    if open.is_empty() {
        return Ok(vec![None; texts.len()]);
    }
    Ok(texts
        .iter()
        .map(|(phone, body)| {
            let at = open.iter().position(|one| one.phone == *phone && one.body == *body)?;
            let one = open.remove(at);
            Some((one.carrier, one.sid))
        })
        .collect())
}

/// Why nothing is sent at present, if a carrier is in quarantine.
pub async fn reason(desk: &Desk) -> Result<Option<String>> {
    let mut tx = desk.db.read().await?;
    if !accounts::installation_open(&mut tx).await? {
        return orphans::quarantine(&mut tx).await;
    }
    Ok(None)
}
