//! Looks for secrets in what was written, plain and in Base64.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Secrets by name. Its `Debug` shows the names alone.
#[derive(Clone, Default)]
pub struct Secrets(Vec<(String, String)>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Secrets {
    /// Adds one.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The names of those that a text holds, as they are or in Base64, also as a part of something longer.
    #[must_use]
    pub fn found_in(&self, text: &str) -> Vec<String> {
        let is_in = |(_, value): &&(String, String)| {
            text.contains(value.as_str()) || encodings(value).iter().any(|encoded| text.contains(encoded.as_str()))
        };
        self.0.iter().filter(is_in).map(|(name, _)| name.clone()).collect()
    }
}

/// What a value looks like inside Base64: its first byte may be any of the three of a group, and what a neighbour has a
/// share in is left out.
fn encodings(value: &str) -> Vec<String> {
    let mut all = Vec::new();
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        for before in 0..3 {
            let mut bytes = vec![0; before];
            bytes.extend(value.bytes());
            let encoded = engine.encode(&bytes);
            let skip = (before * 8).div_ceil(6);
            let whole = bytes.len() * 8 / 6;
            all.extend(encoded.get(skip..whole).map(str::to_owned));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    #[test]
    fn a_secret_is_found_in_every_disguise() {
        let secrets = Secrets::default().with("hash", "s3cret>>?hash~~");
        for before in ["", "a", "ab", "abc"] {
            for after in ["", "x", "xy"] {
                let text = format!("{before}s3cret>>?hash~~{after}");
                for disguised in [text.clone(), STANDARD.encode(&text), URL_SAFE.encode(&text)] {
                    assert_eq!(secrets.found_in(&format!("said {disguised}!")), ["hash"], "{before}…{after}");
                }
            }
        }
        assert!(secrets.found_in(&STANDARD.encode("another text, and nothing of it")).is_empty());
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", Secrets::default().with("hash", "s3cret")), "[\"hash\"]");
    }
}
