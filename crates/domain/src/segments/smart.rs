//! Smart encoding: typographic characters replaced by what GSM-7 can carry.
//!
//! The replacements are those of Twilio's segment calculator, which Twilio does not promise to be
//! complete. Some are longer than what they replace, so segments are measured afterwards. We send
//! the text already replaced: the bytes billed are the bytes shown.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use super::gsm;

static REPLACEMENTS: LazyLock<HashMap<char, String>> = LazyLock::new(|| {
    let named: HashMap<String, String> =
        serde_json::from_str(include_str!("../../data/smart_encoding.json"))
            .expect("the embedded table is a JSON object of strings");
    let decode = |name: &str| char::from_u32(u32::from_str_radix(name.get(2..)?, 16).ok()?);
    named.into_iter().filter_map(|(name, by)| Some((decode(&name)?, by))).collect()
});

/// What smart encoding puts in the place of `character`: possibly nothing, possibly more than one.
pub(super) fn replacement(character: char) -> Option<&'static str> {
    REPLACEMENTS.get(&character).map(String::as_str)
}

/// `text` with every replaceable character replaced. Borrows when there is none.
pub fn smart_encode(text: &str) -> Cow<'_, str> {
    // No character of the GSM alphabet is ever replaced.
    let replaceable = |character| gsm::septets(character) == 0 && replacement(character).is_some();
    let Some(start) = text.find(replaceable) else {
        return Cow::Borrowed(text);
    };
    let mut encoded = String::with_capacity(text.len());
    encoded.push_str(&text[..start]);
    for character in text[start..].chars() {
        match replacement(character) {
            Some(by) => encoded.push_str(by),
            None => encoded.push(character),
        }
    }
    Cow::Owned(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smart_encoding() {
        for (text, expected) in [
            ("", ""),
            ("plain €", "plain €"),
            ("“Hi” – it’s…", "\"Hi\" - it's..."),
            ("½ price", "1/2 price"),
            ("a\u{a0}b", "a  b"),
            ("a\u{200b}b", "ab"),
            ("\t`", "       '"),
            ("名前…", "名前..."),
        ] {
            assert_eq!(smart_encode(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_table_is_whole_and_leads_into_gsm() {
        assert_eq!(REPLACEMENTS.len(), 271);
        for (&character, by) in REPLACEMENTS.iter() {
            assert_eq!(gsm::septets(character), 0, "{character:?} needs no replacement");
            assert!(gsm::total_septets(by).is_some(), "{character:?} becomes {by:?}");
        }
    }
}
