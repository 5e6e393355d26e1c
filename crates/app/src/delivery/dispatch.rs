//! Dispatch: sends one claimed chunk, never a byte ahead of its durable mark.
//!
//! The mark of the chunk says how many of its texts may be on the wire; it is committed before
//! any request above the old mark is written. Results, mark and lease renewal share one commit
//! (the beat). While a beat is being committed, texts below the old mark go on leaving. After a
//! crash, texts at or below the mark without a result are unknown (unless the wire log proves
//! better), those above it were provably never sent.
//!
//! The epoch fences starting sends; it never fences reporting what happened.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::clock_guard::{Belief, ClockGuard};
use domain::ids::{AccountId, Incarnation, MessageId, StreamId};
use domain::instant::Instant;
use domain::message::Fact;
use domain::permit::Rule;
use domain::seam::{Clock, Dice};
use domain::token::Secret;
use futures_util::stream::{FuturesUnordered, StreamExt};
use store::Db;

use super::beat::{self, Ahead, Beat, GoOn, Orders, Stop, Stopped, Wish};
use super::beats::{Beats, NotBeaten, Queue};
use super::bounds::Bounds;
use super::carrier::{Outgoing, Witness};
use super::claim::{Claimant, Claimed};
use super::conversations::Conversations;
use super::gate::Permit;
use super::outcomes;
use super::pace::Paces;
use super::record::Report;
use super::routes::{Blocked, Routes};
use super::senders::From;
use super::throttle::Throttles;
use super::wire_log::{WireLog, WireLogs};

/// Everything delivery works with.
pub struct Desk {
    /// The database.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub dice: Arc<dyn Dice>,
    /// Who takes the texts.
    pub routes: Routes,
    /// How long things may take.
    pub bounds: Bounds,
    /// A text the carrier took is asked about when it had no final news for so long.
    pub poll_after: Duration,
    /// Knows all that ever reached the carrier, where there is such a one.
    pub witness: Option<Arc<dyn Witness>>,
    /// Signs receipt tokens.
    pub secret: Secret,
    /// Where the carrier reaches us; `None` when it cannot.
    pub public_url: Option<String>,
    /// The pace of each sender.
    pub throttles: Throttles,
    /// Who is being texted, so that conversations keep their order.
    pub conversations: Conversations,
    /// What the chunks of each stream have written.
    pub beats: Beats,
    /// How fast texts are accepted, for people to look at.
    pub paces: Paces,
    /// What was handed to sockets.
    pub wire_logs: WireLogs,
    /// How this process claims.
    pub claimant: Claimant,
    /// Watches the clock.
    pub guard: ClockGuard,
    /// This process takes up no more work.
    pub stopping: AtomicBool,
}

impl Desk {
    /// Returns once this process takes up no more work.
    pub async fn stopped(&self) {
        while !self.stopping.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether what falls due by the clock may happen, or the clock is not believed at present.
    pub fn may_act(&self) -> bool {
        let belief = self.guard.look(self.clock.now(), self.clock.uptime());
        if belief == Belief::Leapt {
            metrics::counter!("ledgerline_clock_leaps_total").increment(1);
            tracing::error!(
                component = "clock", now = %self.clock.now(),
                "the clock leapt ahead: what falls due waits until it is right or has run steadily"
            );
        }
        belief == Belief::Steady || domain::mutant!(M26)
    }

    /// This process.
    pub const fn incarnation(&self) -> Incarnation {
        self.claimant.owner
    }
}

struct Run {
    desk: Arc<Desk>,
    account: AccountId,
    stream: StreamId,
    claimed: Claimed,
    queue: Arc<Queue>,
    log: WireLog,
    /// Texts of the chunk that were begun; all others are provably unsent.
    begun: usize,
    mark: usize,
    /// Texts that were answered, or decided otherwise.
    ended: Vec<bool>,
    reports: Vec<Report>,
    done: usize,
    stop: Option<Stop>,
    leash: Arc<Leash>,
}

/// What a text must ask right before it leaves.
struct Leash {
    halted: AtomicBool,
    lease_until: AtomicI64,
    /// The lease is treated as over this long before it ends.
    margin: Duration,
    /// Why texts must not leave any more, found after their claim.
    stopped: Mutex<BTreeMap<usize, Stopped>>,
}

impl Leash {
    fn is_over(&self, now: Instant) -> bool {
        self.halted.load(Ordering::SeqCst) || self.lease_is_over(now)
    }

