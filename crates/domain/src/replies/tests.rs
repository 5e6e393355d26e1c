//! Tables of replies.

use proptest::prelude::*;

use super::*;

fn read(body: &str, locale: Option<&str>) -> (Meaning, Option<String>) {
    let reply = parse(body, locale);
    (reply.meaning, reply.token)
}

#[track_caller]
fn assert_means(locale: Option<&str>, expected: Meaning, bodies: &[&str]) {
    let wrong: Vec<_> = bodies
        .iter()
        .map(|body| (body, read(body, locale)))
        .filter(|(_, (meaning, token))| *meaning != expected || token.is_some())
        .collect();
    assert!(wrong.is_empty(), "in {locale:?} these should be {expected}: {wrong:#?}");
}

#[test]
fn bare_replies() {
    let yes = [
        "Y",
        "y",
        " y ",
        "Yes",
        "YES!",
        "I confirm my appointment",
        "yes.",
        "“Yes”",
        "Ｙ",
        "Ｙｅｓ",
        "Yesss",
        "y e s",
        "YEAH",
        "yep",
        "Yup",
        "ok",
        "Okay",
        "OK 👍",
        "C",
        "c.",
        "Confirm",
        "CONFIRMED",
        "I confirm",
        "👍",
        "👍🏽",
        "👍👍👍",
        "✅",
        "✔\u{fe0f}",
        "👌🏿",
        "yes please",
        "Yes thanks",
        "Yes, thank you!",
        "Yes, see you then",
        "Yes I'll be there",
        "yes i’ll be there 😊",
        "See you then!",
        "sure",
        "Hi, yes",
        "thanks, yes",
        "yes yes",
        "sounds good, thanks",
        "of course",
        "Yes sir",
        "sí",
        "SI",
        "Sí.",
        "Si\u{301}",
        "sí, gracias",
        "Si por favor",
        "claro que sí",
        "confirmo",
        "Confirmo, muchas gracias",
        "ahí estaré",
        "de acuerdo",
        "OUI",
        "oui merci",
        "Oui, merci beaucoup",
        "d'accord",
        "D’accord",
        "je confirme",
        "Confirmé",
        "j'y serai",
        "bien sûr",
    ];
    let no = [
        "N",
        "n",
        "No",
        "NO!",
        "no.",
        "Nope",
        "I won't be able to make it",
        "No, I cannot come",
        "nah",
        "Nooo",
        "R",
        "r.",
        "Reschedule",
        "RESCHEDULE please",
        "can't",
        "CANT",
        "Can’t",
        "cannot",
        "can not",
        "I can't make it",
        "no sorry",
        "no thank you",
        "No thanks",
        "Sorry, no",
        "Sorry I can't make it",
        "no, see you next time",
        "👎",
        "👎🏻",
        "❌",
        "No ❌",
        "🙅🏽\u{200d}♀\u{fe0f}",
        "I need to reschedule",
        "not coming",
        "no puedo",
        "No, no puedo",
        "no gracias",
        "No, lo siento",
        "reprogramar",
        "non",
        "Non merci",
        "non, désolée",
        "je ne peux pas",
        "Je ne pourrai pas venir",
        "impossible",
        "cancel my appointment",
    ];
    for locale in [None, Some("en"), Some("es-MX"), Some("fr"), Some("de"), Some("")] {
        assert_means(locale, Meaning::Yes, &yes);
        assert_means(locale, Meaning::No, &no);
    }
}

#[test]
fn letters_of_one_language() {
    for (body, locale, expected) in [
        ("S", Some("es"), Meaning::Yes),
        ("S", Some("en"), Meaning::Other),
        ("S", None, Meaning::Other),
        ("O", Some("fr-CA"), Meaning::Yes),
        ("o", Some("es"), Meaning::Other),
        ("O", None, Meaning::Other),
        ("C", Some("en"), Meaning::Yes),
        ("C", None, Meaning::Yes),
        ("R", Some("en-US"), Meaning::No),
        ("R", None, Meaning::No),
    ] {
        assert_eq!(read(body, locale), (expected, None), "{body} in {locale:?}");
    }
}

#[test]
fn everything_else() {
    let other = [
        "",
        " ",
        "?",
        "...",
        "yes?",
        "Yes or no?",
        "ok?",
        "¿sí",
        "yes but can we move it to 3?",
        "yes but later",
        "no problem",
        "no problem, yes",
        "No worries!",
        "np",
        "not sure",
        "maybe",
        "no I mean yes",
        "N, Y",
        "Y/N",
        "yes no",
        "ok no",
        "👍👎",
        "👍 or 👎",
        "thanks",
        "thank you!",
        "great",
        "🙏",
        "😊",
        "🤷",
        "🇺🇸",
        "hello",
        "who is this",
        "Y 10:30",
        "yes 2pm",
        "yes 2 pm",
        "yes at 3",
        "Y 12",
        "Y12",
        "Y1",
        "Y12345",
        "12",
        "12345",
        "10:30",
        "Y 123 456",
        "Y123 N456",
        "555-0100",
        "$123",
        "yes $123",
        "Y 1,234",
        "123%",
        "Y 10.30",
        "what is 123",
        "maybe 123",
        "yes but 123",
        "not yes",
        "no not really",
        "yesterday",
        "nobody",
        "okra",
        "yellow",
        "x",
        "1",
        "I'm running late",
        "running 10 min late",
        "call me",
        "no hay problema",
        "no sé",
        "sí o no",
        "sí pero más tarde",
        "pas de problème",
        "peut-être",
        "oui mais plus tard",
        "oui ou non",
        "Y 123?",
        "STOP",
        "help",
        "\u{0}",
    ];
    for locale in [None, Some("en"), Some("es"), Some("fr")] {
        assert_means(locale, Meaning::Other, &other);
    }
}

