//! Tables of what people text.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn assert_kinds(locale: Option<&str>, expected: Kind, bodies: &[&str]) {
    let wrong: Vec<_> = bodies
        .iter()
        .map(|body| (body, classify(body, locale, &Options::default())))
        .filter(|(_, kind)| *kind != expected)
        .collect();
    assert!(wrong.is_empty(), "in {locale:?} these should be {expected}: {wrong:#?}");
}

#[test]
fn keywords_of_every_language() {
    let stops = [
        "STOP",
        "stop",
        "Stop",
        "  stop  ",
        "Stop.",
        "STOP!!",
        "“stop”",
        "'STOP'",
        "«STOP»",
        "ＳＴＯＰ",
        "𝗦𝗧𝗢𝗣",
        "STOP 🛑",
        "🛑STOP",
        "stop\n",
        "S.T.O.P.",
        "s t o p",
        "STOOOOP",
        "STOPALL",
        "Stop all",
        "UNSUBSCRIBE",
        "unsubscribe.",
        "CANCEL",
        "cancel",
        "END",
        "End.",
        "QUIT",
        "REVOKE",
        "OPTOUT",
        "opt out",
        "Opt-Out",
        "OPT  OUT",
    ];
    let spanish = [
        "ALTO",
        "parar",
        "Pare",
        "PAREN",
        "CANCELAR",
        "baja",
        "Darse de baja",
        "DETENER",
        "Salir",
        "basta",
        "TERMINAR",
        "desuscribirme",
    ];
    let french = [
        "ARRET",
        "ARRÊT",
        "arrêt!",
        "ARRE\u{302}T",
        "ARRETER",
        "arrêtez",
        "DESABONNER",
        "DÉSABONNER",
        "désabonnement",
        "DESINSCRIRE",
        "Annuler",
        "me désabonner",
    ];
    for locale in [None, Some("en"), Some("en-US"), Some("es"), Some("fr-CA"), Some("de"), Some("")]
    {
        assert_kinds(locale, Kind::Stop, &stops);
        assert_kinds(locale, Kind::Stop, &spanish);
        assert_kinds(locale, Kind::Stop, &french);
        let starts = ["START", "start", "UNSTOP", "Unstop!", "opt in", "INICIAR", "Comenzar"];
        assert_kinds(locale, Kind::Start, &starts);
        let starts = ["ALTA", "darse de alta", "DEMARRER", "démarrer", "commencer", "S'abonner"];
        assert_kinds(locale, Kind::Start, &starts);
        let helps = ["HELP", "help?", "Info", "INFO", "AYUDA", "ayuda por favor", "aide svp"];
        assert_kinds(locale, Kind::Help, &helps);
        assert_kinds(locale, Kind::Join, &["JOIN", "join!", "“Join”"]);
    }
}

#[test]
fn words_that_mean_something_in_one_language_only() {
    for (body, locale, expected) in [
        ("FIN", Some("es"), Kind::Stop),
        ("Fin.", Some("fr-CA"), Kind::Stop),
        ("FIN", Some("en"), Kind::None),
        ("FIN", None, Kind::Stop),
        ("para", Some("es-MX"), Kind::Stop),
        ("para", Some("fr"), Kind::None),
        ("aide", Some("fr"), Kind::Help),
        ("aide", Some("en"), Kind::None),
        ("END", Some("es"), Kind::Stop),
    ] {
        assert_eq!(classify(body, locale, &Options::default()), expected, "{body} in {locale:?}");
    }
}

