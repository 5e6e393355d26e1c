//! A shop with everything it needs: an account, credits, contacts, a carrier that keeps a record.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::campaign::State;
use domain::ids::{AccountId, Incarnation, StreamId};
use domain::instant::Instant;
use domain::message::Receipt;
use domain::permit::Consent;
use domain::rates::SenderKind;
use domain::seam::{Clock, SeededDice, VirtualClock};
use domain::token::Secret;
use ledgerline::delivery::carrier::{Answer, Carrier, Mark, Outgoing};
use ledgerline::delivery::claim::Claimant;
use ledgerline::delivery::dispatch::Desk;
use ledgerline::delivery::pace::Paces;
use ledgerline::delivery::receipts::{self, ReceiptIn};
use ledgerline::delivery::senders::From;
use ledgerline::delivery::throttle::Throttles;
use ledgerline::delivery::wire_log::WireLogs;
use ledgerline::delivery::worker;
use ledgerline::flow::accounts::{self, AccountIn};
use ledgerline::flow::campaigns::{self, AudienceIn, CampaignIn, Wish};
use ledgerline::flow::contacts::{Source, Word, keep_words};
use ledgerline::flow::status::{CampaignStatus, campaign_status};
use ledgerline::flow::{audit, timer};
use store::{Db, Options, wallets};
use testkit::Engine;
use tokio::sync::{Notify, Semaphore};
use twilio::outcome::Outcome;

/// Saturday noon in New York; nobody's night.
pub const NOON: &str = "2026-11-21T17:00:00Z";

type Script = Box<dyn FnMut(u64, &str) -> Option<Outcome> + Send>;

/// What the carrier took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub to: String,
    pub body: String,
    pub sid: String,
    pub callback: String,
}

/// A carrier that takes everything, unless its script says otherwise, and keeps a record.
pub struct FakeCarrier {
    script: Mutex<Script>,
    /// Texts may pass one by one while it is closed.
    pub gate: Semaphore,
    calls: AtomicU64,
    accepted: Mutex<Vec<Accepted>>,
    pub on_wire: Notify,
}

pub fn sid(n: u64) -> String {
    format!("SM{n:032x}")
}

impl FakeCarrier {
    fn new() -> Self {
        Self {
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
        });
        sid
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
}

/// A shop.
pub struct Shop {
    pub db: Db,
    pub clock: Arc<VirtualClock>,
    pub dice: Arc<SeededDice>,
    pub carrier: Arc<FakeCarrier>,
    pub account: AccountId,
    pub secret: Secret,
    pub wire_root: tempfile::TempDir,
    engine: Engine,
}

/// A running worker process.
pub struct Process {
    pub desk: Arc<Desk>,
    call: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

impl Process {
    /// Ends in order: texts on the wire are waited for.
    pub async fn stop(self) {
        self.desk.stopping.store(true, Ordering::SeqCst);
        self.call.notify_one();
        self.task.await.expect("no panic");
    }

    /// Ends as `kill -9` does: nothing more happens, nothing is waited for.
    pub async fn kill(self) {
        self.task.abort();
        drop(self.task.await);
    }
}

pub fn from() -> From {
    From { kind: SenderKind::ShortCode, address: "72345".to_owned(), segments_per_second: 100_000 }
}

impl Shop {
    pub async fn open(engine: Engine) -> Self {
        Self::open_at(engine, NOON).await
    }

