//! Claiming: a piece of a stream is taken up, judged and paid for in one transaction.
//!
//! After the commit every text of the piece has a row, the credits of those that may leave are
//! reserved, the cursor stands behind them, and a chunk says who sends them. Before it, nothing of
//! this has happened. A claim that cannot pay the next text takes the part it can pay and pauses
//! the stream in the same commit.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use domain::campaign::{Event, PauseReason};
use domain::ids::{AccountId, Incarnation, StreamId};
use domain::instant::Instant;
use domain::message::State;
use domain::permit::{Category, Circumstances, Rule};
use domain::quiet_hours::{self, QuietHours};
use domain::rates::SenderKind;
use domain::settings::Settings;
use domain::subscriptions::Entitlement;
use store::chunks::{self, Chunk};
use store::messages::{self, Message, TallyChange};
use store::recipients::{self, Candidate};
use store::streams::{self, Stream};
use store::{Error, Result, Tx, accounts, campaigns, rates, settings};

use super::dispatch::Desk;
use super::gate::{Gate, Permit, Verdict};
use super::limits::{Limits, Scope};
use super::orphans;
use super::senders::{self, From};
use super::stages;
use crate::finance::credits::OpenWallet;
use crate::finance::subscriptions;

/// How long an unaffordable text of an endless stream waits before the gate is asked again.
const UNFUNDED_WAIT: Duration = Duration::from_secs(10);

/// How long a single text that does not fit into the budget waits before the gate is asked again:
/// the budget may be raised.
const OVER_BUDGET_WAIT: Duration = Duration::from_secs(60);

/// How long a text waits for a sender before the gate is asked again.
const UNUSABLE_WAIT: Duration = Duration::from_secs(60);

/// Who claims, and how much.
#[derive(Clone, Debug)]
pub struct Claimant {
    /// The process.
    pub owner: Incarnation,
    /// Its lease lasts this long.
    pub lease: Duration,
    /// The sender of accounts that have none.
    pub installation_sender: Option<From>,
    /// Texts in one chunk at most.
    pub texts_max: i64,
    /// Texts that may be on the wire before their answers are recorded.
    pub window_max: usize,
}

impl Claimant {
    /// Texts in one chunk for this sender: some seconds of its pace.
    fn chunk_texts(&self, from: Option<&From>) -> i64 {
        let pace = from.map_or(1, |from| i64::from(from.segments_per_second));
        (pace * 5).clamp(1, self.texts_max)
    }

    /// Texts on the wire at once for this sender: half a second of its pace, so that a stop is
    /// felt within a second.
    pub fn window(&self, from: &From) -> usize {
        let pace = usize::try_from(from.segments_per_second).unwrap_or(usize::MAX);
        (pace / 2).clamp(1, self.window_max)
    }
}

/// A claimed chunk with its permits, ready for dispatch.
#[derive(Debug)]
pub struct Claimed {
    /// The chunk's row.
    pub chunk: Chunk,
    /// Leave for each of its texts, in the order of the chunk.
    pub permits: Vec<Permit>,
    /// What they leave from.
    pub from: From,
    /// For each text, the carrier and SID of an orphan that is it already.
    pub adopted: Vec<Option<(String, String)>>,
    /// Set by whoever dispatches it, once no text of it is left to begin.
    pub all_begun: Arc<AtomicBool>,
}

/// What came of a claim.
#[derive(Debug)]
pub enum Claim {
    /// Texts to send.
    Chunk(Box<Claimed>),
    /// Texts were decided, none of them to be sent now.
    Decided,
    /// There was nothing to take up.
    Nothing,
}

/// What a claim takes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The texts after the cursor.
    Next,
    /// Texts that were put off and are due.
    Due,
}

struct Batch {
    candidates: Vec<(Candidate, Message)>,
    piece: Piece,
}

