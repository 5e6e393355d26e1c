//! Windows by table, and against a scan of every minute.

use jiff::tz::TimeZoneDatabase;
use proptest::prelude::*;

use super::*;
use crate::quiet_hours::zone;

fn at(text: &str) -> Instant {
    Instant::parse(text).expect(text)
}

fn hours(zones: &str, quiet: &str, state: &str) -> SendingHours {
    let zones: Vec<_> = zones.split_whitespace().map(|name| zone(name).expect(name)).collect();
    let quiet = quiet.split_once('-').map(|(start, end)| QuietHours::parse(start, end).unwrap());
    SendingHours::new(&zones, quiet, WeeklyHours::of_state(state))
}

#[test]
fn next_and_latest_minutes() {
    let (ny, both) = ("America/New_York", "America/New_York America/Chicago");
    for (zones, quiet, state, from, next, latest) in [
        // Allowed: the very instant, and the minute it is in.
        (
            ny,
            "21:00-08:00",
            "",
            "2026-06-01T15:00:30.5Z",
            "2026-06-01T15:00:30.5Z",
            "2026-06-01T15:00:00Z",
        ),
        (
            ny,
            "21:00-08:00",
            "",
            "2026-06-01T09:00:00Z",
            "2026-06-01T12:00:00Z",
            "2026-06-01T00:59:00Z",
        ),
        // It must be day in both zones: 8:00 in Chicago, 20:59 in New York.
        (
            both,
            "21:00-08:00",
            "",
            "2026-06-01T12:30:00Z",
            "2026-06-01T13:00:00Z",
            "2026-06-01T00:59:00Z",
        ),
        (
            both,
            "21:00-08:00",
            "",
            "2026-06-02T01:30:00Z",
            "2026-06-02T13:00:00Z",
            "2026-06-02T00:59:00Z",
        ),
        // Florida ends at 20:00; Texas begins at noon on Sundays; Mississippi has no Sundays.
        (
            ny,
            "21:00-08:00",
            "FL",
            "2026-06-02T00:30:00Z",
            "2026-06-02T12:00:00Z",
            "2026-06-01T23:59:00Z",
        ),
        (
            "America/Chicago",
            "21:00-08:00",
            "TX",
            "2026-06-07T15:00:00Z",
            "2026-06-07T17:00:00Z",
            "2026-06-07T01:59:00Z",
        ),
        (
            "America/Chicago",
            "",
            "MS",
            "2026-06-07T15:00:00Z",
            "2026-06-08T13:00:00Z",
            "2026-06-07T00:59:00Z",
        ),
        // The nights in which clocks are moved.
        (
            ny,
            "21:00-08:00",
            "",
            "2026-03-08T07:30:00Z",
            "2026-03-08T12:00:00Z",
            "2026-03-08T01:59:00Z",
        ),
        (
            ny,
            "21:00-08:00",
            "",
            "2026-11-01T07:30:00Z",
            "2026-11-01T13:00:00Z",
            "2026-11-01T00:59:00Z",
        ),
        // 01:30 to 01:59 is quiet in both passes of the repeated hour.
        (
            ny,
            "01:30-02:00",
            "",
            "2026-11-01T05:40:00Z",
            "2026-11-01T06:00:00Z",
            "2026-11-01T05:29:00Z",
        ),
        (
            ny,
            "01:30-02:00",
            "",
            "2026-11-01T06:45:00Z",
            "2026-11-01T07:00:00Z",
            "2026-11-01T06:29:00Z",
        ),
        // The gap swallows both ends of the window.
        (
            ny,
            "02:10-02:40",
            "",
            "2026-03-08T07:00:00Z",
            "2026-03-08T07:00:00Z",
            "2026-03-08T07:00:00Z",
        ),
        // No rules at all, and a clock that nobody knows.
        ("", "", "", "2026-06-01T09:00:00Z", "2026-06-01T09:00:00Z", "2026-06-01T09:00:00Z"),
        ("", "21:00-08:00", "", "2026-06-01T15:00:00Z", "", ""),
        // Day never comes to both at once.
        ("Asia/Tokyo America/New_York", "13:00-09:00", "", "2026-06-01T15:00:00Z", "", ""),
        (
            "UTC",
            "00:00-23:59",
            "",
            "2026-06-01T15:00:00Z",
            "2026-06-01T23:59:00Z",
            "2026-05-31T23:59:00Z",
        ),
    ] {
        let hours = hours(zones, quiet, state);
        let from = at(from);
        let shown = |found: Option<Instant>| found.map(|it| it.to_string()).unwrap_or_default();
        let case = format!("{zones} {quiet} {state} {from}");
        assert_eq!(shown(hours.next_allowed(from)), next, "next: {case}");
        let found = hours.latest_allowed_before(from, Instant(0));
        assert_eq!(shown(found), latest, "latest: {case}");
        assert_eq!(hours.is_allowed(from), hours.next_allowed(from) == Some(from), "{case}");
        if let Some(found) = found {
            assert_eq!(hours.latest_allowed_before(from, found), Some(found), "{case}");
            assert_eq!(hours.latest_allowed_before(from, Instant(found.0 + 1)), None, "{case}");
        }
    }
}

