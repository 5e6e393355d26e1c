//! Figures about confirmations: what waits, what was answered and how fast, what did not arrive.

use std::time::Duration;

use domain::ids::AccountId;
use domain::instant::Instant;
use domain::{local_time, quiet_hours};
use jiff::Span;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use store::figures::{self, Confirmations};
use store::requests::RequestState;
use store::{Tx, accounts};

use super::{Result, invalid};

/// Days that one answer covers at most.
pub const DAYS_MAX: usize = 366;
/// Days when the caller does not say.
const DAYS_USUAL: i64 = 30;
const HOUR: u64 = 3600;
/// What parts waiting requests by age, in seconds.
const AGES: [u64; 4] = [HOUR, 24 * HOUR, 3 * 24 * HOUR, 7 * 24 * HOUR];

/// Requests that wait for an answer now, whenever they were asked.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct PendingOut {
    /// How many.
    pub count: i64,
    /// How long the oldest has been waiting.
    pub oldest_age_seconds: Option<i64>,
    /// How many by age, youngest first.
    pub ages: Vec<AgeOut>,
}

/// Requests of an age.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct AgeOut {
    /// Waiting for at most this long; `null` for any longer.
    pub up_to_seconds: Option<u64>,
    /// How many.
    pub count: i64,
}

/// Requests asked in the range, by what has become of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct RequestsOut {
    /// All of them.
    pub asked: i64,
    /// Answered yes.
    pub yes: i64,
    /// Answered no.
    pub no: i64,
    /// Nobody answered in time.
    pub expired: i64,
    /// Moved or cancelled before anybody answered.
    pub resolved: i64,
    /// Still waiting.
    pub pending: i64,
    /// Of those that were answered or expired, the part that expired, 0 to 1.
    pub no_reply_share: Option<f64>,
}

/// Reminders of which there was news in the range.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RemindersOut {
    /// Given to delivery, whatever came of it.
    pub sent: i64,
    /// Of these, on the phone.
    pub delivered: i64,
    /// Of these, undelivered or failed.
    pub failed: i64,
    /// Not sent, each with its reason.
    pub skipped: i64,
    /// Taken back: answered, moved or cancelled.
    pub cancelled: i64,
}

/// Opt-outs in the range.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct OptOutsOut {
    /// Phones that opted out.
    pub count: i64,
    /// Phones that were texted.
    pub recipients: i64,
    /// The first by the second.
    pub rate: Option<f64>,
}

/// How long confirmations took, from the question to the yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct TimeOut {
    /// How many confirmed.
    pub count: i64,
    /// On average.
    pub average_seconds: Option<i64>,
    /// As many took less as took more.
    pub median_seconds: Option<i64>,
}

/// A day on the account's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct DayOut {
    /// Which, such as `2026-11-21`.
    pub date: String,
    /// Requests asked.
    pub asked: i64,
    /// Of these, answered yes.
    pub yes: i64,
    /// Of these, answered no.
    pub no: i64,
    /// People who did not come that day.
    pub no_show: i64,
}

/// Figures of a range.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ConfirmationFigures {
    /// From here.
    #[schema(value_type = String)]
    pub from: Instant,
    /// Until before here.
    #[schema(value_type = String)]
    pub to: Instant,
    /// The clock of the days.
    pub timezone: String,
    /// Requests that wait now.
    pub pending: PendingOut,
    /// Requests asked in the range.
    pub requests: RequestsOut,
    /// Reminders of which there was news in the range.
    pub reminders: RemindersOut,
    /// Opt-outs in the range.
    pub opt_outs: OptOutsOut,
    /// How long confirmations of these requests took.
    pub time_to_confirmation: TimeOut,
    /// People marked as not having come to bookings of the range.
    pub no_shows: i64,
    /// Day by day.
    pub days: Vec<DayOut>,
}

/// A day of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Day {
    date: Date,
    from: Instant,
    to: Instant,
}

