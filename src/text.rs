//! Texts of JSON: read without being copied, and written without being looked at, unless something in them is escaped.

use std::{
    borrow::Cow,
    fmt,
    hash::{Hash, Hasher},
    ops::Range,
};

use serde::de::{Deserialize, Deserializer, Visitor};
use serde_json::Value;

/// A text that was read from JSON or is to be written as JSON.
#[derive(Debug, Clone)]
pub(crate) enum Text<'a> {
    /// It, or what it is a part of, stands in JSON as it is: nothing in it is escaped, and nothing has to be.
    Plain(&'a str),
    /// Any other.
    Any(Cow<'a, str>),
}

use Text::{Any, Plain};

impl<'a> Text<'a> {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Plain(text) => text,
            Any(text) => text,
        }
    }

    pub(crate) fn into_owned(self) -> String {
        match self {
            Plain(text) => text.to_owned(),
            Any(text) => text.into_owned(),
        }
    }

    /// A part of it, copied only where it is not borrowed itself. Empty where there is none.
    pub(crate) fn part(&self, range: Range<usize>) -> Text<'a> {
        match self {
            Plain(text) => Plain(text.get(range).unwrap_or_default()),
            Any(Cow::Borrowed(text)) => Any(Cow::Borrowed(text.get(range).unwrap_or_default())),
            Any(Cow::Owned(text)) => Any(Cow::Owned(text.get(range).unwrap_or_default().to_owned())),
        }
    }

    /// Appends it in quotes.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Plain(text) => write_plain(text, out),
            Any(text) => write_text(text, out),
        }
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Any(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Any(Cow::Owned(text))
    }
}

/// By what it says.
impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text<'_> {}

impl Hash for Text<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

/// From JSON alone: what another format lends may have something to escape.
impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Plain(text))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Any(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Appends a text in quotes, escaped.
pub(crate) fn write_text(text: &str, out: &mut String) {
    if has_escapes(text) { out.push_str(&Value::from(text).to_string()) } else { write_plain(text, out) }
}

/// Whether something in a text is escaped where it stands in JSON.
fn has_escapes(text: &str) -> bool {
    // Looks at every byte, which is faster than stopping at the first that is to be escaped.
    text.bytes().fold(false, |found, byte| found | (byte < b' ') | (byte == b'"') | (byte == b'\\'))
}

fn write_plain(text: &str, out: &mut String) {
    debug_assert!(!has_escapes(text), "{text:?} does not stand in JSON as it is");
    out.push('"');
    out.push_str(text);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_escaped_is_copied() {
        let plain: Option<Text<'_>> = serde_json::from_str("\"ä b\"").unwrap();
        assert!(matches!(plain, Some(Plain("ä b"))));
        let escaped: Text<'_> = serde_json::from_str(r#""\u00e4""#).unwrap();
        assert!(matches!(&escaped, Any(Cow::Owned(text)) if text == "ä"));
        assert!(serde_json::from_str::<Text<'_>>("1").is_err());
    }

    #[test]
    fn a_text_is_written_as_serde_writes_it() {
        for text in ["", "plain ä", "\"", "\\", "a\nb", "\u{1}", "\u{7f}", "/"] {
            let (mut written, json) = (String::new(), serde_json::to_string(text).unwrap());
            Text::from(text).write(&mut written);
            assert_eq!(written, json);
            written.clear();
            serde_json::from_str::<Text<'_>>(&json).unwrap().write(&mut written);
            assert_eq!(written, json, "as it was read");
        }
    }

    #[test]
    fn parts_are_of_the_same_kind() {
        assert!(matches!(Plain("a,b").part(2..3), Plain("b")));
        assert!(matches!(Text::from("a,b").part(0..1), Any(Cow::Borrowed("a"))));
        assert!(matches!(Text::from("a,b".to_owned()).part(1..9), Any(Cow::Owned(text)) if text.is_empty()));
    }
}
