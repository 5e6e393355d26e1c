//! `ledgerline campaign watch`: a campaign followed live, from any process that reaches the
//! database.

use std::collections::VecDeque;
use std::time::Duration;

use domain::ids::{AccountId, StreamId};
use domain::instant::Instant;
use store::Db;
use store::wallets;

use super::failure::Result;
use super::outlet::answer;
use super::progress::{Live, View};
use super::workplace::Workplace;
use crate::flow::status::{Counts, campaign_status};

/// Between two looks.
pub const LOOK: Duration = Duration::from_millis(250);
/// The pace is that of this long.
const PACE_OVER: Duration = Duration::from_secs(3);

/// Follows a campaign until it pauses or is over.
pub async fn run(work: &Workplace, account: AccountId, id: StreamId) -> Result {
    let mut live = (!work.out.json).then(Live::new);
    let mut pace = Pace::default();
    let mut told = None;
    loop {
        let (mut view, now) = look(&work.db, account, id).await?;
        view.status.rate_per_second = pace.per_second(now, taken(&view.status.counts));
        match &mut live {
            Some(live) => live.show(&view, now.seconds())?,
            None if told.replace(now.seconds()) != Some(now.seconds()) => {
                answer(&view.status)?;
            }
            None => {}
        }
        if rests(view.status.state) {
            return match live {
                Some(live) => live.leave(&view),
                None => answer(&view.status),
            };
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// How a campaign and its wallet stand, and when that was.
pub async fn look(db: &Db, account: AccountId, id: StreamId) -> Result<(View, Instant)> {
    let mut tx = db.read().await?;
    let status = campaign_status(&mut tx, account, id, 0.0).await?;
    let available = wallets::wallet(&mut tx, account).await?.books.available;
    Ok((View { status, available }, tx.now()))
}

/// Nothing of it moves until somebody does something.
pub fn rests(state: &str) -> bool {
    matches!(state, "draft" | "ready" | "paused" | "completed" | "canceled" | "failed")
}

/// Texts the carrier has taken.
pub const fn taken(counts: &Counts) -> i64 {
    counts.sent + counts.delivered + counts.undelivered
}

/// How fast a count grows, seen from outside.
#[derive(Default)]
struct Pace(VecDeque<(Instant, i64)>);

impl Pace {
    fn per_second(&mut self, now: Instant, number: i64) -> f64 {
        while self.0.front().is_some_and(|(at, _)| now.since(*at) > PACE_OVER) {
            self.0.pop_front();
        }
        self.0.push_back((now, number));
        let Some((since, before)) = self.0.front() else { return 0.0 };
        let seconds = now.since(*since).as_secs_f64();
        if seconds < 0.2 {
            return 0.0;
        }
        f64::from(u32::try_from(number - before).unwrap_or(0)) / seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_of_the_last_seconds() {
        let mut pace = Pace::default();
        let rates: Vec<f64> = [(0, 0), (1000, 100), (2000, 200), (3000, 300), (6500, 300)]
            .map(|(millis, number)| pace.per_second(Instant(millis * 1000), number))
            .into();
        assert!((rates[1] - 100.0).abs() < 0.1 && (rates[3] - 100.0).abs() < 0.1, "{rates:?}");
        assert!(rates[4].abs() < 0.1, "{rates:?}");
    }
}
