//! Recording: facts about messages become states, evidence and money, in one transaction.
//!
//! Everything that is ever learnt about a message passes here: outcomes of calls, receipts,
//! opt-outs, cancels, what a dead process left. The rules are `domain::message::fold`; the amounts
//! come from the rows that really turned, never from what the caller believes.
//!
//! Locks are taken in one order everywhere: stream, messages (ascending), chunks, wallet, tallies.

use std::collections::{BTreeMap, BTreeSet};

use domain::carrier_errors::{self, Class};
use domain::ids::{AccountId, MessageId, StreamId};
use domain::instant::Instant;
use domain::message::{Fact, Money, Receipt, State, fold};
use domain::permit::{Category, Consent, Rule};
use store::chunks::{Ask, Tenure};
use store::consents::{self, ConsentEvent, Proof};
use store::messages::{self, EventKind, Message, MessageEvent, TallyChange};
use store::unknowns::{self, UnknownText};
use store::{Result, Tx, audit, chunks, orphans, recipients};

use super::reconcile::first_look;
use crate::finance::credits::{Decided, OpenWallet};

/// Something learnt about one message.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which message.
    pub ord: i64,
    /// Which attempt it speaks of.
    pub attempt: u16,
    /// What was learnt.
    pub fact: Fact,
    /// The carrier's id, when it was told.
    pub sid: Option<String>,
    /// The carrier's error code, or 0.
    pub code: i64,
    /// For [`Fact::NotSent`]: when to ask the gate again.
    pub retry_at: Instant,
    /// The rule behind it, with its inputs in words.
    pub why: Option<(Rule, String)>,
    /// For [`Fact::Lost`]: what the search for the text needs.
    pub lost: Option<Lost>,
    /// The carrier's text was found before ours was sent: whose orphan it was.
    pub adopted: Option<String>,
}

/// When and where a text of unknown fate may have left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The carrier; empty when that is unknown too.
    pub carrier: String,
    /// Nothing of it was written before this instant.
    pub since: Instant,
    /// Nothing of it is written after this instant.
    pub dead_at: Instant,
    /// From here on its absence may be proven.
    pub resolve_by: Instant,
}

impl Report {
    /// A report of `fact` without particulars.
    pub const fn new(ord: i64, attempt: u16, fact: Fact) -> Self {
        Self {
            ord,
            attempt,
            fact,
            sid: None,
            code: 0,
            retry_at: Instant(0),
            why: None,
            lost: None,
            adopted: None,
        }
    }

    /// Adds the rule behind it.
    #[must_use]
    pub fn because(mut self, rule: Rule, words: impl Into<String>) -> Self {
        self.why = Some((rule, words.into()));
        self
    }
}

/// What recording changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Messages that wait for nothing any more, and did before.
    pub decided: usize,
    /// Messages that turned out to have left after their credits had been released.
    pub late: usize,
    /// Messages whose delivery failed just now: position and the carrier's code.
    pub failed: Vec<(i64, i64)>,
}

#[derive(Default)]
struct Turns {
    changed: BTreeSet<i64>,
    evidence: Vec<MessageEvent>,
    settled: Vec<Turn>,
    refunded: Vec<Turn>,
    late: Vec<Turn>,
    per_chunk: BTreeMap<i64, i64>,
    deferred: BTreeMap<i64, Option<Instant>>,
    unknown: BTreeMap<i64, Option<(u16, Lost)>>,
    opted_out: BTreeMap<i64, i64>,
    adopted: Vec<(i64, String, String)>,
    failed: Vec<(i64, i64)>,
    tallies: TallyChange,
    decided: usize,
}

/// Credits move for a message; its ledger line is not known yet.
struct Turn {
    evidence: MessageEvent,
    charged: bool,
}

/// Records reports about messages of one stream. Reports about messages without a row are left
/// aside: nothing was ever sent for them.
pub async fn record(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    reports: &[Report],
) -> Result<Recorded> {
    record_asking(tx, (account, stream), reports, &[]).await
}

