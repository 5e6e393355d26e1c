//! One flow under every mishap: its process dies at each of its polls, and each of its commits is
//! lost in every way there is.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use store::CommitFault;
use testkit::crash::{Fuse, crash_at_every_await};

use crate::shop::{Death, Shop};
use crate::town::Town;

/// The ways in which a commit is lost.
const FAULTS: [CommitFault; 4] = [
    CommitFault { done: false, answered: false },
    CommitFault { done: true, answered: false },
    CommitFault { done: false, answered: true },
    CommitFault { done: true, answered: true },
];

/// What happens to the flow of one trial.
#[derive(Clone, Copy)]
enum Mishap {
    /// Its process dies after so many polls.
    Poll(u64),
    /// Its process dies at this step, from 1.
    Step(u64),
    /// This commit, counted from 1, has a fault. Where nobody is answered, the process dies there;
    /// else it lives on and believes that the commit failed.
    Commit(u64, CommitFault),
}

/// One run of a flow, in an account of its own.
pub struct Trial<'a> {
    pub shop: Shop<'a>,
    mishap: Mishap,
    fuse: Cell<Option<&'a mut Fuse>>,
    seen: Cell<Seen>,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    /// The process died, and where.
    died: Option<Place>,
    /// Steps the flow took.
    steps: u64,
    /// The planned fault happened.
    struck: bool,
}

#[derive(Clone, Copy)]
struct Place {
    step: u64,
    is_inside_transaction: bool,
}

/// What must at least be tried, so that a suite that tries nothing fails.
#[derive(Clone, Copy)]
pub struct Least {
    pub points: u64,
    pub inside: u64,
    pub commits: u64,
}

#[derive(Default)]
struct Tried {
    points: u64,
    inside: u64,
    commits: u64,
    steps: BTreeSet<u64>,
}

impl Tried {
    fn note(&mut self, seen: Seen) {
        if let Some(place) = seen.died {
            self.points += 1;
            self.inside += u64::from(place.is_inside_transaction);
            self.steps.insert(place.step);
        }
    }
}

impl Trial<'_> {
    /// Drives the flow into its mishap. When its process dies, `None`, and another one has begun.
    /// A trial drives one flow.
    pub async fn run<F: Future>(&self, flow: F) -> Option<F::Output> {
        let faults = self.shop.town.db.faults();
        let fuse = self.fuse.take().expect("a trial drives one flow");
        let (fault, last_step) = match self.mishap {
            Mishap::Poll(_) => (None, u64::MAX),
            Mishap::Step(step) => (None, step),
            Mishap::Commit(nth, fault) => (Some((nth, fault)), u64::MAX),
        };
        let dies = fault.is_some_and(|(_, fault)| !fault.answered);
        faults.plan(fault);
        let place = Cell::new(None);
        let end = fuse.drive(flow, || {
            let (step, is_inside_transaction) = (faults.steps(), faults.open() > 0);
            place.set(Some(Place { step, is_inside_transaction }));
            step >= last_step || dies && faults.has_struck()
        });
        let end = end.await;
        let died = if end.is_none() { place.get() } else { None };
        self.seen.set(Seen { died, steps: faults.steps(), struck: faults.has_struck() });
        faults.plan(None);
        if end.is_none() {
            self.shop.die();
        }
        end
    }
}

impl fmt::Display for Mishap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poll(polls) => write!(f, "a process that dies after {polls} polls"),
            Self::Step(step) => write!(f, "a process that dies at step {step}"),
            Self::Commit(nth, fault) => write!(f, "commit {nth}, {fault:?}"),
        }
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was the trial of {}", self.mishap);
        }
    }
}

impl Town {
    /// Runs `trial` once for every mishap, and says how many there were.
    pub async fn endure(
        &self,
        flow: &str,
        death: Death,
        least: Least,
        trial: impl AsyncFn(&Trial<'_>),
    ) {
        let mut tried = Tried::default();
        let (mut polls, mut steps) = (0, 0);
        let points = crash_at_every_await(async |fuse| {
            polls += 1;
            let seen = self.try_one(Mishap::Poll(polls), death, fuse, &trial).await;
            tried.note(seen);
            steps = seen.steps;
        });
        points.await;
        // An engine that answered quickly may have hurried a trial past some step; not this time.
        for step in (1..=steps).filter(|step| !tried.steps.contains(step)).collect::<Vec<_>>() {
            let mishap = Mishap::Step(step);
            tried.note(self.try_one(mishap, death, &mut Fuse::long(), &trial).await);
        }
        for nth in 1.. {
            let mut struck = false;
            for fault in FAULTS {
                let mishap = Mishap::Commit(nth, fault);
                let seen = self.try_one(mishap, death, &mut Fuse::long(), &trial).await;
                struck |= seen.struck;
            }
            if !struck {
                break;
            }
            tried.commits += 1;
        }
        let Tried { points, inside, commits, .. } = tried;
        let engine = self.engine();
        println!(
            "{flow}{death}: {points} crash points on {engine}, {inside} of them inside a \
             transaction; each of {commits} commits lost in {} ways",
            FAULTS.len()
        );
        assert!(points >= least.points, "{points} crash points are too few");
        assert!(inside >= least.inside, "{inside} crash points inside a transaction are too few");
        assert!(commits >= least.commits, "{commits} commits are too few");
    }

    async fn try_one(
        &self,
        mishap: Mishap,
        death: Death,
        fuse: &mut Fuse,
        trial: &impl AsyncFn(&Trial<'_>),
    ) -> Seen {
        let shop = self.shop(death).await;
        let one = Trial { shop, mishap, fuse: Cell::new(Some(fuse)), seen: Cell::default() };
        trial(&one).await;
        one.seen.get()
    }
}
