//! Quotes user input in messages: on one line, and without text that may be a secret.

use std::fmt;

/// Most characters that are quoted. Chosen: a time or the name of a zone is shorter. A provisioning hash or an API key
/// that was pasted into the wrong place is longer.
const MAX_CHARS: usize = 30;

/// Displays a text in quotes, like `{:?}`, or only its length if it is too long.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.chars().count() {
            0..=MAX_CHARS => write!(f, "{:?}", self.0),
            length => write!(f, "\"…\" ({length} characters)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_short_is_repeated() {
        assert_eq!(Quoted("a\n\"b\"").to_string(), r#""a\n\"b\"""#);
        let longest = "ä".repeat(MAX_CHARS);
        assert_eq!(Quoted(&longest).to_string(), format!("\"{longest}\""));
        assert_eq!(Quoted("f00dfeedf00dfeedf00dfeedf00dfeed").to_string(), "\"…\" (32 characters)");
    }
}