#[test]
fn yes_and_join_are_the_accounts_choice() {
    let yes =
        |pending| Options { yes_is_start: true, request_pending: pending, ..Options::default() };
    for (body, locale, options, expected) in [
        ("YES", None, Options::default(), Kind::None),
        ("YES", None, yes(false), Kind::Start),
        ("yes!", Some("es"), yes(false), Kind::Start),
        ("YES", None, yes(true), Kind::None),
        ("Sí", Some("es"), yes(false), Kind::Start),
        ("Sí", Some("es"), yes(true), Kind::None),
        ("Si", Some("en"), yes(false), Kind::None),
        ("oui", Some("fr"), yes(false), Kind::Start),
        ("START", None, yes(true), Kind::Start),
        ("yes please", None, yes(false), Kind::None),
    ] {
        assert_eq!(classify(body, locale, &options), expected, "{body} in {locale:?}");
    }
    let words = |words: &[&str]| Options {
        join_words: words.iter().map(|&word| word.to_owned()).collect(),
        ..Options::default()
    };
    for (body, options, expected) in [
        ("JOIN", words(&[]), Kind::None),
        ("JOIN", words(&["YOGA"]), Kind::None),
        ("yoga.", words(&["Yoga", "Join us"]), Kind::Join),
        ("join us!", words(&["Yoga", "Join us"]), Kind::Join),
        ("24fit", words(&["24FIT"]), Kind::Join),
        ("", words(&["", "!"]), Kind::None),
        // Nobody's list can take a STOP away.
        ("STOP", words(&["STOP"]), Kind::Stop),
    ] {
        assert_eq!(classify(body, None, &options), expected, "{body} with {options:?}");
    }
}

#[test]
fn english_revocations() {
    let bodies = [
        "please stop texting me",
        "I want off this list",
        "I'd like to stop receiving these",
        "no texting",
        "wrong phone number",
        "leave me the hell alone",
        "stop no thanks",
        "Nope stop",
        "STOP please and thank you",
        "I never signed up",
        "Please stop texting me!!",
        "stop sending me messages",
        "don't text me anymore",
        "dont text me",
        "Don’t ever text this number again",
        "take me off your list",
        "Take me off",
        "take my number off your list",
        "remove me",
        "Remove me please",
        "remove my number",
        "delete my number",
        "please remove from list",
        "unsubscribe me please",
        "please unsubscribe",
        "I want to unsubscribe",
        "unsubcribe",
        "UNSUSCRIBE",
        "stpo",
        "Sotp",
        "stopp",
        "st0p",
        "cancle",
        "STOP please",
        "pls stop",
        "please stop",
        "just stop",
        "Stop now",
        "STOP IT",
        "stop this",
        "no stop",
        "can you stop",
        "Would you please stop",
        "no more texts",
        "No more messages please",
        "no more",
        "no texts please",
        "leave me alone",
        "Leave us alone!!!",
        "wrong number, stop",
        "wrong number",
        "You have the wrong number",
        "wrong number. stop texting",
        "lose my number",
        "do not contact me",
        "Do NOT contact me again",
        "never text me again",
        "do not call me again",
        "stop contacting me",
        "quit texting me",
        "stop fucking texting me",
        "stop with the texts",
        "stop the messages",
        "stop all messages",
        "cancel messages",
        "end texts",
        "cancel my subscription",
        "cancel these alerts",
        "cancel please",
        "please cancel",
        "quit please",
        "stop stop stop",
        "opt me out",
        "I am opting out",
        "I'd like to opt out of these",
        "I do not want these texts",
        "I don't want to receive any more messages",
        "i no longer wish to receive texts",
        "I don't want to hear from you",
        "dont want to be contacted",
        "don't send me any more texts",
        "don't send me anything",
        "do not send anymore messages",
        "I revoke my consent",
        "I withdraw my consent",
        "fuck off",
        "Go away",
        "not interested",
        "I'm not interested, thanks",
        "i want you to stop",
        "you need to stop",
        "I said stop",
        "Stop I don't know you",
        "if you do not stop texting me I will call a lawyer",
        "why won't you stop texting me",
        "how do I stop these texts",
        "How can I stop getting your messages?",
        "make the texts stop",
        "this is spam",
        "SPAM",
        "stop spamming me",
        "reported as spam",
        "you are harassing me",
        "I never signed up for this",
        "get me off this list",
        "Sorry, wrong person",
        "I'll stop by at 5. Also please stop texting me",
        "blocked you",
        "do not text me at this number",
        "Hi. I moved to Ohio. Stop.",
        "turn off reminders please",
        "I don't need these reminders",
        "stop reminding me",
        "dont bother me",
        "unsubscribe from all",
        "STOP!!! I mean it",
    ];
    for locale in [None, Some("en"), Some("es")] {
        assert_kinds(locale, Kind::Revocation, &bodies);
    }
}