#[test]
fn the_ends_of_time_are_no_loops() {
    let hours = hours("America/New_York", "21:00-08:00", "TX");
    for at in [Instant::MAX, Instant(-Instant::MAX.0)] {
        hours.next_allowed(at);
        hours.latest_allowed_before(at, Instant(-Instant::MAX.0));
    }
}

/// The definition of "allowed", rule by rule and zone by zone.
fn allows(second: i64, zones: &[TimeZone], quiet: QuietHours, weekly: &WeeklyHours) -> bool {
    zones.iter().all(|zone| {
        let shown = from_seconds(second).timestamp().to_zoned(zone.clone());
        let day = u8::try_from(shown.weekday().to_monday_zero_offset()).expect("below 7");
        let of_day = i64::from(shown.hour()) * 3600
            + i64::from(shown.minute()) * 60
            + i64::from(shown.second());
        !quiet.in_quiet(from_seconds(second), zone)
            && weekly.of(day).is_some_and(|(start, end)| (start..end).contains(&of_day))
    })
}

/// Any minute of the day, most of them where clocks are moved.
fn minute() -> impl Strategy<Value = u16> {
    prop_oneof![0_u16..1440, (0_u16..8).prop_map(|half_hours| half_hours * 30)]
}

fn wall(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64, failure_persistence: None, ..Default::default()
    })]
    #[test]
    fn jumping_equals_scanning(
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        seed in 0_i64..16 * 365 * DAY_SECS,
        near in any::<bool>(),
        (quiet_start, quiet_end) in (minute(), minute()),
        days in prop::collection::vec(prop::option::of((minute(), minute())), 7),
        weekly in any::<bool>(),
    ) {
        let database = TimeZoneDatabase::bundled();
        let names: Vec<_> = database.available().collect();
        let zones: Vec<_> =
            picks.iter().map(|pick| zone(pick.get(&names).as_str()).unwrap()).collect();
        let quiet = QuietHours::parse(&wall(quiet_start), &wall(quiet_end)).unwrap();
        let mut hours = WeeklyHours::default();
        for (nth, day) in days.iter().enumerate() {
            let day = if weekly { *day } else { Some((0, 0)) };
            let name = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][nth];
            if let Some((start, end)) = day {
                let end = if start < end { wall(end) } else { "24:00".to_owned() };
                hours.open(name, &wall(start), &end).expect("one window a day");
            }
        }
        let second = 1_577_836_800 + seed;
        let moved = next_transition(second, &zones[0]).filter(|_| near);
        let second = moved.map_or(second, |moved| moved + seed % (3 * DAY_SECS) - 2 * DAY_SECS);

        let rules = SendingHours::new(&zones, Some(quiet), Some(&hours));
        let allowed = |second: i64| allows(second, &zones, quiet, &hours);
        prop_assert_eq!(rules.is_allowed(from_seconds(second)), allowed(second));
        let minutes = |first: i64| (0..=SEARCH_SECS_MAX / 60).map(move |nth| first + nth * 60);
        let next = if allowed(second) {
            Some(second)
        } else {
            minutes(next_whole_minute(second))
                .take_while(|&it| it <= second + SEARCH_SECS_MAX)
                .find(|&it| allowed(it))
        };
        prop_assert_eq!(rules.next_allowed(from_seconds(second)), next.map(from_seconds));
        let first = whole_minute_before(second);
        let latest = (0..=SEARCH_SECS_MAX / 60)
            .map(|nth| first - nth * 60)
            .take_while(|&it| it >= second - SEARCH_SECS_MAX)
            .find(|&it| allowed(it));
        let found = rules.latest_allowed_before(from_seconds(second), Instant(0));
        prop_assert_eq!(found, latest.map(from_seconds));
    }
}