    fn stopped(&self, index: usize) -> Option<Stopped> {
        self.stopped.lock().expect("no panic while the lock is held").remove(&index)
    }

    fn lease_is_over(&self, now: Instant) -> bool {
        let lease_until = Instant(self.lease_until.load(Ordering::SeqCst));
        now + self.margin > lease_until
    }
}

/// A beat that was tried.
struct Beaten {
    mark: usize,
    lease_until: Instant,
    beat: Arc<Beat>,
    result: Result<Orders, NotBeaten>,
}

/// A text of the chunk, by its index, on its way to the carrier.
type Sending = Pin<Box<dyn Future<Output = (usize, Report)> + Send>>;
type Beating = Pin<Box<dyn Future<Output = Beaten> + Send>>;

/// Sends a claimed chunk to its end. `log` was begun before the claim was committed.
pub async fn dispatch(
    desk: Arc<Desk>,
    account: AccountId,
    stream: StreamId,
    claimed: Claimed,
    log: WireLog,
) {
    let mark = usize::try_from(claimed.chunk.mark).unwrap_or(0);
    let texts = claimed.permits.len();
    let leash = Leash {
        halted: AtomicBool::new(false),
        lease_until: AtomicI64::new(claimed.chunk.lease_until.0),
        margin: desk.bounds.lease_margin(),
        stopped: Mutex::default(),
    };
    let queue = desk.beats.of((account, stream));
    let run = Run {
        desk,
        queue,
        account,
        stream,
        claimed,
        log,
        begun: 0,
        mark,
        ended: vec![false; texts],
        reports: Vec::with_capacity(texts),
        done: 0,
        stop: None,
        leash: Arc::new(leash),
    };
    // Much of its state lives in it; on the heap it burdens nobody who awaits it.
    Box::pin(run.run()).await;
}

impl Run {
    async fn run(mut self) {
        let mut sending: FuturesUnordered<Sending> = FuturesUnordered::new();
        let mut beating: Option<Beating> = None;
        let mut pause = tokio::time::interval(self.desk.bounds.beat());
        pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        pause.reset();
        let mut due = false;
        loop {
            if self.desk.stopping.load(Ordering::Relaxed) && self.stop.is_none() {
                self.halt(Stop::TakeBack);
            }
            while let Some(next) = self.next_text() {
                sending.push(next);
            }
            let all_begun = self.begun == self.claimed.permits.len();
            self.claimed.all_begun.store(all_begun, Ordering::Relaxed);
            let ended = self.stop.is_some() || all_begun;
            if ended && sending.is_empty() && beating.is_none() {
                break;
            }
            if beating.is_none() && (due || self.wants_beat(sending.len())) {
                beating = Some(self.beat());
                due = false;
                pause.reset();
            }
            tokio::select! {
                Some((index, report)) = sending.next(), if !sending.is_empty() => {
                    self.done += 1;
                    self.ended[index] = true;
                    if report.fact == Fact::Accepted {
                        let now = self.desk.clock.now();
                        self.desk.paces.note(self.account, self.stream, now, 1);
                    }
                    self.reports.push(report);
                }
                beat = async { beating.as_mut().expect("guarded").await }, if beating.is_some() => {
                    beating = None;
                    self.hear(beat).await;
                }
                _ = pause.tick() => due = true,
            }
        }
        self.finish().await;
    }

    fn next_text(&mut self) -> Option<Sending> {
        while self.stop.is_none() && self.begun < self.mark {
            let index = self.begun;
            self.begun += 1;
            let permit = self.claimed.permits[index].clone();
            if let Some(stopped) = self.leash.stopped(index) {
                self.done += 1;
                self.ended[index] = true;
                self.reports.push(stopped.report(&permit));
                continue;
            }
            if let Some((carrier, sid)) = self.claimed.adopted[index].take() {
                self.done += 1;
                self.ended[index] = true;
                let words = format!("the carrier took it already, as {sid}");
                let mut report = Report::new(permit.ord(), permit.attempt(), Fact::Accepted);
                (report.sid, report.adopted) = (Some(sid), Some(carrier));
                self.reports.push(report.because(Rule::Duplicate, words));
                continue;
            }
            return Some(self.send(index, permit));
        }
        None
    }

