//! A text of JSON that is read without being copied, unless something in it is escaped.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, Visitor};

/// `Cow<str>` itself is copied by serde wherever it stands inside another type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_escaped_is_copied() {
        let plain: Option<Text<'_>> = serde_json::from_str("\"ä b\"").unwrap();
        assert!(matches!(plain, Some(Text(Cow::Borrowed("ä b")))));
        let escaped: Text<'_> = serde_json::from_str(r#""\u00e4""#).unwrap();
        assert!(matches!(&escaped.0, Cow::Owned(text) if text == "ä"));
        assert!(serde_json::from_str::<Text<'_>>("1").is_err());
    }
}
