//! Nothing is killed any more, the carrier behaves, there are credits enough: everything must come
//! to its end now.

use std::time::Duration;

use domain::ids::AccountId;
use domain::message::State;
use serde_json::Value;
use store::{Db, audit, messages, streams};
use tokio::time::{Instant, sleep};

use super::board::look;
use super::call::{ANSWER_MAX, Ask};
use super::faults::fair_weather;
use super::rig::Rig;
use super::scene::Scene;
use crate::entry::cli::failure::Result;

/// The longest that everything may take to be decided,
const SETTLE_MAX: Duration = Duration::from_secs(1800);
/// and the longest without any news: longer than a text may wait for its next attempt (300 s), or,
/// when none waits, than an unknown text may stay unknown.
const NEWS_MAX: Duration = Duration::from_secs(330);
const NEWS_MAX_NONE_WAITS: Duration = Duration::from_secs(150);
const LOOK: Duration = Duration::from_millis(300);
/// Credits beyond the last text, so that the end never waits for credits.
const CREDITS_TO_SPARE: i64 = 1000;

/// Waits until every text is decided, or until nothing moves any more.
pub async fn settle(rig: &mut Rig, scene: &Scene, db: &Db) -> Result {
    let (until, mut news) = (Instant::now() + SETTLE_MAX, News::default());
    rig.set_knobs(fair_weather()).await?;
    let missing = scene.texts() + CREDITS_TO_SPARE - scene.told.borrow().granted;
    if missing > 0 {
        scene.grant(missing, "the rest").await?;
    }
    let mut resumes = 0;
    while Instant::now() < until {
        rig.keep_up().await?;
        let status = look(scene).await.unwrap_or_default();
        if status["state"] == "paused" && status["pause_reason"] == "operator" {
            resumes += 1;
            let path = scene.campaign_path("/resume");
            let key = format!("resume-at-last-{resumes}");
            scene.api.insist(&Ask::post(&path, b"{}").once(&key), ANSWER_MAX).await?;
        }
        let open = Open::count(db, scene.account).await?;
        scene.share_done.set(open.share_decided(scene.texts()));
        let all_decided = open == Open::default() && status["state"] == "completed";
        if all_decided && is_quiet(rig).await? || news.are_none(&status, open) {
            break;
        }
        sleep(LOOK).await;
    }
    scene.over.set(true);
    Ok(())
}

/// Texts of all streams that have not come to an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Open {
    untouched: i64,
    waiting: i64,
    reserved: i64,
    unknown: i64,
}

impl Open {
    async fn count(db: &Db, account: AccountId) -> Result<Self> {
        let mut open = Self::default();
        let mut tx = db.read().await?;
        for id in audit::stream_ids(&mut tx, account).await? {
            if let Some(stream) = streams::find_stream(&mut tx, account, id).await? {
                open.untouched += stream.total - stream.position;
            }
            let tallies = messages::tallies(&mut tx, account, id).await?;
            let number = |state| tallies.get(&state).copied().unwrap_or(0);
            open.waiting += number(State::Deferred);
            open.reserved += number(State::Reserved);
            open.unknown += number(State::Unknown);
        }
        Ok(open)
    }

    #[expect(clippy::cast_precision_loss, reason = "a share of a bar")]
    fn share_decided(self, texts: i64) -> f64 {
        let open = self.untouched + self.waiting + self.reserved + self.unknown;
        1.0 - open as f64 / texts.max(1) as f64
    }
}

/// The carrier has no more news to tell.
async fn is_quiet(rig: &Rig) -> Result<bool> {
    let summary = rig.carrier_api().insist(&Ask::get("/sandbox/summary"), ANSWER_MAX).await?;
    Ok(summary.json()["receipts_pending"] == 0)
}

/// When anything changed last.
struct News {
    at: Instant,
    state: Value,
    open: Open,
}

impl Default for News {
    fn default() -> Self {
        Self { at: Instant::now(), state: Value::Null, open: Open::default() }
    }
}

impl News {
    /// Nothing has changed for so long that nothing will.
    fn are_none(&mut self, status: &Value, open: Open) -> bool {
        let state = &status["state"];
        if (&self.state, self.open) != (state, open) {
            *self = Self { at: Instant::now(), state: state.clone(), open };
        }
        self.at.elapsed() > if open.waiting > 0 { NEWS_MAX } else { NEWS_MAX_NONE_WAITS }
    }
}
