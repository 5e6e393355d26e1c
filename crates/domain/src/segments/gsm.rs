//! The GSM 03.38 default alphabet and its extension table: what one character costs on the air.
//!
//! Source: 3GPP TS 23.038, sections 6.2.1 and 6.2.1.1. National shift tables are not used.

/// Septets by ASCII code: 0 is not in the alphabet, 2 is an escaped character.
const ASCII: [u8; 128] = {
    let mut septets = [1; 128];
    let mut code = 0;
    while code < 0x20 {
        septets[code] = 0;
        code += 1;
    }
    septets[b'\n' as usize] = 1;
    septets[b'\r' as usize] = 1;
    septets[b'`' as usize] = 0;
    septets[0x7f] = 0;
    let escaped = b"\x0c^{}\\[~]|";
    let mut index = 0;
    while index < escaped.len() {
        septets[escaped[index] as usize] = 2;
        index += 1;
    }
    septets
};

/// The septets that `character` takes in GSM-7: 1, 2 (escaped), or 0 when the alphabet lacks it.
pub(super) fn septets(character: char) -> u8 {
    if let Some(&septets) = ASCII.get(character as usize) {
        return septets;
    }
    match character {
        '¡' | '£' | '¤' | '¥' | '§' | '¿' | 'Ä' | 'Å' | 'Æ' | 'Ç' | 'É' | 'Ñ' | 'Ö' | 'Ø' | 'Ü'
        | 'ß' | 'à' | 'ä' | 'å' | 'æ' | 'è' | 'é' | 'ì' | 'ñ' | 'ò' | 'ö' | 'ø' | 'ù' | 'ü'
        | 'Γ' | 'Δ' | 'Θ' | 'Λ' | 'Ξ' | 'Π' | 'Σ' | 'Φ' | 'Ψ' | 'Ω' => 1,
        '€' => 2,
        _ => 0,
    }
}

/// All septets of `text`, or `None` when one character is not in the alphabet.
pub(super) fn total_septets(text: &str) -> Option<usize> {
    let mut total = 0;
    for character in text.chars() {
        match septets(character) {
            0 => return None,
            cost => total += usize::from(cost),
        }
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn septets_of_one_character() {
        for (character, expected) in [
            ('a', 1),
            ('\n', 1),
            ('\r', 1),
            ('@', 1),
            ('_', 1),
            ('Ç', 1),
            ('Ω', 1),
            ('\u{c}', 2),
            ('^', 2),
            ('|', 2),
            ('€', 2),
            ('ç', 0),
            ('á', 0),
            ('`', 0),
            ('\t', 0),
            ('\u{1b}', 0),
            ('\u{a0}', 0),
            ('😀', 0),
        ] {
            assert_eq!(septets(character), expected, "{character:?}");
        }
    }
}
