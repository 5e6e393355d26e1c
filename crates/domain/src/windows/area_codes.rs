//! Where a number is from, guessed by its first digits, and the time zones that occur there. The
//! list is data, `data/area_codes.csv`, with its source.
//!
//! People keep their number when they move: whoever knows the recipient's zone does not ask here.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::utterance::rows;

/// The longest prefix of the list: 1 and an area code.
const PREFIX_DIGITS_MAX: usize = 4;

static PLACES: LazyLock<BTreeMap<&'static str, Place>> = LazyLock::new(|| {
    let place = |[prefix, country, region, zones]: [&'static str; 4]| {
        (prefix, Place { country, region, zones: zones.split(' ').collect() })
    };
    rows(include_str!("../../data/area_codes.csv")).map(place).collect()
});

struct Place {
    country: &'static str,
    region: &'static str,
    zones: Vec<&'static str>,
}

/// The names of the zones that a number such as `+18505550123` may be in; none when its digits do
/// not tell.
pub fn zones_of(phone_e164: &str) -> &'static [&'static str] {
    find(phone_e164).map_or(&[], |place| &place.zones)
}

/// The US state of a number's area code, such as `FL`.
pub fn state_of(phone_e164: &str) -> Option<&'static str> {
    find(phone_e164).filter(|place| place.country == "US").map(|place| place.region)
}

/// The country of a number (ISO 3166) and, in the US and Canada, the state or province.
pub fn region_of(phone_e164: &str) -> Option<(&'static str, Option<&'static str>)> {
    let place = find(phone_e164)?;
    Some((place.country, Some(place.region).filter(|region| !region.is_empty())))
}

fn find(phone_e164: &str) -> Option<&'static Place> {
    let digits = phone_e164.strip_prefix('+')?;
    let longest = PREFIX_DIGITS_MAX.min(digits.len());
    (1..=longest).rev().find_map(|length| PLACES.get(digits.get(..length)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::{self, NumberType};
    use crate::quiet_hours::zone;
    use crate::windows::WeeklyHours;

    #[test]
    fn numbers_have_places() {
        for (phone, region, zones) in [
            ("+12125550123", Some(("US", Some("NY"))), "America/New_York"),
            ("+18505550123", Some(("US", Some("FL"))), "America/New_York America/Chicago"),
            ("+14485550123", Some(("US", Some("FL"))), "America/New_York America/Chicago"),
            ("+15415550123", Some(("US", Some("OR"))), "America/Los_Angeles America/Boise"),
            ("+16025550123", Some(("US", Some("AZ"))), "America/Phoenix"),
            ("+18085550123", Some(("US", Some("HI"))), "Pacific/Honolulu"),
            ("+19155550123", Some(("US", Some("TX"))), "America/Denver"),
            ("+14165550123", Some(("CA", Some("ON"))), "America/Toronto"),
            ("+17095550123", Some(("CA", Some("NL"))), "America/St_Johns America/Goose_Bay"),
            ("+17875550123", Some(("PR", None)), "America/Puerto_Rico"),
            ("+447400123456", Some(("GB", None)), "Europe/London"),
            ("+353850123456", Some(("IE", None)), "Europe/Dublin"),
            ("+34612345678", Some(("ES", None)), "Europe/Madrid Atlantic/Canary"),
            ("+18005550123", None, ""),
            ("+15005550006", None, ""),
            ("+1", None, ""),
            ("+99912345", None, ""),
            ("12125550123", None, ""),
            ("+1é2", None, ""),
            ("", None, ""),
        ] {
            assert_eq!(region_of(phone), region, "{phone}");
            assert_eq!(zones_of(phone).join(" "), zones, "{phone}");
        }
        assert_eq!(state_of("+18505550123"), Some("FL"));
        assert_eq!(state_of("+14165550123"), None);
    }

    #[test]
    fn every_zone_exists_and_every_listed_state_has_numbers() {
        for (prefix, place) in PLACES.iter() {
            assert!(place.zones.iter().all(|name| zone(name).is_ok()), "{prefix}");
            assert_eq!(place.region.is_empty(), !["US", "CA"].contains(&place.country), "{prefix}");
        }
        let states: std::collections::BTreeSet<_> =
            PLACES.values().filter(|place| place.country == "US").map(|it| it.region).collect();
        assert_eq!(states.len(), 51, "{states:?}");
        let hours = include_str!("../../data/state_hours.csv");
        for [state, ..] in rows::<4>(hours) {
            assert!(states.contains(state), "{state}");
            assert!(WeeklyHours::of_state(state).is_some());
        }
    }

    /// libphonenumber knows which area codes are in use and in which country.
    #[test]
    fn the_list_has_every_area_code_and_no_other() {
        for code in 200..1000 {
            // Islands use few exchanges of theirs.
            let known = (200..1000).find_map(|exchange| {
                let number = phone::parse(&format!("+1{code}{exchange}4567"), None).ok()?;
                number.region.filter(|_| TIED_TO_A_PLACE.contains(&number.kind))
            });
            let listed = region_of(&format!("+1{code}5550123")).map(|(country, _)| country);
            assert_eq!(listed, known.as_deref(), "{code}");
        }
    }

    const TIED_TO_A_PLACE: [NumberType; 3] =
        [NumberType::FixedLineOrMobile, NumberType::FixedLine, NumberType::Mobile];
}
