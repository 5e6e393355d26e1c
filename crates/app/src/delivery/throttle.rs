//! How fast a sender may go, in segments per second as the carrier allows, and whose turn it is:
//! the most urgent lane first, within a lane the accounts in turn, within an account who came
//! first.
//!
//! [`Queue`] decides and knows no waiting. [`Throttle`] has its callers wait, without a task of
//! its own: one of them, the keeper, sleeps until the sender is free and calls everybody whose
//! turn it is by then; whoever stops waiting as keeper hands the office on. How many calls may be
//! in flight is no matter of the sender: see [`super::slots`].

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use domain::ids::AccountId;
use domain::instant::Instant;
use domain::lanes::Lane;
use domain::seam::Clock;
use tokio::sync::Notify;
use tokio::time::timeout;

/// A sender that was silent may catch up this much at once; it smooths the grain of timers.
const SLACK: Duration = Duration::from_millis(20);

/// A place in a sender's queue. The order is that of the map that holds the places; within a lane
/// [`Queue`] goes round the accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket {
    lane: Lane,
    account: AccountId,
    number: u64,
}

/// Who waits for a sender, and from when it is free. Pure: time comes in as an argument.
#[derive(Debug)]
pub struct Queue {
    micros_per_segment: i64,
    /// Up to here the sender is booked.
    booked: Instant,
    /// The segments of each waiting text.
    waiting: BTreeMap<Ticket, u32>,
    /// Whose turn was last, in each lane.
    served: BTreeMap<Lane, AccountId>,
    arrivals: u64,
}

impl Queue {
    /// An empty queue of a sender of `segments_per_second` (at least 1).
    pub fn new(segments_per_second: u32) -> Self {
        Self {
            micros_per_segment: micros_per_segment(segments_per_second),
            booked: Instant(0),
            waiting: BTreeMap::new(),
            served: BTreeMap::new(),
            arrivals: 0,
        }
    }

    /// Lets a text leave at once, if nobody waits and the sender is free.
    pub fn pass(&mut self, now: Instant, segments: u32) -> bool {
        let free = self.waiting.is_empty() && self.booked <= now;
        if free {
            self.book(now, segments);
        }
        free
    }

    /// Queues a text.
    pub fn push(&mut self, lane: Lane, account: AccountId, segments: u32) -> Ticket {
        self.arrivals += 1;
        let ticket = Ticket { lane, account, number: self.arrivals };
        self.waiting.insert(ticket, segments);
        ticket
    }

    /// The text whose turn it is at `now`, taken out of the queue.
    pub fn pop(&mut self, now: Instant) -> Option<Ticket> {
        let ticket = self.next().filter(|_| self.booked <= now)?;
        let segments = self.waiting.remove(&ticket)?;
        self.served.insert(ticket.lane, ticket.account);
        self.book(now, segments);
        Some(ticket)
    }

    /// When the next text may leave; `None` when nobody waits.
    pub fn next_at(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then_some(self.booked)
    }

    /// Gives up a place; whether it was still held.
    pub fn leave(&mut self, ticket: Ticket) -> bool {
        self.waiting.remove(&ticket).is_some()
    }

    /// Nothing leaves before `until`.
    pub fn back_off(&mut self, until: Instant) {
        self.booked = self.booked.max(until);
    }

    fn next(&self) -> Option<Ticket> {
        let first = *self.waiting.first_key_value()?.0;
        let Some(&account) = self.served.get(&first.lane) else { return Some(first) };
        let after = Ticket { account, number: u64::MAX, ..first };
        let next = self.waiting.range((Excluded(after), Unbounded)).next();
        next.map(|(ticket, _)| *ticket).filter(|ticket| ticket.lane == first.lane).or(Some(first))
    }

    /// Books `segments` from the first free instant on.
    fn book(&mut self, now: Instant, segments: u32) {
        let start = self.booked.max(now - SLACK);
        self.booked = Instant(start.0 + self.micros_per_segment * i64::from(segments));
    }

