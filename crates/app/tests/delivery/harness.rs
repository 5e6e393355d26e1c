//! A shop with everything it needs: an account, credits, contacts, a carrier that keeps a record.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use domain::campaign::State;
use domain::clock_guard::ClockGuard;
use domain::ids::{AccountId, Incarnation, MessageId, StreamId};
use domain::instant::Instant;
use domain::message::Receipt;
use domain::permit::Consent;
use domain::rates::SenderKind;
use domain::seam::{Clock, SeededDice, VirtualClock};
use domain::token::Secret;
use ledgerline::delivery::beats::Beats;
use ledgerline::delivery::bounds::Bounds;
use ledgerline::delivery::claim::Claimant;
use ledgerline::delivery::conversations::Conversations;
use ledgerline::delivery::dispatch::Desk;
use ledgerline::delivery::orphans;
use ledgerline::delivery::pace::Paces;
use ledgerline::delivery::receipts::{self, ReceiptIn};
use ledgerline::delivery::reconcile;
use ledgerline::delivery::routes::{Line, Routes};
use ledgerline::delivery::senders::From;
use ledgerline::delivery::throttle::Throttles;
use ledgerline::delivery::wire_log::WireLogs;
use ledgerline::delivery::worker;
use ledgerline::flow::accounts::{self, AccountIn};
use ledgerline::flow::campaigns::{self, AudienceIn, CampaignIn, Wish};
use ledgerline::flow::contacts::{Source, Word, keep_words};
use ledgerline::flow::messages::{self, Asking, MessageIn, Taken};
use ledgerline::flow::status::{
    CampaignStatus, MessageStatus, campaign_status, list_recipients, message_status,
};
use ledgerline::flow::{audit, timer};
use serde_json::json;
use store::{Db, Options, wallets};
use testkit::Engine;
use tokio::sync::Notify;

use crate::carrier::{Accepted, FakeCarrier};

/// Saturday noon in New York; nobody's night.
pub const NOON: &str = "2026-11-21T17:00:00Z";

/// A shop.
pub struct Shop {
    pub db: Db,
    pub clock: Arc<VirtualClock>,
    pub dice: Arc<SeededDice>,
    pub carrier: Arc<FakeCarrier>,
    pub account: AccountId,
    pub secret: Secret,
    pub wire_root: tempfile::TempDir,
    /// Another carrier behind the first.
    pub backup: Mutex<Option<Arc<FakeCarrier>>>,
    pub bounds: Bounds,
    desk: Mutex<Weak<Desk>>,
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
        let carrier = Arc::new(FakeCarrier::new(Arc::clone(&clock)));
        let wire_root = tempfile::tempdir().expect("a directory");
        Self {
            db,
            clock,
            dice,
            carrier,
            account,
            secret,
            wire_root,
            backup: Mutex::default(),
            bounds: Bounds::default(),
            desk: Mutex::default(),
            engine,
        }
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What the clock shows.
    pub fn clock_now(&self) -> Instant {
        self.clock.now()
    }

    /// Takes the guards off a table, as somebody with the database in hand can.
    pub async fn unlock(&self, tx: &mut store::Tx, table: &str) {
        let statements: &[&'static str] = match (self.engine.is_postgres(), table) {
            (true, "ledger_entry") => &["alter table ledger_entry disable trigger all"],
            (true, "message_event") => &["alter table message_event disable trigger all"],
            (false, "ledger_entry") => &[
                "drop trigger if exists ledger_entry_no_update",
                "drop trigger if exists ledger_entry_no_delete",
            ],
            (false, "message_event") => &[
                "drop trigger if exists message_event_no_update",
                "drop trigger if exists message_event_no_delete",
            ],
            _ => &[],
        };
        for &statement in statements {
            tx.execute(statement, ()).await.expect("drops");
        }
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
        let desk = self.running_desk();
        while timer::look(&desk, true).await.expect("looks") {}
    }

    /// The desk of the process that runs, or a new one.
    pub fn running_desk(&self) -> Arc<Desk> {
        let last = self.desk.lock().expect("no panic").upgrade();
        last.unwrap_or_else(|| self.desk())
    }

    /// The search for unknown texts, until it finds nothing more to do now.
    pub async fn reconcile(&self) -> usize {
        let desk = self.running_desk();
        let mut sum = 0;
        loop {
            let decided = reconcile::look(&desk).await.expect("looks");
            sum += decided;
            if decided == 0 {
                return sum;
            }
        }
    }

    /// A sweep of the carriers' lists.
    pub async fn sweep(&self) -> orphans::Swept {
        orphans::look(&self.running_desk()).await.expect("sweeps")
    }

    /// Puts a second carrier behind the first, for processes started from here on.
    pub fn back_up(&self) -> Arc<FakeCarrier> {
        let backup = Arc::new(FakeCarrier::new(Arc::clone(&self.clock)));
        *self.backup.lock().expect("no panic") = Some(Arc::clone(&backup));
        backup
    }

    fn routes(&self) -> Routes {
        let mut lines = vec![Line::new("primary", self.carrier.clone(), None, 64)];
        if let Some(backup) = self.backup.lock().expect("no panic").clone() {
            lines.push(Line::new("backup", backup, None, 64));
        }
        Routes::new(lines)
    }

