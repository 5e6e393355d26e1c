//! An account with a server process that can die, and what is done around it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use domain::campaign::State;
use domain::clock_guard::ClockGuard;
use domain::ids::{AccountId, Incarnation, MessageId, StreamId};
use domain::lanes::Lane;
use domain::permit::Consent;
use domain::rates::SenderKind;
use domain::seam::Clock;
use ledgerline::delivery::beats::Beats;
use ledgerline::delivery::bounds::Bounds;
use ledgerline::delivery::claim::{Claimant, Piece};
use ledgerline::delivery::conversations::Conversations;
use ledgerline::delivery::dispatch::{Desk, dispatch};
use ledgerline::delivery::pace::Paces;
use ledgerline::delivery::routes::{Line, Routes};
use ledgerline::delivery::senders::From;
use ledgerline::delivery::throttle::Throttles;
use ledgerline::delivery::wire_log::WireLogs;
use ledgerline::delivery::worker::{Piecework, Place, claim_piece};
use ledgerline::delivery::{reconcile, stages, takeover};
use ledgerline::flow::Refusal;
use ledgerline::flow::accounts;
use ledgerline::flow::campaigns::{self, AudienceIn, CampaignIn, Wish};
use ledgerline::flow::contacts::{Source, Word, keep_words};
use ledgerline::flow::messages::{self, Asking, MessageIn, Taken};
use ledgerline::flow::sealing::seal_some;
use store::accounts::Account;
use store::{Tx, streams, sweep, unknowns};

use crate::town::Town;

/// Phones of one shop.
const PHONES: usize = 10;
const LEASE: Duration = Duration::from_secs(30);
/// A lease and the grace of a takeover.
const LEASE_IS_OVER: Duration = Duration::from_secs(46);
/// Texts of one chunk, and on the wire at once: few, so that six texts take several of each.
const CHUNK_TEXTS_MAX: i64 = 4;
const WINDOW_MAX: usize = 2;
/// What is looked at again and again must come to rest within so many looks.
const LOOKS_MAX: usize = 200;

/// What the next process knows of one that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// It is dead for sure, and its wire logs are there.
    Proven,
    /// It left no trace; only its leases are over.
    Assumed,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proven => "",
            Self::Assumed => ", without a trace of the dead process",
        })
    }
}

/// An account in a town, and the process that serves it.
pub struct Shop<'a> {
    pub town: &'a Town,
    pub account: AccountId,
    pub death: Death,
    /// Credits it was given.
    pub granted: Cell<i64>,
    number: usize,
    wires: PathBuf,
    process: RefCell<Option<Arc<Desk>>>,
}

pub fn sender() -> From {
    From { kind: SenderKind::ShortCode, address: "72345".to_owned(), segments_per_second: 100_000 }
}

fn bounds() -> Bounds {
    let mut bounds = Bounds::default();
    (bounds.transit, bounds.margin) = (Duration::from_secs(10), Duration::from_secs(10));
    for &lane in Lane::ALL {
        bounds.set_validity(lane, Duration::from_secs(10));
    }
    bounds
}

impl<'a> Shop<'a> {
    pub async fn open(town: &'a Town, number: usize, death: Death) -> Self {
        let mut tx = town.db.begin().await.expect("begins");
        let account = Account {
            id: AccountId::new(tx.now(), &*town.dice),
            name: "Corner Clinic".to_owned(),
            timezone: "America/New_York".to_owned(),
            country: "US".to_owned(),
            quiet_hours: None,
            active: true,
            created_at: tx.now(),
        };
        store::accounts::insert_account(&mut tx, &account).await.expect("opens");
        // One endless stream will do, and is cheaper to audit than five.
        let notifications = StreamId::of_lane(Lane::Notification).expect("it has one");
        let stream = streams::insert_stream(&mut tx, account.id, notifications, State::Running);
        stream.await.expect("opens");
        tx.commit().await.expect("commits");
        let wires = town.home.path().join(number.to_string());
        let (granted, process) = (Cell::new(0), RefCell::default());
        let shop = Self { town, account: account.id, death, granted, number, wires, process };
        shop.boot();
        shop
    }

