//! Conversations keep their order: an account's single texts to one phone leave one after the
//! other, in the order in which they were begun (CORE B7). Lists hold each phone once and need
//! none of this.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use domain::ids::AccountId;
use tokio::sync::Notify;

type Key = (AccountId, String);
type Queues = HashMap<Key, VecDeque<Arc<Notify>>>;

/// Who is texting whom right now.
#[derive(Debug, Default)]
pub struct Conversations(Arc<Mutex<Queues>>);

/// A text's place behind those that were begun before it; given up when dropped.
#[derive(Debug)]
pub struct Turn {
    queues: Arc<Mutex<Queues>>,
    key: Key,
    call: Arc<Notify>,
}

fn lock(queues: &Mutex<Queues>) -> MutexGuard<'_, Queues> {
    queues.lock().expect("no panic while the lock is held")
}

impl Conversations {
    /// Takes the next place in a conversation.
    pub fn join(&self, account: AccountId, phone: &str) -> Turn {
        let (key, call) = ((account, phone.to_owned()), Arc::new(Notify::new()));
        lock(&self.0).entry(key.clone()).or_default().push_back(Arc::clone(&call));
        Turn { queues: Arc::clone(&self.0), key, call }
    }
}

impl Turn {
    /// Returns when every text before this one was answered.
    pub async fn come(&self) {
        while !self.is_first() {
            self.call.notified().await;
        }
    }

    fn is_first(&self) -> bool {
        let queues = lock(&self.queues);
        let first = queues.get(&self.key).and_then(VecDeque::front);
        first.is_none_or(|first| Arc::ptr_eq(first, &self.call))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queues = lock(&self.queues);
        let Some(queue) = queues.get_mut(&self.key) else { return };
        queue.retain(|call| !Arc::ptr_eq(call, &self.call));
        match queue.front() {
            Some(next) => next.notify_one(),
            None => drop(queues.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn each_waits_for_those_before_it_and_for_nobody_else() {
        let all = Conversations::default();
        let account = AccountId(1);
        let first = all.join(account, "+1");
        let second = all.join(account, "+1");
        let third = all.join(account, "+1");
        let stranger = all.join(AccountId(2), "+1");
        assert!(first.come().now_or_never().is_some());
        assert!(stranger.come().now_or_never().is_some());
        assert!(third.come().now_or_never().is_none());
        // Who gives up lets the next one pass.
        drop(second);
        assert!(third.come().now_or_never().is_none());
        drop(first);
        assert!(third.come().now_or_never().is_some());
        drop((third, stranger));
        assert!(lock(&all.0).is_empty());
    }
}