/// [`record`], and the end of a chunk by its owner.
pub async fn record_and_close(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    tenure: Tenure,
    reports: &[Report],
) -> Result<Recorded> {
    record_asking(tx, (account, stream), reports, &[(tenure, Ask::Close)]).await
}

async fn record_asking(
    tx: &mut Tx,
    (account, stream): (AccountId, StreamId),
    reports: &[Report],
    asks: &[(Tenure, Ask)],
) -> Result<Recorded> {
    let reports: Vec<&Report> = reports.iter().collect();
    let mut half = record_states(tx, account, stream, &reports).await?;
    half.record_chunks(tx, asks).await?;
    half.record_money(tx).await
}

/// The first part of [`record`]: messages. What else a transaction has to look at is looked at
/// before the last part, because all of an account waits for whoever holds its wallet.
pub async fn record_states(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    reports: &[&Report],
) -> Result<HalfRecorded> {
    let mut ords: Vec<i64> = reports.iter().map(|report| report.ord).collect();
    ords.sort_unstable();
    ords.dedup();
    let found = messages::lock_messages(tx, account, stream, &ords).await?;
    let mut standing: BTreeMap<i64, Message> =
        found.into_iter().map(|message| (message.ord, message)).collect();
    let mut turns = Turns::default();
    for report in reports {
        if let Some(message) = standing.get_mut(&report.ord) {
            turns.take(message, report);
        }
    }
    standing.retain(|ord, _| turns.changed.contains(ord));
    let changed: Vec<Message> = standing.into_values().collect();
    turns.write_states(tx, account, stream, &changed).await?;
    Ok(HalfRecorded { account, stream, turns })
}

/// States are recorded; chunks, then money are still to follow.
#[must_use = "the money is not moved yet"]
pub struct HalfRecorded {
    account: AccountId,
    stream: StreamId,
    turns: Turns,
}

impl HalfRecorded {
    /// The second part of [`record`]: chunks, with what their owners ask for. Answers which of
    /// these are owners still.
    pub async fn record_chunks(
        &mut self,
        tx: &mut Tx,
        asks: &[(Tenure, Ask)],
    ) -> Result<BTreeSet<i64>> {
        let Self { account, stream, turns } = self;
        let decided = std::mem::take(&mut turns.per_chunk);
        let owners = chunks::change_chunks(tx, *account, *stream, &decided, asks).await?;
        turns.write_search(tx, *account, *stream).await?;
        Ok(owners)
    }

    /// The last part of [`record`]: money, evidence and tallies.
    pub async fn record_money(self, tx: &mut Tx) -> Result<Recorded> {
        let Self { account, stream, turns } = self;
        turns.write_money(tx, account, stream).await
    }
}

impl Turns {
    fn take(&mut self, message: &mut Message, report: &Report) {
        // News of acceptance counts whichever attempt it speaks of; a denial counts only for the
        // attempt it denies.
        let affirms = matches!(report.fact, Fact::Accepted | Fact::Receipt(_));
        if (!affirms || domain::mutant!(M9)) && report.attempt != message.attempt {
            return;
        }
        let before = message.state;
        let step = fold(before, report.fact);
        if let Fact::Receipt(receipt) = report.fact {
            self.evidence.push(receipt_event(report, receipt));
        }
        if let (Some(carrier), Some(sid)) = (&report.adopted, &report.sid) {
            self.adopted.push((message.ord, carrier.clone(), sid.clone()));
        }
        let mut touched = step.state != before;
        if message.sid.is_none() && report.sid.is_some() {
            message.sid.clone_from(&report.sid);
            touched = true;
        }
        if step.state != before {
            self.decided += usize::from(waits(before) && !waits(step.state));
            self.tallies.turn(before, step.state, message.price);
            message.state = step.state;
            message.code = report.code;
            (message.rule, message.why) = report.why.clone().unzip();
            let until = (step.state == State::Deferred).then_some(report.retry_at);
            if until.is_some() || before == State::Deferred {
                self.deferred.insert(message.ord, until);
            }
            self.take_search(message, before, report);
            if is_opt_out(report.code) {
                self.opted_out.insert(message.ord, report.code);
            }
            if matches!(step.state, State::Undelivered | State::Failed) {
                self.failed.push((message.ord, report.code));
            }
        }
        let asked = || fold(State::Reserved, report.fact).money;
        self.take_money(message, if domain::mutant!(M34) { asked() } else { step.money });
        if touched {
            self.changed.insert(message.ord);
        }
    }

