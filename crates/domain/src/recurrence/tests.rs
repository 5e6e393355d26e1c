//! Rules as tables, most of them the examples of RFC 5545 section 3.8.5.3.

use jiff::civil::{DateTime, date};
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::Recurrence;
use crate::local_time::{LocalTime, Resolution};
use crate::quiet_hours::zone;

fn rule(text: &str) -> Recurrence {
    Recurrence::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Times written short: each takes from the one before what it does not say itself, and the time
/// of day from `first`. Two dots at the end mean that there are more.
fn written_out(short: &str, first: &str) -> (Vec<DateTime>, bool) {
    let mut full = String::new();
    let mut times = Vec::new();
    for word in short.split_whitespace().filter(|word| *word != "..") {
        full.replace_range(full.len().saturating_sub(word.len()).., word);
        let at = if full.len() == 10 { format!("{full}{}", &first[10..]) } else { full.clone() };
        times.push(at.parse().unwrap_or_else(|_| panic!("{at} in {short}")));
    }
    (times, short.ends_with(".."))
}

#[track_caller]
fn assert_expands(rows: &[&str]) {
    for row in rows {
        let [text, first, expected] = row.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("three columns: {row}")
        };
        let (expected, more) = written_out(expected, first);
        let max = if more { expected.len() } else { expected.len() + 1 };
        let found = rule(text).occurrences(first.parse().unwrap(), &TimeZone::UTC, max);
        let locals: Vec<_> = found.times.iter().map(|time| time.local).collect();
        assert_eq!((locals, found.bounded), (expected, more), "{row}");
    }
}

#[test]
fn days_weeks_and_times() {
    assert_expands(&[
        "FREQ=DAILY;COUNT=3 | 1997-09-02T09:00 | 1997-09-02 03 04",
        "FREQ=DAILY;INTERVAL=2 | 1997-09-02T09:00 | 1997-09-02 04 06 08 ..",
        "FREQ=DAILY;INTERVAL=10;COUNT=5 | 1997-09-02T09:00 | 1997-09-02 12 22 10-02 12",
        "FREQ=WEEKLY;INTERVAL=2;WKST=SU | 1997-09-02T09:00 | 1997-09-02 16 30 ..",
        "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO | 1997-08-05T09:00 | \
         1997-08-05 10 19 24",
        "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU | 1997-08-05T09:00 | \
         1997-08-05 17 19 31",
        // The series begins after the Monday of its first week.
        "FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=1 | 2026-01-07T09:00 | 2026-01-07 12 19 ..",
        "FREQ=WEEKLY;BYDAY=TH;BYMONTH=1 | 2026-12-29T09:00 | 2027-01-07 14 21 28 2028-01-06 ..",
        // The first time is an occurrence only if the rule says so.
        "FREQ=WEEKLY;BYDAY=MO;COUNT=2 | 2026-01-07T09:00 | 2026-01-12 19",
        "FREQ=DAILY;BYHOUR=9,10;BYMINUTE=0,40;COUNT=4 | 1997-09-02T09:20 | \
         1997-09-02T09:40 10:00 40 1997-09-03T09:00",
        "FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T170000 | 1997-09-02T09:00 | 1997-09-02T09:00 12:00 \
         15:00",
        "FREQ=HOURLY;BYMINUTE=0,30;BYSETPOS=-1 | 2026-01-01T09:40 | 2026-01-01T10:30 11:30 ..",
        "FREQ=HOURLY;INTERVAL=5;BYHOUR=0 | 2026-01-01T09:00 | \
         2026-01-02T00:00 07T00:00 12T00:00 ..",
        "FREQ=MINUTELY;INTERVAL=90;COUNT=3 | 1997-09-02T09:00 | 1997-09-02T09:00 10:30 12:00",
        "FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,10;COUNT=4 | 1997-09-02T10:20 | 1997-09-02T10:20 40 \
         1997-09-03T09:00 20",
        "FREQ=SECONDLY;BYSECOND=0,60;COUNT=2 | 2026-01-01T09:00:30 | 2026-01-01T09:01:00 02:00",
        "FREQ=SECONDLY;BYSECOND=60;COUNT=2 | 2026-01-01T09:00:00 | 2026-01-01T09:00:59 01:59",
        "FREQ=MINUTELY;BYSECOND=0,60;COUNT=2 | 2026-01-01T09:00:30 | \
         2026-01-01T09:00:59 2026-01-01T09:01:00",
        "FREQ=SECONDLY;BYSECOND=0;BYMINUTE=0;BYHOUR=0;BYYEARDAY=1 | 2026-01-01T09:00 | \
         2027-01-01T00:00 2028-01-01T00:00 ..",
    ]);
}

