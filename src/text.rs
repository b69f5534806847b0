//! JSON strings that are copied only if they contain escapes, and JSON without white space.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The text of a JSON string, borrowed from the JSON unless it contains escapes.
///
/// A `Cow` is not enough, because serde copies a `Cow` inside an `Option` or as a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

impl<'a> Text<'a> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_owned(self) -> String {
        self.0.into_owned()
    }

    /// Returns a part of the text, copied only if the text is not borrowed.
    pub(crate) fn part(&self, of: impl for<'t> Fn(&'t str) -> &'t str) -> Self {
        match &self.0 {
            Cow::Borrowed(text) => of(text).into(),
            Cow::Owned(text) => of(text).to_owned().into(),
        }
    }

    /// Returns parts of the text, copied only if the text is not borrowed.
    pub(crate) fn parts(&self, of: impl for<'t> Fn(&'t str) -> Vec<&'t str>) -> Vec<Self> {
        match &self.0 {
            Cow::Borrowed(text) => of(text).into_iter().map(Self::from).collect(),
            Cow::Owned(text) => of(text).into_iter().map(|part| part.to_owned().into()).collect(),
        }
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl From<Text<'_>> for Value {
    fn from(text: Text<'_>) -> Self {
        Self::String(text.into_owned())
    }
}

/// Removes the white space between the tokens of JSON. Keeps one space between two numbers or words, which would otherwise
/// become one.
pub(crate) fn compact(text: &str) -> Cow<'_, str> {
    let is_space = |byte: u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let ends_a_token = |byte: u8| b"{}[],:\"".contains(&byte);
    let mut kept = String::new();
    let mut from = 0;
    let mut before = None;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        if is_space(byte) {
            kept.push_str(&text[from..at]);
            from = at + 1;
            continue;
        }
        let follows_a_space = from == at && at > 0;
        if follows_a_space && !ends_a_token(byte) && before.is_some_and(|before| !ends_a_token(before)) {
            kept.push(' ');
        }
        if byte == b'"' {
            skip_string(&mut bytes);
        }
        before = Some(byte);
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    kept.push_str(&text[from..]);
    Cow::Owned(kept)
}

/// Skips the rest of a JSON string with its closing quote.
fn skip_string(bytes: &mut impl Iterator<Item = (usize, u8)>) {
    while let Some((_, byte)) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_texts_with_escapes_are_copied() {
        let plain: Option<Text<'_>> = serde_json::from_str("\"ä b\"").unwrap();
        assert!(matches!(plain, Some(Text(Cow::Borrowed("ä b")))));
        let escaped: Text<'_> = serde_json::from_str(r#""\u00e4""#).unwrap();
        assert!(matches!(&escaped.0, Cow::Owned(text) if text == "ä"));
        assert!(serde_json::from_str::<Text<'_>>("1").is_err());
    }

    #[test]
    fn a_part_is_borrowed_only_if_its_text_is() {
        let (borrowed, owned) = (Text::from(" a,b"), Text::from(" a,b".to_owned()));
        assert!(matches!(borrowed.part(str::trim).0, Cow::Borrowed("a,b")));
        assert!(matches!(owned.part(str::trim).0, Cow::Owned(text) if text == "a,b"));
        let split = |text: &Text<'static>| text.parts(|text| text.split(',').collect());
        assert!(matches!(&split(&borrowed)[..], [Text(Cow::Borrowed(" a")), Text(Cow::Borrowed("b"))]));
        assert!(matches!(&split(&owned)[..], [Text(Cow::Owned(a)), Text(Cow::Owned(b))] if a == " a" && b == "b"));
    }

    #[test]
    fn compacting_keeps_the_white_space_in_strings() {
        let compacted = compact("{ \"a b\" :\t[ 1 ,\r\n \"x \\\" y \\\\\" , true ] } ");
        assert_eq!(compacted, r#"{"a b":[1,"x \" y \\",true]}"#);
        assert!(matches!(compact(r#"{"a":" "}"#), Cow::Borrowed(_)));
        assert_eq!(compact("{ \"a b\" :\n [1.0 , \"\\\" \\\\\" ] }"), r#"{"a b":[1.0,"\" \\"]}"#);
        // Without the space, `-1e9` and `99` would be one value.
        assert_eq!(compact(" -1e9\r99 true  7"), "-1e9 99 true 7");
        assert_eq!(compact("[1] [ 2 ]"), "[1][2]");
        assert_eq!(compact(": é"), ":é");
        assert!(matches!(compact(""), Cow::Borrowed("")));
        assert_eq!(compact(r#" {"a" :"A ","b": 1} 1"#), r#"{"a":"A ","b":1}1"#);
        assert_eq!(compact(r#"{ "a":"\uD83D" }"#), r#"{"a":"\uD83D"}"#);
    }
}