/// The figures of a range; `from` and `to` as the caller wrote them.
pub async fn confirmations(
    tx: &mut Tx,
    account: AccountId,
    from: Option<&str>,
    to: Option<&str>,
) -> Result<ConfirmationFigures> {
    let owner = accounts::account(tx, account).await?;
    let zone = quiet_hours::zone(&owner.timezone).unwrap_or(TimeZone::UTC);
    let now = tx.now();
    let (from, to) = range(from, to, &zone, now)?;
    let days = days(from, to, &zone);
    let spans: Vec<_> = days.iter().map(|day| (day.from, day.to)).collect();
    let asked = figures::requests_by_span(tx, account, &spans).await?;
    let missed = figures::no_shows_by_span(tx, account, &spans).await?;
    let mut shown: Vec<DayOut> = days.iter().map(DayOut::of).collect();
    let mut requests = RequestsOut::default();
    for (n, state, count) in asked {
        shown[n].asked += count;
        requests.asked += count;
        match state {
            RequestState::Yes => {
                shown[n].yes += count;
                requests.yes += count;
            }
            RequestState::No => {
                shown[n].no += count;
                requests.no += count;
            }
            RequestState::Expired => requests.expired += count,
            RequestState::Resolved => requests.resolved += count,
            RequestState::Pending => requests.pending += count,
        }
    }
    let ended = requests.yes + requests.no + requests.expired;
    requests.no_reply_share = share(requests.expired, ended);
    for (n, count) in &missed {
        shown[*n].no_show = *count;
    }
    let (out, texted) = figures::opt_outs(tx, account, (from, to)).await?;
    let times = figures::confirmations(tx, account, (from, to)).await?;
    Ok(ConfirmationFigures {
        from,
        to,
        timezone: owner.timezone,
        pending: pending(tx, account, now).await?,
        requests,
        reminders: reminders(tx, account, (from, to)).await?,
        opt_outs: OptOutsOut { count: out, recipients: texted, rate: share(out, texted) },
        time_to_confirmation: TimeOut::of(&times),
        no_shows: missed.iter().map(|(_, count)| count).sum(),
        days: shown,
    })
}

async fn pending(tx: &mut Tx, account: AccountId, now: Instant) -> Result<PendingOut> {
    let since = AGES.map(|seconds| now - Duration::from_secs(seconds));
    let waiting = figures::waiting(tx, account, &since).await?;
    let seconds = |at: Instant| i64::try_from(now.since(at).as_secs()).unwrap_or(i64::MAX);
    let limits = AGES.into_iter().map(Some).chain([None]);
    Ok(PendingOut {
        count: waiting.count,
        oldest_age_seconds: waiting.oldest.map(seconds),
        ages: limits
            .zip(waiting.by_age)
            .map(|(up_to_seconds, count)| AgeOut { up_to_seconds, count })
            .collect(),
    })
}

async fn reminders(tx: &mut Tx, account: AccountId, span: figures::Span) -> Result<RemindersOut> {
    let by_state = figures::reminders_by_state(tx, account, span).await?;
    let count = |wanted: i64| {
        by_state.iter().filter(|(state, _)| *state == wanted).map(|(_, count)| count).sum::<i64>()
    };
    let (sent, delivered, skipped, cancelled, failed) =
        (count(2), count(3), count(4), count(5), count(6));
    Ok(RemindersOut { sent: sent + delivered + failed, delivered, failed, skipped, cancelled })
}

impl DayOut {
    fn of(day: &Day) -> Self {
        Self { date: day.date.to_string(), asked: 0, yes: 0, no: 0, no_show: 0 }
    }
}

impl TimeOut {
    fn of(times: &Confirmations) -> Self {
        const MICROS: i64 = 1_000_000;
        let middle = i64::try_from(times.middle.len()).unwrap_or(i64::MAX);
        Self {
            count: times.count,
            average_seconds: times.sum.checked_div(times.count).map(|time| time / MICROS),
            median_seconds: times
                .middle
                .iter()
                .sum::<i64>()
                .checked_div(middle)
                .map(|time| time / MICROS),
        }
    }
}

/// A part of a whole, to four digits; nothing of nothing.
fn share(part: i64, whole: i64) -> Option<f64> {
    let tenths_of_a_thousandth = (part * 10_000 + whole / 2).checked_div(whole)?;
    let digits = i32::try_from(tenths_of_a_thousandth).unwrap_or(i32::MAX);
    Some(f64::from(digits) / 10_000.0)
}

/// Reads the range that is asked about.
fn range(
    from: Option<&str>,
    to: Option<&str>,
    zone: &TimeZone,
    now: Instant,
) -> Result<(Instant, Instant)> {
    let to = match to {
        None => now,
        Some(text) => moment("to", text, zone, Span::new().days(1))?,
    };
    let from = match from {
        None => {
            let day =
                local_time::shown(to, zone).date().saturating_sub(Span::new().days(DAYS_USUAL));
            start_of(day, zone)
        }
        Some(text) => moment("from", text, zone, Span::new())?,
    };
    if from >= to {
        return Err(invalid("to", "write a time after from"));
    }
    if days(from, to, zone).len() > DAYS_MAX {
        return Err(invalid("from", format!("write a range of at most {DAYS_MAX} days")));
    }
    Ok((from, to))
}

