//! What must hold after every crash.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::campaign;
use domain::ids::StreamId;
use domain::ledger::Books;
use domain::message::State;
use ledgerline::flow::audit;
use ledgerline::flow::status::{RecipientStatus, list_recipients};
use store::streams::Stream;
use store::{messages, streams, unknowns, wallets};

use crate::carrier::Taken;
use crate::shop::{Death, Shop};

/// Longer than the transit bound, so that every look at the carrier's list counts.
const STEP: Duration = Duration::from_secs(61);
const STEPS_MAX: usize = 30;

/// Everything of an account that a repeated request must not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub books: Books,
    pub seq: i64,
    pub rows: BTreeMap<String, (&'static str, Option<String>)>,
}

/// How an account stands.
struct Standing {
    streams: Vec<Stream>,
    tallies: BTreeMap<State, i64>,
    /// Texts that are searched for.
    searched: i64,
    books: Books,
    seq: i64,
}

impl Standing {
    fn count(&self, state: State) -> i64 {
        self.tallies.get(&state).copied().unwrap_or(0)
    }

    /// Every text has its final state, and every campaign is over.
    fn is_final(&self) -> bool {
        let is_over = |one: &Stream| match one.id {
            id if id.is_endless() => one.position == one.total,
            _ => one.state.is_over() || one.state == campaign::State::Draft,
        };
        OPEN.iter().all(|&state| self.count(state) == 0) && self.streams.iter().all(is_over)
    }

    /// Nothing is on its way: what is reserved is unknown, and what is unknown is searched for.
    fn assert_at_rest(&self) {
        assert_eq!(self.count(State::Reserved), 0, "nothing is on the wire");
        let unknown = self.count(State::Unknown);
        assert_eq!(self.searched, unknown, "every unknown text is searched for, and no other");
        // Every text of these tests costs one credit.
        assert_eq!(self.books.reserved, unknown, "only unknown texts hold credits");
    }
}

/// States that are not final.
const OPEN: [State; 3] = [State::Deferred, State::Reserved, State::Unknown];

impl Shop<'_> {
    /// Lets the server do all it has to, and time pass, until every text has its final state. What
    /// must hold in between is checked at every rest, and all of it at the end.
    pub async fn finish(&self) {
        for _ in 0..STEPS_MAX {
            self.settle_down().await;
            let standing = self.standing().await;
            standing.assert_at_rest();
            if standing.is_final() {
                self.assert_audit().await;
                self.assert_sound(&standing).await;
                return;
            }
            self.town.clock.advance(STEP);
        }
        panic!("it never ends: {:?}", self.picture().await);
    }

    async fn standing(&self) -> Standing {
        let account = self.account;
        let mut tx = self.town.db.read().await.expect("reads");
        let wallet = wallets::wallet(&mut tx, account).await.expect("a wallet");
        let (mut streams, mut tallies, mut searched) = (Vec::new(), BTreeMap::new(), 0);
        for id in store::audit::stream_ids(&mut tx, account).await.expect("reads") {
            let found = streams::find_stream(&mut tx, account, id).await.expect("reads");
            let stream = found.expect("is there");
            if stream.total > 0 {
                let counts = messages::tallies(&mut tx, account, id).await.expect("reads");
                for (state, n) in counts {
                    *tallies.entry(state).or_default() += n;
                }
                let rows = unknowns::unknowns_of_stream(&mut tx, account, id).await;
                searched += rows.expect("reads").0;
            }
            streams.push(stream);
        }
        Standing { streams, tallies, searched, books: wallet.books, seq: wallet.seq }
    }

    /// Texts of the account that stand in `state`.
    pub async fn count(&self, state: State) -> i64 {
        self.standing().await.count(state)
    }

    /// How many campaigns the account has.
    pub async fn campaigns(&self) -> usize {
        self.standing().await.streams.iter().filter(|one| !one.id.is_endless()).count()
    }

    pub async fn stream(&self, id: StreamId) -> Stream {
        let mut tx = self.town.db.read().await.expect("reads");
        let found = streams::find_stream(&mut tx, self.account, id).await.expect("reads");
        found.expect("is there")
    }

    /// Every text of the account.
    async fn rows(&self, standing: &Standing) -> Vec<RecipientStatus> {
        let mut tx = self.town.db.read().await.expect("reads");
        let mut all = Vec::new();
        for one in standing.streams.iter().filter(|one| one.total > 0) {
            let rows = list_recipients(&mut tx, self.account, one.id, None, 0, 1000).await;
            all.extend(rows.expect("lists"));
        }
        all
    }

    pub async fn picture(&self) -> Picture {
        let standing = self.standing().await;
        let rows = self.rows(&standing).await.into_iter();
        let rows = rows.map(|row| (row.id.to_string(), (row.state, row.sid))).collect();
        Picture { books: standing.books, seq: standing.seq, rows }
    }

    async fn assert_audit(&self) {
        let found = audit::audit(&self.town.db, self.account).await.expect("audits");
        assert!(found.ok, "{:#?}", found.checks);
    }

    /// The carrier's record and ours say the same, and so do the books.
    async fn assert_sound(&self, standing: &Standing) {
        for one in &standing.streams {
            assert!((0..=one.total).contains(&one.position), "{one:?}");
        }
        let mut meant: BTreeMap<String, usize> = BTreeMap::new();
        let (mut ours, mut charged) = (BTreeSet::new(), 0);
        for row in self.rows(standing).await {
            let state = State::parse(row.state).expect("every text was decided");
            assert!(!OPEN.contains(&state), "not final: {row:?}");
            assert_eq!(state.is_taken(), row.sid.is_some(), "{row:?}");
            if state == State::Absent && self.death == Death::Proven {
                let begun = self.town.carrier.begun(&row.phone);
                assert!(begun > 0, "given up although it was never handed over: {row:?}");
            }
            charged += if state.is_charged() { row.credits } else { 0 };
            ours.extend(row.sid);
            *meant.entry(row.phone).or_default() += 1;
        }
        let record: Vec<Taken> =
            self.phones().flat_map(|phone| self.town.carrier.taken(&phone)).collect();
        for phone in self.phones() {
            let texts = record.iter().filter(|one| one.to == phone).count();
            let meant = meant.get(&phone).copied().unwrap_or(0);
            assert!(texts <= meant, "{phone} was texted {texts} times instead of {meant}");
        }
        let theirs: BTreeSet<String> = record.iter().map(|one| one.sid.clone()).collect();
        assert_eq!(ours, theirs, "our texts and those the carrier took");
        let left = self.granted.get() - charged;
        let books = standing.books;
        assert_eq!((books.spent, books.reserved, books.available), (charged, 0, left));
    }
}