    pub fn desk(&self) -> Arc<Desk> {
        let incarnation = Incarnation::new(self.clock.now(), &*self.dice);
        let desk = Arc::new(Desk {
            db: self.db.clone(),
            clock: self.clock.clone(),
            dice: self.dice.clone(),
            routes: self.routes(),
            bounds: self.bounds.clone(),
            poll_after: Duration::from_secs(900),
            witness: None,
            secret: self.secret.clone(),
            public_url: Some("https://texts.example.com".to_owned()),
            throttles: Throttles::default(),
            conversations: Conversations::default(),
            beats: Beats::default(),
            paces: Paces::default(),
            wire_logs: WireLogs::open(self.wire_root.path(), incarnation).expect("opens"),
            claimant: Claimant {
                owner: incarnation,
                lease: Duration::from_secs(30),
                installation_sender: Some(from()),
                texts_max: 100,
                window_max: 20,
            },
            guard: ClockGuard::default(),
            stopping: AtomicBool::new(false),
        });
        *self.desk.lock().expect("no panic") = Arc::downgrade(&desk);
        desk
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

    /// Lets time pass until the campaign is as wanted.
    pub async fn wait_long(
        &self,
        id: StreamId,
        step: Duration,
        wanted: impl Fn(&CampaignStatus) -> bool,
    ) {
        for _ in 0..300 {
            for _ in 0..10 {
                self.tick().await;
                if wanted(&self.status(id).await) {
                    return;
                }
                let more = Duration::from_millis(5);
                drop(tokio::time::timeout(more, self.carrier.on_wire.notified()).await);
            }
            self.clock.advance(step);
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

    /// Takes one text in, as the API does.
    pub async fn text(&self, to: &str, context: &str, body: &str) -> MessageId {
        self.take(json!({"to": to, "context": context, "body": body})).await
    }

    /// The same for a text that is wanted at a time, and not after another.
    pub async fn text_at(&self, to: &str, at: &str, until: Option<&str>, body: &str) -> MessageId {
        self.take(json!({"to": to, "send_at": at, "not_after": until, "body": body})).await
    }

    async fn take(&self, wanted: serde_json::Value) -> MessageId {
        let wanted: MessageIn = serde_json::from_value(wanted).expect("well-formed");
        let intakes = messages::start_intakes(self.db.clone());
        let sender = from();
        let asking = Asking {
            account: self.account,
            installation_sender: Some(&sender),
            magic_allowed: true,
        };
        let intake = messages::check(&self.db, asking, &wanted, None);
        let intake = intake.await.expect("a good text");
        match messages::take(&intakes, intake).await.expect("is taken in") {
            Taken::New(taken) => taken.id,
            Taken::Before(_) => panic!("no key was given"),
        }
    }

    pub async fn message(&self, id: MessageId) -> MessageStatus {
        message_status(&self.db, self.account, id).await.expect("is there")
    }

    /// Waits until a text stands where wanted.
    pub async fn wait_message(&self, id: MessageId, state: &str) {
        for _ in 0..3000 {
            self.tick().await;
            if self.message(id).await.state == state {
                return;
            }
            tokio::task::yield_now().await;
            let more = Duration::from_millis(5);
            drop(tokio::time::timeout(more, self.carrier.on_wire.notified()).await);
        }
        panic!("the text never got to {state}: {:?}", self.message(id).await);
    }

    /// Waits until the carrier was called for a text so often.
    pub async fn wait_attempt(&self, id: MessageId, attempts: u16) {
        for _ in 0..3000 {
            if self.message(id).await.attempts >= attempts {
                return;
            }
            tokio::task::yield_now().await;
            let more = Duration::from_millis(5);
            drop(tokio::time::timeout(more, self.carrier.on_wire.notified()).await);
        }
        panic!("it was never tried again: {:?}", self.message(id).await);
    }

    /// The first text of a campaign that stands in `state`.
    pub async fn recipient_in(&self, id: StreamId, state: &str) -> MessageId {
        let mut tx = self.db.read().await.expect("reads");
        let list = list_recipients(&mut tx, self.account, id, Some(state), 0, 1).await;
        list.expect("lists").first().expect("there is one").id
    }

    /// One receipt.
    pub async fn receipt(
        &self,
        message: MessageId,
        attempt: u16,
        (receipt, code): (Receipt, i64),
        sid: &str,
    ) {
        let taker = receipts::start(self.running_desk());
        let sid = sid.to_owned();
        let one = ReceiptIn { message, attempt, receipt, sid, code };
        taker.apply(one).await.expect("runs").expect("is kept");
    }

    /// The carrier's callback for everything it took, with this news.
    pub async fn receipts(&self, mut news: impl FnMut(&Accepted) -> Option<(Receipt, i64)>) {
        let taker = receipts::start(self.running_desk());
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
        let rows =
            list_recipients(&mut tx, self.account, id, None, 0, 1_000_000).await.expect("lists");
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
    Word { phone: phone.to_owned(), consent, ..Word::default() }
}
