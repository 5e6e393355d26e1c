//! Faults that tests ask for: a chosen commit is not done, or is done and its acknowledgement
//! lost. Beside that, every statement waits once before it is sent, so that whoever drives a flow
//! by hand finds the same places to stop at in every run. Only the feature `faults` compiles this;
//! no program that is shipped has it.

use std::future::{Future, pending, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use super::{Error, Result};

/// What becomes of a chosen commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitFault {
    /// The database does it; else it is rolled back.
    pub done: bool,
    /// Its caller is told that it failed; else it is told nothing any more, as by a process that
    /// ends there.
    pub answered: bool,
}

/// What tests plan for a database's commits, and what they learn of its transactions.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    planned: Option<(u64, CommitFault)>,
    struck: bool,
    commits: u64,
    steps: u64,
    open: usize,
}

impl Faults {
    /// Counts from here on; the `nth` commit, from 1, has this fault.
    pub fn plan(&self, fault: Option<(u64, CommitFault)>) {
        let mut seen = self.seen();
        *seen = Seen { planned: fault, open: seen.open, ..Seen::default() };
    }

    /// What was planned has happened.
    pub fn has_struck(&self) -> bool {
        self.seen().struck
    }

    /// Steps that were begun.
    pub fn steps(&self) -> u64 {
        self.seen().steps
    }

    /// Writing transactions that are open now.
    pub fn open(&self) -> usize {
        self.seen().open
    }

    /// Counts a step and waits once before it. Every statement and commit is one; whatever else
    /// stands for the outside in a test may call it too.
    pub async fn step(&self) {
        self.seen().steps += 1;
        let mut waited = false;
        poll_fn(|context| {
            if std::mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().expect("no panic while the lock is held")
    }

    /// The fault of the commit that begins now.
    fn strike(&self) -> Option<CommitFault> {
        let mut seen = self.seen();
        seen.commits += 1;
        let nth = seen.commits;
        seen.planned.take_if(|(planned, _)| *planned == nth).map(|(_, fault)| fault)
    }
}

/// A watched transaction.
pub(super) struct Watch {
    faults: Faults,
    writes: usize,
}

impl Watch {
    pub(super) fn new(faults: &Faults, writes: bool) -> Self {
        let writes = usize::from(writes);
        faults.seen().open += writes;
        Self { faults: faults.clone(), writes }
    }

    pub(super) async fn step(&self) {
        self.faults.step().await;
    }

    /// Does what is planned for this commit, which rolls back when it is dropped unbegun.
    pub(super) async fn commit(&self, commit: impl Future<Output = Result<()>>) -> Result<()> {
        self.step().await;
        let Some(fault) = self.faults.strike() else { return commit.await };
        if fault.done {
            commit.await?;
        } else {
            drop(commit);
        }
        self.faults.seen().struck = true;
        if !fault.answered {
            pending::<()>().await;
        }
        Err(Error::Engine(sqlx::Error::Io(std::io::Error::other("a commit without its answer"))))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.faults.seen().open -= self.writes;
    }
}
