//! Bytes: packs documents into chunks and writes the body of a `_bulk` request.

use std::io::{self, BufWriter, Write};
use std::ops::Range;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use crate::document::{DocId, Document};
use crate::text::write_text;

/// Largest bulk body in bytes, before gzip: `http.max_content_length` (100 MB) counts the unpacked ones, proxies often
/// allow less. Chosen: large enough that a bulk's fixed costs vanish, small enough to repeat.
pub(super) const MAX_BULK_BYTES: usize = 4 << 20;

/// Most documents in one bulk. Chosen: it bounds the answer, which has an entry for each.
pub(super) const MAX_BULK_DOCUMENTS: usize = 2_000;

/// The fastest level: the way to the cluster is rarely slower than the function's CPU.
const LEVEL: Compression = Compression::fast();

/// How many times smaller a bulk body is packed, at least. Measured: 7 to 8.
const PACKED: usize = 6;

/// Room for what an answer says of one document. Chosen: with the names of our backing indices it takes about 130 bytes.
const ANSWERED_BYTES: usize = 160;

/// Bytes that are packed together. Chosen: a call for each line takes twice the time, and a whole bulk leaves the cache.
const PACKED_TOGETHER: usize = 64 << 10;

/// One document of a bulk: its `_id`, its `_source`, one line of JSON, and since when it can exist.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) id: &'a DocId,
    pub(super) source: &'a str,
    pub(super) since: Option<Timestamp>,
}

impl<'a> Line<'a> {
    /// That of a document.
    pub(super) fn of(document: &'a Document) -> Self {
        Self { id: &document.id, source: &document.source, since: document.since }
    }

    /// Its share of the body, in bytes: the action with the escaped `_id`, the source, two line ends.
    pub(super) fn body_bytes(&self) -> usize {
        ACTION_BYTES + self.id.as_str().len() + self.source.len()
    }
}

/// `{"create":{"_id":""}}` and two line ends.
const ACTION_BYTES: usize = 23;

/// Packs documents of these sizes, in their order, into chunks of at most `max_bytes` and `max_documents`.
///
/// A document that is larger alone is a chunk alone: whether it is too large is Elasticsearch's to say.
pub(super) fn chunks(
    sizes: impl IntoIterator<Item = usize>,
    max_bytes: usize,
    max_documents: usize,
) -> Vec<Range<usize>> {
    let mut chunks = Vec::new();
    let (mut start, mut end, mut bytes) = (0, 0, 0);
    for size in sizes {
        if end > start && (bytes + size > max_bytes || end - start >= max_documents) {
            chunks.push(start..end);
            (start, bytes) = (end, 0);
        }
        bytes += size;
        end += 1;
    }
    if end > start {
        chunks.push(start..end);
    }
    chunks
}

/// The gzipped body of a `_bulk` request that creates `lines`.
///
/// # Errors
/// None in practice: it writes into memory.
pub(super) fn bulk_body<'a>(lines: impl Iterator<Item = Line<'a>> + Clone) -> io::Result<Vec<u8>> {
    let bytes = lines.clone().map(|line| line.body_bytes()).sum();
    let mut body = BufWriter::with_capacity(PACKED_TOGETHER, packer(bytes));
    let mut action = String::new();
    for line in lines {
        action.clear();
        action.push_str("{\"create\":{\"_id\":");
        write_text(line.id.as_str(), &mut action);
        action.push_str("}}\n");
        body.write_all(action.as_bytes())?;
        body.write_all(line.source.as_bytes())?;
        body.write_all(b"\n")?;
    }
    body.into_inner()?.finish()
}

/// The gzipped body of a `_bulk` request that creates `documents`: for the benches.
///
/// # Errors
/// None in practice: it writes into memory.
pub fn bulk_of(documents: &[Document]) -> io::Result<Vec<u8>> {
    bulk_body(documents.iter().map(Line::of))
}

/// What an answer to `_mget` is to hold (`filter_path`).
pub const FOUND: &str = "docs._index,docs._id,docs.found,docs.error.type";

/// What an answer to `_bulk` is to hold (`filter_path`).
pub const WRITTEN: &str = "items.create._id,items.create._index,items.create.status,items.create.failure_store,\
                           items.create.error.type,items.create.error.reason,items.create.error.caused_by";

/// The answer to an `_mget` of documents none of which is there, byte for byte as Elasticsearch writes it: each with the
/// index it was looked for in.
pub fn none_found<'a>(asked: impl ExactSizeIterator<Item = (&'a str, &'a DocId)>) -> String {
    answer_for(asked, "{\"docs\":[{\"_index\":", ",\"found\":false},{\"_index\":", ",\"found\":false}]}")
}