#[test]
fn months_and_years() {
    assert_expands(&[
        "FREQ=MONTHLY | 2026-01-31T09:00 | 2026-01-31 03-31 05-31 ..",
        "FREQ=MONTHLY;COUNT=4;BYDAY=1FR | 1997-09-05T09:00 | 1997-09-05 10-03 11-07 12-05",
        "FREQ=MONTHLY;INTERVAL=2;COUNT=4;BYDAY=1SU,-1SU | 1997-09-07T09:00 | \
         1997-09-07 28 11-02 30",
        "FREQ=MONTHLY;COUNT=3;BYDAY=-2MO | 1997-09-22T09:00 | 1997-09-22 10-20 11-17",
        "FREQ=MONTHLY;BYMONTHDAY=-3 | 1997-09-28T09:00 | 1997-09-28 10-29 11-28 ..",
        "FREQ=MONTHLY;COUNT=4;BYMONTHDAY=1,-1 | 1997-09-30T09:00 | 1997-09-30 10-01 31 11-01",
        "FREQ=MONTHLY;INTERVAL=18;COUNT=4;BYMONTHDAY=10,11 | 1997-09-10T09:00 | 1997-09-10 11 \
         1999-03-10 11",
        "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13 | 1997-09-02T09:00 | \
         1998-02-13 03-13 11-13 1999-08-13 ..",
        "FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=4 | 2007-01-15T09:00 | 2007-01-15 30 02-15 03-15",
        "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3 | 1997-09-04T09:00 | \
         1997-09-04 10-07 11-06",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2 | 1997-09-29T09:00 | \
         1997-09-29 10-30 11-27 ..",
        // With a number and without: a day has to be both.
        "FREQ=MONTHLY;BYDAY=MO,TU,2TU;COUNT=3 | 2026-02-01T09:00 | 2026-02-10 03-10 04-14",
        "FREQ=YEARLY;BYMONTH=2,3;BYDAY=TU,-1TU,1FR | 2026-02-01T09:00 | 2026-02-24 03-31 \
         2027-02-23 ..",
        "FREQ=MONTHLY;BYDAY=MO,2TU;UNTIL=20300101 | 2026-02-01T09:00 | ",
        // Only months and years count weekdays.
        "FREQ=WEEKLY;BYDAY=2MO,-1WE;COUNT=3 | 2026-02-01T09:00 | 2026-02-02 04 09",
        "FREQ=DAILY;BYDAY=TU,2MO;COUNT=3 | 2026-02-01T09:00 | 2026-02-02 03 09",
        "FREQ=HOURLY;BYHOUR=9;BYDAY=+5SU;COUNT=2 | 2026-02-01T09:00 | 2026-02-01 08",
        "FREQ=YEARLY;BYWEEKNO=1,2;BYDAY=1MO;COUNT=2 | 2026-02-01T09:00 | 2027-01-04 2028-01-03",
        "FREQ=YEARLY | 2024-02-29T09:00 | 2024-02-29 2028-02-29 2032-02-29 ..",
        "FREQ=YEARLY;COUNT=4;BYMONTH=6,7 | 1997-06-10T09:00 | 1997-06-10 07-10 1998-06-10 07-10",
        "FREQ=YEARLY;BYMONTH=1;BYDAY=SU,MO,TU;UNTIL=19980106T140000 | 1997-09-02T09:00 | \
         1998-01-04 05 06",
        "FREQ=YEARLY;INTERVAL=3;COUNT=4;BYYEARDAY=1,100,200 | 1997-01-01T09:00 | 1997-01-01 04-10 \
         07-19 2000-01-01",
        "FREQ=YEARLY;BYYEARDAY=-366,366 | 2026-01-01T09:00 | 2028-01-01 12-31 2032-01-01 ..",
        "FREQ=YEARLY;BYDAY=20MO | 1997-05-19T09:00 | 1997-05-19 1998-05-18 1999-05-17 ..",
        "FREQ=YEARLY;BYMONTH=3;BYDAY=TH | 1997-03-13T09:00 | 1997-03-13 20 27 1998-03-05 ..",
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8 | 1996-11-05T09:00 | \
         1996-11-05 2000-11-07 2004-11-02 ..",
        "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO | 1997-05-12T09:00 | 1997-05-12 1998-05-11 1999-05-17 ..",
        "FREQ=YEARLY;BYWEEKNO=20 | 1997-05-16T09:00 | 1997-05-16 17 18 1998-05-11 ..",
        // 1 January 1983 is in week 52 of 1982, here in 53; 29 December 2025 in week 1 of 2026,
        // the 53rd from its end, which only 1 reaches.
        "FREQ=YEARLY;BYWEEKNO=52;BYDAY=SA;COUNT=2 | 1982-12-31T09:00 | 1983-12-31 1984-12-29",
        "FREQ=YEARLY;BYWEEKNO=53;BYDAY=SA;COUNT=2 | 1982-12-31T09:00 | 1983-01-01 1988-01-02",
        "FREQ=YEARLY;BYWEEKNO=-53;BYDAY=MO;UNTIL=20400101 | 2025-12-01T09:00 | ",
        "FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO;COUNT=2 | 2025-12-01T09:00 | 2025-12-29 2027-01-04",
        "FREQ=WEEKLY;BYWEEKNO=1;BYDAY=MO,SU;COUNT=4 | 2025-12-01T09:00 | 2025-12-29 2026-01-04 \
         2027-01-04 10",
    ]);
}