#[test]
fn spanish_revocations() {
    let bodies = [
        "no más",
        "No mandar más mensajes",
        "eliminar mi número",
        "me quiero dar de baja",
        "NO MAS",
        "¡No más!",
        "no mas por favor",
        "nomás",
        "ya no más",
        "no más mensajes",
        "no me manden más mensajes",
        "no me mandes mensajes",
        "No me envíen nada más",
        "no envien mas mensajes",
        "no me escriban",
        "por favor no me escriban más",
        "no me contacten",
        "ya no me molesten",
        "no me llamen más",
        "déjenme en paz",
        "dejenme en paz!!",
        "Déjame tranquila",
        "dejen de escribirme",
        "deje de mandarme mensajes",
        "paren de enviar mensajes",
        "quiero dejar de recibir mensajes",
        "alto por favor",
        "Ya basta",
        "no quiero más mensajes",
        "no quiero recibir estos mensajes",
        "No deseo recibir nada",
        "no quiero que me escriban",
        "quítenme de la lista",
        "sáquenme de su lista",
        "borren mi número",
        "eliminen mi numero de su lista",
        "denme de baja",
        "quiero darme de baja",
        "cancelar suscripción",
        "cancelen los mensajes",
        "número equivocado",
        "Se equivocó de número",
        "no estoy interesada",
        "no me interesa",
        "stop por favor",
        "no molestar",
        "no me jodan",
    ];
    for locale in [None, Some("es-US"), Some("en")] {
        assert_kinds(locale, Kind::Revocation, &bodies);
    }
}

#[test]
fn french_revocations() {
    let bodies = [
        "ne m'envoyez plus de messages",
        "ne plus m'envoyer de messages",
        "ne plus me contacter",
        "lâchez-moi",
        "Ne m’envoyez plus rien",
        "m'envoyez plus de textos",
        "n'envoyez plus de messages",
        "ne me contactez plus",
        "ne me textez plus svp",
        "ne m'écrivez plus",
        "ne m'écrivez jamais",
        "ne me dérangez pas",
        "plus de messages svp",
        "arrêtez de m'écrire",
        "arretez de mecrire",
        "Arrête de m'envoyer des messages",
        "arrêtez vos messages",
        "cessez de me contacter",
        "stop aux textos, arrêtez les messages",
        "arrêtez s'il vous plaît",
        "stop svp",
        "laissez-moi tranquille",
        "Foutez-moi la paix",
        "retirez-moi de votre liste",
        "supprimez mon numéro",
        "désabonnez-moi",
        "désinscrivez moi",
        "je veux me désabonner",
        "je ne veux plus recevoir vos messages",
        "je ne souhaite plus être contacté",
        "je veux plus recevoir de messages",
        "mauvais numéro",
        "Vous vous trompez de numéro",
        "pas intéressé",
        "ça ne m'intéresse pas",
        "erreur de numéro",
    ];
    for locale in [None, Some("fr-CA"), Some("en")] {
        assert_kinds(locale, Kind::Revocation, &bodies);
    }
}

