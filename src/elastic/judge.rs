//! Decides what the result of one bulk item means, by its status **and** `error.type`. Pure.
//!
//! The rules are a table. The first rule that matches wins. A result that matches no rule stops the run, so an unknown
//! refusal never counts as the fault of a document, and no document becomes a dead letter by mistake.

use elasticsearch::http::response::Cause;
use serde::Deserialize;

use super::response::read_error_type;
use crate::text::Text;

/// The `create` of one item in a bulk response.
#[derive(Debug, Deserialize)]
pub(super) struct Item<'a> {
    /// 0 if the response has none, which stops the run.
    #[serde(default)]
    pub(super) status: u16,
    #[serde(borrow, rename = "_id")]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow, rename = "_index")]
    pub(super) index: Option<Text<'a>>,
    /// Boxed, because most items have none and it is large.
    error: Option<Box<Cause>>,
    #[serde(borrow)]
    failure_store: Option<Text<'a>>,
}

/// The outcome of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ItemOutcome {
    /// The document was written.
    Created,
    /// The backing index has a document with this `_id` already.
    AlreadyThere,
    /// Elasticsearch may accept the same document later.
    RetryLater {
        /// The item's status.
        status: u16,
        /// Its `error.type`.
        error_type: String,
    },
    /// Elasticsearch will never accept the document.
    DeadLetter(Refusal),
    /// Neither the document nor a temporary condition is the cause. Nothing more is sent.
    Stop {
        /// What has to be fixed.
        cause: StopCause,
        /// The item's status.
        status: u16,
        /// Its `error.type`.
        error_type: String,
    },
}

/// The reason why Elasticsearch will never accept a document. It may contain parts of it and goes only into the dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The item's `error.type`.
    pub(super) error_type: String,
    /// The reason of the error and those of its causes.
    pub(super) reason: String,
}

/// The reason why a bulk item stops the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopCause {
    /// The document went to the failure store, where searches do not find it.
    FailureStore,
    /// The key is no longer valid.
    Unauthorized,
    /// The key lacks a privilege.
    Forbidden,
    /// The index is write-blocked, read-only, or on a full disk.
    Blocked,
    /// The limit of shards prevents a new index.
    ShardLimit,
    /// The data stream has no template.
    NoTemplate,
    /// The template names an ingest pipeline that does not exist, or a pipeline failed.
    Pipeline,
    /// No rule matches.
    Unknown,
}

/// Maximum number of characters of a reason that is kept. Chosen: reasons are below 1 kB, but a cause may repeat a value.
const MAX_REASON_CHARS: usize = 2_000;

/// The verdict of a rule.
#[derive(Debug, Clone, Copy)]
enum Verdict {
    AlreadyThere,
    RetryLater,
    DeadLetter,
    /// A dead letter if the shard of a backing index refused the document, as the item's `_index` shows. If `_index` is still
    /// the data stream, a pipeline is at fault.
    DeadLetterFromShard,
    Stop(StopCause),
}

/// Assigns a verdict to some results.
struct Rule {
    statuses: std::ops::RangeInclusive<u16>,
    /// Empty: any.
    error_types: &'static [&'static str],
    verdict: Verdict,
}

const fn rule(first: u16, last: u16, error_types: &'static [&'static str], verdict: Verdict) -> Rule {
    Rule { statuses: first..=last, error_types, verdict }
}

/// The rules for refused items. The first that matches wins.
static RULES: &[Rule] = &[
    rule(409, 409, &["version_conflict_engine_exception"], Verdict::AlreadyThere),
    // 403: index.blocks.*; 429: the flood stage of a disk. Both last until someone acts, so a retry is useless.
    rule(403, 403, &[super::remedy::CLUSTER_BLOCK], Verdict::Stop(StopCause::Blocked)),
    rule(429, 429, &[super::remedy::CLUSTER_BLOCK], Verdict::Stop(StopCause::Blocked)),
    rule(429, 429, &[], Verdict::RetryLater),
    rule(500, 599, &[], Verdict::RetryLater),
    rule(401, 401, &[], Verdict::Stop(StopCause::Unauthorized)),
    rule(403, 403, &["security_exception"], Verdict::Stop(StopCause::Forbidden)),
    rule(404, 404, &["index_not_found_exception"], Verdict::Stop(StopCause::NoTemplate)),
    rule(
        400,
        400,
        &[
            "document_parsing_exception",
            "mapper_parsing_exception",
            "strict_dynamic_mapping_exception",
            "x_content_parse_exception",
        ],
        Verdict::DeadLetter,
    ),
    // The data stream has no index yet, and the cluster creates none. Measured on 8.19 at cluster.max_shards_per_node.
    rule(400, 400, &[super::remedy::SHARD_LIMIT], Verdict::Stop(StopCause::ShardLimit)),
    // A single item that is too large. `send` halves a whole request with 413.
    rule(413, 413, &[], Verdict::DeadLetter),
    rule(400, 400, &["illegal_argument_exception"], Verdict::DeadLetterFromShard),
];