    /// Takes back a booking that was not used.
    fn give_back(&mut self, segments: u32) {
        self.booked = Instant(self.booked.0 - self.micros_per_segment * i64::from(segments));
    }
}

/// Rounded up: rather up to a microsecond per segment too slow than any too fast.
fn micros_per_segment(segments_per_second: u32) -> i64 {
    i64::from(1_000_000_u32.div_ceil(segments_per_second.max(1)))
}

/// A sender's pace.
#[derive(Debug)]
pub struct Throttle(Mutex<Line>);

#[derive(Debug)]
struct Line {
    queue: Queue,
    /// How each waiting text is called.
    calls: HashMap<Ticket, Arc<Notify>>,
    /// Who sleeps until the sender is free. There is one whenever somebody waits.
    keeper: Option<Ticket>,
    /// The furthest instant known to be over. It does not go back when the clock is set back, and
    /// goes on while a test's clock stands still.
    reached: Instant,
}

/// What a waiting text does next.
enum Step {
    Leave,
    /// As keeper, until the sender is free or a call comes.
    Sleep {
        from: Instant,
        until: Instant,
    },
    AwaitCall,
}

impl Throttle {
    /// A pace of `segments_per_second` (at least 1).
    pub fn new(segments_per_second: u32) -> Self {
        Self(Mutex::new(Line {
            queue: Queue::new(segments_per_second),
            calls: HashMap::new(),
            keeper: None,
            reached: Instant(0),
        }))
    }

    /// Ends when it is the turn of this text of `segments`, which then leaves at once. Dropped
    /// earlier, it gives up its place.
    pub async fn turn(&self, clock: &dyn Clock, lane: Lane, account: AccountId, segments: u32) {
        let Some(mut place) = self.queue_up(clock.now(), lane, account, segments) else {
            return;
        };
        loop {
            let step = self.lock().step(clock.now(), place.ticket);
            match step {
                Step::Leave => break,
                Step::AwaitCall => place.call.notified().await,
                Step::Sleep { from, until } => {
                    let began = tokio::time::Instant::now();
                    if timeout(until.since(from), place.call.notified()).await.is_err() {
                        self.lock().reach(from + began.elapsed());
                    }
                }
            }
        }
        place.has_left = true;
    }

    /// Nothing leaves for `span` from `now` on: the carrier asked for it (HTTP 429).
    pub fn back_off(&self, now: Instant, span: Duration) {
        let mut line = self.lock();
        let until = line.reach(now) + span;
        line.queue.back_off(until);
    }

    fn set_pace(&self, segments_per_second: u32) {
        let mut line = self.lock();
        line.queue.micros_per_segment = micros_per_segment(segments_per_second);
    }

    /// `None` when the text may leave at once.
    fn queue_up(
        &self,
        now: Instant,
        lane: Lane,
        account: AccountId,
        segments: u32,
    ) -> Option<Place<'_>> {
        let mut line = self.lock();
        let now = line.reach(now);
        if line.queue.pass(now, segments) {
            return None;
        }
        let ticket = line.queue.push(lane, account, segments);
        let call = Arc::new(Notify::new());
        line.calls.insert(ticket, Arc::clone(&call));
        Some(Place { throttle: self, ticket, segments, call, has_left: false })
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.0.lock().expect("no panic while the lock is held")
    }
}

impl Line {
    fn reach(&mut self, now: Instant) -> Instant {
        self.reached = self.reached.max(now);
        self.reached
    }

    fn step(&mut self, now: Instant, me: Ticket) -> Step {
        if !self.calls.contains_key(&me) {
            return Step::Leave;
        }
        if *self.keeper.get_or_insert(me) != me {
            return Step::AwaitCall;
        }
        let now = self.reach(now);
        while let Some(ticket) = self.queue.pop(now) {
            // Who is called needs no call any more.
            if let Some(call) = self.calls.remove(&ticket) {
                call.notify_one();
            }
        }
        if self.calls.contains_key(&me) {
            return Step::Sleep { from: now, until: self.queue.booked };
        }
        self.hand_over();
        Step::Leave
    }

