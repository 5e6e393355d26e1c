//! Zones whose rules have changed since the copy of the zone database that jiff brings.
//!
//! Governments move clocks at a few weeks' notice, and jiff's copy follows later; until then the
//! compiled tables of the newer release stand here (IANA, public domain). Nobody asks here but
//! [`crate::quiet_hours::zone`]. A test fails when a table has become superfluous.

use std::sync::LazyLock;

use jiff::tz::TimeZone;

/// The names of a zone, and its table in the form of RFC 9636.
type Newer = (&'static [&'static str], &'static [u8]);

/// Release 2026f: Cuba stays on summer time in the winter of 2026.
const NEWER: [Newer; 1] =
    [(&["America/Havana", "Cuba"], include_bytes!("../data/zones/America_Havana.tzif"))];

/// The zone called `name` (any case), if its rules are newer than those in jiff's copy.
pub(crate) fn find(name: &str) -> Option<TimeZone> {
    static ZONES: LazyLock<Vec<(&'static str, TimeZone)>> = LazyLock::new(|| {
        let read = |name: &&'static str, table| {
            (*name, TimeZone::tzif(name, table).expect("a test reads each table"))
        };
        let zones = NEWER.iter();
        zones.flat_map(|(names, table)| names.iter().map(move |name| read(name, table))).collect()
    });
    let found = ZONES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, zone)| zone.clone())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZoneDatabase;

    use super::*;

    fn moves(zone: &TimeZone) -> Vec<(Timestamp, i32)> {
        let following = zone.following(Timestamp::UNIX_EPOCH).take(200);
        following.map(|moved| (moved.timestamp(), moved.offset().seconds())).collect()
    }

    #[test]
    fn each_table_is_newer_than_the_copy() {
        for (names, _) in NEWER {
            for name in names {
                let zone = find(&name.to_lowercase()).expect("it is known");
                assert_eq!(zone.iana_name(), Some(*name));
                let copy = TimeZoneDatabase::bundled().get(name).expect("the copy knows it too");
                assert_ne!(moves(&zone), moves(&copy), "{name}: delete it, the copy has it");
            }
        }
        assert!(find("Europe/London").is_none());
    }

    #[test]
    fn cuba_stays_on_summer_time() {
        let zone = crate::quiet_hours::zone("america/havana").unwrap();
        for (at, hours) in [
            ("2026-01-15T00:00:00Z", -5),
            ("2026-07-15T00:00:00Z", -4),
            ("2026-12-15T00:00:00Z", -4),
            ("2027-12-15T00:00:00Z", -5),
        ] {
            assert_eq!(zone.to_offset(at.parse().unwrap()).seconds(), hours * 3600, "{at}");
        }
    }
}
