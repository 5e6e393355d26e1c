//! A carrier as dying callers meet it: each call waits where a real one waits, what was on the wire
//! when its caller died may arrive all the same, and everything that arrived is on record.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use domain::instant::Instant;
use domain::message::Receipt;
use domain::seam::{Clock, VirtualClock};
use ledgerline::delivery::carrier::{
    Answer, Carrier, Listed, Listing, Mark, Outgoing, Search, Unanswered,
};
use store::Faults;
use twilio::outcome::{FailureKind, NotSentReason, Outcome, UnknownReason};
use twilio::wire::MessageStatus;

use crate::shop::sender;

/// What becomes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is taken, and the caller hears so.
    Taken,
    /// It is taken, and the answer is lost.
    Unheard,
    /// It is lost on its way.
    Lost,
    /// It is refused with this code.
    Refused(u32),
    /// Not a byte of it was written.
    Unsent,
}

/// A text the carrier took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub to: String,
    pub body: String,
    pub sid: String,
    pub callback: String,
    pub at: Instant,
}

#[derive(Default)]
struct Record {
    fates: BTreeMap<String, VecDeque<Fate>>,
    begun: BTreeMap<String, usize>,
    taken: Vec<Taken>,
}

pub struct FakeCarrier {
    clock: Arc<VirtualClock>,
    faults: Faults,
    record: Mutex<Record>,
}

/// A request whose bytes are on the wire. When its caller dies, those to even numbers arrive.
struct OnWire<'a> {
    carrier: &'a FakeCarrier,
    text: Outgoing<'a>,
    may_arrive: bool,
}

impl OnWire<'_> {
    fn arrive(&mut self) -> String {
        self.may_arrive = false;
        self.carrier.take(self.text.to, self.text.body, self.text.status_callback)
    }
}

impl Drop for OnWire<'_> {
    fn drop(&mut self) {
        let even = |digit: u8| digit.is_multiple_of(2);
        if self.may_arrive && self.text.to.bytes().last().is_some_and(even) {
            self.arrive();
        }
    }
}

impl FakeCarrier {
    /// A carrier whose calls count their waits among the steps of `faults`.
    pub fn new(clock: Arc<VirtualClock>, faults: Faults) -> Self {
        Self { clock, faults, record: Mutex::default() }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("no panic while the lock is held")
    }

    /// What becomes of the next calls for a phone; of those after them, all are taken.
    pub fn plan(&self, phone: &str, fates: &[Fate]) {
        self.record().fates.insert(phone.to_owned(), fates.iter().copied().collect());
    }

    /// The bytes of a text to this phone are handed over.
    pub fn begin(&self, phone: &str) {
        *self.record().begun.entry(phone.to_owned()).or_default() += 1;
    }

    /// Texts to this phone whose bytes were handed over, whatever became of them.
    pub fn begun(&self, phone: &str) -> usize {
        self.record().begun.get(phone).copied().unwrap_or(0)
    }

    /// What was taken for this phone.
    pub fn taken(&self, phone: &str) -> Vec<Taken> {
        self.record().taken.iter().filter(|one| one.to == phone).cloned().collect()
    }

    /// Takes a text.
    pub fn take(&self, to: &str, body: &str, callback: Option<&str>) -> String {
        let mut record = self.record();
        let sid = format!("SM{:032x}", record.taken.len() + 1);
        record.taken.push(Taken {
            to: to.to_owned(),
            body: body.to_owned(),
            sid: sid.clone(),
            callback: callback.unwrap_or_default().to_owned(),
            at: self.clock.now(),
        });
        sid
    }

    async fn call(&self, text: Outgoing<'_>, mark: Mark) -> Outcome {
        let fate = self.record().fates.get_mut(text.to).and_then(VecDeque::pop_front);
        let fate = fate.unwrap_or(Fate::Taken);
        self.faults.step().await;
        if fate == Fate::Unsent {
            let reason = NotSentReason::NothingWritten(FailureKind::Connect);
            return Outcome::NotSent { reason };
        }
        mark().expect("the wire log can be written");
        self.begin(text.to);
        let may_arrive = matches!(fate, Fate::Taken | Fate::Unheard);
        let mut on_wire = OnWire { carrier: self, text, may_arrive };
        self.faults.step().await;
        let sid = if may_arrive { Some(on_wire.arrive()) } else { None };
        self.faults.step().await;
        match (fate, sid) {
            (Fate::Taken, Some(sid)) => Outcome::Accepted {
                sid: sid.parse().expect("well-formed"),
                status: MessageStatus::Queued,
                segments: Some(1),
            },
            (Fate::Refused(code), _) => {
                Outcome::Rejected { code, http: 400, message: "refused".to_owned() }
            }
            _ => Outcome::Unknown { reason: UnknownReason::Failed(FailureKind::Timeout) },
        }
    }

    fn listing(&self, since: Instant, is_wanted: impl Fn(&Taken) -> bool) -> Listing {
        let record = self.record();
        let recent = record.taken.iter().rev().take_while(|one| one.at >= since);
        let texts = recent.filter(|one| is_wanted(one)).map(|one| Listed {
            sid: one.sid.clone(),
            to: one.to.clone(),
            // All shops text from the same number.
            sender: sender().address,
            body: one.body.clone(),
            receipt: Some(Receipt::Taken),
            code: 0,
            created_at: Instant(one.at.0 / 1_000_000 * 1_000_000),
        });
        Listing { texts: texts.collect(), complete: true }
    }
}

impl Carrier for FakeCarrier {
    fn send<'a>(&'a self, text: Outgoing<'a>, mark: Mark) -> Answer<'a> {
        Box::pin(self.call(text, mark))
    }

    fn list<'a>(&'a self, to: Option<&'a str>, since: Instant) -> Search<'a, Listing> {
        Box::pin(async move {
            self.faults.step().await;
            Ok::<_, Unanswered>(self.listing(since, |one| to.is_none_or(|to| to == one.to)))
        })
    }

    fn newest(&self) -> Search<'_, Vec<Listed>> {
        Box::pin(async move {
            self.faults.step().await;
            Ok(self.listing(Instant(0), |_| true).texts.into_iter().take(100).collect())
        })
    }

    fn fetch<'a>(&'a self, sid: &'a str) -> Search<'a, Option<Listed>> {
        Box::pin(async move {
            self.faults.step().await;
            Ok(self.listing(Instant(0), |one| one.sid == sid).texts.pop())
        })
    }
}
