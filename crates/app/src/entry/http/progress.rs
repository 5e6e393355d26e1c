//! A campaign's progress for people: how it stands, in numbers, in parts of a bar, in a sentence.

use domain::ids::{AccountId, StreamId};
use serde::Serialize;
use store::wallets;

use super::problem::Result;
use super::wallet::WalletOut;
use crate::entry::app::App;
use crate::flow::status::{CampaignStatus, Counts, campaign_status};

/// What a progress page shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Progress {
    /// The campaign.
    pub campaign: CampaignStatus,
    /// The account's wallet.
    pub wallet: WalletOut,
    /// How it stands, in a sentence.
    pub sentence: String,
    /// State and reason in a few words.
    pub label: String,
    /// Recipients whose fate is no longer ours to decide, in percent.
    pub percent: i64,
    /// The parts of the bar, from left to right.
    pub parts: Vec<Part>,
}

/// Recipients in one state, as a part of the bar.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// The state.
    pub key: &'static str,
    /// How many.
    pub count: i64,
    /// Where it begins, in percent of the bar.
    pub x: f64,
    /// How long it is, in percent of the bar.
    pub width: f64,
}

/// A part is never too small to be seen.
const WIDTH_MIN: f64 = 0.5;

impl Progress {
    /// Reads how a campaign stands now.
    pub async fn read(app: &App, account: AccountId, id: StreamId) -> Result<Self> {
        let mut tx = app.db.read().await?;
        let rate = app.desk.paces.per_second(account, id, tx.now());
        let campaign = campaign_status(&mut tx, account, id, rate).await?;
        let wallet = WalletOut::from(&wallets::wallet(&mut tx, account).await?);
        Ok(Self::of(campaign, wallet))
    }

    fn of(campaign: CampaignStatus, wallet: WalletOut) -> Self {
        let label = match campaign.pause_reason {
            Some("operator") | None => campaign.state.to_owned(),
            Some(reason) => format!("{}: {reason}", campaign.state),
        };
        Self {
            sentence: sentence(&campaign, &wallet),
            label,
            percent: percent(left(&campaign.counts), campaign.counts.total),
            parts: parts(&campaign.counts),
            campaign,
            wallet,
        }
    }

    /// Nothing of it will be sent any more.
    pub fn is_over(&self) -> bool {
        matches!(self.campaign.state, "completed" | "canceled" | "failed")
    }

    /// The carrier may still report on texts of it.
    pub const fn has_news_to_come(&self) -> bool {
        self.campaign.counts.sent > 0
    }
}

/// Recipients that are done with, one way or the other.
const fn left(counts: &Counts) -> i64 {
    counts.total - counts.pending - counts.deferred - counts.sending - counts.unknown
}

const fn percent(part: i64, whole: i64) -> i64 {
    if whole == 0 { 0 } else { part * 100 / whole }
}

fn parts(counts: &Counts) -> Vec<Part> {
    let all = [
        ("delivered", counts.delivered),
        ("sent", counts.sent),
        ("sending", counts.sending),
        ("undelivered", counts.undelivered),
        ("failed", counts.failed),
        ("unknown", counts.unknown),
        ("deferred", counts.deferred),
        ("skipped", counts.skipped),
        ("pending", counts.pending),
    ];
    let real = |count: i64| f64::from(i32::try_from(count).unwrap_or(i32::MAX));
    let share = |count: i64| match count {
        0 => 0.0,
        _ => (real(count) * 100.0 / real(counts.total.max(1))).max(WIDTH_MIN),
    };
    let sum: f64 = all.iter().map(|(_, count)| share(*count)).sum();
    let mut x = 0.0;
    let part = |(key, count)| {
        let width = if sum > 0.0 { share(count) * 100.0 / sum } else { 0.0 };
        let part = Part { key, count, x: rounded(x), width: rounded(width) };
        x += width;
        part
    };
    all.into_iter().map(part).collect()
}

fn rounded(percent: f64) -> f64 {
    (percent * 100.0).round() / 100.0
}