    /// Makes who is next the keeper.
    fn hand_over(&mut self) {
        self.keeper = self.queue.next();
        self.call_keeper();
    }

    fn call_keeper(&self) {
        if let Some(call) = self.keeper.and_then(|keeper| self.calls.get(&keeper)) {
            call.notify_one();
        }
    }
}

/// A text's place in the line, given up when dropped.
struct Place<'a> {
    throttle: &'a Throttle,
    ticket: Ticket,
    segments: u32,
    call: Arc<Notify>,
    has_left: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.has_left {
            return;
        }
        let mut line = self.throttle.lock();
        line.calls.remove(&self.ticket);
        if !line.queue.leave(self.ticket) {
            // It was called and will not leave: somebody else may, sooner than the keeper thinks.
            line.queue.give_back(self.segments);
            line.call_keeper();
        } else if line.keeper == Some(self.ticket) {
            line.hand_over();
        }
    }
}

/// The throttles of all senders.
#[derive(Debug, Default)]
pub struct Throttles(Mutex<HashMap<String, Arc<Throttle>>>);

impl Throttles {
    /// The throttle of the sender with this address, from now on at this pace.
    pub fn of(&self, address: &str, segments_per_second: u32) -> Arc<Throttle> {
        let mut all = self.0.lock().expect("no panic while the lock is held");
        if let Some(throttle) = all.get(address) {
            throttle.set_pace(segments_per_second);
            return Arc::clone(throttle);
        }
        let throttle = Arc::new(Throttle::new(segments_per_second));
        all.insert(address.to_owned(), Arc::clone(&throttle));
        throttle
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::Poll;

    use domain::seam::VirtualClock;
    use tokio::task::JoinHandle;

    use super::*;

    const START: Instant = Instant(1_795_225_200_000_000);

    fn at(millis: u64) -> Instant {
        START + Duration::from_millis(millis)
    }

    fn accounts(queue: &mut Queue, texts: usize) -> Vec<i64> {
        let mut popped = Vec::new();
        while popped.len() < texts {
            let now = queue.next_at().expect("somebody waits");
            popped.push(queue.pop(now).expect("it is free").account.0);
        }
        popped
    }

    #[test]
    fn an_hour_of_a_long_code_is_3600_segments_in_every_lane() {
        let mut queue = Queue::new(1);
        let mut sizes = BTreeMap::new();
        let mut left: Vec<(Instant, u32)> = Vec::new();
        let (mut now, mut texts) = (START, 0u32);
        while now.since(START) < Duration::from_secs(3600) {
            while sizes.len() < 10 {
                let lane = Lane::ALL[usize::try_from(texts).unwrap() % Lane::ALL.len()];
                let size = 1 + texts % 3;
                sizes.insert(queue.push(lane, AccountId(i64::from(texts % 7)), size), size);
                texts += 1;
            }
            match queue.pop(now) {
                Some(ticket) => left.push((now, sizes.remove(&ticket).unwrap())),
                None => now = queue.next_at().unwrap(),
            }
        }
        let segments: u32 = left.iter().map(|(_, size)| size).sum();
        assert!((3420..=3780).contains(&segments), "{segments}");
        for pair in left.windows(2) {
            let gap = pair[1].0.since(pair[0].0) + SLACK;
            assert!(gap >= Duration::from_secs(pair[0].1.into()), "{pair:?}");
        }
    }

    #[test]
    fn a_silent_sender_catches_up_little() {
        let mut queue = Queue::new(1000);
        let at_once = (0..100).take_while(|_| queue.pass(START, 1)).count();
        assert_eq!(at_once, 21);
        let ticket = queue.push(Lane::Code, AccountId(1), 1);
        assert_eq!(queue.next_at(), Some(at(1)));
        assert_eq!(queue.pop(START), None);
        // Who comes later does not overtake.
        assert!(!queue.pass(at(1), 1));
        assert_eq!(queue.pop(at(1)), Some(ticket));
        assert_eq!(queue.next_at(), None);
    }

    #[test]
    fn paces_are_never_exceeded_by_rounding() {
        for (segments_per_second, expected) in
            [(0, 1_000_000), (1, 1_000_000), (3, 333_334), (100, 10_000), (7_000_000, 1)]
        {
            assert_eq!(micros_per_segment(segments_per_second), expected);
        }
    }

    #[test]
    fn lanes_go_before_accounts_and_accounts_before_arrival() {
        let mut queue = Queue::new(1);
        for _ in 0..10_000 {
            queue.push(Lane::Campaign, AccountId(1), 1);
        }
        accounts(&mut queue, 5);
        let later = queue.push(Lane::Reminder, AccountId(1), 1);
        let code = queue.push(Lane::Code, AccountId(9), 1);
        let same_lane = queue.push(Lane::Reminder, AccountId(1), 1);
        let other = queue.push(Lane::Reminder, AccountId(0), 1);
        let order: Vec<Ticket> =
            (0..4).map(|_| queue.pop(queue.next_at().unwrap()).unwrap()).collect();
        assert_eq!(order, [code, other, later, same_lane]);
        assert_eq!(queue.pop(queue.next_at().unwrap()).unwrap().lane, Lane::Campaign);
    }

    #[test]
    fn accounts_of_one_lane_leave_in_turns() {
        let mut queue = Queue::new(100);
        let mut waiting = BTreeMap::from([(1, 1000), (2, 10), (3, 100)]);
        for (&account, &texts) in &waiting {
            for _ in 0..texts {
                queue.push(Lane::Campaign, AccountId(account), 1);
            }
        }
        let mut rounds = accounts(&mut queue, 1110).into_iter().peekable();
        while rounds.peek().is_some() {
            // In each round, everybody who still waits has one turn.
            let round: Vec<i64> = rounds.by_ref().take(waiting.len()).collect();
            assert!(waiting.keys().eq(round.iter()), "{round:?}");
            waiting.retain(|_, texts| {
                *texts -= 1;
                *texts > 0
            });
        }
        assert_eq!(queue.next_at(), None);
    }

    #[test]
    fn who_gives_up_blocks_nobody() {
        let mut queue = Queue::new(1);
        let tickets: Vec<Ticket> =
            (0..5).map(|_| queue.push(Lane::Reply, AccountId(1), 1)).collect();
        assert!(queue.leave(tickets[0]) && queue.leave(tickets[2]) && queue.leave(tickets[4]));
        assert!(!queue.leave(tickets[0]));
        assert_eq!(queue.pop(at(0)), Some(tickets[1]));
        assert_eq!(queue.pop(at(980)), Some(tickets[3]));
        assert!(!queue.leave(tickets[3]));
        assert_eq!(queue.pop(at(5000)), None);
        // What was booked for nothing is free again.
        queue.give_back(1);
        assert!(queue.pass(at(981), 1));
    }

    #[test]
    fn a_throttled_sender_is_silent_for_as_long() {
        let mut queue = Queue::new(100);
        let ticket = queue.push(Lane::Code, AccountId(1), 1);
        queue.back_off(at(5000));
        queue.back_off(at(2000));
        assert_eq!(queue.next_at(), Some(at(5000)));
        assert_eq!(queue.pop(at(4999)), None);
        assert_eq!(queue.pop(at(5000)), Some(ticket));
    }

    type Turn<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

    /// A sender of one segment per second that has just sent one, on a clock that stands still.
    struct Stage {
        clock: VirtualClock,
        throttle: Throttle,
    }

    impl Stage {
        fn new() -> Self {
            let stage = Self { clock: VirtualClock::at(START), throttle: Throttle::new(1) };
            assert!(stage.throttle.queue_up(START, Lane::Code, AccountId(1), 1).is_none());
            stage
        }

        fn turn(&self, lane: Lane, segments: u32) -> Turn<'_> {
            Box::pin(self.throttle.turn(&self.clock, lane, AccountId(1), segments))
        }

        /// A second later, without the keeper's timer.
        fn next_second(&self) {
            self.clock.advance(Duration::from_secs(1));
            self.throttle.lock().call_keeper();
        }

        fn is_empty(&self) -> bool {
            let line = self.throttle.lock();
            line.calls.is_empty() && line.keeper.is_none() && line.queue.next_at().is_none()
        }
    }