#[test]
fn tokens() {
    for (body, meaning, token) in [
        ("Y123", Meaning::Yes, "123"),
        ("y 123", Meaning::Yes, "123"),
        ("YES 123", Meaning::Yes, "123"),
        ("Yes123!", Meaning::Yes, "123"),
        ("N-123", Meaning::No, "123"),
        ("N - 123", Meaning::No, "123"),
        ("123 Y", Meaning::Yes, "123"),
        ("123Y", Meaning::Yes, "123"),
        ("Y#123", Meaning::Yes, "123"),
        ("#123 yes", Meaning::Yes, "123"),
        ("Y:123", Meaning::Yes, "123"),
        ("Y1234", Meaning::Yes, "1234"),
        ("Y0123", Meaning::Yes, "0123"),
        ("Ｙ１２３", Meaning::Yes, "123"),
        ("👍 123", Meaning::Yes, "123"),
        ("yes 123 thanks", Meaning::Yes, "123"),
        ("sí 456, gracias", Meaning::Yes, "456"),
        ("non 789", Meaning::No, "789"),
        ("R123", Meaning::No, "123"),
        ("123", Meaning::Other, "123"),
        ("#1234.", Meaning::Other, "1234"),
        ("123 please", Meaning::Other, "123"),
    ] {
        assert_eq!(read(body, None), (meaning, Some(token.to_owned())), "{body}");
    }
}

#[test]
fn routes() {
    let answer = |index, yes| Route::Answer { index, yes };
    let cases: [(&str, &[Option<&str>], Route); 17] = [
        ("Y", &[], Route::Nothing),
        ("Y123", &[], Route::Nothing),
        ("hello", &[], Route::Nothing),
        ("Y", &[None], answer(0, true)),
        ("N", &[None], answer(0, false)),
        ("Y", &[Some("123")], answer(0, true)),
        ("Y123", &[Some("123")], answer(0, true)),
        ("Y124", &[Some("123")], Route::Clarify),
        ("Y124", &[None], Route::Clarify),
        ("hello", &[None], Route::Clarify),
        ("123", &[Some("123")], Route::Clarify),
        ("Y", &[Some("123"), Some("124")], Route::Clarify),
        ("Y124", &[Some("123"), Some("124")], answer(1, true)),
        ("no 123", &[Some("123"), Some("124")], answer(0, false)),
        ("N125", &[Some("123"), Some("124")], Route::Clarify),
        ("Y123", &[Some("123"), Some("123")], Route::Clarify),
        ("Y124", &[None, Some("124")], answer(1, true)),
    ];
    for (body, tokens, expected) in cases {
        let open: Vec<_> = tokens.iter().map(|&token| Open { token }).collect();
        assert_eq!(route(&parse(body, None), &open), expected, "{body} of {tokens:?}");
    }
}

#[test]
fn the_list_means_what_it_says() {
    let mut seen = std::collections::BTreeSet::new();
    for [meaning, locale, own, phrase] in rows::<4>(include_str!("../../data/replies.csv")) {
        assert!(["en", "es", "fr"].contains(&locale), "{phrase}");
        // A phrase in two rows would hide the second one.
        assert!(seen.insert((pieces(phrase), if own == "yes" { locale } else { "" })), "{phrase}");
        let expected = if matches!(meaning, "yes" | "no") { meaning } else { "other" };
        assert_eq!(parse(phrase, Some(locale)).meaning.as_str(), expected, "{phrase}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_text_is_read(
        body in r"(\PC|yes|no |[0-9]{1,5}|👍🏽|\s){0,300}",
        locale in proptest::option::of("[a-zA-Z_-]{0,6}"),
    ) {
        let reply = parse(&body, locale.as_deref());
        if let Some(token) = reply.token {
            prop_assert!(TOKEN_DIGITS.contains(&token.len()));
            prop_assert!(token.bytes().all(|byte| byte.is_ascii_digit()));
        }
    }

    #[test]
    fn dress_changes_nothing(
        before in r#"[\s"'.!«“]{0,4}"#,
        after in r#"[\s"'.!»”]{0,4}"#,
        token in "[0-9]{3,4}",
        between in r"[ #.!-]{0,3}",
    ) {
        let reply = parse(&format!("{before}Y{between}{token}{after}"), None);
        prop_assert_eq!(reply, Reply { meaning: Meaning::Yes, token: Some(token) });
    }
}

#[test]
fn long_texts_are_read() {
    use Meaning::{No, Other, Yes};
    for (unit, expected) in [("👍🏽", Yes), ("yes ", Yes), ("no ", No), ("1", Other)] {
        let body: String = unit.chars().cycle().take(1599).collect();
        assert_eq!(read(&body, None), (expected, None), "{unit:?}");
    }
}
