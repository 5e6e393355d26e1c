//! Which days a rule takes: its periods on the calendar, and the conditions on a date.

use jiff::SignedDuration;
use jiff::civil::{Date, Weekday};

use super::rule::{Frequency, NthDay, Recurrence};

/// Days and all finer periods are counted from here.
const EPOCH: Date = Date::constant(1970, 1, 1);

impl Frequency {
    /// How many periods a day has; 1 for all that last a day or longer.
    pub(super) fn per_day(self) -> i64 {
        match self {
            Self::Hourly => 24,
            Self::Minutely => 24 * 60,
            Self::Secondly => 24 * 60 * 60,
            _ => 1,
        }
    }

    /// The number of the period that holds the first second of `date`.
    pub(super) fn period_of(self, date: Date, week_start: Weekday) -> i64 {
        let day = day_number(date);
        match self {
            Self::Yearly => date.year().into(),
            Self::Monthly => i64::from(date.year()) * 12 + i64::from(date.month()) - 1,
            Self::Weekly => (day - week_shift(week_start)).div_euclid(7),
            _ => day * self.per_day(),
        }
    }

    /// The first and the last date of a period; none outside of the calendar.
    pub(super) fn dates_of(self, period: i64, week_start: Weekday) -> Option<(Date, Date)> {
        match self {
            Self::Yearly => {
                let year = period.try_into().ok()?;
                Some((Date::new(year, 1, 1).ok()?, Date::new(year, 12, 31).ok()?))
            }
            Self::Monthly => {
                let year = period.div_euclid(12).try_into().ok()?;
                let month = period.rem_euclid(12).try_into().ok()?;
                let first = Date::new(year, 1_i8.checked_add(month)?, 1).ok()?;
                Some((first, first.last_of_month()))
            }
            Self::Weekly => {
                let first = period.checked_mul(7)?.checked_add(week_shift(week_start))?;
                Some((date_of(first)?, date_of(first.checked_add(6)?)?))
            }
            _ => {
                let date = date_of(period.div_euclid(self.per_day()))?;
                Some((date, date))
            }
        }
    }
}

/// The number of a day on which a week begins, between -3 and 3.
fn week_shift(week_start: Weekday) -> i64 {
    i64::from(week_start.to_monday_zero_offset())
        - i64::from(EPOCH.weekday().to_monday_zero_offset())
}

fn day_number(date: Date) -> i64 {
    date.duration_since(EPOCH).as_hours() / 24
}

fn date_of(day: i64) -> Option<Date> {
    let day = i32::try_from(day).ok()?;
    EPOCH.checked_add(SignedDuration::from_hours(24 * i64::from(day))).ok()
}

impl Recurrence {
    /// Whether the conditions on the date hold; BYSETPOS and the time of day come later. Weeks are
    /// counted in `year`: that of the date, or of the day before on which its week begins.
    pub(super) fn takes(&self, date: Date, year: i16) -> bool {
        listed(&self.months, || [date.month().into(), 0])
            && listed(&self.month_days, || {
                from_both_ends(date.day().into(), date.days_in_month().into())
            })
            && listed(&self.year_days, || from_both_ends(date.day_of_year(), date.days_in_year()))
            && listed(&self.weeks, || week(date, year, self.week_start))
            && (self.weekdays.is_empty() || self.weekdays.contains(&date.weekday()))
            && (self.nth_days.is_empty()
                || self.nth_days.iter().any(|day| self.takes_nth(*day, date)))
    }

    fn takes_nth(&self, day: NthDay, date: Date) -> bool {
        if day.weekday != date.weekday() {
            return false;
        }
        let in_year = self.frequency == Frequency::Yearly && self.months.is_empty();
        let (nth, days) = if in_year {
            (date.day_of_year(), date.days_in_year())
        } else {
            (date.day().into(), date.days_in_month().into())
        };
        day.nth == (nth - 1) / 7 + 1 || day.nth == -((days - nth) / 7 + 1)
    }
}

/// A part that was not given holds for all; else one of both numbers has to be in it.
fn listed(list: &[i16], numbers: impl FnOnce() -> [i16; 2]) -> bool {
    list.is_empty() || numbers().iter().any(|number| list.contains(number))
}

