//! A state's hours for texts, by the day of the week. The states are data,
//! `data/state_hours.csv`, with their sources; a state that is not listed has the federal hours,
//! which are the usual quiet hours.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::{DAY_SECS, MINUTE_SECS};
use crate::quiet_hours::WallTime;
use crate::utterance::rows;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

static STATES: LazyLock<BTreeMap<&'static str, WeeklyHours>> = LazyLock::new(|| {
    let mut states: BTreeMap<_, WeeklyHours> = BTreeMap::new();
    for row in rows::<4>(include_str!("../../data/state_hours.csv")) {
        let [state, days, start, end] = row;
        states
            .entry(state)
            .or_default()
            .open(days, start, end)
            .unwrap_or_else(|| panic!("state_hours.csv: {row:?}"));
    }
    states
});

/// One window a day, on the recipient's clock; a day without one is a day without texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WeeklyHours {
    /// From Monday on: first second and the one after the last.
    days: [Option<(i64, i64)>; 7],
}

impl WeeklyHours {
    /// The hours of a US state, such as `TX`, where they are narrower than the federal ones.
    pub fn of_state(state: &str) -> Option<&'static Self> {
        STATES.get(state)
    }

    /// Opens a range of days such as `Mon-Sat` from `start` to `end`, `HH:MM`; `end` may be
    /// `24:00`. `None`, and nothing is changed, when that is no window or a day is open already.
    pub fn open(&mut self, days: &str, start: &str, end: &str) -> Option<()> {
        let (first, last) = days.split_once('-').unwrap_or((days, days));
        let day = |name| DAYS.iter().position(|day| *day == name);
        let time = |text: &str| match text {
            "24:00" => Some(DAY_SECS),
            _ => text.parse().ok().map(WallTime::seconds),
        };
        let (opens, closes) = (time(start)?, time(end)?);
        let days = self.days.get_mut(day(first)?..=day(last)?)?;
        if opens + MINUTE_SECS > closes || days.iter().any(Option::is_some) {
            return None;
        }
        days.fill(Some((opens, closes)));
        Some(())
    }

    /// The window of a day, Monday being 0.
    pub(super) fn of(&self, day: u8) -> Option<(i64, i64)> {
        self.days.get(usize::from(day)).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(state: &str) -> Vec<String> {
        let hours = WeeklyHours::of_state(state).expect(state);
        let shown = |(start, end)| format!("{}-{}", start / 3600, end / 3600);
        hours.days.iter().map(|day| day.map_or("none".to_owned(), shown)).collect()
    }

    #[test]
    fn states() {
        let all_week = |window: &str| vec![window.to_owned(); 7];
        assert_eq!(hours("FL"), all_week("8-20"));
        assert_eq!(hours("KY"), all_week("10-21"));
        assert_eq!(hours("TX")[5..], ["9-21", "12-21"]);
        assert_eq!(hours("RI")[4..], ["9-18", "10-17", "10-17"]);
        assert_eq!(hours("MS")[5..], ["8-20", "none"]);
        for federal in ["NY", "VA", "PA", "tx", ""] {
            assert_eq!(WeeklyHours::of_state(federal), None, "{federal}");
        }
    }

    #[test]
    fn mistakes_open_nothing() {
        for (days, start, end, expected) in [
            ("Mon-Sun", "00:00", "24:00", true),
            ("Sat", "09:00", "09:01", true),
            ("Sat", "09:00", "09:00", false),
            ("Sat-Mon", "09:00", "10:00", false),
            ("Sat", "10:00", "09:00", false),
            ("Any", "09:00", "10:00", false),
            ("Sat", "24:00", "10:00", false),
            ("Sat", "9", "10:00", false),
        ] {
            let mut hours = WeeklyHours::default();
            assert_eq!(hours.open(days, start, end).is_some(), expected, "{days} {start} {end}");
            assert_eq!(hours != WeeklyHours::default(), expected, "{days} {start} {end}");
            assert!(hours.open("Mon-Sun", "08:00", "09:00").is_none() || !expected);
        }
    }
}
