//! Removes secrets from the records of users, before anything else reads them.
//!
//! A user may have `attribs` with a `password` (LASTPASS_API.md, "Recordings and other clients"). Neither
//! the other attributes nor their form (a map, a list, or JSON in a text) are documented. Everything that is kept is
//! spelled as LastPass wrote it.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::text::compact;

/// The beginning of the key of attributes.
const ATTRIBUTES: &str = "attrib";
/// Words in the names of attributes that are secrets.
const SECRETS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "credential",
    "api_key",
    "apikey",
    "private_key",
    "privatekey",
];
/// The name of a secret in any object.
const PASSWORD: &str = "password";
/// The beginning of an escaped ASCII character.
const ESCAPE: &str = "\\u00";
/// Longest text that may be the name of an attribute. Chosen: a longer text is a value.
const LONGEST_NAME: usize = 64;
/// Maximum number of levels that are read one by one. Chosen: LastPass's records have three. Deeper values are judged
/// as texts.
const DEEPEST: usize = 32;

/// Removes the secrets of a record.
pub(super) fn without_secrets(record: &str) -> Cow<'_, str> {
    // A name may contain escaped characters.
    if first_mention(record).is_none() && !record.contains(ESCAPE) {
        return Cow::Borrowed(record);
    }
    if serde_json::from_str::<&RawValue>(record).is_ok() {
        return match strip(record, Place::default()) {
            Some(Cow::Borrowed(_)) => Cow::Borrowed(record),
            Some(kept) => kept,
            None => Cow::Borrowed("null"),
        };
    }
    // In a text that is not JSON, the end of a secret cannot be found.
    let at = match first_mention(record) {
        None if first_mention(&unescaped(record)).is_some() => record.find(ESCAPE),
        at => at,
    };
    Cow::Borrowed(&record[..at.unwrap_or(record.len())])
}

/// The place of a value in a record.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    depth: usize,
    in_attributes: bool,
}

impl Place {
    const fn inside(self, in_attributes: bool) -> Self {
        Self { depth: self.depth + 1, in_attributes: self.in_attributes || in_attributes }
    }
}

/// Removes the secrets of a value. Returns `None` if nothing of it may be kept.
fn strip(value: &str, place: Place) -> Option<Cow<'_, str>> {
    let value = value.trim_matches([' ', '\t', '\n', '\r']);
    if place.depth > DEEPEST {
        let text = unescaped(value);
        let is_suspect = first_mention(&text).is_some() || place.in_attributes && is_secret(&text);
        return (!is_suspect).then_some(Cow::Borrowed(value));
    }
    match value.as_bytes().first() {
        Some(b'{') => strip_object(value, place),
        Some(b'[') => {
            let Ok(entries) = serde_json::from_str::<Vec<&RawValue>>(value) else { return Some(Cow::Borrowed(value)) };
            // A pair such as ["password", "…"].
            if place.in_attributes && entries.iter().any(|entry| names_a_secret(entry)) {
                return None;
            }
            let kept: Vec<_> = entries.iter().map(|entry| strip(entry.get(), place.inside(false))).collect();
            if kept.iter().all(|entry| matches!(entry, Some(Cow::Borrowed(_)))) {
                return Some(Cow::Borrowed(value));
            }
            let kept: Vec<&str> = kept.iter().flatten().map(AsRef::as_ref).collect();
            Some(Cow::Owned(format!("[{}]", kept.join(","))))
        }
        Some(b'"') if place.in_attributes => strip_text(value, place),
        _ => Some(Cow::Borrowed(value)),
    }
}

fn strip_object(value: &str, place: Place) -> Option<Cow<'_, str>> {
    let Some(fields) = fields(value) else { return Some(Cow::Borrowed(value)) };
    // A pair such as {"name": "password", "value": "…"}.
    let is_pair = |(key, value): &(&RawValue, &RawValue)| names_a_secret(value) && !is_secret(&unescaped(key.get()));
    if place.in_attributes && fields.iter().any(is_pair) {
        return None;
    }
    let mut changed = false;
    let mut kept = Vec::with_capacity(fields.len());
    for (key, field) in &fields {
        let name = unescaped(key.get()).trim_matches('"').to_ascii_lowercase();
        let is_attributes = name.starts_with(ATTRIBUTES);
        let is_removed = name == PASSWORD || (place.in_attributes || is_attributes) && is_secret(&name);
        let stripped = if is_removed { None } else { strip(field.get(), place.inside(is_attributes)) };
        changed |= !matches!(stripped, Some(Cow::Borrowed(_)));
        kept.extend(stripped.map(|field| format!("{}:{field}", key.get())));
    }
    Some(if changed { Cow::Owned(format!("{{{}}}", kept.join(","))) } else { Cow::Borrowed(value) })
}

/// Removes the secrets of a text among attributes: from JSON in it, or the whole text if it is not JSON and mentions a
/// secret.
fn strip_text(text: &str, place: Place) -> Option<Cow<'_, str>> {
    let inner = serde_json::from_str::<String>(text).unwrap_or_else(|_| unescaped(text));
    if inner.trim_start().starts_with(['{', '['])
        && serde_json::from_str::<&RawValue>(inner.trim()).is_ok()
        && let Some(kept) = strip(&inner, place.inside(true))
    {
        return Some(match kept {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(kept) => Cow::Owned(serde_json::Value::from(compact(&kept).as_ref()).to_string()),
        });
    }
    (!is_secret(&inner)).then_some(Cow::Borrowed(text))
}

/// Returns whether a value is a text that may be the name of a secret.
fn names_a_secret(value: &RawValue) -> bool {
    let text = value.get();
    text.starts_with('"') && text.len() <= LONGEST_NAME && is_secret(&unescaped(text))
}

/// Returns whether a text mentions a secret.
fn is_secret(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    SECRETS.iter().any(|word| text.contains(word))
}

/// Finds the first mention of attributes or a password in a text.
fn first_mention(text: &str) -> Option<usize> {
    let text = text.to_ascii_lowercase();
    [ATTRIBUTES, "\"password\""].iter().filter_map(|word| text.find(word)).min()
}

/// Replaces the escaped ASCII characters of a text, because a name may contain them.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(ESCAPE) {
        plain.push_str(before);
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(u8::is_ascii);
        plain.extend(byte.map(char::from));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    plain + rest
}

/// Reads the fields of an object, each key and value as it is spelled.
fn fields(value: &str) -> Option<Vec<(&RawValue, &RawValue)>> {
    struct Fields;
    impl<'de> serde::de::Visitor<'de> for Fields {
        type Value = Vec<(&'de RawValue, &'de RawValue)>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut fields = Vec::new();
            while let Some(field) = map.next_entry()? {
                fields.push(field);
            }
            Ok(fields)
        }
    }
    serde::Deserializer::deserialize_map(&mut serde_json::Deserializer::from_str(value), Fields).ok()
}