    /// Starts a process.
    fn boot(&self) {
        let incarnation = Incarnation::new(self.town.clock.now(), &*self.town.dice);
        let line = Line::new("primary", self.town.carrier.clone(), None, 64);
        let desk = Desk {
            db: self.town.db.clone(),
            clock: self.town.clock.clone(),
            dice: self.town.dice.clone(),
            routes: Routes::new(vec![line]),
            bounds: bounds(),
            poll_after: Duration::from_secs(900),
            witness: None,
            secret: self.town.secret.clone(),
            public_url: Some("https://texts.example.com".to_owned()),
            throttles: Throttles::default(),
            conversations: Conversations::default(),
            beats: Beats::default(),
            paces: Paces::default(),
            wire_logs: WireLogs::open(&self.wires, incarnation).expect("opens"),
            claimant: Claimant {
                owner: incarnation,
                lease: LEASE,
                installation_sender: Some(sender()),
                texts_max: CHUNK_TEXTS_MAX,
                window_max: WINDOW_MAX,
            },
            guard: ClockGuard::default(),
            stopping: AtomicBool::new(false),
        };
        *self.process.borrow_mut() = Some(Arc::new(desk));
    }

    /// The process that runs.
    pub fn desk(&self) -> Arc<Desk> {
        Arc::clone(self.process.borrow().as_ref().expect("one always runs"))
    }

    /// The process ends as by `kill -9`, and another one begins.
    pub fn die(&self) {
        let desk = self.process.take().expect("one always runs");
        let traces = self.wires.join(desk.incarnation().to_string());
        // A killed process tidies nothing up; one whose directory is not bare does not either.
        std::fs::write(traces.join("killed"), "").expect("writes");
        let desk = Arc::into_inner(desk).expect("nothing of the dead process goes on");
        drop(desk);
        if self.death == Death::Assumed {
            std::fs::remove_dir_all(traces).expect("removes");
            self.town.clock.advance(LEASE_IS_OVER);
        }
        self.boot();
    }

    /// Another process begins, to which the one that runs seems dead. The one that runs.
    pub fn outlive(&self) -> Arc<Desk> {
        let zombie = self.desk();
        self.town.clock.advance(LEASE_IS_OVER);
        self.boot();
        zombie
    }

    /// Which shop of the town it is.
    pub const fn number(&self) -> usize {
        self.number
    }

    pub fn phone(&self, n: usize) -> String {
        assert!(n < PHONES, "a shop has {PHONES} phones");
        let n = self.number * PHONES + n;
        format!("+1312{}{:04}", 200 + n / 10_000, n % 10_000)
    }

    pub fn phones(&self) -> impl Iterator<Item = String> {
        (0..PHONES).map(|n| self.phone(n))
    }

    pub async fn credits(&self, amount: i64) {
        let mut tx = self.town.db.begin().await.expect("begins");
        self.grant(&mut tx, amount).await;
        tx.commit().await.expect("commits");
    }

    async fn grant(&self, tx: &mut Tx, amount: i64) {
        let before = self.granted.replace(self.granted.get() + amount);
        let key = format!("after {before}");
        accounts::adjust_credits(tx, self.account, &key, amount, "operator", "for the test")
            .await
            .expect("moves");
    }

    /// The first `count` phones as contacts that want texts, and a credit for each.
    pub async fn people(&self, count: usize) {
        self.people_with(count, i64::try_from(count).expect("few")).await;
    }

    /// The same, with so many credits.
    pub async fn people_with(&self, count: usize, credits: i64) {
        let word = |phone| Word { phone, consent: Some(Consent::OptedIn), ..Word::default() };
        let words: Vec<Word> = self.phones().take(count).map(word).collect();
        let source =
            Source { name: "test", actor: "test", evidence: "a form", may_opt_in_again: true };
        let mut tx = self.town.db.begin().await.expect("begins");
        let kept = keep_words(&mut tx, &*self.town.dice, self.account, &words, source).await;
        kept.expect("keeps");
        self.grant(&mut tx, credits).await;
        tx.commit().await.expect("commits");
    }

    /// A campaign to every contact, sealed and running.
    pub async fn campaign(&self, body: &str) -> StreamId {
        let wanted = CampaignIn {
            name: "Spring".to_owned(),
            category: "marketing".to_owned(),
            body: body.to_owned(),
            audience: AudienceIn { all: Some(true), ..AudienceIn::default() },
            sender_id: None,
            starts_at: None,
            resume_when_funded: true,
        };
        let mut tx = self.town.db.begin().await.expect("begins");
        let campaign = campaigns::create(&mut tx, &*self.town.dice, self.account, &wanted).await;
        let id = campaign.expect("creates").id;
        campaigns::wish(&mut tx, self.account, id, Wish::Start).await.expect("starts");
        tx.commit().await.expect("commits");
        let sealed = seal_some(&self.town.db, self.account, id, Some(&sender()), true).await;
        assert!(!sealed.expect("seals"), "there is no more to seal");
        id
    }

