//! The scheme of the `_id`.
//!
//! An `_id` is the letter `a` and the first 23 characters of the URL-safe base64 of a SHA-256 (138 bits, and 18 bytes
//! in Elasticsearch's encoding). The hash is that of a list of texts. In front of each text is its length in bytes, as a
//! big-endian number of 8 bytes:
//!
//! | document | texts |
//! | --- | --- |
//! | event | account number, dataset, `Time`, `Username`, `IP_Address`, `Action` in lower case, `Data`, ordinal |
//! | event that is not an object | account number, dataset, the record, ordinal |
//! | user | account number, dataset, scheduled time, key |
//! | change | account number, `lastpass.change`, stream, scheduled times of both snapshots, `event.action`, key (folder, user) |
//! | folder × user | account number, dataset, scheduled time, key, `username`, ordinal |
//!
//! Numbers are decimal, the scheduled time is in nanoseconds since 1970, and a value of the record is in the form that
//! [`canonical`](super::canonical::canonical) gives it. A lone surrogate is U+10FFFF and its four digits in lower case.
//! The same in Python, from which the vectors of the tests come:
//!
//! ```python
//! from base64 import urlsafe_b64encode
//! from hashlib import sha256
//!
//! def doc_id(*texts):
//!     parts = [text.encode() for text in texts]
//!     digest = sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()
//!     return "a" + urlsafe_b64encode(digest).decode()[:23]
//! ```
//!
//! Frozen: another `_id` for a record that is already stored would store it again. A new scheme takes the next letter.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::mapper::Mapper;
use crate::document::DocId;

/// The letter that every `_id` of this scheme begins with.
const SCHEME: &str = "a";

/// Characters of the hash in an `_id`: 138 bits. With the letter, the length is a multiple of four, which Elasticsearch
/// encodes in the fewest bytes.
const HASH_CHARACTERS: usize = 23;

/// Bytes of the hash that are encoded: enough for these characters.
const HASHED_BYTES: usize = 18;

/// Initial capacity for the texts of an `_id` in bytes. Chosen: those of an event take about 200.
const TEXTS_BYTES: usize = 384;

/// The texts of an `_id` in the form that is hashed: in front of each text is its length.
pub(super) struct IdParts(Vec<u8>);

impl IdParts {
    /// Starts with the texts that every `_id` begins with.
    pub(super) fn new(mapper: &Mapper, dataset: &str) -> Self {
        Self(Vec::new()).with(mapper.account.as_str()).with(dataset)
    }

    /// Copies these texts, with room for those of a record.
    pub(super) fn begin(&self) -> Self {
        let mut bytes = Vec::with_capacity(TEXTS_BYTES);
        bytes.extend_from_slice(&self.0);
        Self(bytes)
    }

    /// Adds a text.
    pub(super) fn with(mut self, text: &str) -> Self {
        // A `usize` is never wider than 64 bits.
        self.0.extend_from_slice(&(text.len() as u64).to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// Builds the `_id` of these texts.
    pub(super) fn finish(self) -> DocId {
        of_digest(self.digest())
    }

    fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

fn of_digest(digest: [u8; 32]) -> DocId {
    let mut id = URL_SAFE_NO_PAD.encode(&digest[..HASHED_BYTES]);
    // The text is ASCII, so it can be cut anywhere.
    id.truncate(HASH_CHARACTERS);
    id.insert_str(0, SCHEME);
    DocId(id)
}

/// Counts equal records, so that each has its own ordinal: the number of equal records before it.
#[derive(Default)]
pub(super) struct Ordinals {
    /// The number of equal records so far, by the digest of the first.
    seen: HashMap<[u8; 32], u32>,
}

impl Ordinals {
    /// Makes room for this number of different records.
    pub(super) fn with_capacity(records: usize) -> Self {
        Self { seen: HashMap::with_capacity(records) }
    }

    /// Builds the `_id` of the next record with these texts.
    pub(super) fn next_id(&mut self, parts: IdParts) -> DocId {
        let length = parts.0.len();
        let mut first = parts.with("0");
        let digest = first.digest();
        let seen = self.seen.entry(digest).or_default();
        let ordinal = *seen;
        *seen += 1;
        if ordinal == 0 {
            return of_digest(digest);
        }
        first.0.truncate(length);
        first.with(&ordinal.to_string()).finish()
    }
}
