//! What templates make of their variables, and what they refuse.

use super::*;

fn context() -> RenderContext {
    RenderContext {
        now: Instant::parse("2026-11-21T17:00:00Z").unwrap(),
        zone: crate::quiet_hours::zone("America/New_York").unwrap(),
    }
}

fn variables() -> BTreeMap<String, String> {
    [
        ("name", "ANNA smith"),
        ("contact.city", "Ghent"),
        ("contact.address.zip", "9000"),
        ("starts_at", "2026-11-22T14:00:00Z"),
        ("plan", "gold"),
        ("blank", " "),
        ("html", "<b>&amp;"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn missing(names: &[&str]) -> Result<&'static str, RenderError> {
    Err(RenderError::Missing(names.iter().map(ToString::to_string).collect()))
}

#[test]
fn rendering() {
    let not_a_time = Err(RenderError::NotATime { value: "gold".to_owned() });
    for (source, expected) in [
        ("", Ok("")),
        ("Plain { text }\n", Ok("Plain { text }\n")),
        ("Hi {{name}}!", Ok("Hi ANNA smith!")),
        ("{{ html }}", Ok("<b>&amp;")),
        ("{{ contact.city }} {{ contact.address.zip }}", Ok("Ghent 9000")),
        ("{{ name | first_word | title }}", Ok("Anna")),
        ("{{ name | shorten(5) }}", Ok("AN...")),
        ("{{ name | shorten(8) }}", Ok("ANNA...")),
        ("{{ name | shorten(10) }}", Ok("ANNA smith")),
        ("{{ name | upper }}/{{ name | lower }}", Ok("ANNA SMITH/anna smith")),
        ("{{ starts_at | date }} {{ starts_at | time }}", Ok("Sun, Nov 22 9:00 AM")),
        ("{{ starts_at | date('%B %-d') }}", Ok("November 22")),
        ("{{ starts_at | time('%H:%M') }}", Ok("09:00")),
        ("See you {{ starts_at | relative }}", Ok("See you tomorrow at 9:00 AM")),
        ("{{ plan | date }}", not_a_time),
        // Holes
        ("Hi {{ nick }}!", missing(&["nick"])),
        ("Hi {{ blank }}!", missing(&["blank"])),
        ("{{ z }} {{ contact.phone | upper }} {{ when | date }}", {
            missing(&["contact.phone", "when", "z"])
        }),
        ("{{ 'x' ~ nick }}", missing(&["nick"])),
        ("{{ 'x' + nick }}{{ nick[0] }}", missing(&["nick"])),
        ("{{ nick | default('there') }} {{ blank | default('you') }}", Ok("there you")),
        ("{{ nick | title | default('there') }}", Ok("there")),
        ("{{ when | date | default('soon') }}", Ok("soon")),
        ("{{ nick | default(name) }}", Ok("ANNA smith")),
        ("{{ nick | default(nack) }}", missing(&["nack"])),
        ("{% if nick %}Hi {{ nick }}{% else %}Hello{% endif %}", Ok("Hello")),
        ("{% if plan == 'gold' %}VIP{% elif nick %}{{ nick }}{% endif %}", Ok("VIP")),
        ("{% if blank %}a{% else %}b{% endif %}", Ok("b")),
        ("{{ 'a' if nick else 'b' }}", Ok("b")),
    ] {
        let template = Template::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        let rendered = template.render(&variables(), &context());
        assert_eq!(rendered, expected.map(str::to_owned), "{source}");
    }
}

#[test]
fn mistakes_are_found_before_sending() {
    for (source, expected) in [
        ("Hi {{ name", "1:4 `{{` is never closed"),
        ("Hi {{ name }", "1:4 `{{` is never closed"),
        ("one\ntwo {{ name | shout }}", "2:5 filter shout is unknown"),
        ("{% if plan == 'x' %}{{ name | shout }}{% endif %}", "1:21 filter shout is unknown"),
        ("é {{ first name }}", "1:3 unexpected input"),
        ("{{ }}", "1:1 "),
        ("{% if name %}x", "1:1 "),
        ("x{% endif %}", "1:1 "),
        ("{% for x in name %}{{ x }}{% endfor %}", "1:1 `{% for %}` cannot be used"),
        ("{{ 'x' * 100000000 }}", "1:1 `*` cannot be used"),
        ("{{ name() }}", "1:1 "),
        ("{{ name.upper() }}", "1:1 "),
        ("{{ range(9) }}", "1:1 "),
        ("{{ name + 1 }}", "1:1 "),
        ("{{ starts_at | date('%!') }}", "1:1 the format \"%!\" cannot be used"),
        ("{{ starts_at | date(1, 2) }}", "1:1 "),
        ("{{ contact }} {{ contact.city }}", "1:15 `contact` is used alone and with a dot"),
        ("{{ a.b.c }} {{ a.b }}", "1:1 `a.b` is used alone and with a dot"),
    ] {
        let error = Template::parse(source).expect_err(source);
        let shown = format!("{}:{} {}", error.line, error.column, error.problem);
        assert!(shown.starts_with(expected), "{source}\n  gives {shown}");
        assert!(shown.contains(": "), "{shown} says how to fix it");
    }
    let long = "x".repeat(SOURCE_BYTES_MAX + 1);
    assert_eq!(Template::parse(&long).unwrap_err().problem, Problem::TooLong);
}

#[test]
fn variables_and_constancy() {
    for (source, names, constant) in [
        ("plain", "", true),
        ("{# note #}plain", "", false),
        ("{{ 'literal' }}", "", false),
        ("{{ b }}{{ a | default(c) }}", "a b c", false),
        ("{% if x.y %}{{ x.z }}{% endif %}", "x.y x.z", false),
    ] {
        let template = Template::parse(source).unwrap();
        let found: Vec<_> = template.variables().into_iter().collect();
        assert_eq!(found.join(" "), names, "{source}");
        assert_eq!(template.is_constant(), constant, "{source}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        failure_persistence: None, ..Default::default()
    })]
    #[test]
    fn no_source_is_a_panic(source in r#"(\PC|[{}%#|"'\n]|\{\{ a[.]b|if |\| date|end){0,24}"#) {
        if let Ok(template) = Template::parse(&source) {
            let _ = template.render(&variables(), &context());
        }
    }
}

#[test]
fn a_template_is_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    shared(&Template::parse("Hi {{ name }}").unwrap());
}