#[test]
fn ends_are_kept() {
    let new_york = zone("America/New_York").unwrap();
    let first = date(2026, 10, 30).at(1, 30, 0, 0);
    for (text, expected) in [
        ("FREQ=DAILY;COUNT=9;UNTIL=20261031T013000", 2),
        ("FREQ=DAILY;COUNT=1;UNTIL=20261031T013000", 1),
        ("FREQ=DAILY;COUNT=0", 0),
        ("FREQ=DAILY;UNTIL=20261101", 2),
        ("FREQ=DAILY;UNTIL=2026-11-01", 2),
        ("FREQ=DAILY;UNTIL=20261101T01", 2),
        ("FREQ=DAILY;UNTIL=20261101T0130", 3),
        ("FREQ=DAILY;UNTIL=2026-11-01T0530Z", 3),
        ("FREQ=DAILY;UNTIL=20261101T012959", 2),
        ("FREQ=DAILY;UNTIL=20261101T013000", 3),
        // On 1 November 01:30 comes twice; the first is 05:30 in UTC.
        ("FREQ=DAILY;UNTIL=20261101T052959Z", 2),
        ("FREQ=DAILY;UNTIL=20261101T053000Z", 3),
        ("FREQ=DAILY;UNTIL=20261102T062959Z", 3),
        ("FREQ=DAILY;UNTIL=20261029", 0),
        ("FREQ=DAILY;UNTIL=20261101;BYMONTH=2;BYMONTHDAY=30", 0),
    ] {
        let found = rule(text).occurrences(first, &new_york, 99);
        assert_eq!((found.times.len(), found.bounded), (expected, false), "{text}");
        assert!(rule(text).ends(), "{text}");
    }
    assert!(!rule("FREQ=DAILY").ends());
}