fn sentence(campaign: &CampaignStatus, wallet: &WalletOut) -> String {
    let counts = &campaign.counts;
    let total = grouped(counts.total);
    let waiting = counts.deferred + counts.unknown + counts.sending;
    match campaign.state {
        "draft" => "A draft: it has not been started.".to_owned(),
        "sealing" => format!("Its list is being frozen: {total} recipients so far."),
        "ready" => format!("Ready: {total} recipients."),
        "scheduled" => match campaign.starts_at {
            Some(at) => format!("Scheduled: it leaves at {} UTC.", clock(&at.to_string())),
            None => "Scheduled.".to_owned(),
        },
        "running" => running(campaign),
        "pausing" if campaign.pause_reason == Some("credits") => {
            "Credits are used up; the last texts on the wire are being answered.".to_owned()
        }
        "pausing" if campaign.pause_reason == Some("budget") => {
            "The budget is used up; the last texts on the wire are being answered.".to_owned()
        }
        "pausing" => "Pausing: texts on the wire are still being answered.".to_owned(),
        "paused" => paused(campaign, wallet),
        "draining" => match &campaign.unknown {
            Some(unknown) => format!("Every recipient was taken up; {unknown}."),
            None => format!(
                "Every recipient was taken up; {} still wait for their time or for an answer.",
                grouped(waiting)
            ),
        },
        "completed" => completed(counts),
        "canceling" => "Canceling: texts on the wire are still being answered.".to_owned(),
        "canceled" => format!(
            "Canceled: {} of {total} texts had left.",
            grouped(left(counts) - counts.skipped)
        ),
        "failed" => "It could not start: there is nobody in its audience.".to_owned(),
        other => other.to_owned(),
    }
}

fn running(campaign: &CampaignStatus) -> String {
    let counts = &campaign.counts;
    let so_far = format!("{} of {} recipients", grouped(left(counts)), grouped(counts.total));
    let rate = campaign.rate_per_second;
    if counts.pending == 0 || rate < 1.0 {
        return format!("Sending: {so_far} so far.");
    }
    let seconds = f64::from(i32::try_from(counts.pending).unwrap_or(i32::MAX)) / rate;
    let to_go = match seconds {
        ..=90.0 => format!("{:.0} seconds", seconds.ceil()),
        ..=5400.0 => format!("{:.0} minutes", (seconds / 60.0).ceil()),
        _ => format!("{:.0} hours", (seconds / 3600.0).ceil()),
    };
    format!("Sending: {so_far} so far, about {to_go} to go.")
}

fn paused(campaign: &CampaignStatus, wallet: &WalletOut) -> String {
    let spent = campaign.credits.spent;
    match campaign.pause_reason {
        Some("credits") => {
            let begin = match spent {
                0 => "Paused: there are no credits for it.".to_owned(),
                _ => format!("Paused: {} credits are used up.", grouped(spent)),
            };
            let then = match (campaign.resume_when_funded, wallet.available) {
                (true, _) => "Top up to let it go on.".to_owned(),
                (false, 0) => "Top up and resume it to let it go on.".to_owned(),
                (false, there) => {
                    format!("{} are there; resume it to let it go on.", grouped(there))
                }
            };
            format!("{begin} {then}")
        }
        Some("budget") => "Paused: the account's budget is used up. It goes on by itself in the \
                           next day or month, or when the budget is raised."
            .to_owned(),
        Some("subscription") => "Paused: the subscription does not allow sending.".to_owned(),
        Some("account") => "Paused: the account is suspended.".to_owned(),
        Some("sender") => "Paused: its sender cannot send.".to_owned(),
        _ => "Paused by hand. Resume it to let it go on exactly where it stopped.".to_owned(),
    }
}

fn completed(counts: &Counts) -> String {
    let texts = left(counts) - counts.skipped;
    match counts.skipped {
        0 => format!("Completed: {} texts, none twice.", grouped(texts)),
        1 => format!(
            "Completed: {} texts, none twice; one recipient was skipped, with its reason.",
            grouped(texts)
        ),
        skipped => format!(
            "Completed: {} texts, none twice; {} recipients were skipped, each with its reason.",
            grouped(texts),
            grouped(skipped)
        ),
    }
}

/// An RFC 3339 time to the minute.
fn clock(at: &str) -> String {
    at.chars().take(16).collect::<String>().replace('T', " ")
}

/// A number with its thousands apart.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (-1_234_567, "-1,234,567")]
        {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn the_parts_fill_the_bar_and_the_smallest_is_seen() {
        let counts = Counts { total: 100_000, delivered: 99_999, failed: 1, ..Counts::default() };
        let parts = parts(&counts);
        let whole: f64 = parts.iter().map(|part| part.width).sum();
        assert!((whole - 100.0).abs() < 0.1, "{whole}");
        let failed = parts.iter().find(|part| part.key == "failed").expect("it is a part");
        assert!(failed.width > 0.4, "{failed:?}");
        assert!(super::parts(&Counts::default()).iter().all(|part| part.width == 0.0));
    }
}