    fn window(&self) -> usize {
        self.desk.claimant.window(&self.claimed.from)
    }

    /// A beat is due when half a window of answers waits, or nothing else can go on.
    fn wants_beat(&self, on_wire: usize) -> bool {
        let more = self.mark < self.claimed.permits.len() && self.stop.is_none();
        let starved = more && on_wire == 0 && self.begun == self.mark;
        starved || (more && self.reports.len() * 2 >= self.window())
    }

    fn beat(&mut self) -> Beating {
        let mark = if self.stop.is_some() {
            self.mark
        } else {
            (self.done + self.window()).min(self.claimed.permits.len()).max(self.mark)
        };
        if domain::mutant!(M1) {
            self.mark = mark;
        }
        let reports = std::mem::take(&mut self.reports);
        let permits = &self.claimed.permits;
        // Those that were begun may still wait for their turn.
        let ahead: Vec<Ahead> = (0..mark)
            .filter(|index| !self.ended[*index] && !permits[*index].is_to_opted_out())
            .map(|index| Ahead {
                index,
                ord: permits[index].ord(),
                phone: permits[index].phone().to_owned(),
            })
            .collect();
        // Counted from before the commit, so that the owner's own idea of its lease is shorter.
        let lease_until = self.desk.clock.now() + self.desk.claimant.lease;
        let (tenure, from) = (self.claimed.chunk.tenure(), self.claimed.from.clone());
        let wish = Wish::GoOn(GoOn { tenure, from, mark, lease_until, ahead });
        let beat = Arc::new(Beat { reports, wish });
        let (desk, queue) = (Arc::clone(&self.desk), Arc::clone(&self.queue));
        let place = (self.account, self.stream);
        Box::pin(async move {
            let result = queue.write(&desk, place, &beat).await;
            Beaten { mark, lease_until, beat, result }
        })
    }

