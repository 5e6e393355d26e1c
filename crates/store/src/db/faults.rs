//! Faults that tests ask for: a chosen commit is not done, or is done and its acknowledgement
//! lost. Only the feature `faults` compiles this; no program that is shipped has it.

use std::future::{Future, pending};
use std::sync::{Arc, Mutex, MutexGuard};

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
    commits: u64,
    open: usize,
}

impl Faults {
    /// Counts commits from here on; the `nth` of them, from 1, has this fault.
    pub fn plan(&self, fault: Option<(u64, CommitFault)>) {
        let mut seen = self.seen();
        (seen.planned, seen.commits) = (fault, 0);
    }

    /// Commits that were begun since [`Self::plan`].
    pub fn commits(&self) -> u64 {
        self.seen().commits
    }

    /// The planned fault is still to come.
    pub fn is_pending(&self) -> bool {
        self.seen().planned.is_some()
    }

    /// Writing transactions that are open now.
    pub fn open(&self) -> usize {
        self.seen().open
    }

    /// Counts a transaction as open for as long as the answer lives.
    pub(super) fn watch(&self) -> Watch {
        self.seen().open += 1;
        Watch(self.clone())
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
pub(super) struct Watch(Faults);

impl Watch {
    /// Does what is planned for this commit, which rolls back when it is dropped unbegun.
    pub(super) async fn commit(&self, commit: impl Future<Output = Result<()>>) -> Result<()> {
        let Some(fault) = self.0.strike() else { return commit.await };
        if fault.done {
            commit.await?;
        } else {
            drop(commit);
        }
        if !fault.answered {
            pending::<()>().await;
        }
        Err(Error::Engine(sqlx::Error::Io(std::io::Error::other("a commit without its answer"))))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.seen().open -= 1;
    }
}