    async fn is_over(turn: &mut Turn<'_>) -> bool {
        poll_fn(|context| Poll::Ready(turn.as_mut().poll(context).is_ready())).await
    }

    #[tokio::test]
    async fn the_keeper_calls_who_is_next_and_hands_over_when_it_leaves() {
        let stage = Stage::new();
        let (mut campaign, mut reply, mut code) =
            (stage.turn(Lane::Campaign, 1), stage.turn(Lane::Reply, 1), stage.turn(Lane::Code, 1));
        for turn in [&mut campaign, &mut reply, &mut code] {
            assert!(!is_over(turn).await);
        }
        stage.next_second();
        assert!(!is_over(&mut campaign).await);
        assert!(!is_over(&mut reply).await);
        assert!(is_over(&mut code).await);
        // A second has room for one.
        assert!(!is_over(&mut campaign).await);
        assert!(!is_over(&mut reply).await);
        stage.next_second();
        assert!(!is_over(&mut campaign).await);
        assert!(is_over(&mut reply).await);
        assert!(!is_over(&mut campaign).await);
        stage.next_second();
        assert!(is_over(&mut campaign).await);
        assert!(stage.is_empty());
    }

    #[tokio::test]
    async fn a_dropped_keeper_and_an_uncalled_waiter_lose_nobodys_turn() {
        let stage = Stage::new();
        let mut turns: Vec<Turn> = (0..4).map(|_| stage.turn(Lane::Reply, 1)).collect();
        for turn in &mut turns {
            assert!(!is_over(turn).await);
        }
        // The first is keeper, the third only waits.
        drop(turns.remove(2));
        drop(turns.remove(0));
        stage.next_second();
        assert!(!is_over(&mut turns[1]).await);
        assert!(is_over(&mut turns[0]).await);
        stage.next_second();
        assert!(is_over(&mut turns[1]).await);
        assert!(stage.is_empty());
    }