/// Takes up the next piece of a stream.
pub async fn claim(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    piece: Piece,
    desk: &Desk,
) -> Result<Claim> {
    let who = &desk.claimant;
    if domain::mutant!(M48) {
        OpenWallet::lock(tx, account).await?;
    }
    let before = streams::lock_stream(tx, account, stream).await?;
    if !before.state.may_claim() && !domain::mutant!(M20) {
        return Ok(Claim::Nothing);
    }
    let setting = setting(tx, account, &before, desk).await?;
    if let Some(claim) = standstill(tx, account, stream, &setting).await? {
        return Ok(claim);
    }
    let mut limit = who.chunk_texts(setting.from.as_ref());
    if setting.from.as_ref().is_some_and(|from| desk.routes.on_trial(from, tx.now())) {
        // One text tries a carrier that failed; the others wait for what comes of it.
        limit = 1;
    }
    let sender = setting.from.as_ref().map_or("", |from| &from.address);
    let mut batch = candidates(tx, account, &before, piece, (sender, limit)).await?;
    if domain::mutant!(M45) {
        let rates = rates::rates_of_kind(tx, SenderKind::ShortCode).await?;
        for (Candidate { recipient: one, .. }, message) in &mut batch.candidates {
            let segments = u32::try_from(one.segments).unwrap_or(0);
            one.price = rates.price(&one.phone, SenderKind::ShortCode, segments, tx.now());
            message.price = one.price;
        }
    }
    if batch.candidates.is_empty() {
        return Ok(Claim::Nothing);
    }
    let mut wallet = OpenWallet::lock(tx, account).await?;
    let body = Arc::clone(&setting.body);
    let (choices, zone) = (&setting.choices, &setting.home);
    let plan_hourly = setting.entitlement.hourly;
    let scope = Scope { account, stream, choices, plan_hourly, zone, dice: &*desk.dice };
    // Behind the lock of the wallet, so that no other claim of the account counts the same texts.
    let people = || batch.candidates.iter().map(|(candidate, _)| candidate);
    let limits = Limits::load(tx, scope, wallet.books(), people()).await?;
    let mut gate = Gate::new(
        setting.around.clone(),
        choices,
        (zone.clone(), &setting.country),
        body,
        (wallet.available(), limits),
        setting.quiet_hours,
    );
    gate.count_today(tx, account, people()).await?;
    gate.find_twins(tx, (account, stream), people()).await?;
    let endless = setting.category.is_none();
    let mut judged = Judged::new(&before, endless, batch.piece);
    for (candidate, message) in batch.candidates {
        if !judged.take(&mut gate, &candidate, message, tx.now()) {
            break;
        }
    }
    let claim = judged.write(tx, account, &before, &mut wallet, who, setting.from.clone()).await?;
    gate.into_limits().keep(tx).await?;
    Ok(claim)
}

/// A list does not start on its way while nothing can leave: it waits, whole, and pauses when a
/// person must mend something. Single texts are judged, so that each says what it waits for.
async fn standstill(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    setting: &Setting,
) -> Result<Option<Claim>> {
    if stream.is_endless() {
        return Ok(None);
    }
    let objection = if setting.entitlement.campaigns.is_err() {
        Some(PauseReason::Subscription)
    } else {
        setting.needs_mending.then_some(PauseReason::Sender)
    };
    if objection.is_some() {
        let turned = stages::apply(tx, account, stream, Event::Pause, objection).await?;
        return Ok(Some(turned.map_or(Claim::Nothing, |_| Claim::Decided)));
    }
    let waits = setting.around.sender_problem.is_some() || !setting.around.installation_open;
    Ok(waits.then_some(Claim::Nothing))
}

/// What a claim needs to know of the account and the campaign.
struct Setting {
    /// The sender cannot send until somebody mends something.
    needs_mending: bool,
    /// What the account's subscription allows.
    entitlement: Entitlement,
    around: Circumstances,
    choices: Settings,
    quiet_hours: Option<QuietHours>,
    home: jiff::tz::TimeZone,
    country: String,
    body: Arc<str>,
    from: Option<From>,
    category: Option<Category>,
}

