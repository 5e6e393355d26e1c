//! A bank test: many hands move one wallet's credits at once, in every way there is, and what the
//! ledger says is compared with a model that shares no code with it.
//!
//! Each hand knows its own holdings and rolls its own dice; nothing is arranged between them. From
//! the history of who asked for what and when, three things must follow: the lines in their order,
//! replayed by the model, give every balance the ledger tells; a line that was posted after another
//! one had been answered stands behind it; and whoever read the wallet saw it as it stood after
//! some line, never an earlier one than before.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use domain::ids::AccountId;
use domain::ledger::{LedgerError, leaf};
use domain::seam::{Clock, Dice, SeededDice, VirtualClock};
use ledgerline::finance::books::check_books;
use ledgerline::finance::credits::{Decided, OpenWallet};
use store::{Db, Error, Options, wallets};
use testkit::Engine;

testkit::both_engines!(sixty_four_senders_a_top_up_and_a_refund_race_on_one_wallet);

const ACCOUNT: AccountId = AccountId(31);
const SENDERS: u64 = 64;
const OPERATIONS: usize = 100_000;
/// Operations in one transaction at most.
const BATCH: u64 = 60;

/// What a hand asks for.
#[derive(Clone, Copy, Debug)]
enum Op {
    Buy(i64),
    Grant(i64),
    Hold(i64),
    /// Of what was held: so much is spent, so much goes back.
    Settle(i64, i64),
    Refund(i64),
    Late(i64),
    Claw(i64),
    Freeze(i64),
    Thaw(i64),
    Expire(i64),
}

/// The same bank in other words: no books, no postings, only what a customer would say happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Model {
    available: i64,
    reserved: i64,
    spent: i64,
    owed: i64,
}

impl Model {
    fn come(&mut self, amount: i64) {
        self.available += amount;
        let pays = self.available.min(self.owed);
        self.available -= pays;
        self.owed -= pays;
    }

    fn go(&mut self, amount: i64) {
        self.available -= amount;
        if self.available < 0 {
            self.owed -= self.available;
            self.available = 0;
        }
    }

    fn take(&mut self, op: Op) {
        match op {
            Op::Buy(n) | Op::Grant(n) | Op::Thaw(n) => self.come(n),
            Op::Hold(n) => {
                self.available -= n;
                self.reserved += n;
            }
            Op::Settle(charged, released) => {
                self.reserved -= charged + released;
                self.spent += charged;
                self.come(released);
            }
            Op::Refund(n) => {
                self.spent -= n;
                self.come(n);
            }
            Op::Late(n) => {
                self.spent += n;
                self.available -= n.min(self.available);
            }
            Op::Claw(n) | Op::Freeze(n) => self.go(n),
            Op::Expire(n) => self.available -= n,
        }
        let balances = [self.available, self.reserved, self.spent, self.owed];
        assert!(balances.iter().all(|one| *one >= 0), "{op:?} left {self:?}");
    }
}

/// A committed transaction: its operations became the lines from `first` on.
struct Done {
    first: i64,
    ops: Vec<Op>,
    asked: u64,
    answered: u64,
}

/// A look at the wallet.
struct Seen {
    seq: i64,
    wallet: Model,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Sender,
    TopUp,
    Refund,
}

/// What is shared by all hands.
struct Bank {
    db: Db,
    /// Orders what was asked and what was answered.
    moment: AtomicU64,
    left: AtomicUsize,
    refused: AtomicI64,
}

impl Bank {
    fn moment(&self) -> u64 {
        self.moment.fetch_add(1, Ordering::SeqCst)
    }

    /// Takes up to `wanted` of the operations that are still to be done.
    fn draw(&self, wanted: u64) -> usize {
        let wanted = usize::try_from(wanted).expect("small");
        let before = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left - left.min(wanted)))
            .expect("always Some");
        before.min(wanted)
    }
}

struct Hand {
    bank: Arc<Bank>,
    dice: SeededDice,
    number: u64,
    role: Role,
    held: i64,
    spent: i64,
    frozen: i64,
    posted: u64,
}

impl Hand {
    fn amount(&self, most: i64) -> i64 {
        1 + i64::try_from(self.dice.below(most.unsigned_abs().max(1))).expect("small")
    }