    #[tokio::test]
    async fn who_was_called_and_does_not_leave_gives_back_what_was_booked() {
        let stage = Stage::new();
        let (mut keeper, mut code) = (stage.turn(Lane::Campaign, 1), stage.turn(Lane::Code, 60));
        assert!(!is_over(&mut keeper).await);
        assert!(!is_over(&mut code).await);
        stage.next_second();
        assert!(!is_over(&mut keeper).await);
        drop(code);
        assert!(is_over(&mut keeper).await);
        assert!(stage.is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn with_timers_and_threads_everybody_who_stays_leaves() {
        let clock = Arc::new(VirtualClock::at(START));
        let throttles = Throttles::default();
        let throttle = throttles.of("+13125550100", 1);
        assert!(Arc::ptr_eq(&throttle, &throttles.of("+13125550100", 5000)));
        let turns: Vec<_> = (0..600)
            .map(|n| {
                let (throttle, clock) = (Arc::clone(&throttle), Arc::clone(&clock));
                let lane = Lane::ALL[n % Lane::ALL.len()];
                let account = AccountId(i64::try_from(n % 5).unwrap());
                tokio::spawn(async move { throttle.turn(&*clock, lane, account, 1).await })
            })
            .collect();
        turns.iter().step_by(3).for_each(JoinHandle::abort);
        throttle.back_off(START, Duration::from_millis(30));
        for (n, turn) in turns.into_iter().enumerate() {
            let ended = turn.await;
            assert!(ended.is_ok() || n % 3 == 0, "{n}: {ended:?}");
        }
        assert!(throttle.lock().calls.is_empty());
        assert_eq!(throttle.lock().queue.next_at(), None);
    }
}