/// A time, or a day on this clock, moved by `later` when it is a day.
pub fn moment(field: &str, text: &str, zone: &TimeZone, later: Span) -> Result<Instant> {
    if let Ok(day) = text.parse::<Date>()
        && text.len() == 10
        && local_time::YEARS.contains(&day.year())
    {
        return Ok(start_of(day.saturating_add(later), zone));
    }
    let read = local_time::parse(text, zone).map_err(|_| {
        invalid(field, "write a day such as 2026-11-21 or a time such as 2026-11-21T09:00:00Z")
    })?;
    Ok(read.instant)
}

fn start_of(day: Date, zone: &TimeZone) -> Instant {
    local_time::resolve(day.to_datetime(jiff::civil::Time::midnight()), zone).instant
}

/// The days of a range, the first and the last cut to it; one more than [`DAYS_MAX`] at most.
fn days(from: Instant, to: Instant, zone: &TimeZone) -> Vec<Day> {
    let mut list = Vec::new();
    let (mut day, mut at) = (local_time::shown(from, zone).date(), from);
    while at < to && list.len() <= DAYS_MAX {
        let next = day.saturating_add(Span::new().days(1));
        // A clock put forward at midnight begins its day later: the instant decides, not the date.
        let end = start_of(next, zone).min(to);
        if end > at {
            list.push(Day { date: day, from: at, to: end });
            at = end;
        }
        if next == day {
            break;
        }
        day = next;
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        Instant::parse(text).expect("a time")
    }

    fn chicago() -> TimeZone {
        quiet_hours::zone("America/Chicago").expect("a zone")
    }

    #[test]
    fn days_are_those_of_the_account_and_add_up_to_the_range() {
        for (from, to, zone, dates, hours) in [
            ("2026-07-15T05:00:00Z", "2026-07-17T05:00:00Z", "America/Chicago", 2, vec![24, 24]),
            ("2026-07-15T17:00:00Z", "2026-07-16T17:00:00Z", "America/Chicago", 2, vec![12, 12]),
            // Clocks go forward on March 8 and back on November 1.
            (
                "2026-03-07T06:00:00Z",
                "2026-03-10T05:00:00Z",
                "America/Chicago",
                3,
                vec![24, 23, 24],
            ),
            ("2026-10-31T05:00:00Z", "2026-11-02T06:00:00Z", "America/Chicago", 2, vec![24, 25]),
            // Here a day begins at one.
            ("2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z", "Africa/Cairo", 1, vec![23]),
        ] {
            let zone = quiet_hours::zone(zone).expect("a zone");
            let found = days(at(from), at(to), &zone);
            let lengths: Vec<u64> =
                found.iter().map(|day| day.to.since(day.from).as_secs() / HOUR).collect();
            assert_eq!((found.len(), lengths), (dates, hours), "{from}");
            assert_eq!((found[0].from, found[dates - 1].to), (at(from), at(to)));
            assert!(found.windows(2).all(|pair| pair[0].to == pair[1].from));
        }
        let long = days(at("2020-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z"), &chicago());
        assert_eq!(long.len(), DAYS_MAX + 1);
    }

    #[test]
    fn ranges_are_read_as_days_or_times() {
        let now = at("2026-07-15T17:00:00Z");
        for (from, to, expected) in [
            (None, None, Ok(("2026-06-15T05:00:00Z", "2026-07-15T17:00:00Z"))),
            (
                Some("2026-07-01"),
                Some("2026-07-02"),
                Ok(("2026-07-01T05:00:00Z", "2026-07-03T05:00:00Z")),
            ),
            (
                Some("2026-07-01T09:00"),
                Some("2026-07-01T12:00:00-04:00"),
                Ok(("2026-07-01T14:00:00Z", "2026-07-01T16:00:00Z")),
            ),
            (Some("2026-07-02"), Some("2026-07-01"), Err("to")),
            (Some("2026-08-01"), None, Err("to")),
            (Some("yesterday"), None, Err("from")),
            (None, Some("2026-13-01"), Err("to")),
            (Some("2020-01-01"), None, Err("from")),
        ] {
            let found = range(from, to, &chicago(), now);
            match (found, expected) {
                (Ok(found), Ok((from, to))) => assert_eq!(found, (at(from), at(to))),
                (Err(crate::flow::Refusal::Invalid { field, .. }), Err(wanted)) => {
                    assert_eq!(field, wanted);
                }
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn shares_and_middles() {
        assert_eq!((share(0, 0), share(1, 3), share(2, 2)), (None, Some(0.3333), Some(1.0)));
        for (count, sum, middle, average, median) in [
            (0, 0, vec![], None, None),
            (1, 5_000_000, vec![5_000_000], Some(5), Some(5)),
            (4, 40_000_000, vec![4_000_000, 8_000_000], Some(10), Some(6)),
        ] {
            let found = TimeOut::of(&Confirmations { count, sum, middle });
            assert_eq!((found.average_seconds, found.median_seconds), (average, median));
        }
    }
}
