//! Lone surrogates: escapes such as `\ud83d` that stand for half of a character, which no Rust string can hold.
//!
//! JSON allows them (RFC 8259, section 8.2), and PHP writes them where it cut a text. Before a text is parsed, each lone
//! surrogate is replaced by [`MARK`] and its four digits. When the text is written, it becomes the escape again.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, Visitor};
use serde_json::Value;

/// The character before the digits of a lone surrogate. It is a noncharacter, which systems do not exchange.
/// Source: The Unicode Standard, section 23.7.
const MARK: char = '\u{10ffff}';
/// [`MARK`] as an escape, in lower case.
const MARK_ESCAPED: &str = r"\udbff\udfff";

/// Marks the lone surrogates of a JSON text. Returns `None` if it has none, or if it contains [`MARK`] itself.
pub(crate) fn mark(text: &str) -> Option<String> {
    let mut marked = String::new();
    let mut from = 0;
    let mut rest = escapes(text);
    while let Some((at, unit)) = rest.next() {
        match unit {
            0xd800..=0xdbff if matches!(unit_at(text, at + ESCAPE), Some(0xdc00..=0xdfff)) => {
                rest.next();
            }
            0xd800..=0xdfff => {
                marked.push_str(text.get(from..at)?);
                marked.push(MARK);
                marked.push_str(&format!("{unit:04x}"));
                from = at + ESCAPE;
            }
            _ => {}
        }
    }
    if from == 0 || text.contains(MARK) || text.to_ascii_lowercase().contains(MARK_ESCAPED) {
        return None;
    }
    marked.push_str(text.get(from..)?);
    Some(marked)
}

/// Writes the lone surrogates of a marked JSON text as escapes again.
pub(crate) fn unmark(marked: &str) -> String {
    let mut parts = marked.split(MARK);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if begins_with_surrogate(part) {
            text.push_str(r"\u")
        } else {
            text.push(MARK)
        }
        text.push_str(part);
    }
    text
}

/// Returns whether a text begins with the digits of a surrogate. A key may contain [`MARK`] itself, without such
/// digits.
fn begins_with_surrogate(text: &str) -> bool {
    text.get(..4)
        .is_some_and(|digits| u16::from_str_radix(digits, 16).is_ok_and(|unit| (0xd800..0xe000).contains(&unit)))
}

/// Returns whether a value that was read from a marked text contains a lone surrogate, in a key or a text at any depth.
pub(crate) fn is_marked(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.contains(MARK),
        Value::Array(entries) => entries.iter().any(is_marked),
        Value::Object(fields) => fields.iter().any(|(key, value)| key.contains(MARK) || is_marked(value)),
    }
}

/// Reads a JSON value and marks its lone surrogates.
pub(crate) fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().or_else(|| serde_json::from_str(&mark(text)?).ok())
}

/// The length of an escape such as `\ud83d` in bytes.
const ESCAPE: usize = 6;

/// Finds the escapes of UTF-16 units in a JSON text, each with its position.
fn escapes(text: &str) -> impl Iterator<Item = (usize, u16)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            at += text.get(at..)?.find('\\')?;
            let found = at;
            if let Some(unit) = unit_at(text, found) {
                at = found + ESCAPE;
                return Some((found, unit));
            }
            // Skips the escaped character, too, which may be a backslash.
            at = found + 1 + text.get(found + 1..)?.chars().next()?.len_utf8();
        }
    })
}

/// Reads the UTF-16 unit of the escape at this position; `None` if there is no escape.
fn unit_at(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + ESCAPE)?.strip_prefix("\\u")?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

/// The key of a JSON object; its lone surrogates are marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Key(match std::str::from_utf8(bytes) {
                    Ok(key) => Cow::Borrowed(key),
                    Err(_) => Cow::Owned(marked_bytes(bytes)),
                }))
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(marked_bytes(bytes))))
            }
        }
        // `serde_json` reads a lone surrogate only in bytes, and returns its three bytes of generalized UTF-8.
        deserializer.deserialize_bytes(KeyVisitor)
    }
}