/// The beginning of the names of the indices of a failure store.
const FAILURE_STORE: &str = ".fs-";

impl<'a> Item<'a> {
    /// Builds the item of a document that was created in `index`.
    pub(super) fn created(index: &'a str) -> Self {
        Self { status: 201, id: None, index: Some(index.into()), error: None, failure_store: None }
    }
}

impl Item<'_> {
    /// Returns its backing index. Empty if the response has none.
    pub(super) fn index(&self) -> &str {
        self.index.as_ref().map_or("", Text::as_str)
    }

    /// Returns the outcome of an item that was sent to `data_stream`.
    pub(super) fn judge(self, data_stream: &str) -> ItemOutcome {
        let status = self.status;
        let index = self.index.as_ref().map_or("", Text::as_str);
        if self.failure_store.as_ref().is_some_and(|used| used.as_str() == "used") || index.starts_with(FAILURE_STORE) {
            let error_type = "failure_store".to_owned();
            return ItemOutcome::Stop { cause: StopCause::FailureStore, status, error_type };
        }
        if self.error.is_none() && status == 201 {
            return ItemOutcome::Created;
        }
        let error_type = read_error_type(self.error.as_deref().and_then(Cause::ty));
        let Some(error) = self.error.filter(|error| error.ty().is_some()) else {
            return ItemOutcome::Stop { cause: StopCause::Unknown, status, error_type };
        };
        let verdict = RULES
            .iter()
            .find(|rule| {
                rule.statuses.contains(&status)
                    && (rule.error_types.is_empty() || rule.error_types.contains(&error_type.as_str()))
            })
            .map_or(Verdict::Stop(StopCause::Unknown), |rule| rule.verdict);
        match verdict {
            Verdict::AlreadyThere => ItemOutcome::AlreadyThere,
            Verdict::RetryLater => ItemOutcome::RetryLater { status, error_type },
            Verdict::DeadLetter => ItemOutcome::DeadLetter(Refusal { reason: reason(&error), error_type }),
            Verdict::DeadLetterFromShard if !index.is_empty() && index != data_stream => {
                ItemOutcome::DeadLetter(Refusal { reason: reason(&error), error_type })
            }
            Verdict::DeadLetterFromShard => ItemOutcome::Stop { cause: StopCause::Pipeline, status, error_type },
            Verdict::Stop(cause) => ItemOutcome::Stop { cause, status, error_type },
        }
    }
}

