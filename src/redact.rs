//! Keeps secrets out of texts: quotes user input, and finds and removes secrets in the responses of other systems, because
//! some systems echo a request in their errors.

use std::{collections::BTreeSet, fmt};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use secrecy::{ExposeSecret, SecretString};

/// Shortest part of a key that is removed. Chosen: the parts of real keys have 20 and 22 characters. If someone stores
/// a single letter as a key, it must not be removed from every word.
const SHORTEST_PART: usize = 8;
/// How many consecutive characters of a secret count as an echo. Chosen: an API that shows a part of a refused secret
/// shows the first or last few characters, and words of eight letters are rare in a hexadecimal hash.
const ECHO_LENGTH: usize = 8;
/// The replacement for a secret.
const REPLACEMENT: &str = "[redacted]";

/// Returns the forms of a secret inside a longer text in Base64. The first byte of the secret can be any of the three
/// in a group. Characters that also encode neighboring bytes are left out.
fn in_base64(secret: &str) -> impl Iterator<Item = String> {
    (0..3).flat_map(move |before| {
        let mut bytes = vec![0; before];
        bytes.extend(secret.bytes());
        let (begin, end) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        let spellings = [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)];
        spellings.into_iter().filter_map(move |encoded| encoded.get(begin..end).map(str::to_owned))
    })
}

/// Returns whether a text contains a secret or a part of it, in any letter case, or inside Base64.
#[must_use]
pub(crate) fn echoes(text: &str, secret: &SecretString) -> bool {
    let secret = secret.expose_secret();
    if secret.is_empty() {
        return false;
    }
    let (lower_case, letters): (_, Vec<char>) = (text.to_lowercase(), secret.to_lowercase().chars().collect());
    letters.windows(ECHO_LENGTH.min(letters.len())).any(|piece| lower_case.contains(&*String::from_iter(piece)))
        || in_base64(secret).any(|spelling| text.contains(&spelling))
}

/// Removes an API key or a password, and its parts in every spelling, from responses of Elasticsearch.
///
/// All of them are searched in one pass. A pass for each would cost more than parsing the response.
#[derive(Clone)]
pub(crate) struct SecretParts(AhoCorasick);

impl SecretParts {
    /// Prepares the search for the parts of a key in its encoded form.
    pub(crate) fn of(encoded: &SecretString) -> Self {
        let decoded = STANDARD.decode(encoded.expose_secret()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let halves = decoded.as_deref().and_then(|decoded| decoded.split_once(':'));
        let parts = [Some(encoded.expose_secret()), halves.map(|(id, _)| id), halves.map(|(_, key)| key)];
        Self::search(parts.into_iter().flatten())
    }

    /// Prepares the search for a password. The name of its user is not confidential.
    pub(crate) fn of_password(password: &SecretString) -> Self {
        Self::search([password.expose_secret()].into_iter())
    }

    /// Prepares a search that finds nothing.
    pub(crate) fn none() -> Self {
        Self::search([].into_iter())
    }

    #[expect(clippy::expect_used, reason = "a secret has at most 64 kB, and the search takes gigabytes of text")]
    fn search<'a>(parts: impl Iterator<Item = &'a str>) -> Self {
        let parts: Vec<&str> = parts.filter(|part| part.len() >= SHORTEST_PART).collect();
        let plain = parts.iter().map(|part| (*part).to_owned());
        let spellings: BTreeSet<String> = plain.chain(parts.iter().flat_map(|part| in_base64(part))).collect();
        let search = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&spellings);
        Self(search.expect("a search for a few texts"))
    }

    /// Replaces the secrets in a response body.
    pub(crate) fn redact(&self, body: Vec<u8>) -> Vec<u8> {
        if !self.0.is_match(&body) {
            return body;
        }
        self.0.replace_all_bytes(&body, &vec![REPLACEMENT; self.0.patterns_len()])
    }
}

/// Most characters that are quoted. Chosen: a time or the name of a zone is shorter. A provisioning hash or an API key
/// that was pasted into the wrong place is longer.
const MAX_QUOTED_CHARS: usize = 30;

/// Displays a text in quotes, like `{:?}`, or only its length if it is too long.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.chars().count() {
            0..=MAX_QUOTED_CHARS => write!(f, "{:?}", self.0),
            length => write!(f, "\"…\" ({length} characters)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_found_in_every_spelling() {
        let secret = SecretString::from("0123456789abcdef0123456789abcdef");
        for before in ["", "x", "xy", "xyz"] {
            let body = format!("{before}0123456789abcdef0123456789abcdef and more");
            for echo in [body.clone(), body.to_uppercase(), STANDARD.encode(&body), URL_SAFE_NO_PAD.encode(&body)] {
                assert!(echoes(&format!("bad {echo}"), &secret), "{echo}");
            }
        }
        assert!(!echoes("Authorization Error", &secret));
        assert!(!echoes("anything", &SecretString::from("")));
    }

    #[test]
    fn a_key_and_both_its_halves_are_replaced() {
        let encoded = STANDARD.encode("id-of-a-key:the-key-itself");
        let parts = SecretParts::of(&SecretString::from(encoded.as_str()));
        let said = format!("ApiKey {encoded} is id-of-a-key and the-key-itself");
        let clean = parts.redact(said.into_bytes());
        assert_eq!(clean, b"ApiKey [redacted] is [redacted] and [redacted]");
        for before in ["", "x", "xy"] {
            let said = STANDARD.encode(format!("{before}ApiKey {encoded} and the-key-itself"));
            let clean = String::from_utf8(parts.redact(said.into_bytes())).expect("a text");
            for part in [encoded.as_str(), "the-key-itself"] {
                assert!(!echoes(&clean, &SecretString::from(part)), "{clean}");
            }
        }
        assert_eq!(parts.redact(vec![0xff, b'a']), [0xff, b'a']);
        let unreadable = SecretParts::of(&SecretString::from("not a key"));
        assert_eq!(unreadable.redact(b"not a key, no more".to_vec()), b"[redacted], no more");
    }

    #[test]
    fn only_short_texts_are_quoted() {
        assert_eq!(Quoted("a\n\"b\"").to_string(), r#""a\n\"b\"""#);
        let longest = "ä".repeat(MAX_QUOTED_CHARS);
        assert_eq!(Quoted(&longest).to_string(), format!("\"{longest}\""));
        assert_eq!(Quoted("f00dfeedf00dfeedf00dfeedf00dfeed").to_string(), "\"…\" (32 characters)");
    }
}