    pub async fn open_at(engine: Engine, time: &str) -> Self {
        let clock = Arc::new(VirtualClock::at(Instant::parse(time).expect("a time")));
        let dice = Arc::new(SeededDice::new(7));
        let shared: Arc<dyn Clock> = clock.clone();
        let db = Db::open(&Options::new(engine.url()), shared).await.expect("opens");
        let mut tx = db.begin().await.expect("begins");
        let secret =
            store::accounts::installation_secret(&mut tx, Secret([9; 32])).await.expect("a secret");
        let wanted: AccountIn = serde_json::from_value(serde_json::json!({
            "name": "Corner Clinic", "timezone": "America/New_York", "country": "US",
        }))
        .expect("well-formed");
        let account = accounts::open_account(&mut tx, &*dice, &wanted).await.expect("opens").id;
        tx.commit().await.expect("commits");
        let carrier = Arc::new(FakeCarrier::new());
        let wire_root = tempfile::tempdir().expect("a directory");
        Self { db, clock, dice, carrier, account, secret, wire_root, engine }
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub async fn credits(&self, amount: i64, key: &str) {
        let mut tx = self.db.begin().await.expect("begins");
        accounts::adjust_credits(&mut tx, self.account, key, amount, "operator", "for the test")
            .await
            .expect("moves");
        tx.commit().await.expect("commits");
    }

    /// Contacts `+1312555` 0100 upward … each with `consent`.
    pub async fn contacts(&self, count: usize, consent: Option<Consent>) {
        let words: Vec<Word> = (0..count).map(|n| word(&phone(n), consent)).collect();
        self.keep(&words).await;
    }

    pub async fn keep(&self, words: &[Word]) {
        let source =
            Source { name: "test", actor: "test", evidence: "a form", may_opt_in_again: true };
        let mut tx = self.db.begin().await.expect("begins");
        keep_words(&mut tx, &*self.dice, self.account, words, source).await.expect("keeps");
        tx.commit().await.expect("commits");
    }

    pub async fn campaign(&self, body: &str, resume_when_funded: bool) -> StreamId {
        let wanted = CampaignIn {
            name: "Spring".to_owned(),
            category: "marketing".to_owned(),
            body: body.to_owned(),
            audience: AudienceIn { all: Some(true), ..AudienceIn::default() },
            sender_id: None,
            starts_at: None,
            resume_when_funded,
        };
        let mut tx = self.db.begin().await.expect("begins");
        let campaign =
            campaigns::create(&mut tx, &*self.dice, self.account, &wanted).await.expect("creates");
        campaigns::wish(&mut tx, self.account, campaign.id, Wish::Start).await.expect("starts");
        tx.commit().await.expect("commits");
        self.tick().await;
        campaign.id
    }

    pub async fn wish(&self, id: StreamId, wish: Wish) {
        let mut tx = self.db.begin().await.expect("begins");
        campaigns::wish(&mut tx, self.account, id, wish).await.expect("fits");
        tx.commit().await.expect("commits");
    }

    /// What happens by itself: sealing, resuming.
    pub async fn tick(&self) {
        while timer::look(&self.db, Some(&from()), true).await.expect("looks") {}
    }

    pub fn desk(&self) -> Arc<Desk> {
        let incarnation = Incarnation::new(self.clock.now(), &*self.dice);
        Arc::new(Desk {
            db: self.db.clone(),
            clock: self.clock.clone(),
            dice: self.dice.clone(),
            carrier: self.carrier.clone(),
            witness: None,
            secret: self.secret.clone(),
            public_url: Some("https://texts.example.com".to_owned()),
            throttles: Throttles::default(),
            paces: Paces::default(),
            wire_logs: WireLogs::open(self.wire_root.path(), incarnation).expect("opens"),
            claimant: Claimant {
                owner: incarnation,
                lease: Duration::from_secs(30),
                installation_sender: Some(from()),
                texts_max: 100,
                window_max: 20,
            },
            stopping: AtomicBool::new(false),
        })
    }

    pub fn start(&self) -> Process {
        let (desk, call) = (self.desk(), Arc::new(Notify::new()));
        let task = tokio::spawn(worker::run(Arc::clone(&desk), Arc::clone(&call)));
        Process { desk, call, task }
    }

    pub async fn status(&self, id: StreamId) -> CampaignStatus {
        let mut tx = self.db.read().await.expect("reads");
        campaign_status(&mut tx, self.account, id, 0.0).await.expect("is there")
    }

    /// Waits until the campaign is as wanted; the database is looked at again and again.
    pub async fn wait(&self, id: StreamId, wanted: impl Fn(&CampaignStatus) -> bool) {
        for _ in 0..3000 {
            self.tick().await;
            let status = self.status(id).await;
            if wanted(&status) {
                return;
            }
            tokio::task::yield_now().await;
            let more = Duration::from_millis(5);
            drop(tokio::time::timeout(more, self.carrier.on_wire.notified()).await);
        }
        panic!("the campaign never got there: {:?}", self.status(id).await);
    }

    pub async fn wait_state(&self, id: StreamId, state: State) {
        self.wait(id, |status| status.state == state.as_str()).await;
    }

    pub async fn available(&self) -> i64 {
        let mut tx = self.db.read().await.expect("reads");
        wallets::wallet(&mut tx, self.account).await.expect("a wallet").books.available
    }

    /// The carrier's callback for everything it took, with this news.
    pub async fn receipts(&self, news: impl Fn(&Accepted) -> Option<(Receipt, i64)>) {
        let taker = receipts::start(self.db.clone());
        for one in self.carrier.accepted() {
            let Some((receipt, code)) = news(&one) else { continue };
            let token = one.callback.split('#').next().unwrap_or_default();
            let token = token.rsplit('/').next().unwrap_or_default();
            let (message, attempt) = self.secret.open_receipt_token(token).expect("our own token");
            let receipt = ReceiptIn { message, attempt, receipt, sid: one.sid, code };
            taker.apply(receipt).await.expect("runs").expect("is kept");
        }
    }

    /// Every invariant holds.
    pub async fn assert_audit(&self) {
        let found = audit::audit(&self.db, self.account).await.expect("audits");
        assert!(found.ok, "{:#?}", found.checks);
    }

    /// How many recipients each rule kept out.
    pub async fn rules(&self, id: StreamId) -> BTreeMap<String, usize> {
        let mut tx = self.db.read().await.expect("reads");
        let mut rules = BTreeMap::new();
        let rows = ledgerline::flow::status::list_recipients(
            &mut tx,
            self.account,
            id,
            None,
            0,
            1_000_000,
        )
        .await
        .expect("lists");
        for row in rows {
            if let Some(rule) = row.why.rule {
                *rules.entry(rule.to_owned()).or_default() += 1;
            }
        }
        rules
    }
}

pub fn phone(n: usize) -> String {
    format!("+1312{}{:04}", 200 + n / 10_000, n % 10_000)
}

pub fn word(phone: &str, consent: Option<Consent>) -> Word {
    Word {
        phone: phone.to_owned(),
        name: None,
        timezone: None,
        tags: Vec::new(),
        fields: BTreeMap::new(),
        consent,
        blocked: None,
    }
}