/// Joins the reasons of an error and of its causes, each once.
fn reason(error: &Cause) -> String {
    let mut reason = String::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(text) = cause.reason().filter(|text| !reason.contains(text)) {
            if !reason.is_empty() {
                reason.push_str("; ");
            }
            reason.push_str(text);
        }
        next = cause.caused_by();
    }
    if let Some((end, _)) = reason.char_indices().nth(MAX_REASON_CHARS) {
        reason.truncate(end);
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "logs-lastpass.user-default";
    const BACKING: &str = ".ds-logs-lastpass.user-default-2026.11.23-000001";

    fn item(json: serde_json::Value) -> Item<'static> {
        serde_json::from_str(json.to_string().leak()).unwrap()
    }

    fn refused(status: u16, index: &str, error_type: &str) -> ItemOutcome {
        item(serde_json::json!({
            "_index": index, "_id": "a", "status": status, "error": {"type": error_type, "reason": "because"},
        }))
        .judge(STREAM)
    }

    fn stop_cause(outcome: &ItemOutcome) -> Option<StopCause> {
        match outcome {
            ItemOutcome::Stop { cause, .. } => Some(*cause),
            ItemOutcome::Created
            | ItemOutcome::AlreadyThere
            | ItemOutcome::RetryLater { .. }
            | ItemOutcome::DeadLetter(_) => None,
        }
    }

    #[test]
    fn created_and_existing_documents_are_acknowledged() {
        assert_eq!(item(serde_json::json!({"_index": BACKING, "status": 201})).judge(STREAM), ItemOutcome::Created);
        assert_eq!(refused(409, BACKING, "version_conflict_engine_exception"), ItemOutcome::AlreadyThere);
    }

    #[test]
    fn a_temporary_failure_is_retried() {
        for (status, error_type) in [
            (429, "es_rejected_execution_exception"),
            (429, "circuit_breaking_exception"),
            (503, "unavailable_shards_exception"),
            (503, "cluster_block_exception"),
            (500, "node_closed_exception"),
        ] {
            let error_type = error_type.to_owned();
            assert_eq!(refused(status, BACKING, &error_type), ItemOutcome::RetryLater { status, error_type });
        }
    }

    #[test]
    fn a_document_that_cannot_be_indexed_is_a_dead_letter_with_its_reasons() {
        for error_type in [
            "document_parsing_exception",
            "mapper_parsing_exception",
            "strict_dynamic_mapping_exception",
            "illegal_argument_exception",
        ] {
            assert!(matches!(refused(400, BACKING, error_type), ItemOutcome::DeadLetter(_)), "{error_type}");
        }
        let outcome = item(serde_json::json!({"_index": BACKING, "status": 400, "error": {
            "type": "document_parsing_exception",
            "reason": "[1:66] failed to parse field [lastpass.user.sites] of type [long]",
            "caused_by": {"type": "illegal_argument_exception", "reason": "For input string: \"x\""},
        }}))
        .judge(STREAM);
        assert_eq!(
            outcome,
            ItemOutcome::DeadLetter(Refusal {
                error_type: "document_parsing_exception".to_owned(),
                reason: "[1:66] failed to parse field [lastpass.user.sites] of type [long]; For input string: \"x\""
                    .to_owned(),
            })
        );
    }

    #[test]
    fn a_reason_is_cut_at_a_character() {
        let outcome = item(serde_json::json!({"status": 413, "error": {"type": "x", "reason": "ä".repeat(9_000)}}));
        let ItemOutcome::DeadLetter(refusal) = outcome.judge(STREAM) else { panic!("a dead letter") };
        assert_eq!(refusal.reason.chars().count(), MAX_REASON_CHARS);
    }

    #[test]
    fn a_failure_that_no_document_caused_stops_the_run() {
        for (status, index, error_type, cause) in [
            (401, STREAM, "security_exception", StopCause::Unauthorized),
            (403, STREAM, "security_exception", StopCause::Forbidden),
            (403, STREAM, "cluster_block_exception", StopCause::Blocked),
            (429, STREAM, "cluster_block_exception", StopCause::Blocked),
            (404, STREAM, "index_not_found_exception", StopCause::NoTemplate),
            (400, STREAM, "validation_exception", StopCause::ShardLimit),
            (400, STREAM, "illegal_argument_exception", StopCause::Pipeline),
            (404, STREAM, "shard_not_found_exception", StopCause::Unknown),
            (403, BACKING, "never_seen_exception", StopCause::Unknown),
            (400, BACKING, "never_seen_exception", StopCause::Unknown),
            (409, BACKING, "never_seen_exception", StopCause::Unknown),
            (201, BACKING, "document_parsing_exception", StopCause::Unknown),
        ] {
            assert_eq!(stop_cause(&refused(status, index, error_type)), Some(cause), "{status} {error_type}");
        }
    }

    #[test]
    fn a_malformed_error_type_is_not_repeated() {
        for error_type in ["ann@example.com", "a\nb", "", "Exception of secret", &"x".repeat(200)] {
            let ItemOutcome::Stop { error_type, .. } = refused(400, BACKING, error_type) else { panic!("a stop") };
            assert_eq!(error_type, "unreadable_error_type");
        }
    }

    #[test]
    fn a_meaningless_status_stops_the_run() {
        for status in [0, 200, 204, 301] {
            let outcome = item(serde_json::json!({"_index": BACKING, "status": status})).judge(STREAM);
            assert_eq!(stop_cause(&outcome), Some(StopCause::Unknown), "{status}");
        }
    }

    #[test]
    fn a_document_in_a_failure_store_is_not_created() {
        for answer in [
            serde_json::json!({"_index": BACKING, "status": 201, "failure_store": "used"}),
            serde_json::json!({"_index": ".fs-logs-lastpass.user-default-2026.11.23-000002", "status": 201}),
        ] {
            assert_eq!(stop_cause(&item(answer).judge(STREAM)), Some(StopCause::FailureStore));
        }
        let not_used =
            serde_json::json!({"_index": BACKING, "status": 201, "failure_store": "not_applicable_or_unknown"});
        assert_eq!(item(not_used).judge(STREAM), ItemOutcome::Created);
    }
}