    fn choose(&self, open: &OpenWallet) -> Op {
        let chance = self.dice.below(10);
        match self.role {
            Role::TopUp => match chance {
                0..=6 => Op::Buy(self.amount(1200)),
                7 | 8 if open.available() > 0 => Op::Expire(self.amount(open.available())),
                _ => Op::Grant(self.amount(50)),
            },
            Role::Refund => match chance {
                0..=3 => Op::Claw(self.amount(600)),
                4..=8 if self.frozen > 0 => Op::Thaw(self.amount(self.frozen)),
                _ => Op::Freeze(self.amount(300)),
            },
            Role::Sender => match chance {
                0..=4 if self.held > 0 => self.settlement(),
                5 if self.spent > 0 => Op::Refund(self.amount(self.spent)),
                6 => Op::Late(self.amount(3)),
                _ => Op::Hold(self.amount(40)),
            },
        }
    }

    /// A part of what is held is decided.
    fn settlement(&self) -> Op {
        let charged = i64::try_from(self.dice.below(self.held.unsigned_abs() + 1)).expect("small");
        let rest = self.held - charged;
        let released = if charged == 0 { self.amount(rest) } else { rest.min(self.amount(40)) };
        Op::Settle(charged, released)
    }

    /// Does one operation; `false` when the ledger refused it.
    async fn act(&mut self, tx: &mut store::Tx, open: &mut OpenWallet, op: Op) -> bool {
        self.posted += 1;
        let key = format!("{}:{}", self.number, self.posted);
        let leaves = [leaf(&[key.as_bytes()])];
        let before = (open.available(), open.wallet().seq);
        let posted = match op {
            Op::Buy(n) => open.buy(tx, key, n, "bought").await,
            Op::Grant(n) => open.grant(tx, key, n, "given").await,
            Op::Hold(n) => open.hold(tx, key, n, n).await,
            Op::Settle(charged, released) => {
                let leaves = leaves.to_vec();
                open.settle(tx, &Decided { charged, released, leaves }).await
            }
            Op::Refund(n) => open.refund(tx, n, &leaves).await,
            Op::Late(n) => open.charge_late(tx, n, &leaves).await,
            Op::Claw(n) => open.claw(tx, key, n, "returned").await,
            Op::Freeze(n) => open.freeze(tx, key, n, "disputed").await,
            Op::Thaw(n) => open.freeze(tx, key, -n, "won").await,
            Op::Expire(n) => open.expire(tx, key, n, "unused").await,
        };
        match posted {
            Ok(seq) => assert_eq!(seq, before.1 + 1, "the numbers have no gap"),
            Err(Error::Ledger(LedgerError::Insufficient)) => {
                assert!(matches!(op, Op::Hold(n) if n > before.0), "{op:?} with {before:?}");
                assert_eq!(
                    before,
                    (open.available(), open.wallet().seq),
                    "a refusal moves nothing"
                );
                self.bank.refused.fetch_add(1, Ordering::Relaxed);
                return false;
            }
            Err(other) => panic!("{op:?}: {other}"),
        }
        match op {
            Op::Hold(n) => self.held += n,
            Op::Settle(charged, released) => {
                self.held -= charged + released;
                self.spent += charged;
            }
            Op::Refund(n) => self.spent -= n,
            Op::Freeze(n) => self.frozen += n,
            Op::Thaw(n) => self.frozen -= n,
            Op::Late(n) => self.spent += n,
            Op::Buy(_) | Op::Grant(_) | Op::Claw(_) | Op::Expire(_) => {}
        }
        true
    }

    async fn work(mut self) -> (Vec<Done>, Vec<Seen>, i64) {
        let (mut done, mut seen) = (Vec::new(), Vec::new());
        loop {
            let batch = self.bank.draw(1 + self.dice.below(BATCH));
            if batch == 0 {
                return (done, seen, self.held);
            }
            let asked = self.bank.moment();
            let mut tx = self.bank.db.begin().await.expect("begins");
            let mut open = OpenWallet::lock(&mut tx, ACCOUNT).await.expect("locks");
            let first = open.wallet().seq + 1;
            let mut ops = Vec::with_capacity(batch);
            for _ in 0..batch {
                let op = self.choose(&open);
                if self.act(&mut tx, &mut open, op).await {
                    ops.push(op);
                }
            }
            tx.commit().await.expect("commits");
            let answered = self.bank.moment();
            done.push(Done { first, ops, asked, answered });
            if self.dice.below(4) == 0 {
                let now = look(&self.bank.db).await;
                assert!(now.seq >= open.wallet().seq, "a hand does not see its own lines");
                seen.push(now);
            }
        }
    }
}