    fn take_search(&mut self, message: &Message, before: State, report: &Report) {
        if message.state == State::Unknown {
            let lost = report.lost.clone().map(|lost| (message.attempt, lost));
            self.unknown.insert(message.ord, lost);
        } else if before == State::Unknown {
            self.unknown.insert(message.ord, None);
        }
    }

    fn take_money(&mut self, message: &Message, money: Money) {
        let turn = || Turn {
            evidence: MessageEvent {
                ord: message.ord,
                attempt: message.attempt,
                kind: EventKind::Turned(message.state),
                code: message.code,
                seq: 0,
                price: message.price,
                sid: message.sid.clone(),
                detail: message.why.clone(),
            },
            charged: money == Money::Settle,
        };
        match money {
            Money::Keep => {}
            Money::Settle | Money::Release => {
                *self.per_chunk.entry(message.chunk).or_default() += message.price;
                self.settled.push(turn());
            }
            Money::Refund => self.refunded.push(turn()),
            Money::LateCharge => self.late.push(turn()),
        }
    }

    async fn write_states(
        &self,
        tx: &mut Tx,
        account: AccountId,
        stream: StreamId,
        changed: &[Message],
    ) -> Result<()> {
        messages::save_messages(tx, account, stream, changed).await?;
        let put_off: Vec<(i64, Instant)> =
            self.deferred.iter().filter_map(|(ord, at)| at.map(|at| (*ord, at))).collect();
        let taken_off: Vec<i64> =
            self.deferred.iter().filter(|(_, at)| at.is_none()).map(|(ord, _)| *ord).collect();
        messages::defer(tx, account, stream, &put_off).await?;
        messages::undefer(tx, account, stream, &taken_off).await
    }

    async fn write_money(
        mut self,
        tx: &mut Tx,
        account: AccountId,
        stream: StreamId,
    ) -> Result<Recorded> {
        let failed = std::mem::take(&mut self.failed);
        let recorded = Recorded { decided: self.decided, late: self.late.len(), failed };
        self.move_money(tx, account, stream).await?;
        messages::insert_events(tx, account, stream, &self.evidence).await?;
        messages::change_tallies(tx, account, stream, &self.tallies).await?;
        suppress(tx, account, stream, &self.opted_out).await?;
        for (ord, carrier, sid) in &self.adopted {
            let message = MessageId { account, stream, ord: *ord };
            orphans::adopt_orphan(tx, carrier, sid, message).await?;
        }
        Ok(recorded)
    }

    async fn write_search(
        &mut self,
        tx: &mut Tx,
        account: AccountId,
        stream: StreamId,
    ) -> Result<()> {
        let all = std::mem::take(&mut self.unknown);
        let found: Vec<i64> =
            all.iter().filter(|(_, lost)| lost.is_none()).map(|(ord, _)| *ord).collect();
        let lost: Vec<UnknownText> = all
            .into_iter()
            .filter_map(|(ord, lost)| Some((ord, lost?)))
            .map(|(ord, (attempt, lost))| UnknownText {
                message: MessageId { account, stream, ord },
                attempt,
                carrier: lost.carrier,
                since: lost.since,
                dead_at: lost.dead_at,
                resolve_by: lost.resolve_by,
                next_look: first_look(lost.dead_at, lost.resolve_by),
                looks: 0,
                negatives: 0,
                negative_at: Instant(0),
            })
            .collect();
        unknowns::save_unknowns(tx, account, stream, &lost).await?;
        unknowns::drop_unknowns(tx, account, stream, &found).await
    }