    /// Asks something of a campaign, as its page does.
    pub async fn wish(&self, id: StreamId, wish: Wish) -> Result<State, Refusal> {
        let mut tx = self.town.db.begin().await?;
        let state = campaigns::wish(&mut tx, self.account, id, wish).await?;
        tx.commit().await?;
        Ok(state)
    }

    /// A text as the API checks it.
    pub async fn checked(&self, to: &str, body: &str, key: Option<&str>) -> messages::Intake {
        let wanted: MessageIn = serde_json::from_value(serde_json::json!({
            "to": to, "context": "message.notification", "body": body,
        }))
        .expect("well-formed");
        let key = key.map(|key| messages::RequestKey { key: key.to_owned(), hash: [7; 32] });
        let sender = sender();
        let asking = Asking {
            account: self.account,
            installation_sender: Some(&sender),
            magic_allowed: true,
        };
        messages::check(&self.town.db, asking, &wanted, key).await.expect("a good text")
    }

    /// Takes one text in.
    pub async fn text(&self, to: &str, body: &str) -> MessageId {
        let intake = self.checked(to, body, None).await;
        match messages::take_batch(&self.town.db, vec![intake]).await.pop() {
            Some(Ok(Taken::New(taken))) => taken.id,
            other => panic!("not taken in: {other:?}"),
        }
    }

    /// Does what a server does by itself until there is nothing left to do now.
    pub async fn settle_down(&self) {
        for _ in 0..LOOKS_MAX {
            let work = self.work().await;
            if !self.do_work(&work).await {
                return self.advance(&work.draining).await;
            }
        }
        panic!("the server never comes to rest: {:?}", self.work().await);
    }

    /// Does what there is to do; whether there was something.
    async fn do_work(&self, work: &Work) -> bool {
        let desk = self.desk();
        for &(account, stream) in &work.abandoned {
            let taken = takeover::take_over_stream(&desk, account, stream, |_| false).await;
            taken.expect("takes over");
        }
        let mut is_busy = !work.abandoned.is_empty() || !work.ending.is_empty();
        for &(place, piece) in &work.pieces {
            match claim_piece(&desk, place, piece).await.expect("claims") {
                Piecework::Nothing => {}
                Piecework::Decided => is_busy = true,
                Piecework::Chunk(claimed, log) => {
                    is_busy = true;
                    dispatch(Arc::clone(&desk), place.0, place.1, *claimed, log).await;
                }
            }
        }
        self.advance(&work.ending).await;
        is_busy | (work.unknown && reconcile::look(&desk).await.expect("looks") > 0)
    }

    async fn advance(&self, places: &[Place]) {
        for &(account, stream) in places {
            let mut tx = self.town.db.begin().await.expect("begins");
            stages::advance(&mut tx, account, stream).await.expect("advances");
            tx.commit().await.expect("commits");
        }
    }

    /// What there is to do, found as the worker and the watchman find it.
    async fn work(&self) -> Work {
        let mut tx = self.town.db.read().await.expect("reads");
        let due = sweep::streams_with_due(&mut tx, 100).await.expect("reads");
        let due = due.into_iter().map(|place| (place, Piece::Due));
        let next = sweep::streams_with_texts(&mut tx, 100).await.expect("reads");
        let next = next.into_iter().map(|place| (place, Piece::Next));
        let unknown = unknowns::due_unknowns(&mut tx, 1).await.expect("reads");
        let ending = [State::Pausing, State::Canceling];
        Work {
            abandoned: sweep::streams_with_open_chunks(&mut tx, 100).await.expect("reads"),
            pieces: due.chain(next).collect(),
            ending: sweep::streams_in(&mut tx, ending, 100).await.expect("reads"),
            draining: sweep::streams_in(&mut tx, [State::Draining; 2], 100).await.expect("reads"),
            unknown: !unknown.is_empty(),
        }
    }

    /// Streams from which somebody seems to send.
    pub async fn open_chunks(&self) -> usize {
        self.work().await.abandoned.len()
    }

    /// Takes over what another process left of a stream.
    pub async fn take_over(&self, stream: StreamId) {
        let desk = self.desk();
        let taken = takeover::take_over_stream(&desk, self.account, stream, |_| false);
        taken.await.expect("takes over");
    }
}

#[derive(Debug)]
struct Work {
    abandoned: Vec<Place>,
    pieces: Vec<(Place, Piece)>,
    ending: Vec<Place>,
    draining: Vec<Place>,
    unknown: bool,
}