/// The nth of so many, counted from the beginning and from the end.
fn from_both_ends(nth: i16, of: i16) -> [i16; 2] {
    [nth, nth - of - 1]
}

/// The number of the week in `year`, for weeks that begin on any day; week 1 is the first with four
/// days in the year. At both ends of a year python-dateutil is followed where it leaves ISO 8601:
/// the last days of December, when in week 1 of the next year, have no number from its end (-52 or
/// -53); the first two days of January, when in the last week of the year before and both years are
/// common ones, are in a week 53 although that year may have 52.
fn week(date: Date, year: i16, week_start: Weekday) -> [i16; 2] {
    let Ok(new_year) = Date::new(year, 1, 1) else {
        return [0, 0];
    };
    let days = new_year.days_in_year();
    // How many days of the week of 1 January are in the year before.
    let before = i16::from(new_year.weekday().since(week_start));
    let week_one = if before > 3 { 7 - before } else { -before };
    let weeks = (days - week_one + 3) / 7;
    let since_new_year = day_number(date) - day_number(new_year);
    let day = i16::try_from(since_new_year).expect("a week reaches a few days beyond its year");
    if day < week_one {
        let long = before == 4 || (before == 5 && days == 365);
        return [if long { 53 } else { 52 }, -1];
    }
    let number = (day - week_one) / 7 + 1;
    if number > weeks { [1, 0] } else { from_both_ends(number, weeks) }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn weeks_are_those_of_iso_8601_but_at_both_ends_of_a_year() {
        let mut day = date(1969, 12, 1);
        while day < date(2201, 1, 31) {
            let iso = day.iso_week_date();
            let number = i16::from(iso.week());
            let expected = match iso.year() - day.year() {
                0 => [number, number - i16::from(iso.weeks_in_year()) - 1],
                1 => [1, 0],
                _ => {
                    let common = |year| !date(year, 1, 1).in_leap_year();
                    let saturday = day.first_of_year().weekday() == Weekday::Saturday;
                    let long = saturday && common(day.year()) && common(day.year() - 1);
                    [if long { 53 } else { number }, -1]
                }
            };
            assert_eq!(week(day, day.year(), Weekday::Monday), expected, "{day}");
            day = day.tomorrow().unwrap();
        }
        // A week that began in the year before keeps its number there.
        assert_eq!(week(date(2027, 1, 2), 2026, Weekday::Monday), [53, -1]);
        assert_eq!(week(date(2026, 1, 2), 2025, Weekday::Monday), [1, 0]);
        // 2 January 2027 is a Saturday: of the year's first week when weeks begin on Saturdays.
        assert_eq!(week(date(2027, 1, 2), 2027, Weekday::Saturday), [1, -52]);
        assert_eq!(week(date(2027, 1, 2), 2027, Weekday::Sunday), [53, -1]);
        assert_eq!(week(date(2028, 1, 1), 2028, Weekday::Sunday), [52, -1]);
    }

    #[test]
    fn periods_hold_their_dates() {
        for frequency in [Frequency::Yearly, Frequency::Monthly, Frequency::Weekly] {
            for week_start in [Weekday::Monday, Weekday::Thursday, Weekday::Sunday] {
                for day in [date(1969, 12, 31), date(2026, 3, 1), date(2028, 2, 29)] {
                    let period = frequency.period_of(day, week_start);
                    let (first, last) = frequency.dates_of(period, week_start).unwrap();
                    assert!(first <= day && day <= last, "{frequency:?} {day}");
                    let next = last.tomorrow().unwrap();
                    assert_eq!(frequency.period_of(next, week_start), period + 1, "{day}");
                    let begins = frequency != Frequency::Weekly || first.weekday() == week_start;
                    assert!(begins, "{first}");
                }
            }
        }
        for period in [i64::MAX / 366, i64::from(i32::MAX)] {
            assert_eq!(Frequency::Yearly.dates_of(period, Weekday::Monday), None);
            assert_eq!(Frequency::Monthly.dates_of(period, Weekday::Monday), None);
            assert_eq!(Frequency::Weekly.dates_of(period, Weekday::Monday), None);
            assert_eq!(Frequency::Daily.dates_of(period, Weekday::Monday), None);
        }
    }
}
