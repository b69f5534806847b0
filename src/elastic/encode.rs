//! Writes the compressed bodies of requests, and decides how many documents fit into one `_bulk`.

use std::io::{self, BufWriter, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde::Serialize;

use crate::document::{DocId, Document};

/// Maximum size of a bulk body in bytes, before gzip, because `http.max_content_length` (100 MB) counts uncompressed bytes
/// and proxies often allow less. Chosen: large enough that the fixed costs of a request vanish, small enough to repeat.
pub(super) const MAX_BULK_BYTES: usize = 4 << 20;

/// Maximum number of documents in one bulk. Chosen: limits the response, which has an entry for each document.
pub(super) const MAX_BULK_DOCUMENTS: usize = 2_000;

/// The fastest level, because the network is rarely slower than the function's CPU.
const LEVEL: Compression = Compression::fast();

/// How many times smaller a compressed bulk body is, at least. Measured: 7 to 8.
const COMPRESSION_RATIO: usize = 6;

/// Bytes that are compressed together. Chosen: a call for each line takes twice the time, and a whole bulk exceeds the
/// cache.
const BUFFER_BYTES: usize = 64 << 10;

/// One document of a bulk: its `_id`, its `_source` as one line of JSON, and the earliest time at which it can exist.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) id: &'a DocId,
    pub(super) source: &'a str,
    pub(super) since: Option<Timestamp>,
}

impl<'a> Line<'a> {
    /// Returns the line of a document.
    pub(super) fn of(document: &'a Document) -> Self {
        Self { id: &document.id, source: &document.source, since: document.since }
    }

    /// Returns its share of the body, in bytes: the action with the `_id`, the source, and two line ends.
    pub(super) fn body_bytes(&self) -> usize {
        ACTION_BYTES + self.id.as_str().len() + self.source.len()
    }
}

/// `{"create":{"_id":""}}` and two line ends.
const ACTION_BYTES: usize = 23;

/// Returns how many of the first documents with these sizes fit into one bulk of at most `max_bytes` and `max_documents`.
///
/// At least one, if there is one: whether a single document is too large is for Elasticsearch to decide.
pub(super) fn chunk_len(sizes: impl Iterator<Item = usize>, max_bytes: usize, max_documents: usize) -> usize {
    let mut bytes = 0;
    let fits = |(position, size): &(usize, usize)| {
        bytes += size;
        *position == 0 || bytes <= max_bytes
    };
    sizes.take(max_documents.max(1)).enumerate().take_while(fits).count()
}

/// Returns the compressed body of a `_bulk` request that creates `lines`.
pub(super) fn bulk_body<'a>(lines: impl Iterator<Item = Line<'a>> + Clone) -> Vec<u8> {
    let write = || {
        let bytes = lines.clone().map(|line| line.body_bytes()).sum();
        let mut body = BufWriter::with_capacity(BUFFER_BYTES, encoder(bytes));
        for line in lines {
            body.write_all(b"{\"create\":{\"_id\":")?;
            serde_json::to_writer(&mut body, line.id.as_str())?;
            body.write_all(b"}}\n")?;
            body.write_all(line.source.as_bytes())?;
            body.write_all(b"\n")?;
        }
        body.into_inner()?.finish()
    };
    in_memory(write())
}

/// Compresses a body.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut body = encoder(bytes.len());
    in_memory(body.write_all(bytes).and_then(|()| body.finish()))
}

/// Writes a body as JSON.
pub(super) fn json(body: &impl Serialize) -> Vec<u8> {
    in_memory(serde_json::to_vec(body).map_err(io::Error::from))
}

#[expect(clippy::expect_used, reason = "memory accepts every write, and every key of our JSON is a text")]
fn in_memory(written: io::Result<Vec<u8>>) -> Vec<u8> {
    written.expect("a body is written into memory")
}

/// Returns an encoder for a body of this size before compression.
fn encoder(bytes: usize) -> GzEncoder<Vec<u8>> {
    GzEncoder::new(Vec::with_capacity(bytes / COMPRESSION_RATIO), LEVEL)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::ops::Range;

    use elasticsearch::http::request::Body as _;
    use elasticsearch::{BulkOperation, BulkOperations};
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
        let body = gunzip(&bulk_body(lines.into_iter()));
        assert_eq!(
            body,
            "{\"create\":{\"_id\":\"a1\"}}\n{\"x\":1}\n{\"create\":{\"_id\":\"quo\\\"te\"}}\n{\"x\":\"ä\"}\n"
        );
        assert_eq!(gunzip(&bulk_body(lines[..1].iter().copied())).len(), lines[0].body_bytes());
    }

    #[test]
    fn a_bulk_body_equals_that_of_the_official_client() {
        let sources = [r#"{"x":1}"#, r#"{"x":"\u00e4 \"quoted\" ","y":{"z":[1,2.5,null]}}"#]
            .map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
        let ids = ["a1", "quo\"te \\ ä"].map(|id| DocId(id.to_owned()));
        let mut operations = BulkOperations::new();
        for (id, source) in ids.iter().zip(&sources) {
            operations.push(BulkOperation::create(source).id(id.as_str())).unwrap();
        }
        let sources = sources.each_ref().map(ToString::to_string);
        let lines = ids.iter().zip(&sources).map(|(id, source)| Line { id, source, since: None });
        assert_eq!(gunzip(&bulk_body(lines)).as_bytes(), operations.bytes().unwrap());
    }

    fn chunks(sizes: &[usize], max_bytes: usize, max_documents: usize) -> Vec<Range<usize>> {
        let mut chunks = Vec::new();
        let mut start = 0;
        while start < sizes.len() {
            let end = start + chunk_len(sizes[start..].iter().copied(), max_bytes, max_documents);
            chunks.push(start..end);
            start = end;
        }
        chunks
    }

    #[test]
    fn a_document_larger_than_a_chunk_is_a_chunk_of_its_own() {
        assert_eq!(chunks(&[3, 50, 3], 10, 9), [0..1, 1..2, 2..3]);
        assert!(chunks(&[], 10, 9).is_empty());
        assert_eq!(chunks(&[5, 5, 1], 10, 9), [0..2, 2..3]);
    }

    proptest! {
        #[test]
        fn chunking_keeps_order_and_limits(
            sizes in prop::collection::vec(0_usize..60, 0..80),
            max_bytes in 1_usize..100,
            max_documents in 1_usize..20,
        ) {
            let chunks = chunks(&sizes, max_bytes, max_documents);
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