/// Converts generalized UTF-8 to a text with its surrogates marked.
fn marked_bytes(mut bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    loop {
        match std::str::from_utf8(bytes) {
            Ok(rest) => {
                text.push_str(rest);
                return text;
            }
            Err(error) => {
                let (good, rest) = bytes.split_at(error.valid_up_to());
                text.push_str(&String::from_utf8_lossy(good));
                bytes = match *rest {
                    [0xed, second, third, ref rest @ ..] => {
                        let unit = 0xd000 | (u16::from(second) & 0x3f) << 6 | u16::from(third) & 0x3f;
                        text.push(MARK);
                        text.push_str(&format!("{unit:04x}"));
                        rest
                    }
                    // `serde_json` returns no other bytes that are not UTF-8.
                    [_, ref rest @ ..] => rest,
                    [] => return text,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_lone_surrogates_are_marked() {
        for text in [
            r#""\ud83d\ude00""#,
            r#""\\ud83d""#,
            r#""plain \u00e4 \n \\""#,
            r#""\uD83D\uDE00 \\\\ud83d""#,
            "",
            "\\",
            "\"\\u\"",
            r#""\ud83""#,
        ] {
            assert_eq!(mark(text), None, "{text}");
        }
        for (text, marked) in [
            (r#""\ud83d""#, "\"\u{10ffff}d83d\""),
            (r#""\uDE00\uD83D""#, "\"\u{10ffff}de00\u{10ffff}d83d\""),
            (r#""\ud83d\ud83d\ude00x""#, "\"\u{10ffff}d83d\\ud83d\\ude00x\""),
            (r#""\\\ud83d""#, "\"\\\\\u{10ffff}d83d\""),
            (r#"{"\ud83d":"\ud83dx"}"#, "{\"\u{10ffff}d83d\":\"\u{10ffff}d83dx\"}"),
        ] {
            assert_eq!(mark(text).as_deref(), Some(marked), "{text}");
            assert_eq!(unmark(marked), text.to_ascii_lowercase());
        }
        // A mark that the text already contains could not be distinguished from a new one.
        assert_eq!(mark("\"\\ud83d \u{10ffff}\""), None);
        assert_eq!(mark(r#""\ud83d \uDBFF\uDFFF""#), None);
    }

    #[test]
    fn keys_are_marked_as_texts_are() {
        let keys = |text| serde_json::from_str::<std::collections::BTreeMap<String, u8>>(text).is_ok();
        assert!(!keys(r#"{"\ud83d":1}"#));
        for (text, marked) in [(r#""\ud83d""#, "\u{10ffff}d83d"), (r#""a\uDFFFb\ud83d\ude00""#, "a\u{10ffff}dfffb😀")]
        {
            assert_eq!(serde_json::from_str::<Key<'_>>(text).unwrap().0, marked);
            assert_eq!(parse(text), Some(Value::from(marked)));
        }
        assert!(matches!(serde_json::from_str::<Key<'_>>("\"ä\"").unwrap(), Key(Cow::Borrowed("ä"))));
    }

    proptest! {
        #[test]
        fn a_marked_text_can_be_parsed_and_unmarked(
            units in prop::collection::vec(prop_oneof![0xd7f0_u16..0xe010, 0x20_u16..0x80], 0..12)
        ) {
            let escaped: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let text = format!("[\"{escaped}\"]");
            let value = parse(&text).expect("JSON");
            let has_lone = String::from_utf16(&units).is_err();
            prop_assert_eq!(is_marked(&value), has_lone);
            prop_assert_eq!(mark(&text).is_some(), has_lone);
            if let Some(marked) = mark(&text) {
                prop_assert_eq!(unmark(&marked), text);
            }
        }
    }
}
