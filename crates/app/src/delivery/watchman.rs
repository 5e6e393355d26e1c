//! The watchman: everything that must be looked at again and again beside the sending: texts whose
//! fate is unknown, orphans at the carriers, texts without final news, what dead processes left.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::instant::Instant;
use tokio::sync::Notify;

use super::dispatch::Desk;
use super::{orphans, poll, reconcile};

/// Unknown texts are looked for this often, those that are due.
const RECONCILE: Duration = Duration::from_millis(500);
/// The carriers' lists are swept this often, or twice in the transit bound if that is shorter.
const SWEEP_MAX: Duration = Duration::from_secs(60);
/// Texts without final news are looked for this often.
const POLL: Duration = Duration::from_secs(5);
/// What dead processes left is cleared this often.
const CLEAR: Duration = Duration::from_secs(300);

/// Runs until `desk.stopping` is set. `call` wakes the worker when there is something to send.
pub async fn run(desk: Arc<Desk>, call: Arc<Notify>) {
    let sweep = (desk.bounds.transit / 2).clamp(Duration::from_secs(1), SWEEP_MAX);
    let start = desk.clock.now();
    let (mut next_sweep, mut next_poll, mut next_clear) = (start + sweep, start + POLL, start);
    let mut polls = poll::Polls::default();
    while !desk.stopping.load(Ordering::Relaxed) {
        let now = desk.clock.now();
        match reconcile::look(&desk).await {
            Ok(0) => {}
            Ok(_) => call.notify_one(),
            Err(error) => warn("reconcile", &error),
        }
        if is_due(&mut next_sweep, now, sweep)
            && let Err(error) = orphans::look(&desk).await
        {
            warn("orphans", &error);
        }
        if is_due(&mut next_poll, now, POLL)
            && let Err(error) = poll::look(&desk, &mut polls).await
        {
            warn("poll", &error);
        }
        if is_due(&mut next_clear, now, CLEAR) {
            clear(&desk).await;
        }
        tokio::time::sleep(RECONCILE).await;
    }
}

fn is_due(next: &mut Instant, now: Instant, every: Duration) -> bool {
    let due = now >= *next;
    if due {
        *next = now + every;
    }
    due
}

fn warn(component: &'static str, error: &dyn std::fmt::Display) {
    tracing::warn!(component, %error, "will be tried again");
}

/// The logs of dead processes prove nothing any more once no chunk of theirs is open.
async fn clear(desk: &Desk) {
    let open = async {
        let mut tx = desk.db.read().await?;
        store::sweep::streams_with_open_chunks(&mut tx, 1).await
    };
    let idle = open.await.is_ok_and(|places| places.is_empty());
    if idle && let Err(error) = desk.wire_logs.clear_dead() {
        warn("wire_log", &error);
    }
}
