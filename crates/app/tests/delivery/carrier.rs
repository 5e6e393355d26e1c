//! A carrier that keeps its own record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use domain::instant::Instant;
use domain::message::Receipt;
use domain::rates::Price;
use domain::seam::{Clock, VirtualClock};
use ledgerline::delivery::carrier::{
    Answer, Carrier, Listed, Listing, Mark, Outgoing, RecordPage, Recorded, Search, Unanswered,
};
use tokio::sync::{Notify, Semaphore};
use twilio::outcome::Outcome;

type Script = Box<dyn FnMut(u64, &str) -> Option<Outcome> + Send>;

/// What the carrier took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub to: String,
    pub body: String,
    pub sid: String,
    pub callback: String,
    pub at: Instant,
    pub from: String,
}

/// A carrier that takes everything, unless its script says otherwise, and keeps a record.
pub struct FakeCarrier {
    clock: Arc<VirtualClock>,
    script: Mutex<Script>,
    /// Texts may pass one by one while it is closed.
    pub gate: Semaphore,
    calls: AtomicU64,
    accepted: Mutex<Vec<Accepted>>,
    /// Texts of the list that do not show.
    hidden: Mutex<BTreeSet<String>>,
    /// What it bills: parts and price, by SID.
    bills: Mutex<BTreeMap<String, (u32, Option<Price>)>>,
    /// The list answers nothing.
    pub silent: AtomicBool,
    /// The list says that everything was delivered.
    pub told: AtomicBool,
    pub on_wire: Notify,
}

pub fn sid(n: u64) -> String {
    format!("SM{n:032x}")
}

impl FakeCarrier {
    pub fn new(clock: Arc<VirtualClock>) -> Self {
        Self {
            clock,
            hidden: Mutex::default(),
            bills: Mutex::default(),
            silent: AtomicBool::new(false),
            told: AtomicBool::new(false),
            script: Mutex::new(Box::new(|_, _| None)),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            calls: AtomicU64::new(0),
            accepted: Mutex::new(Vec::new()),
            on_wire: Notify::new(),
        }
    }

    /// Answers by number of the call and recipient; `None` accepts.
    pub fn answer(&self, script: impl FnMut(u64, &str) -> Option<Outcome> + Send + 'static) {
        *self.script.lock().expect("no panic") = Box::new(script);
    }

    /// Lets only `texts` more pass until more are allowed.
    pub fn hold_after(&self, texts: usize) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
        self.gate.add_permits(texts);
    }

    pub fn open(&self) {
        self.gate.add_permits(1_000_000);
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    pub fn accepted(&self) -> Vec<Accepted> {
        self.accepted.lock().expect("no panic").clone()
    }

    /// Takes a text although the caller is told otherwise.
    pub fn take(&self, to: &str, body: &str, callback: Option<&str>) -> String {
        let mut all = self.accepted.lock().expect("no panic");
        let sid = sid(u64::try_from(all.len()).expect("small") + 1);
        all.push(Accepted {
            to: to.to_owned(),
            body: body.to_owned(),
            sid: sid.clone(),
            callback: callback.unwrap_or_default().to_owned(),
            at: self.clock.now(),
            from: crate::harness::from().address,
        });
        sid
    }

    /// Takes a text out of the list, or puts it back.
    pub fn hide(&self, sid: &str, hidden: bool) {
        let mut all = self.hidden.lock().expect("no panic");
        if hidden {
            all.insert(sid.to_owned())
        } else {
            all.remove(sid)
        };
    }

    /// Bills a text.
    pub fn bill(&self, sid: &str, segments: u32, price: Option<Price>) {
        self.bills.lock().expect("no panic").insert(sid.to_owned(), (segments, price));
    }

    fn listing(&self, to: Option<&str>, since: Instant) -> Result<Listing, Unanswered> {
        if self.silent.load(Ordering::SeqCst) {
            return Err(Unanswered { words: "no answer".to_owned(), refused: false });
        }
        let hidden = self.hidden.lock().expect("no panic").clone();
        let told = self.told.load(Ordering::SeqCst);
        let receipt = Some(if told { Receipt::Delivered } else { Receipt::Taken });
        let all = self.accepted();
        let texts = all.into_iter().rev().filter(|one| {
            to.is_none_or(|to| to == one.to) && one.at >= since && !hidden.contains(&one.sid)
        });
        let texts = texts.map(|one| Listed {
            sid: one.sid,
            to: one.to,
            sender: one.from,
            body: one.body,
            receipt,
            code: 0,
            created_at: Instant(one.at.0 / 1_000_000 * 1_000_000),
        });
        Ok(Listing { texts: texts.collect(), complete: true })
    }

    pub fn assert_nobody_twice(&self) {
        let mut phones: Vec<String> = self.accepted().into_iter().map(|one| one.to).collect();
        let all = phones.len();
        phones.sort();
        phones.dedup();
        assert_eq!(phones.len(), all, "a phone was texted twice");
    }
}

impl Carrier for FakeCarrier {
    fn send<'a>(&'a self, text: Outgoing<'a>, mark: Mark) -> Answer<'a> {
        Box::pin(async move {
            let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
            let scripted = (self.script.lock().expect("no panic"))(call, text.to);
            if let Some(outcome @ Outcome::NotSent { .. }) = scripted {
                return outcome;
            }
            mark().expect("the wire log can be written");
            self.on_wire.notify_waiters();
            self.gate.acquire().await.expect("never closed").forget();
            if let Some(outcome) = scripted {
                let lost_after_acceptance = matches!(outcome, Outcome::Unknown { .. });
                if lost_after_acceptance && text.body.contains("taken") {
                    self.take(text.to, text.body, text.status_callback);
                }
                return outcome;
            }
            let sid = self.take(text.to, text.body, text.status_callback);
            Outcome::Accepted {
                sid: sid.parse().expect("well-formed"),
                status: twilio::wire::MessageStatus::Queued,
                segments: Some(1),
            }
        })
    }

    fn list<'a>(&'a self, to: Option<&'a str>, since: Instant) -> Search<'a, Listing> {
        Box::pin(async move { self.listing(to, since) })
    }

    fn record<'a>(&'a self, next: Option<&'a str>) -> Search<'a, RecordPage> {
        // Three texts a page.
        Box::pin(async move {
            let skipped: usize = next.map_or(0, |text| text.parse().expect("a number"));
            let all = self.listing(None, Instant(0))?.texts;
            let bills = self.bills.lock().expect("no panic").clone();
            let more = all.len() > skipped + 3;
            let texts = all.into_iter().skip(skipped).take(3).map(|text| {
                let bill = bills.get(&text.sid).cloned();
                let (segments, price) = bill.map_or((None, None), |(n, price)| (Some(n), price));
                Recorded { text, segments, price }
            });
            let texts = texts.collect();
            Ok(RecordPage { texts, next: more.then(|| (skipped + 3).to_string()) })
        })
    }

    fn newest(&self) -> Search<'_, Vec<Listed>> {
        Box::pin(async move { Ok(self.listing(None, Instant(0))?.texts) })
    }

    fn fetch<'a>(&'a self, sid: &'a str) -> Search<'a, Option<Listed>> {
        Box::pin(async move {
            Ok(self.listing(None, Instant(0))?.texts.into_iter().find(|one| one.sid == sid))
        })
    }
}