    async fn move_money(
        &mut self,
        tx: &mut Tx,
        account: AccountId,
        stream: StreamId,
    ) -> Result<()> {
        let moving = self.settled.len() + self.refunded.len() + self.late.len();
        if moving == 0 {
            return Ok(());
        }
        let mut wallet = OpenWallet::lock(tx, account).await?;
        let mut settled = std::mem::take(&mut self.settled);
        if !settled.is_empty() {
            let (released, leaves) = sum(stream, &mut settled);
            let charged = settled.iter().filter(|turn| turn.charged);
            let charged = charged.map(|turn| turn.evidence.price).sum::<i64>();
            let decided = Decided { charged, released: released - charged, leaves };
            let seq = wallet.settle(tx, &decided).await?;
            self.bind(settled, seq);
        }
        let mut refunded = std::mem::take(&mut self.refunded);
        if !refunded.is_empty() {
            let (amount, leaves) = sum(stream, &mut refunded);
            let seq = wallet.refund(tx, amount, &leaves).await?;
            self.bind(refunded, seq);
        }
        let mut late = std::mem::take(&mut self.late);
        if !late.is_empty() {
            let (amount, leaves) = sum(stream, &mut late);
            let seq = wallet.charge_late(tx, amount, &leaves).await?;
            self.bind(late, seq);
        }
        Ok(())
    }

    /// Keeps the evidence of messages whose credits this ledger line moved.
    fn bind(&mut self, turns: Vec<Turn>, seq: i64) {
        let evidence = turns.into_iter().map(|turn| MessageEvent { seq, ..turn.evidence });
        self.evidence.extend(evidence);
    }
}

/// It waits for a time, for the wire or for proof.
const fn waits(state: State) -> bool {
    state.is_open() || matches!(state, State::Deferred)
}

/// The carrier's own codes for a recipient who said no to it.
fn is_opt_out(code: i64) -> bool {
    carrier_errors::class_of(code) == Class::OptedOut
}

/// Recipients the carrier refused because they opted out there are opted out here, of everything.
async fn suppress(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    opted_out: &BTreeMap<i64, i64>,
) -> Result<()> {
    if opted_out.is_empty() {
        return Ok(());
    }
    let ords: Vec<i64> = opted_out.keys().copied().collect();
    let mut events = Vec::new();
    for one in recipients::candidates_at(tx, account, stream, "", &ords).await? {
        let message = MessageId { account, stream, ord: one.recipient.ord };
        for &category in Category::ALL {
            events.push(ConsentEvent {
                id: event_id(message, category),
                phone: one.recipient.phone.clone(),
                category,
                state: Consent::OptedOut,
                source: "carrier".to_owned(),
                actor: "carrier".to_owned(),
                evidence: format!("{message} refused with {}", opted_out[&message.ord]),
                proof: Proof::default(),
            });
        }
    }
    events.sort_by(|a, b| (&a.phone, a.category.code()).cmp(&(&b.phone, b.category.code())));
    consents::record_consents(tx, account, &events).await
}

fn event_id(message: MessageId, category: Category) -> [u8; 16] {
    let parts = [&b"carrier opt-out"[..], &message.to_bytes(), &category.code().to_be_bytes()];
    let hash = domain::ledger::leaf(&parts);
    hash[..16].try_into().expect("a hash is longer")
}

/// The whole amount of some turns, and their leaves in the order an audit finds them.
fn sum(stream: StreamId, turns: &mut [Turn]) -> (i64, Vec<domain::ledger::Hash>) {
    turns.sort_by_key(|turn| turn.evidence.ord);
    let leaves = turns.iter().map(|turn| {
        let it = &turn.evidence;
        audit::fact_leaf(
            stream,
            it.ord,
            i64::from(it.attempt),
            it.kind,
            it.price,
            it.sid.as_deref(),
        )
    });
    let leaves = leaves.collect();
    (turns.iter().map(|turn| turn.evidence.price).sum(), leaves)
}

fn receipt_event(report: &Report, receipt: Receipt) -> MessageEvent {
    MessageEvent {
        ord: report.ord,
        attempt: report.attempt,
        kind: EventKind::Receipt(receipt.state()),
        code: report.code,
        seq: 0,
        price: 0,
        sid: report.sid.clone(),
        detail: None,
    }
}
