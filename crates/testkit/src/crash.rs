//! Crashes on purpose: a flow's future is driven by hand and dropped, at each of its polls in turn.
//!
//! A process that is killed stops somewhere between two steps of what it does; a dropped future
//! stops there too, and nothing of it ever runs again. [`crash_at_every_await`] tries a flow again
//! and again, dropped after its first poll, after its second …, until it runs to its end: every
//! place at which it waits for something is a crash point. Polls count only when the flow itself
//! asked for them, so that other tasks of the runtime do not stretch the numbers.
//!
//! What is spawned lives on and is not reached; drive the function behind the task instead.

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// A flow that needs more polls waits for something that never comes.
const POLLS_MAX: u64 = 20_000;

/// How far flows may go.
#[derive(Debug)]
pub struct Fuse {
    polls_left: u64,
    has_blown: bool,
    was_lit: bool,
}

impl Fuse {
    /// A fuse that blows after so many polls.
    pub const fn of(polls: u64) -> Self {
        Self { polls_left: polls, has_blown: false, was_lit: false }
    }

    /// A fuse for a flow that is not counted, only watched.
    pub const fn long() -> Self {
        Self::of(POLLS_MAX)
    }

    /// A flow was dropped.
    pub const fn has_blown(&self) -> bool {
        self.has_blown
    }

    /// Drives `flow` and drops it, unended, when the fuse blows: after its last poll, or after the
    /// first one behind which `is_over` holds, which is asked after each. Several flows may burn
    /// one fuse, one after another.
    pub async fn drive<F: Future>(
        &mut self,
        flow: F,
        is_over: impl Fn() -> bool,
    ) -> Option<F::Output> {
        self.was_lit = true;
        if self.has_blown {
            return None;
        }
        let mut flow = Box::pin(flow);
        let bell = Arc::new(Bell { has_rung: AtomicBool::new(true), outside: Mutex::default() });
        let waker = Waker::from(Arc::clone(&bell));
        let end = poll_fn(|outside| {
            bell.listen(outside.waker());
            if !bell.has_rung.swap(false, Ordering::SeqCst) {
                return Poll::Pending;
            }
            self.polls_left = self.polls_left.saturating_sub(1);
            match flow.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(end) => Poll::Ready(Some(end)),
                Poll::Pending if is_over() || self.polls_left == 0 => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        self.has_blown = end.is_none();
        drop(flow);
        end
    }
}

/// Wakes the task that drives a flow, and remembers that the flow wanted it.
struct Bell {
    has_rung: AtomicBool,
    outside: Mutex<Option<Waker>>,
}

impl Bell {
    fn listen(&self, outside: &Waker) {
        *self.outside.lock().expect("no panic while the lock is held") = Some(outside.clone());
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.has_rung.store(true, Ordering::SeqCst);
        let outside = self.outside.lock().expect("no panic while the lock is held").clone();
        if let Some(outside) = outside {
            outside.wake();
        }
    }
}

/// Runs `trial` with a fuse of one poll, of two, of three … until what it drives runs to its end.
/// A trial prepares a world of its own, drives a flow in it, and checks what the crash left; the
/// answer is how many crashed.
pub async fn crash_at_every_await(mut trial: impl AsyncFnMut(&mut Fuse)) -> u64 {
    for polls in 1..POLLS_MAX {
        let mut fuse = Fuse::of(polls);
        trial(&mut fuse).await;
        assert!(fuse.was_lit, "the trial drives no flow");
        if !fuse.has_blown {
            return polls - 1;
        }
    }
    panic!("the flow did not end within {POLLS_MAX} polls");
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// Waits once, as for an answer.
    async fn pause() {
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

    #[tokio::test]
    async fn every_place_at_which_a_flow_waits_is_a_crash_point() {
        let reached = RefCell::new(Vec::new());
        let points = crash_at_every_await(async |fuse| {
            let steps = Cell::new(0);
            let flow = async {
                for _ in 0..3 {
                    steps.set(steps.get() + 1);
                    pause().await;
                }
            };
            fuse.drive(flow, || false).await;
            reached.borrow_mut().push((steps.get(), fuse.has_blown()));
        });
        assert_eq!(points.await, 3);
        assert_eq!(*reached.borrow(), [(1, true), (2, true), (3, true), (3, false)]);
    }

    #[tokio::test]
    async fn a_dropped_flow_is_gone_when_the_crash_is_looked_at() {
        let held = Arc::new(());
        let inside = Arc::clone(&held);
        let mut fuse = Fuse::of(1);
        let flow = async move {
            pause().await;
            drop(inside);
        };
        assert_eq!(fuse.drive(flow, || false).await, None);
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(fuse.drive(async { 7 }, || false).await, None, "a blown fuse lets nothing pass");
    }

    #[tokio::test]
    async fn several_flows_burn_one_fuse() {
        let points = crash_at_every_await(async |fuse| {
            for _ in 0..2 {
                fuse.drive(pause(), || false).await;
            }
        });
        assert_eq!(points.await, 3, "one wait each, and one poll that ends the first");
    }

    #[tokio::test]
    async fn a_flow_ends_where_it_is_told_to() {
        let steps = Cell::new(0);
        let flow = async {
            loop {
                steps.set(steps.get() + 1);
                pause().await;
            }
        };
        assert_eq!(Fuse::long().drive::<_>(flow, || steps.get() == 5).await, None::<()>);
        assert_eq!(steps.get(), 5);
    }

    #[tokio::test]
    async fn wakes_from_elsewhere_are_not_counted() {
        let mut fuse = Fuse::of(3);
        let flow = fuse.drive(std::future::pending::<()>(), || false);
        let mut flow = Box::pin(flow);
        for _ in 0..10 {
            let mut context = Context::from_waker(Waker::noop());
            assert!(flow.as_mut().poll(&mut context).is_pending());
        }
        drop(flow);
        assert_eq!(fuse.polls_left, 2);
    }
}