async fn look(db: &Db) -> Seen {
    let mut tx = db.read().await.expect("reads");
    let wallet = wallets::wallet(&mut tx, ACCOUNT).await.expect("is there");
    let b = wallet.books;
    assert!(b.is_balanced(), "{b:?}");
    let model =
        Model { available: b.available, reserved: b.reserved, spent: b.spent, owed: b.owed };
    Seen { seq: wallet.seq, wallet: model }
}

async fn open_bank(engine: &Engine) -> Arc<Bank> {
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::at(domain::instant::Instant(0)));
    let db = Db::open(&Options::new(engine.url()), clock).await.expect("opens");
    let mut tx = db.begin().await.expect("begins");
    wallets::insert_wallet(&mut tx, ACCOUNT).await.expect("adds");
    tx.commit().await.expect("commits");
    let (moment, refused) = (AtomicU64::new(0), AtomicI64::new(0));
    Arc::new(Bank { db, moment, left: AtomicUsize::new(OPERATIONS), refused })
}

async fn sixty_four_senders_a_top_up_and_a_refund_race_on_one_wallet(engine: Engine) {
    let bank = open_bank(&engine).await;
    let roles = (0..SENDERS).map(|_| Role::Sender);
    let roles = roles.chain([Role::TopUp, Role::Refund]);
    let hands: Vec<_> = roles
        .zip(0u64..)
        .map(|(role, number)| {
            let bank = Arc::clone(&bank);
            let dice = SeededDice::new(1000 + number);
            let (held, spent, frozen, posted) = (0, 0, 0, 0);
            let hand = Hand { bank, dice, number, role, held, spent, frozen, posted };
            tokio::spawn(hand.work())
        })
        .collect();
    let (mut history, mut sessions, mut held) = (Vec::new(), Vec::new(), 0);
    for hand in hands {
        let (done, seen, holds) = hand.await.expect("no panic");
        history.extend(done);
        sessions.push(seen);
        held += holds;
    }
    history.sort_by_key(|done| done.first);
    let states = replay(&bank.db, &history).await;
    follows_real_time(&history);
    for session in &sessions {
        let mut before = 0;
        for one in session {
            assert!(one.seq >= before, "a reader saw line {before}, then {}", one.seq);
            before = one.seq;
            assert_eq!(one.wallet, states[usize::try_from(one.seq).expect("small")]);
        }
    }
    let last = states.last().expect("there is a beginning");
    assert_eq!(last.reserved, held, "reserved is what the hands still hold");
    let mut tx = bank.db.read().await.expect("reads");
    let (checks, _) = check_books(&mut tx, ACCOUNT).await.expect("reads");
    assert!(checks.iter().all(|check| check.ok), "{checks:?}");
    // The race was real: hands were refused, and the debt was reached and paid.
    assert!(bank.refused.load(Ordering::Relaxed) > 0 && states.iter().any(|one| one.owed > 0));
    assert!(states.len() > OPERATIONS / 2, "only {} lines", states.len());
}

/// The balances after each line, as the model has them; each must be the ledger's own.
async fn replay(db: &Db, history: &[Done]) -> Vec<Model> {
    let mut states = vec![Model::default()];
    let mut model = Model::default();
    let mut ops = history.iter().flat_map(|done| &done.ops);
    let mut tx = db.read().await.expect("reads");
    let mut after = 0;
    loop {
        let lines = wallets::list_lines(&mut tx, ACCOUNT, after, 2000).await.expect("lists");
        let Some(last) = lines.last() else { break };
        after = last.seq;
        for line in &lines {
            let op = *ops.next().expect("a line nobody asked for");
            model.take(op);
            let [available, reserved, spent, owed] = line.after;
            let told = Model { available, reserved, spent, owed };
            assert_eq!(told, model, "line {} after {op:?}", line.seq);
            states.push(model);
        }
    }
    assert!(ops.next().is_none(), "a committed operation has no line");
    states
}

/// What was answered before something else was asked stands before it.
fn follows_real_time(history: &[Done]) {
    let mut newest_asked = 0;
    for done in history {
        assert!(done.answered > newest_asked, "line {} stands too late", done.first);
        newest_asked = newest_asked.max(done.asked);
    }
}