#[test]
fn rules_that_never_hold_are_given_up() {
    let first = date(2026, 1, 1).at(9, 0, 0, 0);
    for text in [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYDAY=6MO",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=1",
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30;COUNT=1",
        "FREQ=SECONDLY;INTERVAL=60;BYSECOND=5",
        "FREQ=SECONDLY;BYSETPOS=2",
        "FREQ=MINUTELY;BYSETPOS=-300",
        "FREQ=YEARLY;BYSETPOS=366;UNTIL=99991231T235959Z",
    ] {
        let found = rule(text).occurrences(first, &TimeZone::UTC, 10);
        assert_eq!((found.times.len(), found.bounded), (0, true), "{text}");
    }
    for text in ["FREQ=YEARLY;INTERVAL=4294967295", "FREQ=DAILY;INTERVAL=4294967295"] {
        let found = rule(text).occurrences(first, &TimeZone::UTC, 10);
        assert_eq!((found.times.len(), found.bounded), (1, true), "{text}");
    }
    let late = rule("FREQ=YEARLY").occurrences(DateTime::MAX, &TimeZone::UTC, 10);
    assert_eq!((late.times.len(), late.bounded), (0, true));
    // The week goes on in 2201, the series does not.
    let week = rule("FREQ=WEEKLY;BYDAY=WE,TH,FR");
    let last = week.occurrences(date(2200, 12, 31).at(9, 0, 0, 0), &TimeZone::UTC, 10);
    assert_eq!((last.times.len(), last.bounded), (1, true));
    let early = rule("FREQ=WEEKLY;BYWEEKNO=1").occurrences(DateTime::MIN, &TimeZone::UTC, 1);
    assert_eq!(early.times.len(), 1);
}

#[test]
fn a_set_of_millions_is_not_written_out() {
    let list = |below: u8| (0..below).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let (hours, sixty) = (list(24), list(60));
    let text = format!("FREQ=YEARLY;BYDAY=MO;BYHOUR={hours};BYMINUTE={sixty};BYSECOND={sixty}");
    let first = date(2026, 12, 28).at(23, 59, 58, 0);
    assert_eq!(
        locals(&text, first, 3),
        [first, date(2026, 12, 28).at(23, 59, 59, 0), date(2027, 1, 4).at(0, 0, 0, 0)]
    );
    let positions = format!("{text};BYSETPOS=-1,366");
    let expected = [date(2026, 12, 28).at(23, 59, 59, 0), date(2027, 1, 4).at(0, 6, 5, 0)];
    assert_eq!(locals(&positions, first, 2), expected);
}

fn locals(text: &str, first: DateTime, max: usize) -> Vec<DateTime> {
    let found = rule(text).occurrences(first, &TimeZone::UTC, max);
    found.times.iter().map(|time| time.local).collect()
}

#[test]
fn clocks_that_are_moved() {
    let new_york = zone("America/New_York").unwrap();
    let first = date(2026, 3, 8).at(1, 30, 0, 0);
    let found = rule("FREQ=HOURLY;COUNT=3").occurrences(first, &new_york, 9);
    let told = |time: &LocalTime| format!("{} {}", time.instant, time.resolved.as_str());
    // The wall clock of the rule goes on where the clock on the wall leaps.
    let expected =
        ["2026-03-08T06:30:00Z exact", "2026-03-08T07:30:00Z gap", "2026-03-08T07:30:00Z exact"];
    assert_eq!(found.times.iter().map(told).collect::<Vec<_>>(), expected);
    let first = date(2026, 11, 1).at(1, 30, 0, 0);
    let found = rule("FREQ=DAILY;COUNT=2").occurrences(first, &new_york, 9);
    let expected = ["2026-11-01T05:30:00Z overlap", "2026-11-02T06:30:00Z exact"];
    assert_eq!(found.times.iter().map(told).collect::<Vec<_>>(), expected);
}