async fn setting(tx: &mut Tx, account: AccountId, stream: &Stream, desk: &Desk) -> Result<Setting> {
    let owner = accounts::account(tx, account).await?;
    let campaign = match stream.id {
        id if id.is_endless() => None,
        id => Some(campaigns::campaign(tx, account, id).await?),
    };
    let wanted = campaign.as_ref().and_then(|campaign| campaign.sender);
    let shared = desk.claimant.installation_sender.as_ref();
    let from = senders::choose(tx, account, wanted, shared).await?;
    let blocked = from.as_ref().map(|from| desk.routes.blocked(from, tx.now()));
    let needs_mending =
        blocked.as_ref().is_none_or(|blocked| blocked.as_ref().is_some_and(|blocked| blocked.held));
    let sender_problem = match blocked {
        None => Some((tx.now() + UNUSABLE_WAIT, "no usable sender".to_owned())),
        Some(blocked) => blocked.map(|blocked| (blocked.until, blocked.reason)),
    };
    let category = campaign.as_ref().map(|campaign| campaign.category);
    let entitlement = subscriptions::entitlement(tx, account).await?;
    let around = Circumstances {
        now: tx.now(),
        installation_open: accounts::installation_open(tx).await?,
        account_active: owner.active || domain::mutant!(M47),
        subscription_problem: entitlement.sends.clone().err(),
        context_enabled: true,
        stream_running: true,
        sender_problem,
        category: category.unwrap_or(Category::Transactional),
        needs_opt_in: campaign.is_some(),
        passes_quiet_hours: false,
        to_opted_out: false,
        recipient_daily_max: None,
        account_limit: None,
    };
    let home = quiet_hours::zone(&owner.timezone)
        .map_err(|_| Error::Damaged(format!("the time zone {:?}", owner.timezone)))?;
    let body = campaign.and_then(|campaign| campaign.sealed_body).unwrap_or_default();
    let choices = settings::settings(tx, account).await?;
    let quiet_hours = owner.quiet_hours;
    let (body, country) = (body.into(), owner.country);
    Ok(Setting {
        needs_mending,
        entitlement,
        around,
        choices,
        quiet_hours,
        home,
        country,
        body,
        from,
        category,
    })
}

async fn candidates(
    tx: &mut Tx,
    account: AccountId,
    stream: &Stream,
    piece: Piece,
    (sender, limit): (&str, i64),
) -> Result<Batch> {
    let fresh = |candidate: Candidate| {
        let message = Message {
            ord: candidate.recipient.ord,
            attempt: 0,
            state: State::Deferred,
            chunk: 0,
            price: candidate.recipient.price,
            sid: None,
            code: 0,
            rule: None,
            why: None,
        };
        (candidate, message)
    };
    if piece == Piece::Next {
        let next =
            recipients::candidates_after(tx, account, stream.id, sender, stream.position, limit)
                .await?;
        return Ok(Batch { candidates: next.into_iter().map(fresh).collect(), piece });
    }
    let due = messages::due(tx, account, stream.id, limit).await?;
    let found = messages::lock_messages(tx, account, stream.id, &due).await?;
    let (waiting, decided): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|message| message.state == State::Deferred);
    let decided: Vec<i64> = decided.into_iter().map(|message| message.ord).collect();
    messages::undefer(tx, account, stream.id, &decided).await?;
    let ords: Vec<i64> = waiting.iter().map(|message| message.ord).collect();
    let list = recipients::candidates_at(tx, account, stream.id, sender, &ords).await?;
    Ok(Batch { candidates: list.into_iter().zip(waiting).collect(), piece })
}

/// The verdicts on a batch, and everything they change.
struct Judged {
    piece: Piece,
    endless: bool,
    chunk_no: i64,
    position: i64,
    permits: Vec<Permit>,
    messages: Vec<Message>,
    put_off: Vec<(i64, Instant)>,
    decided: Vec<i64>,
    tallies: TallyChange,
    /// What the next text costs, and why it is not taken up.
    need: Option<(i64, PauseReason)>,
}

impl Judged {
    fn new(stream: &Stream, endless: bool, piece: Piece) -> Self {
        Self {
            piece,
            endless,
            chunk_no: stream.next_chunk,
            position: stream.position,
            permits: Vec::new(),
            messages: Vec::new(),
            put_off: Vec::new(),
            decided: Vec::new(),
            tallies: TallyChange::default(),
            need: None,
        }
    }