    async fn hear(&mut self, beat: Beaten) {
        match beat.result {
            Ok(orders) => {
                self.mark = beat.mark;
                self.leash.lease_until.store(beat.lease_until.0, Ordering::SeqCst);
                let mut all = self.leash.stopped.lock().expect("no panic while it is held");
                all.extend(orders.stopped);
                drop(all);
                if orders.fenced {
                    self.halt(Stop::Fenced);
                } else if let Some(stop) = orders.stop {
                    self.halt(stop);
                }
            }
            Err(error) => {
                // Whether it was committed is not known; reporting the same facts again is safe,
                // and the mark is not believed to have moved.
                tracing::warn!(
                    component = "dispatch", account = %self.account, campaign = %self.stream,
                    chunk = self.claimed.chunk.no, %error, "a beat failed; it is tried again"
                );
                self.reports.splice(0..0, beat.beat.reports.iter().cloned());
                if domain::mutant!(M59) {
                    self.mark = beat.mark;
                }
                if self.lease_is_over() {
                    self.halt(Stop::Fenced);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    fn lease_is_over(&self) -> bool {
        self.leash.lease_is_over(self.desk.clock.now())
    }

    /// Takes up no more texts. What did not leave is given back with the next beat, however long
    /// the carrier takes to answer the others.
    fn halt(&mut self, stop: Stop) {
        self.stop = Some(stop);
        self.leash.halted.store(true, Ordering::SeqCst);
        let (fact, rule, words) = match stop {
            Stop::Cancel => (Fact::Canceled, Rule::Campaign, "the campaign was canceled"),
            Stop::TakeBack => (Fact::NotSent, Rule::TakenBack, "taken back before it left"),
            Stop::Fenced => return,
        };
        for permit in &self.claimed.permits[self.begun..] {
            let report = Report::new(permit.ord(), permit.attempt(), fact);
            self.reports.push(report.because(rule, words));
        }
        self.begun = self.claimed.permits.len();
    }

    fn send(&self, index: usize, permit: Permit) -> Sending {
        let desk = Arc::clone(&self.desk);
        let (log, leash) = (self.log.clone(), Arc::clone(&self.leash));
        let from = self.claimed.from.clone();
        let message = MessageId { account: self.account, stream: self.stream, ord: permit.ord() };
        let joins = self.stream.is_endless();
        let turn = joins.then(|| desk.conversations.join(self.account, permit.phone()));
        let text = async move {
            if let Some(turn) = &turn {
                turn.come().await;
            }
            let lane = message.stream.lane();
            let report = |fact| Report::new(permit.ord(), permit.attempt(), fact);
            sit_out(&desk, &from).await;
            let place = match desk.routes.place(&from, desk.clock.now()) {
                Ok(place) => place,
                Err(blocked) => return waits(&desk, report(Fact::NotSent), blocked),
            };
            let throttle = desk.throttles.of(&place.from.address, place.from.segments_per_second);
            throttle.turn(&*desk.clock, lane, message.account, permit.segments()).await;
            let _slot = place.line.slot(lane).await;
            sit_out(&desk, &from).await;
            let now = desk.clock.now();
            if leash.is_over(now) {
                let words = "taken back before it left";
                return report(Fact::NotSent).because(Rule::TakenBack, words);
            }
            if let Some(stopped) = leash.stopped(index) {
                return stopped.report(&permit);
            }
            if now > permit.not_after() {
                let words = format!("its deadline was {}", permit.not_after());
                return report(Fact::Expired).because(Rule::Deadline, words);
            }
            let way = match desk.routes.choose(&from, now) {
                Ok(way) => way,
                Err(blocked) => return waits(&desk, report(Fact::NotSent), blocked),
            };
            let callback = desk.public_url.as_ref().map(|base| {
                let token = desk.secret.receipt_token(message, permit.attempt());
                format!("{base}/hooks/twilio/status/{token}#rc=5&rp=all")
            });
            let validity = permit.not_after().since(now).min(desk.bounds.validity(lane));
            let text = Outgoing {
                to: permit.phone(),
                from: &way.from,
                body: permit.body(),
                status_callback: callback.as_deref(),
                validity_secs: u32::try_from(validity.as_secs().max(1)).unwrap_or(u32::MAX),
            };
            let mark = Box::new(move || log.note(index));
            let outcome = way.line.carrier.send(text, mark).await;
            outcomes::report(&desk, &way, message, &permit, now, outcome)
        };
        Box::pin(async move { (index, text.await) })
    }

    /// The last commit: remaining results, the end of the chunk.
    async fn finish(mut self) {
        let fenced = self.stop == Some(Stop::Fenced);
        let tenure = self.claimed.chunk.tenure();
        let wish = if fenced { Wish::Nothing } else { Wish::End(tenure) };
        let last = Arc::new(Beat { reports: std::mem::take(&mut self.reports), wish });
        let place = (self.account, self.stream);
        while let Err(error) = beat::close(&self.desk, place, &self.queue, &last).await {
            tracing::warn!(
                component = "dispatch", account = %self.account, campaign = %self.stream,
                chunk = tenure.no, %error, "closing a chunk failed"
            );
            if self.lease_is_over() {
                // Its lease is over; whoever takes it over learns from the wire log.
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // A chunk that somebody else ends may still need the proof of what left.
        if !fenced {
            self.log.remove();
        }
    }
}

/// A pause that is not worth giving a text back for.
const SHORT_PAUSE: Duration = Duration::from_secs(2);

pub(super) fn is_short(blocked: &Blocked, now: Instant) -> bool {
    !blocked.held && blocked.until.since(now) <= SHORT_PAUSE
}

/// Waits for the end of a short pause, such as a carrier asks for with a 429.
async fn sit_out(desk: &Desk, from: &From) {
    let now = desk.clock.now();
    if let Some(blocked) = desk.routes.blocked(from, now)
        && is_short(&blocked, now)
    {
        // Not all of them at its very end.
        let spread = Duration::from_millis(desk.dice.below(50));
        tokio::time::sleep(blocked.until.since(now) + spread).await;
    }
}

/// A text that no carrier may be called for: it waits until one may.
fn waits(desk: &Desk, mut report: Report, blocked: Blocked) -> Report {
    let spread = Duration::from_millis(desk.dice.below(10_000));
    report.retry_at = blocked.until + spread;
    let rule = if blocked.held { Rule::Sender } else { Rule::Carrier };
    report.because(rule, blocked.reason)
}