#[test]
fn texts_are_read_leniently() {
    let expected = rule("FREQ=WEEKLY;BYDAY=MO,WE;BYHOUR=9,10;COUNT=10");
    for text in [
        "RRULE:FREQ=WEEKLY;BYDAY=MO,WE;BYHOUR=9,10;COUNT=10",
        " rrule:freq=weekly;byday=mo,we;byhour=9,10;count=10; ",
        "COUNT=10; BYHOUR = 10, 9, 9; BYDAY=MO, WE; WKST=MO; INTERVAL=1; FREQ=WEEKLY",
    ] {
        assert_eq!(rule(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_rule_is_refused_with_a_way_out() {
    for (text, part, way) in [
        ("", "FREQ", "add one of FREQ=DAILY"),
        (";;", "FREQ", "add one of FREQ=DAILY"),
        ("RRULE:", "FREQ", "add one of FREQ=DAILY"),
        ("COUNT=3", "FREQ", "add one of FREQ=DAILY"),
        ("FREQ=DAYLY", "FREQ=DAYLY", "DAILY"),
        ("every Monday", "EVERY MONDAY", "FREQ=WEEKLY;BYDAY"),
        ("FREQ=DAILY;;COUNT=3", "\"\"", "NAME=VALUE"),
        ("FREQ=DAILY;BYEASTER=1", "BYEASTER", "BYMONTHDAY"),
        ("DTSTART:20260101T090000\nRRULE:FREQ=DAILY", "DTSTART", "INTERVAL"),
        ("FREQ=DAILY;COUNT=3;COUNT=4", "COUNT", "write it once"),
        ("FREQ=DAILY;FREQ=DAILY", "FREQ", "write it once"),
        ("FREQ=DAILY;COUNT=-1", "COUNT=-1", "such as 10"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL=0", "1 or more"),
        ("FREQ=DAILY;INTERVAL=-1", "INTERVAL=-1", "1 or more"),
        ("FREQ=DAILY;COUNT=4294967296", "COUNT=4294967296", "such as 10"),
        ("FREQ=DAILY;UNTIL=31-12-2026", "UNTIL=31-12-2026", "20261231"),
        ("FREQ=DAILY;UNTIL=20261231T1", "UNTIL=20261231T1", "20261231"),
        ("FREQ=DAILY;UNTIL=2026-1231", "UNTIL=2026-1231", "20261231"),
        ("FREQ=DAILY;UNTIL=20261231T14É", "UNTIL=20261231T14É", "20261231"),
        ("FREQ=DAILY;UNTIL=20261231Z", "UNTIL=20261231Z", "20261231T140000Z"),
        ("FREQ=DAILY;UNTIL=20260230", "UNTIL=20260230", "20261231"),
        ("FREQ=DAILY;UNTIL=20261231T240000", "UNTIL=20261231T240000", "20261231T090000"),
        ("FREQ=DAILY;UNTIL=２０２６1231", "UNTIL", "20261231"),
        ("FREQ=DAILY;WKST=1", "WKST=1", "MO, TU"),
        ("FREQ=DAILY;BYMONTH=13", "BYMONTH=13", "from 1 to 12"),
        ("FREQ=DAILY;BYMONTH=-1", "BYMONTH=-1", "from 1 to 12"),
        ("FREQ=DAILY;BYMONTHDAY=0", "BYMONTHDAY=0", "numbers like 1 and -1"),
        ("FREQ=DAILY;BYMONTHDAY=32", "BYMONTHDAY=32", "numbers like 1 and -1"),
        ("FREQ=DAILY;BYYEARDAY=-367", "BYYEARDAY=-367", "numbers like 1 and -1"),
        ("FREQ=DAILY;BYWEEKNO=54", "BYWEEKNO=54", "numbers like 1 and -1"),
        ("FREQ=DAILY;BYSETPOS=", "BYSETPOS=", "numbers like 1 and -1"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR=24", "from 0 to 23"),
        ("FREQ=DAILY;BYMINUTE=1,,2", "BYMINUTE=1,,2", "from 0 to 59"),
        ("FREQ=DAILY;BYSECOND=61", "BYSECOND=61", "from 0 to 60"),
        ("FREQ=WEEKLY;BYDAY=MONDAY", "BYDAY=MONDAY", "weekdays like MO"),
        ("FREQ=WEEKLY;BYDAY=É", "BYDAY=É", "weekdays like MO"),
        ("FREQ=MONTHLY;BYDAY=0MO", "BYDAY=0MO", "numbered ones like 2TU"),
        ("FREQ=YEARLY;BYDAY=54MO", "BYDAY=54MO", "numbered ones like 2TU"),
        ("FREQ=YEARLY;BYDAY=-32768MO", "BYDAY=-32768MO", "numbered ones like 2TU"),
        ("FREQ=WEEKLY;BYDAY=0MO", "BYDAY=0MO", "numbered ones like 2TU"),
    ] {
        let told = Recurrence::parse(text).expect_err(text).to_string();
        assert!(told.contains(part) && told.contains(way), "{text}: {told}");
    }
    let long = format!("FREQ=DAILY;BYHOUR={}", "1,".repeat(8 * 1024));
    assert!(Recurrence::parse(&long).unwrap_err().to_string().contains("split it"));
}

/// A rule of any frequency with a few conditions.
fn any_rule() -> impl Strategy<Value = String> {
    let frequency = prop::sample::select(vec![
        "YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY",
    ]);
    let part = prop::sample::select(vec![
        "BYMONTH=3,11",
        "BYMONTHDAY=1,15,-1",
        "BYDAY=MO,SU",
        "BYHOUR=1,2,23",
        "BYMINUTE=0,30",
        "BYSECOND=0,59",
        "BYSETPOS=1,-1",
        "BYWEEKNO=1,10,-1",
        "BYYEARDAY=67,305,-1",
        "WKST=SU",
    ]);
    let parts = prop::sample::SizeRange::from(0..4);
    let parts = prop::collection::btree_set(part, parts);
    (frequency, 1..50_u32, parts).prop_map(|(frequency, interval, parts)| {
        let parts: Vec<_> = parts.into_iter().collect();
        format!("FREQ={frequency};INTERVAL={interval};{}", parts.join(";"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn occurrences_ascend_and_ends_cut_them(
        text in any_rule(),
        second in 0_i64..(30 * 365 * 24 * 60 * 60),
        count in 1..12_usize,
    ) {
        let new_york = zone("America/New_York").unwrap();
        let first = date(2020, 1, 1).at(0, 0, 0, 0) + jiff::SignedDuration::from_secs(second);
        let endless = rule(&text).occurrences(first, &new_york, 20);
        let locals: Vec<_> = endless.times.iter().map(|time| time.local).collect();
        prop_assert!(locals.iter().all(|local| *local >= first), "{}", text);
        prop_assert!(locals.is_sorted_by(|one, next| one < next), "{} {:?}", text, locals);
        // A gap may put an instant behind the next one's, by its length at most.
        for pair in endless.times.windows(2).filter(|pair| pair[0].instant > pair[1].instant) {
            prop_assert_eq!(pair[0].resolved, Resolution::Gap, "{}", text);
        }

        let text = text.trim_end_matches(';');
        let counted = rule(&format!("{text};COUNT={count}")).occurrences(first, &new_york, 20);
        prop_assert_eq!(&counted.times[..], &endless.times[..count.min(locals.len())]);
        if let Some(last) = locals.get(count) {
            let until = last.strftime("%Y%m%dT%H%M%S");
            let until = rule(&format!("{text};UNTIL={until}")).occurrences(first, &new_york, 20);
            prop_assert_eq!(&until.times[..], &endless.times[..=count]);
            prop_assert!(!until.bounded);
        }
    }

    /// Each day is taken by the rule that names it, whichever part names it.
    #[test]
    fn no_date_is_lost(day in 0_i64..(200 * 365)) {
        let date = date(1990, 1, 1) + jiff::SignedDuration::from_hours(24 * day);
        let at = date.at(9, 0, 0, 0);
        let (month, nth) = (date.month(), (date.day() - 1) / 7 + 1);
        let weekday = &date.strftime("%a").to_string().to_uppercase()[..2];
        let weeks = match date.iso_week_date().week() {
            52.. => "52,53".to_owned(),
            week => week.to_string(),
        };
        for text in [
            format!("FREQ=YEARLY;BYYEARDAY={}", date.day_of_year()),
            format!("FREQ=YEARLY;BYYEARDAY={}", date.day_of_year() - date.days_in_year() - 1),
            format!("FREQ=YEARLY;BYWEEKNO={weeks};BYDAY={weekday}"),
            format!("FREQ=YEARLY;BYMONTH={month};BYDAY={nth}{weekday}"),
            format!("FREQ=MONTHLY;BYMONTHDAY={}", date.day()),
            format!("FREQ=MONTHLY;BYMONTHDAY={}", date.day() - date.days_in_month() - 1),
            format!("FREQ=MONTHLY;BYDAY={nth}{weekday}"),
            "FREQ=WEEKLY".to_owned(),
            "FREQ=HOURLY;INTERVAL=24".to_owned(),
        ] {
            let found = rule(&text).occurrences(at, &TimeZone::UTC, 1);
            prop_assert_eq!(found.times.first().map(|time| time.local), Some(at), "{}", text);
        }
    }
}
