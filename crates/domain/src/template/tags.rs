//! The part of the template language that texts may use, found before anything is compiled.
//!
//! Allowed are `{{ expression }}`, `{% if %}`, `{% elif %}`, `{% else %}`, `{% endif %}` and
//! `{# comments #}`. Loops, assignments and multiplication are not: with them, a short template
//! could ask for a text of any size.

use super::{Problem, TemplateError};

/// One tag that holds an expression.
pub(super) struct Tag<'source> {
    /// Where the tag begins, in bytes.
    pub at: usize,
    /// What stands between the braces, without `if` or `elif`.
    pub expression: &'source str,
}

/// The expressions of `source`, or the first thing that is not allowed. The flag tells whether
/// there is any tag at all, also one without an expression.
pub(super) fn expressions(source: &str) -> Result<(Vec<Tag<'_>>, bool), TemplateError> {
    let mut found = Vec::new();
    let (mut cursor, mut tagged) = (0, false);
    while let Some((at, opening, closing)) = next_opening(source, cursor) {
        tagged = true;
        let body_at = at + opening.len();
        let problem = |problem| TemplateError::at(source, at, problem);
        let length = if opening == "{#" {
            source[body_at..].find(closing)
        } else {
            closing_at(&source[body_at..], closing)
        };
        let length = length.ok_or_else(|| problem(Problem::Unclosed { opening, closing }))?;
        let body = &source[body_at..body_at + length];
        cursor = body_at + length + closing.len();

        let body = body.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim();
        match opening {
            "{{" => found.push(Tag { at, expression: body }),
            "{%" => {
                let (keyword, rest) = body.split_once(char::is_whitespace).unwrap_or((body, ""));
                match keyword {
                    "if" | "elif" => found.push(Tag { at, expression: rest.trim() }),
                    "else" | "endif" => {}
                    _ => return Err(problem(Problem::Keyword(keyword.to_owned()))),
                }
            }
            _ => {}
        }
        let computed = found.last().filter(|tag| tag.at == at);
        if computed.is_some_and(|tag| outside_strings(tag.expression).any(|(_, sign)| sign == '*'))
        {
            return Err(problem(Problem::Multiplication));
        }
    }
    Ok((found, tagged))
}

/// The next tag from `cursor`: its place, how it opens and how it must close.
fn next_opening(source: &str, cursor: usize) -> Option<(usize, &'static str, &'static str)> {
    [("{{", "}}"), ("{%", "%}"), ("{#", "#}")]
        .into_iter()
        .filter_map(|(opening, closing)| {
            let at = cursor + source[cursor..].find(opening)?;
            Some((at, opening, closing))
        })
        .min()
}

/// Where `closing` stands in `body` outside of string literals.
fn closing_at(body: &str, closing: &str) -> Option<usize> {
    outside_strings(body).map(|(at, _)| at).find(|&at| body[at..].starts_with(closing))
}

/// The characters of `expression` that belong to no string literal, with their places.
fn outside_strings(expression: &str) -> impl Iterator<Item = (usize, char)> + '_ {
    let mut quote = None;
    let mut escaped = false;
    expression.char_indices().filter(move |&(_, character)| match (quote, character) {
        (None, '"' | '\'') => {
            quote = Some(character);
            false
        }
        (None, _) => true,
        (Some(_), _) if escaped => {
            escaped = false;
            false
        }
        (Some(_), '\\') => {
            escaped = true;
            false
        }
        (Some(open), _) => {
            quote = (open != character).then_some(open);
            false
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_their_expressions() {
        for (source, expected) in [
            ("plain { text }", vec![]),
            ("{{name}}", vec!["name"]),
            ("{{- name -}} {{ a | default('}}') }}", vec!["name", "a | default('}}')"]),
            ("{% if a %}x{% elif b %}y{%- else -%}z{% endif %}", vec!["a", "b"]),
            ("{# {{ not this #}{{ x }}", vec!["x"]),
            (r#"{{ "a\"}}*" }}"#, vec![r#""a\"}}*""#]),
        ] {
            let (tags, _) = expressions(source).unwrap();
            let found: Vec<_> = tags.iter().map(|tag| tag.expression).collect();
            assert_eq!(found, expected, "{source}");
        }
    }

    #[test]
    fn what_is_not_allowed() {
        for (source, expected) in [
            ("Hi {{ name", "1:4"),
            ("Hi\n  {{ 'name }}", "2:3"),
            ("{% for x in name %}", "1:1"),
            ("é {% set x = 1 %}", "1:3"),
            ("{% raw %}", "1:1"),
            ("{{ 'ab' * 9 }}", "1:1"),
            ("{#", "1:1"),
        ] {
            let error = expressions(source).err().unwrap();
            assert_eq!(format!("{}:{}", error.line, error.column), expected, "{source}");
        }
    }
}