#[test]
fn ordinary_texts() {
    let bodies = [
        "",
        "  ",
        "👍",
        "🙂🙂🙂",
        "?",
        "ok",
        "Y",
        "N",
        "yes",
        "no",
        "Y123",
        "123",
        "thanks!",
        "I'll stop by at 5",
        "can't stop thinking about it",
        "bus stop",
        "non-stop",
        "The wrong number is on file",
        "m'envoyez plus d'infos svp",
        "CANCEL appointment",
        "I want to take one off the list",
        "text me instead of calling",
        "no puedo escribir ahora",
        "I'm at the bus stop",
        "Please stop by the front desk",
        "I had to stop for gas",
        "the coughing won't stop",
        "When does the rain stop",
        "the stop sign",
        "full stop",
        "I will stop",
        "Should I stop taking the pills?",
        "How do I stop the bleeding?",
        "My ex won't stop texting me",
        "Can we cancel Tuesday's appointment?",
        "cancel my appointment",
        "Please cancel my appointment",
        "cancel my appointment text me the next opening",
        "I need to cancel",
        "cancel it",
        "cancel tomorrow please",
        "please don't stop texting me",
        "Do not unsubscribe me",
        "Don't stop!",
        "never stop",
        "I didn't unsubscribe",
        "I don't want to opt out",
        "I don't want to miss your texts",
        "I don't want the messages to stop",
        "Why did you stop texting me?",
        "did you stop sending reminders",
        "I'll stop texting you now",
        "I can't text right now",
        "I cannot text while driving",
        "I don't text, call instead",
        "text me later",
        "please text me the address",
        "the end",
        "end of the day works",
        "weekend is fine",
        "What time does it end",
        "quit my job yesterday",
        "I quit smoking",
        "you did not text me",
        "You never text me back",
        "you didn't send me the address",
        "They did not contact me about the change",
        "don't text me before 9",
        "don't send me the bill",
        "please don't call, text instead",
        "take me off the schedule for Tuesday",
        "remove me from the 3pm class",
        "Can you take me off the waiting list",
        "drop me off at 5",
        "I gave you the wrong number",
        "Sorry, I called the wrong number",
        "no problem",
        "no worries",
        "No more questions",
        "not interested in Tuesday, can we do Wednesday?",
        "not sure",
        "I am not coming",
        "start at 5?",
        "when do we start",
        "I need help with parking",
        "more info please",
        "join at 5",
        "I'll join you",
        "is there a stop near you",
        "the revocation of my license",
        "opt for the later one",
        "Leave it at the door",
        "I'm driving with Driving Focus turned on. I'll see your message when I get there.",
        "I’m not receiving notifications. If it is urgent, reply \"urgent\" to notify me",
        "I moved, my new number is 555 0100",
        "forget it",
        "get off at Main St",
        "go ahead",
        "¿Podemos cancelar la cita?",
        "quiero cancelar mi cita",
        "no puedo ir mañana",
        "no quiero cancelar",
        "no dejen de escribirme",
        "nos vemos más tarde",
        "no más tarde de las 5",
        "para mañana está bien",
        "la parte alta",
        "no me manden la factura a casa",
        "la parada del bus",
        "sí",
        "más mensajes",
        "no me escriban antes de las 9",
        "Je veux annuler mon rendez-vous",
        "n'arrêtez pas de m'écrire",
        "je n'arrête pas de tousser",
        "envoyez-moi plus d'infos",
        "plus de questions",
        "l'arrêt de bus",
        "j'ai arrêté de fumer",
        "vous ne m'envoyez plus de messages ?",
        "oui",
        "non",
        "je serai en retard",
        "à plus",
        "je ne veux pas me désabonner",
        "ne me contactez pas avant 9h",
        "pas de problème",
    ];
    for locale in [None, Some("en"), Some("es"), Some("fr")] {
        assert_kinds(locale, Kind::None, &bodies);
    }
}

#[test]
fn every_row_can_be_reached() {
    let mut seen = std::collections::BTreeSet::new();
    for row in rows::<5>(include_str!("../../data/keywords.csv")) {
        let [kind, covers, locale, own, phrase] = row;
        assert!(["en", "es", "fr"].contains(&locale), "{row:?}");
        assert!(seen.insert((kind, covers, phrase, own == "yes", locale)), "twice: {row:?}");
        if covers == "whole" && !matches!(kind, "revocation" | "yes") {
            let found = classify(phrase, Some(locale), &Options::default());
            assert_eq!(found.as_str(), kind, "{row:?}");
        }
    }
    assert!(seen.len() > 150);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_text_is_read(body in r"(\PC|stop|please |don't |texting |👍🏽|\s){0,200}") {
        classify(&body, None, &Options::default());
    }

    #[test]
    fn a_keyword_stays_one_in_any_dress(
        before in r#"[\s"'.!«“🛑]{0,5}"#,
        after in r#"[\s"'.!?»”🛑]{0,5}"#,
        upper in any::<bool>(),
    ) {
        let word = if upper { "UNSUBSCRIBE" } else { "unsubscribe" };
        let kind = classify(&format!("{before}{word}{after}"), None, &Options::default());
        prop_assert_eq!(kind, Kind::Stop);
    }
}

#[test]
fn long_texts_are_read() {
    for (unit, expected) in [
        ("stop by ", Kind::None),
        ("please ", Kind::None),
        ("🙂", Kind::None),
        ("ﷺ", Kind::None),
        ("no me ", Kind::None),
        ("please stop texting ", Kind::Revocation),
    ] {
        let body: String = unit.chars().cycle().take(1600).collect();
        assert_eq!(classify(&body, None, &Options::default()), expected, "{unit:?}");
    }
}
