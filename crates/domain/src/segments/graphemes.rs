//! Grapheme clusters as the segment calculator cuts them: UAX #29 of Unicode 10 with the quirks
//! of `grapheme-splitter` 1.0.4 (two joined flags, stacked modifiers), in one pass.
//!
//! Do not replace it by a newer segmentation: carriers' previews would then disagree with ours.

use std::cmp::Ordering;

use super::grapheme_table::RANGES;

/// The grapheme break classes of Unicode 10, UAX #29 table 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Other,
    Cr,
    Lf,
    Control,
    Extend,
    /// ZERO WIDTH JOINER.
    Joiner,
    /// Half of a flag.
    Regional,
    Prepend,
    SpacingMark,
    HangulL,
    HangulV,
    HangulT,
    HangulLv,
    HangulLvt,
    /// May take a skin tone.
    Base,
    /// A skin tone.
    Modifier,
    /// Sticks to a joiner before it.
    Glue,
    /// Both `Base` and `Glue`.
    BaseGlue,
}

impl Class {
    /// The class of one character.
    fn of(character: char) -> Self {
        let code = u32::from(character);
        if (0x20..0x7f).contains(&code) {
            return Self::Other;
        }
        if (0xAC00..=0xD7A3).contains(&code) {
            let closed = (code - 0xAC00) % 28 != 0;
            return if closed { Self::HangulLvt } else { Self::HangulLv };
        }
        let found = RANGES.binary_search_by(|&(first, last, _)| {
            if last < code {
                Ordering::Less
            } else if first > code {
                Ordering::Greater
            } else {
                Ordering::Equal
            }
        });
        found.map_or(Self::Other, |index| RANGES[index].2)
    }

    fn is_base(self) -> bool {
        matches!(self, Self::Base | Self::BaseGlue)
    }

    fn is_control(self) -> bool {
        matches!(self, Self::Control | Self::Cr | Self::Lf)
    }
}

/// Where flag halves stand among the inner characters of a cluster, all but its first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flags {
    /// There are no inner characters, or flag halves only.
    Only,
    /// Flag halves, then others.
    Leading,
    /// Others, no flag half.
    Absent,
    /// A flag half behind others.
    Scattered,
}

/// What has been seen of the cluster that is being read.
#[derive(Clone, Copy)]
struct Cluster {
    first: Class,
    /// The last character, and the one before it when there are two.
    last: Class,
    before_last: Option<Class>,
    has_extend: bool,
    inner_all_extend: bool,
    inner_flags: Flags,
}

impl Cluster {
    fn open(first: Class) -> Self {
        Self {
            first,
            last: first,
            before_last: None,
            has_extend: first == Class::Extend,
            inner_all_extend: true,
            inner_flags: Flags::Only,
        }
    }

    fn has_inner(self) -> bool {
        self.before_last.is_some()
    }

    fn push(&mut self, next: Class) {
        self.inner_flags = match (self.inner_flags, next) {
            (Flags::Only, Class::Regional) => Flags::Only,
            (_, Class::Regional) => Flags::Scattered,
            (Flags::Only, _) if self.has_inner() => Flags::Leading,
            (Flags::Only, _) => Flags::Absent,
            (flags, _) => flags,
        };
        self.inner_all_extend &= next == Class::Extend;
        self.has_extend |= next == Class::Extend;
        self.before_last = Some(self.last);
        self.last = next;
    }

    /// Whether `next` starts a cluster of its own. The rules are numbered as in UAX #29; the
    /// order is the calculator's.
    fn breaks_before(self, next: Class) -> bool {
        use Class::{
            Cr, Extend, Glue, HangulL, HangulLv, HangulLvt, HangulT, HangulV, Joiner, Lf, Modifier,
            Prepend, Regional, SpacingMark,
        };
        let stray_modifier = next == Modifier && self.has_inner() && self.inner_all_extend;
        if stray_modifier && self.first != Extend && !self.first.is_base() {
            return true;
        }
        // A flag half never joins anything else, and an extended flag takes nothing more in.
        let closing = if next == Regional { Flags::Only } else { Flags::Leading };
        if self.inner_flags == closing && !matches!(self.last, Prepend | Regional) {
            return true;
        }
        match (self.last, next) {
            // GB3; GB6 to GB8: Hangul syllables; GB9, GB9a; GB9b
            (Cr, Lf) => return false,
            (last, next) if last.is_control() || next.is_control() => return true,
            (HangulL, HangulL | HangulV | HangulLv | HangulLvt)
            | (HangulLv | HangulV, HangulV | HangulT)
            | (HangulLvt | HangulT, HangulT)
            | (_, Extend | Joiner | SpacingMark)
            | (Prepend, _) => return false,
            _ => {}
        }
        // GB10: a skin tone joins its base, across at most one extender.
        let base = if self.has_extend {
            self.before_last.filter(|_| self.last == Extend)
        } else {
            Some(self.last)
        };
        if next == Modifier && base.is_some_and(Class::is_base) {
            return false;
        }
        // GB11
        if self.last == Joiner && matches!(next, Glue | Class::BaseGlue) {
            return false;
        }
        // GB12, GB13: flags are pairs.
        self.has_inner() || self.last != Regional || next != Regional
    }
}

/// The UTF-16 length of each grapheme cluster of `text`, CR LF as two clusters of one unit.
pub(super) fn cluster_units(text: &str) -> impl Iterator<Item = usize> + '_ {
    let mut characters =
        text.chars().map(|character| (Class::of(character), character.len_utf16()));
    let mut pending = characters.next();
    let mut line_feed_owed = false;
    std::iter::from_fn(move || {
        if std::mem::take(&mut line_feed_owed) {
            return Some(1);
        }
        let (first, mut units) = pending.take()?;
        let mut cluster = Cluster::open(first);
        for (next, next_units) in characters.by_ref() {
            if cluster.breaks_before(next) {
                pending = Some((next, next_units));
                break;
            }
            cluster.push(next);
            units += next_units;
        }
        // Nothing joins CR LF, so the cluster is exactly that pair.
        line_feed_owed = first == Class::Cr && units == 2;
        Some(if line_feed_owed { 1 } else { units })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_by_utf16_length() {
        for (text, expected) in [
            ("", vec![]),
            ("ab", vec![1, 1]),
            ("a\r\nb", vec![1, 1, 1, 1]),
            ("e\u{301}x", vec![2, 1]),
            ("🇺🇸🇨🇦", vec![4, 4]),
            ("👍🏽", vec![4]),
            ("👨‍👩‍👧", vec![8]),
            ("1\u{fe0f}\u{20e3}", vec![3]),
            ("각", vec![1]),
            ("\u{1100}\u{1161}\u{11a8}", vec![3]),
            ("🏴\u{e0067}\u{e007f}", vec![6]),
            ("a🏽", vec![1, 2]),
            ("🥰🏽", vec![2, 2]),
        ] {
            assert_eq!(cluster_units(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    #[test]
    fn the_ranges_ascend() {
        for pair in RANGES.windows(2) {
            assert!(pair[0].0 <= pair[0].1 && pair[0].1 < pair[1].0, "{pair:x?}");
        }
    }
}
