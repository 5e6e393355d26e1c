//! How it goes: a bar on a terminal, a line now and then where nobody watches.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::call::Ask;
use super::scene::Scene;
use crate::entry::cli::failure::Result;
use crate::entry::cli::outlet::{count, on_terminal, say};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// Between two lines, where nobody watches; and between two that say the same.
const LINE: Duration = Duration::from_secs(5);
const LINE_AGAIN: Duration = Duration::from_secs(60);
/// Whoever does not answer by then is being killed.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Unknown texts noted at a look.
const UNKNOWNS_MAX: u32 = 1000;

/// Where it is told.
pub struct Board {
    bar: Option<ProgressBar>,
    lines: bool,
}

impl Board {
    /// A bar, lines, or nothing when a script reads along.
    pub fn new(json: bool) -> Self {
        let watched = !json && on_terminal();
        let bar = watched.then(|| {
            let look = ProgressStyle::with_template("  {bar:32.green} {prefix}  {msg}");
            ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stdout())
                .with_style(look.expect("well-formed").progress_chars("██─"))
        });
        Self { bar, lines: !json && !watched }
    }

    /// Shows what share is done and how the campaign stands, until no client begins anything new.
    pub async fn follow(&self, scene: &Scene, phase: &str) -> Result {
        let mut lines = Lines::default();
        loop {
            let over = scene.over.get();
            let status = look(scene).await;
            let words = status.as_ref().map_or("(no answer)".to_owned(), in_words);
            let share = scene.share_done.get();
            if let Some(bar) = &self.bar {
                bar.set_position(per_mille(share));
                bar.set_prefix(phase.to_owned());
                bar.set_message(words);
            } else if self.lines {
                lines.say(format!("{phase} {} %: {words}", per_mille(share) / 10), over)?;
            }
            if over {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }

    /// Leaves the last picture where it is.
    pub fn leave(&self) -> Result {
        match &self.bar {
            Some(bar) => {
                bar.abandon();
                say("")
            }
            None => Ok(()),
        }
    }
}

/// Lines, not too many.
#[derive(Default)]
struct Lines(Option<(Instant, String)>);

impl Lines {
    fn say(&mut self, line: String, last: bool) -> Result {
        let wait = match &self.0 {
            Some((_, told)) if *told == line => LINE_AGAIN,
            Some(_) => LINE,
            None => Duration::ZERO,
        };
        if last || self.0.as_ref().is_none_or(|(at, _)| at.elapsed() >= wait) {
            say(&line)?;
            self.0 = Some((Instant::now(), line));
        }
        Ok(())
    }
}

/// The campaign as it stands, if the server answers; its unknown texts are noted.
pub async fn look(scene: &Scene) -> Option<Value> {
    let path = scene.campaign_path("");
    let status = scene.api.ask(&Ask::get(&path), ANSWER_MAX).await?;
    let status = (status.status == 200).then(|| status.json())?;
    if status["counts"]["unknown"] != 0 {
        let path = scene.campaign_path(&format!("/recipients?state=unknown&limit={UNKNOWNS_MAX}"));
        let page = scene.api.ask(&Ask::get(&path), ANSWER_MAX).await;
        let page = page.map(|page| page.json()).unwrap_or_default();
        let ids = page["data"].as_array().into_iter().flatten();
        let ids = ids.filter_map(|one| one["id"].as_str().map(str::to_owned));
        scene.told.borrow_mut().unknowns.extend(ids);
    }
    Some(status)
}

fn in_words(status: &Value) -> String {
    let counts = &status["counts"];
    let number = |name: &str| counts[name].as_i64().unwrap_or(0);
    let open: i64 = ["pending", "deferred", "sending", "unknown"].map(number).iter().sum();
    let total = number("total");
    let reason = status["pause_reason"].as_str().map_or(String::new(), |why| format!(" ({why})"));
    format!(
        "{}{reason}, {} of {} texts decided, {} waiting, {} unknown",
        status["state"].as_str().unwrap_or("?"),
        count(total - open),
        count(total),
        count(number("deferred")),
        count(number("unknown")),
    )
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a bar")]
fn per_mille(share: f64) -> u64 {
    (share.clamp(0.0, 1.0) * 1000.0) as u64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_campaign_is_told_in_a_line() {
        let status = json!({"state": "paused", "pause_reason": "credits", "counts": {
            "total": 2000, "pending": 500, "deferred": 20, "sending": 0, "unknown": 3,
        }});
        let expected = "paused (credits), 1,477 of 2,000 texts decided, 20 waiting, 3 unknown";
        assert_eq!(in_words(&status), expected);
        assert_eq!([0.0, 0.5, 1.0, 7.0].map(per_mille), [0, 500, 1000, 1000]);
    }
}
