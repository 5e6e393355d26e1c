//! The sample vectors, each checked against the rule it was made for.

use std::collections::HashSet;

use domain::instant::Instant;
use domain::local_time::{self, Resolution};
use domain::quiet_hours::{QuietHours, zone};
use domain::recurrence::Recurrence;
use domain::{phone, segments};
use serde_json::Value;

/// The rows of one vector file without its `_meta` line.
fn rows(file: &str) -> Vec<Value> {
    file.lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"))
        .filter(|row| row.get("_meta").is_none())
        .collect()
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_else(|| panic!("{field} is missing in {row}"))
}

#[test]
fn segments_equal_the_calculator() {
    for row in rows(include_str!("vectors/segments.jsonl")) {
        let body = text(&row, "text");
        let measured = segments::measure(body);
        assert_eq!(measured.encoding.as_str(), text(&row, "encoding"), "{row}");
        assert_eq!(row["segments"], measured.segments, "{row}");
        assert_eq!(row["characters"], measured.characters, "{row}");
        assert_eq!(row["utf16_units"], measured.utf16_units, "{row}");
        let units = segments::units_per_segment(body);
        assert_eq!(row["units_per_segment"], Value::from(units), "{row}");
        assert_eq!(row["spec_segments"], segments::spec_segments(body), "{row}");
        assert!(segments::billable(body) >= measured.segments, "{row}");

        let smart = segments::measure(&segments::smart_encode(body));
        assert_eq!(smart.encoding.as_str(), text(&row["smart"], "encoding"), "{row}");
        assert_eq!(row["smart"]["segments"], smart.segments, "{row}");
        assert_eq!(row["smart"]["characters"], smart.characters, "{row}");
    }
}

#[test]
fn clusters_equal_the_calculator() {
    for row in rows(include_str!("vectors/segments_clusters.jsonl")) {
        let body = text(&row, "text");
        let measured = segments::measure(body);
        assert_eq!(row["segments"], measured.segments, "{row}");
        assert_eq!(row["characters"], measured.characters, "{row}");
        let units = segments::units_per_segment(body);
        assert_eq!(row["units_per_segment"], Value::from(units), "{row}");
    }
}

#[test]
fn the_gsm_alphabet_is_the_published_one() {
    let table: Value =
        serde_json::from_str(include_str!("vectors/gsm0338.json")).expect("the table is JSON");
    let listed = |part: &str| -> HashSet<u32> {
        let names = table[part].as_object().expect("an object").keys();
        names.map(|name| u32::from_str_radix(&name[2..], 16).expect("U+XXXX")).collect()
    };
    let (basic, extension) = (listed("basic"), listed("extension"));
    for code in 0..=0xFFFF {
        let Some(character) = char::from_u32(code) else {
            continue;
        };
        let measured = segments::measure(character.encode_utf8(&mut [0; 4]));
        let expected = match (basic.contains(&code), extension.contains(&code)) {
            (true, _) => ("GSM-7", 1),
            (_, true) => ("GSM-7", 2),
            _ => ("UCS-2", 1),
        };
        assert_eq!((measured.encoding.as_str(), measured.characters), expected, "U+{code:04X}");
    }
}

#[test]
fn phone_numbers_equal_libphonenumber() {
    for row in rows(include_str!("vectors/phones.jsonl")) {
        let (raw, region) = (text(&row, "raw"), row["default_region"].as_str());
        let inspection = phone::inspect(raw, region);
        assert_eq!(row["valid"], inspection.valid, "{row}");
        assert_eq!(row["e164"].as_str(), inspection.e164.as_deref(), "{row}");
        assert_eq!(row["type"].as_str(), inspection.kind.map(phone::NumberType::as_str), "{row}");
        assert_eq!(row["region"].as_str(), inspection.region.as_deref(), "{row}");

        let parsed = phone::parse(raw, region);
        assert_eq!(row["valid"], parsed.is_ok(), "{row} {parsed:?}");
        if let Ok(number) = parsed {
            assert_eq!(text(&row, "e164"), number.e164.as_str(), "{row}");
            assert_eq!(row["country_code"], number.country_code, "{row}");
        }
    }
}

#[test]
fn quiet_hours_equal_the_minute_scan() {
    for row in rows(include_str!("vectors/quiet_hours.jsonl")) {
        let at = |field| Instant::parse(text(&row, field)).expect("RFC 3339");
        let zone = zone(text(&row, "tz")).expect("a known zone");
        let hours = QuietHours::parse(text(&row, "start"), text(&row, "end")).expect("HH:MM");
        assert_eq!(row["in_quiet"], hours.in_quiet(at("utc"), &zone), "{row}");
        assert_eq!(at("next_allowed_utc"), hours.next_allowed(at("utc"), &zone), "{row}");
    }
}

#[test]
fn recurrences_equal_the_expansion_on_the_wall_clock() {
    for row in rows(include_str!("vectors/rrule.jsonl")) {
        let zone = zone(text(&row, "tz")).expect("a known zone");
        let first = local_time::parse_wall(text(&row, "dtstart_local")).expect("a local time");
        let rule = Recurrence::parse(text(&row, "rrule")).expect("a rule");
        let expected = row["occurrences"].as_array().expect("a list");
        let found = rule.occurrences(first, &zone, expected.len() + 1);
        assert_eq!((found.times.len(), found.bounded), (expected.len(), false), "{row}");
        for (found, expected) in found.times.iter().zip(expected) {
            assert_eq!(found.instant.to_string(), text(expected, "utc"), "{row}");
            assert_eq!(found.local.to_string(), text(expected, "local"), "{row}");
            assert_eq!(expected["gap"], found.resolved == Resolution::Gap, "{row}");
            assert_eq!(expected["ambiguous"], found.resolved == Resolution::Overlap, "{row}");
            let shown = local_time::shown(found.instant, &zone).to_string();
            assert!(text(expected, "actual_local").starts_with(&shown), "{row}");
        }
    }
}
