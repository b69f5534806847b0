//! The scheme of the `_id`.
//!
//! An `_id` is the letter `a` and the first 23 characters of the URL-safe base64 of a SHA-256 (138 bits, and 18 bytes
//! once Elasticsearch has packed them). What is hashed is a list of texts, each behind its length in bytes as 8 bytes,
//! big end first:
//!
//! | document | texts |
//! | --- | --- |
//! | event | account number, dataset, `Time`, `Username`, `IP_Address`, `Action` in lower case, `Data`, ordinal |
//! | event that is no object | account number, dataset, the record, ordinal |
//! | user | account number, dataset, scheduled time, key |
//! | folder × user | account number, dataset, scheduled time, key, `username`, ordinal |
//!
//! Numbers are decimal, the scheduled time is in nanoseconds since 1970, and a value of the record is in the form that
//! [`canonical`](super::record::canonical) gives it. A lone surrogate is U+10FFFF and its four digits in lower case. The same in Python, from which the vectors of the tests come:
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

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::{Mapper, Snapshot};
use crate::document::{DocId, Stream};

/// The letter that every `_id` of this scheme begins with.
const SCHEME: &str = "a";

/// Characters of the hash in an `_id`: 138 bits, with the letter a multiple of four, which Elasticsearch packs best.
const HASH_CHARACTERS: usize = 23;

/// Bytes of the hash that these characters are of, and some bits more.
const HASHED_BYTES: usize = 18;

/// Room for an `_id` while it is made: the letter, and a character more than is kept.
const ID_BYTES: usize = 25;

/// The texts of an `_id`, hashed as they come.
#[derive(Clone)]
pub(super) struct IdParts(Sha256);

impl IdParts {
    /// Those that every `_id` begins with.
    pub(super) fn new(mapper: &Mapper, stream: Stream) -> Self {
        Self(Sha256::new()).with(mapper.account.as_str()).with(stream.dataset())
    }

    /// Those that the `_id`s of a snapshot begin with.
    pub(super) fn snapshot(mapper: &Mapper, stream: Stream, snapshot: &Snapshot) -> Self {
        Self::new(mapper, stream).with(&snapshot.scheduled_time.as_nanosecond().to_string())
    }

    /// One text more.
    pub(super) fn with(mut self, text: &str) -> Self {
        // A `usize` is never wider than 64 bits.
        self.0.update((text.len() as u64).to_be_bytes());
        self.0.update(text);
        self
    }

    /// The `_id` of these texts.
    pub(super) fn finish(self) -> DocId {
        of_digest(&self.digest())
    }

    fn digest(self) -> [u8; 32] {
        self.0.finalize().into()
    }

    /// With the ordinal among equals, which is the last text.
    fn digest_of(self, ordinal: u32) -> [u8; 32] {
        match ordinal {
            0 => self.with("0"),
            _ => self.with(&ordinal.to_string()),
        }
        .digest()
    }
}

fn of_digest(digest: &[u8; 32]) -> DocId {
    let mut id = String::with_capacity(ID_BYTES);
    id.push_str(SCHEME);
    URL_SAFE_NO_PAD.encode_string(digest.get(..HASHED_BYTES).unwrap_or_default(), &mut id);
    // Of ASCII alone.
    id.truncate(SCHEME.len() + HASH_CHARACTERS);
    DocId(id)
}

/// Tells equal records apart by their ordinal: how many equal ones came before.
#[derive(Default)]
pub(super) struct Ordinals {
    /// By the digest of the first of them.
    seen: HashMap<[u8; 32], u32, BuildHasherDefault<OfDigest>>,
}

/// The hash of a digest: its own beginning, which nobody can choose.
#[derive(Default)]
struct OfDigest(u64);

impl Hasher for OfDigest {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(beginning) = bytes.first_chunk() {
            self.0 ^= u64::from_le_bytes(*beginning);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Ordinals {
    /// The `_id` of the next record with these parts.
    pub(super) fn next_id(&mut self, parts: IdParts) -> DocId {
        let first = parts.clone().digest_of(0);
        let seen = self.seen.entry(first).or_default();
        let ordinal = *seen;
        *seen += 1;
        if ordinal == 0 { of_digest(&first) } else { of_digest(&parts.digest_of(ordinal)) }
    }
}
