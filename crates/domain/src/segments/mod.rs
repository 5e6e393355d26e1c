//! How many segments a text takes, and what makes it expensive.
//!
//! Two counts exist. [`measure`] equals Twilio's published calculator (npm
//! `sms-segments-calculator` 1.3.0), which keeps grapheme clusters whole; [`spec_segments`] is the
//! plain splitter that carriers bill by. Money uses [`billable`], the higher of both. Nothing
//! here knows prices: see [`crate::rates`].

mod grapheme_table;
mod graphemes;
mod gsm;
mod smart;

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

pub use smart::smart_encode;

/// The longest body Twilio takes, in UTF-16 units (its error 21617 beyond).
pub const BODY_UNITS_MAX: usize = 1600;

/// What one message and each part of a long one hold: 140 octets, of which a header takes 6.
const GSM: Capacity = Capacity { alone: 160, part: 153 };
const UCS2: Capacity = Capacity { alone: 70, part: 67 };

/// Room in a message that goes alone and in one part of a long one, in units of the encoding.
#[derive(Clone, Copy)]
struct Capacity {
    alone: usize,
    part: usize,
}

/// How a text travels. One character outside GSM 03.38 turns the whole text into UCS-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Encoding {
    /// 7 bits a septet; `€[]{}\^|~` and form feed take two.
    #[serde(rename = "GSM-7")]
    Gsm7,
    /// UTF-16 units; characters beyond the basic plane take two.
    #[serde(rename = "UCS-2")]
    Ucs2,
}

impl Encoding {
    /// `GSM-7` or `UCS-2`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gsm7 => "GSM-7",
            Self::Ucs2 => "UCS-2",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The size of a text on the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Segmentation {
    /// How the text travels.
    pub encoding: Encoding,
    /// Parts by the calculator's rules; 1 for an empty text.
    pub segments: u32,
    /// Septets in GSM-7 (so `€` counts 2), grapheme clusters in UCS-2.
    pub characters: u32,
    /// UTF-16 units, to hold against [`BODY_UNITS_MAX`].
    pub utf16_units: u32,
}

/// Measures `text` as Twilio's calculator does.
///
/// GSM-7 texts cost one pass over the characters and no allocation.
pub fn measure(text: &str) -> Segmentation {
    let (encoding, segments, characters) = if let Some(septets) = gsm::total_septets(text) {
        (Encoding::Gsm7, gsm_segments(text, septets), septets)
    } else {
        let (mut parts, mut clusters) = (Parts::new(UCS2), 0);
        for units in graphemes::cluster_units(text) {
            parts.push(units);
            clusters += 1;
        }
        (Encoding::Ucs2, parts.count(), clusters)
    };
    let utf16_units = utf16_units(text);
    Segmentation {
        encoding,
        segments: count(segments),
        characters: count(characters),
        utf16_units: count(utf16_units),
    }
}

/// Segments by the plain rule of 3GPP TS 23.038 and 23.040: septets or UTF-16 units, splitting
/// neither an escaped character nor a surrogate pair, but clusters where they fall. Carriers bill
/// by it.
pub fn spec_segments(text: &str) -> u32 {
    count(match gsm::total_septets(text) {
        Some(septets) => gsm_segments(text, septets),
        None => parts_of(UCS2, text.chars().map(char::len_utf16)).count(),
    })
}

/// The segments to reserve credits for: the higher of both counts, so a bill never exceeds it.
pub fn billable(text: &str) -> u32 {
    match gsm::total_septets(text) {
        Some(septets) => count(gsm_segments(text, septets)),
        None => measure(text).segments.max(spec_segments(text)),
    }
}

/// The units that each segment of [`measure`] carries, for a preview: septets in GSM-7, UTF-16
/// units in UCS-2, without the header.
pub fn units_per_segment(text: &str) -> Vec<u32> {
    let parts = if gsm::total_septets(text).is_some() {
        parts_of(GSM, text.chars().map(gsm_units))
    } else {
        parts_of(UCS2, graphemes::cluster_units(text))
    };
    parts.units().map(count).collect()
}

/// A character that forces UCS-2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CostlyCharacter {
    /// The character, which GSM 03.38 lacks.
    pub character: char,
    /// Where it stands first, in UTF-16 units from the start, as a text field in a browser counts.
    pub position: usize,
    /// How often it stands in the text.
    pub count: usize,
    /// What [`smart_encode`] puts in its place: `Some("")` removes it, `None` leaves it.
    pub replacement: Option<String>,
}

/// The distinct characters that force UCS-2, in order of appearance; none for a GSM-7 text.
pub fn costly_characters(text: &str) -> Vec<CostlyCharacter> {
    let mut found: Vec<CostlyCharacter> = Vec::new();
    let mut place_of: HashMap<char, usize> = HashMap::new();
    let mut position = 0;
    for character in text.chars() {
        if gsm::septets(character) == 0 {
            let place = *place_of.entry(character).or_insert(found.len());
            match found.get_mut(place) {
                Some(known) => known.count += 1,
                None => found.push(CostlyCharacter {
                    character,
                    position,
                    count: 1,
                    replacement: smart::replacement(character).map(str::to_owned),
                }),
            }
        }
        position += character.len_utf16();
    }
    found
}

