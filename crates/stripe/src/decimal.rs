//! Whole numbers as Stripe's Python library reads them from a header: with a sign, spaces around,
//! single underscores between digits, and the digits of any script. What is signed is the plain
//! spelling, so every spelling of it must come to the same.

/// Longer numbers are refused, as there.
const DIGITS_MAX: usize = 4300;

/// Where in Unicode the digits of each script begin; nine more follow each.
#[rustfmt::skip]
const ZEROS: [u32; 66] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6,
    0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50,
    0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0,
    0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0,
    0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50, 0x1d7ce,
    0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

/// The plain spelling of a number: ASCII digits, no leading zeros, `-` before what is below zero.
pub fn canonical(text: &str) -> Option<String> {
    let bare = text.trim_matches(is_space);
    let (is_negative, digits) = match bare.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, bare.strip_prefix('+').unwrap_or(bare)),
    };
    let mut plain = String::new();
    let mut follows_digit = false;
    let mut count = 0;
    for each in digits.chars() {
        if each == '_' && follows_digit {
            follows_digit = false;
            continue;
        }
        let digit = digit(each)?;
        follows_digit = true;
        count += 1;
        if digit != '0' || !plain.is_empty() {
            plain.push(digit);
        }
    }
    if !follows_digit || count > DIGITS_MAX {
        return None;
    }
    Some(match (plain.is_empty(), is_negative) {
        (true, _) => "0".to_owned(),
        (false, true) => format!("-{plain}"),
        (false, false) => plain,
    })
}

/// Unicode's white space; the ASCII separators 0x1c to 0x1f are none here.
fn is_space(each: char) -> bool {
    each.is_whitespace()
}

fn digit(each: char) -> Option<char> {
    let code = u32::from(each);
    let zeros_before = ZEROS.partition_point(|&zero| zero <= code);
    let zero = ZEROS[zeros_before.checked_sub(1)?];
    char::from_digit(code - zero, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_many_spellings() {
        #[rustfmt::skip]
        let cases = [
            ("1795225200", Some("1795225200")),
            (" 5", Some("5")), ("5\t\r\n\u{b}", Some("5")), ("\u{3000}5\u{85}", Some("5")),
            ("+5", Some("5")), ("-5", Some("-5")), ("--5", None), ("+ 5", None), ("+", None),
            ("1_0", Some("10")), ("_1", None), ("1_", None), ("1__0", None), ("+_1", None),
            ("0005", Some("5")), ("-0", Some("0")), ("0_0", Some("0")), ("00", Some("0")),
            ("٣", Some("3")), ("1_٣", Some("13")), ("１２_３", Some("123")), ("𝟗", Some("9")),
            ("²", None), ("Ⅳ", None), ("五", None), ("", None), (" ", None), ("5.0", None),
            ("1e9", None), ("0x10", None), ("abc", None), ("5 5", None), ("5\0", None),
            ("\u{1c}5", None), ("\u{feff}5", None), ("\u{7f}5", None), ("5a", None),
            ("99999999999999999999999999", Some("99999999999999999999999999")),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn endless_numbers_are_refused() {
        for (length, fits) in [(DIGITS_MAX, true), (DIGITS_MAX + 1, false)] {
            assert_eq!(canonical(&"0".repeat(length)).is_some(), fits, "{length}");
            assert_eq!(canonical(&"1_".repeat(length)), None, "{length}");
            let spaced = "1_".repeat(length - 1) + "1";
            assert_eq!(canonical(&spaced).is_some(), fits, "{length}");
        }
    }
}