/// The answer to a `_bulk` that created all of `ids` in the backing index `index`, byte for byte as Elasticsearch writes it.
pub fn all_created<'a>(index: &'a str, ids: impl ExactSizeIterator<Item = &'a DocId>) -> String {
    let created = ids.map(|id| (index, id));
    let between = ",\"status\":201}},{\"create\":{\"_index\":";
    answer_for(created, "{\"items\":[{\"create\":{\"_index\":", between, ",\"status\":201}}]}")
}

/// An answer that says the same of each of `documents`, which are named by index and `_id`.
fn answer_for<'a>(
    documents: impl ExactSizeIterator<Item = (&'a str, &'a DocId)>,
    begin: &str,
    between: &str,
    end: &str,
) -> String {
    let mut answer = String::with_capacity(documents.len() * ANSWERED_BYTES);
    let mut before = begin;
    for (index, id) in documents {
        answer.push_str(before);
        write_text(index, &mut answer);
        answer.push_str(",\"_id\":");
        write_text(id.as_str(), &mut answer);
        before = between;
    }
    answer.push_str(end);
    answer
}

/// Gzips a body that is whole already.
///
/// # Errors
/// None in practice: it writes into memory.
pub(super) fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut body = packer(bytes.len());
    body.write_all(bytes)?;
    body.finish()
}

/// What packs a body of so many bytes.
fn packer(bytes: usize) -> GzEncoder<Vec<u8>> {
    GzEncoder::new(Vec::with_capacity(bytes / PACKED), LEVEL)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    fn gunzip(bytes: &[u8]) -> String {
        let mut text = String::new();
        flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_bulk_body_is_an_action_and_a_source_for_each_document() {
        let ids = [DocId("a1".to_owned()), DocId("quo\"te".to_owned())];
        let line = |id, source| Line { id, source, since: None };
        let lines = [line(&ids[0], r#"{"x":1}"#), line(&ids[1], r#"{"x":"ä"}"#)];
        let body = gunzip(&bulk_body(lines.into_iter()).unwrap());
        assert_eq!(
            body,
            "{\"create\":{\"_id\":\"a1\"}}\n{\"x\":1}\n{\"create\":{\"_id\":\"quo\\\"te\"}}\n{\"x\":\"ä\"}\n"
        );
        assert_eq!(gunzip(&bulk_body(lines[..1].iter().copied()).unwrap()).len(), lines[0].body_bytes());
    }

    #[test]
    fn the_usual_answers_name_each_document() {
        let ids = [DocId("a1".to_owned()), DocId("quo\"te".to_owned())];
        let found = none_found(ids.iter().map(|id| (".ds-x", id)));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&found).unwrap(),
            serde_json::json!({"docs": [
                {"_index": ".ds-x", "_id": "a1", "found": false}, {"_index": ".ds-x", "_id": "quo\"te", "found": false},
            ]})
        );
        let created = all_created(".ds-x", ids.iter());
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&created).unwrap(),
            serde_json::json!({"items": [
                {"create": {"_index": ".ds-x", "_id": "a1", "status": 201}},
                {"create": {"_index": ".ds-x", "_id": "quo\"te", "status": 201}},
            ]})
        );
    }

    #[test]
    fn a_document_larger_than_a_chunk_is_one_alone() {
        assert_eq!(chunks([3, 50, 3], 10, 9), [0..1, 1..2, 2..3]);
        assert!(chunks([], 10, 9).is_empty());
        assert_eq!(chunks([5, 5, 1], 10, 9), [0..2, 2..3]);
    }

    proptest! {
        #[test]
        fn chunking_keeps_order_and_limits(
            sizes in prop::collection::vec(0_usize..60, 0..80),
            max_bytes in 1_usize..100,
            max_documents in 1_usize..20,
        ) {
            let chunks = chunks(sizes.iter().copied(), max_bytes, max_documents);
            let mut next = 0;
            for chunk in &chunks {
                prop_assert_eq!(chunk.start, next);
                prop_assert!(!chunk.is_empty() && chunk.len() <= max_documents);
                let bytes: usize = sizes[chunk.clone()].iter().sum();
                prop_assert!(bytes <= max_bytes || chunk.len() == 1);
                next = chunk.end;
            }
            prop_assert_eq!(next, sizes.len());
        }
    }
}