    /// Judges one candidate; `false` when the batch ends before it.
    fn take(&mut self, gate: &mut Gate, one: &Candidate, mut m: Message, now: Instant) -> bool {
        let attempt = m.attempt.saturating_add(1);
        let verdict = match gate.pass(one, attempt) {
            Verdict::Unaffordable(price) if self.endless => {
                let words = format!("costs {price}, more than the wallet holds");
                Verdict::Defer(now + UNFUNDED_WAIT, Rule::Credits, words)
            }
            Verdict::OverBudget(_, until, words) if self.endless => {
                Verdict::Defer(until.min(now + OVER_BUDGET_WAIT), Rule::Budget, words)
            }
            other => other,
        };
        let (state, why) = match verdict {
            Verdict::Unaffordable(price) => {
                self.need = Some((price, PauseReason::Credits));
                return false;
            }
            Verdict::OverBudget(price, ..) => {
                self.need = Some((price, PauseReason::Budget));
                return false;
            }
            Verdict::Send(permit) => {
                self.permits.push(permit);
                (m.attempt, m.chunk) = (attempt, self.chunk_no);
                (State::Reserved, None)
            }
            Verdict::Defer(until, rule, words) => {
                self.put_off.push((m.ord, until));
                (State::Deferred, Some((rule, words)))
            }
            Verdict::Refuse(rule, words) => (refused(rule), Some((rule, words))),
        };
        match self.piece {
            Piece::Next => self.tallies.enter(state, m.price),
            Piece::Due => self.tallies.turn(m.state, state, m.price),
        }
        if state != State::Deferred {
            self.decided.push(m.ord);
        }
        self.position = self.position.max(m.ord);
        m.state = state;
        (m.rule, m.why) = why.unzip();
        self.messages.push(m);
        true
    }

    async fn write(
        mut self,
        tx: &mut Tx,
        account: AccountId,
        before: &Stream,
        wallet: &mut OpenWallet,
        who: &Claimant,
        from: Option<From>,
    ) -> Result<Claim> {
        let stream = before.id;
        match self.piece {
            Piece::Next => messages::insert_messages(tx, account, stream, &self.messages).await?,
            Piece::Due => {
                messages::save_messages(tx, account, stream, &self.messages).await?;
                messages::undefer(tx, account, stream, &self.decided).await?;
            }
        }
        messages::defer(tx, account, stream, &self.put_off).await?;
        let mut after = *before;
        after.position = if domain::mutant!(M4) { before.position } else { self.position };
        let claim = self.open_chunk(tx, account, before, wallet, who, from).await?;
        if matches!(claim, Claim::Chunk(_)) {
            after.next_chunk += 1;
        }
        if let Some((need, reason)) = self.need {
            after.state = after.state.after(Event::OutOfCredits).unwrap_or(after.state);
            (after.reason, after.need) = (Some(reason), need);
        }
        streams::save_stream(tx, account, before, &after).await?;
        messages::change_tallies(tx, account, stream, &self.tallies).await?;
        stages::advance(tx, account, stream).await?;
        Ok(claim)
    }

    async fn open_chunk(
        &mut self,
        tx: &mut Tx,
        account: AccountId,
        before: &Stream,
        wallet: &mut OpenWallet,
        who: &Claimant,
        from: Option<From>,
    ) -> Result<Claim> {
        let permits = std::mem::take(&mut self.permits);
        let Some(from) = from.filter(|_| !permits.is_empty()) else {
            return Ok(if self.messages.is_empty() { Claim::Nothing } else { Claim::Decided });
        };
        let reserved: i64 = permits.iter().map(Permit::price).sum();
        let window = who.window(&from).min(permits.len());
        let chunk = Chunk {
            no: before.next_chunk,
            ords: permits.iter().map(Permit::ord).collect(),
            mark: i64::try_from(window).unwrap_or(i64::MAX),
            epoch: 1,
            owner: who.owner,
            lease_until: tx.now() + who.lease,
            reserved,
            claimed_at: tx.now(),
        };
        chunks::insert_chunk(tx, account, before.id, &chunk).await?;
        let key = format!("reserve:{}:{}", before.id, chunk.no);
        let texts = i64::try_from(permits.len()).unwrap_or(i64::MAX);
        wallet.hold(tx, key, reserved, texts).await?;
        let texts: Vec<(String, String)> = permits
            .iter()
            .map(|permit| (permit.phone().to_owned(), permit.body().to_owned()))
            .collect();
        let adopted = orphans::adoptable(tx, &texts).await?;
        Ok(Claim::Chunk(Box::new(Claimed {
            chunk,
            permits,
            from,
            adopted,
            all_begun: Arc::default(),
        })))
    }
}

const fn refused(rule: Rule) -> State {
    match rule {
        Rule::Template | Rule::Number => State::Invalid,
        Rule::Deadline => State::Expired,
        _ => State::Suppressed,
    }
}
