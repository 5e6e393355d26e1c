//! Composing a text: template, recipient, Smart Encoding, size. What is measured here is exactly
//! what is paid for and sent.

use std::collections::BTreeMap;

use crate::segments::{BODY_UNITS_MAX, billable, measure, smart_encode};
use crate::template::{RenderContext, Template};

/// A text ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Its characters, with look-alikes already replaced.
    pub body: String,
    /// Billed parts.
    pub segments: u32,
}

/// Why there is no text, in words for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The template cannot be filled for this recipient.
    #[error("{0}")]
    Render(String),
    /// Nothing would be sent.
    #[error("the text is empty")]
    Empty,
    /// The carrier takes no text of this length (Twilio 21617).
    #[error("the text is {0} characters long; at most {BODY_UNITS_MAX} can be sent")]
    TooLong(u32),
}

/// Fills `template` for one recipient and finishes the text.
pub fn compose(
    template: &Template,
    variables: &BTreeMap<String, String>,
    context: &RenderContext,
) -> Result<Text, Problem> {
    let rendered =
        template.render(variables, context).map_err(|error| Problem::Render(error.to_string()))?;
    finish(&rendered)
}

/// Replaces look-alike characters that would make the text dearer, and measures it.
pub fn finish(rendered: &str) -> Result<Text, Problem> {
    let body = smart_encode(rendered).into_owned();
    if body.trim().is_empty() {
        return Err(Problem::Empty);
    }
    let size = measure(&body);
    if usize::try_from(size.utf16_units).is_ok_and(|units| units > BODY_UNITS_MAX) {
        return Err(Problem::TooLong(size.utf16_units));
    }
    Ok(Text { segments: billable(&body), body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_finished_before_they_are_measured() {
        let text = finish("Don\u{2019}t be late").expect("a text");
        assert_eq!((text.body.as_str(), text.segments), ("Don't be late", 1));
        assert_eq!(finish(" \n"), Err(Problem::Empty));
        assert!(finish(&"a".repeat(1600)).is_ok());
        assert_eq!(finish(&"a".repeat(1601)), Err(Problem::TooLong(1601)));
    }
}