/// Parts being filled, as the calculator fills them: with one message's room, until something
/// does not fit; then the first part gives back what its header displaces.
struct Parts {
    capacity: Capacity,
    /// Units in the closed parts. A single-part text allocates nothing.
    closed: Vec<usize>,
    /// Units in the part being filled.
    open: usize,
    /// What the first part keeps when it gets a header: its longest head within `capacity.part`.
    first_keeps: usize,
}

impl Parts {
    const fn new(capacity: Capacity) -> Self {
        Self { capacity, closed: Vec::new(), open: 0, first_keeps: 0 }
    }

    /// Adds something unsplittable of `units`.
    fn push(&mut self, units: usize) {
        if self.closed.is_empty() {
            if self.open + units <= self.capacity.alone {
                self.open += units;
                if self.open <= self.capacity.part {
                    self.first_keeps = self.open;
                }
                return;
            }
            // The calculator does not check again whether the returned units and the new ones
            // fit together; with clusters of 50 units they may not.
            self.closed.push(self.first_keeps);
            self.open = self.open - self.first_keeps + units;
        } else if self.open + units <= self.capacity.part {
            self.open += units;
        } else {
            self.closed.push(self.open);
            self.open = units;
        }
    }

    fn count(&self) -> usize {
        self.closed.len() + 1
    }

    fn units(&self) -> impl Iterator<Item = usize> + '_ {
        self.closed.iter().copied().chain([self.open])
    }
}

fn parts_of(capacity: Capacity, units: impl Iterator<Item = usize>) -> Parts {
    let mut parts = Parts::new(capacity);
    units.for_each(|units| parts.push(units));
    parts
}

/// Segments of a GSM-7 text of `septets`; only a long one is walked again.
fn gsm_segments(text: &str, septets: usize) -> usize {
    if septets <= GSM.alone {
        return 1;
    }
    parts_of(GSM, text.chars().map(gsm_units)).count()
}

fn gsm_units(character: char) -> usize {
    usize::from(gsm::septets(character))
}

fn utf16_units(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(char::len_utf16).sum() }
}

/// Counts fit 32 bits: bodies are limited long before.
fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes() {
        let long = |unit: &str, times| unit.repeat(times);
        // Text, then encoding, segments, characters and what carriers bill.
        for (text, expected) in [
            (String::new(), "GSM-7 1 0 1"),
            (long("a", 160), "GSM-7 1 160 1"),
            (long("a", 161), "GSM-7 2 161 2"),
            (long("a", 307), "GSM-7 3 307 3"),
            (long("€", 80), "GSM-7 1 160 1"),
            (long("a", 152) + &long("€", 77), "GSM-7 3 306 3"),
            (long("a", 159) + "\r\n", "GSM-7 2 161 2"),
            (long("ç", 70), "UCS-2 1 70 1"),
            (long("ç", 71), "UCS-2 2 71 2"),
            (long("€", 69) + "ç", "UCS-2 1 70 1"),
            (long("a", 66) + "😀" + "abc", "UCS-2 2 70 2"),
            (long("👨‍👩‍👧‍👦", 13), "UCS-2 3 13 3"),
        ] {
            let of = measure(&text);
            let plain = spec_segments(&text);
            let shown = format!("{} {} {} {plain}", of.encoding, of.segments, of.characters);
            assert_eq!(shown, expected, "{text}");
        }
    }

    #[test]
    fn what_makes_a_text_costly() {
        assert_eq!(costly_characters("plain €"), []);
        let found: Vec<_> = costly_characters("😀 “a” “b” 名\u{200b}")
            .into_iter()
            .map(|costly| (costly.character, costly.position, costly.count, costly.replacement))
            .collect();
        let by = |text: &str| Some(text.to_owned());
        let expected = [
            ('😀', 0, 1, None),
            ('“', 3, 2, by("\"")),
            ('”', 5, 2, by("\"")),
            ('名', 11, 1, None),
            ('\u{200b}', 12, 1, by("")),
        ];
        assert_eq!(found, expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn unescaped_gsm_texts_follow_the_formula(text in "[a-zA-Z0-9 @£éΩ\n]{0,700}") {
            let septets = u32::try_from(text.chars().count()).unwrap();
            let expected = if septets <= 160 { 1 } else { septets.div_ceil(153) };
            prop_assert_eq!(measure(&text).segments, expected);
            prop_assert_eq!(spec_segments(&text), expected);
        }

        #[test]
        fn any_text_is_cut_without_loss(text in "(\\PC|[{}€\r\n]|🇺🇸|👩‍🚀|e\u{301}){0,300}") {
            let measured = measure(&text);
            let units = units_per_segment(&text);
            let total = match measured.encoding {
                Encoding::Gsm7 => measured.characters,
                Encoding::Ucs2 => measured.utf16_units,
            };
            prop_assert_eq!(units.iter().sum::<u32>(), total);
            prop_assert_eq!(u32::try_from(units.len()).unwrap(), measured.segments);
            prop_assert!(billable(&text) >= measured.segments.max(spec_segments(&text)));
            let encoded = smart_encode(&text);
            prop_assert_eq!(smart_encode(&encoded), encoded.as_ref());
        }
    }
}
