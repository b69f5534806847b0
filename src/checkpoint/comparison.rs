//! The saved progress of the comparison of a snapshot with the one before it.

use jiff::Timestamp;

/// Maximum length of a position, in bytes. Chosen: the item stays below 4 KB. LastPass's keys are numbers.
const LONGEST_POSITION: usize = 512;

/// A snapshot that is complete in Elasticsearch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompleteSnapshot {
    /// The time that identifies the snapshot.
    pub scheduled_time: Timestamp,
    /// The `@timestamp` of all its documents.
    pub timestamp: Timestamp,
    /// How many entries LastPass returned in the last pass. The snapshot has at least as many documents and dead letters.
    pub entries: u64,
    /// How many documents it had when it was compared. `None` before that.
    pub documents: Option<u64>,
}

/// The comparison of the last complete snapshot with the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The snapshot before it. `None` if it is not known.
    pub previous: Option<CompleteSnapshot>,
    /// How far the comparison is.
    pub progress: ComparisonProgress,
    /// How many changes are acknowledged.
    pub changes: u64,
}

/// The progress of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComparisonProgress {
    /// Pending: it continues after the entries with this key, or begins if `None`.
    After(Option<String>),
    /// Every change is acknowledged.
    Complete,
    /// The snapshots cannot be compared, so there are no changes.
    Skipped(SkipReason),
}

/// The reason why two snapshots were not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// The checkpoint does not know the snapshot before, because an older version took it, or after a reset.
    PreviousUnknown,
    /// Documents of the snapshot before are no longer in Elasticsearch.
    PreviousGone,
    /// The two snapshots were written with different mappings.
    OtherMapping,
    /// Documents of the snapshot itself are missing, because a snapshot with the same scheduled time was taken before: its
    /// documents have an earlier `@timestamp`.
    CurrentIncomplete,
    /// An entry of a snapshot has no key, or too many entries could not be mapped or became dead letters.
    UnreadableEntries,
    /// Elasticsearch refused the comparison until the next snapshot was due.
    Abandoned,
}

impl SkipReason {
    /// All reasons.
    pub const ALL: [Self; 6] = [
        Self::PreviousUnknown,
        Self::PreviousGone,
        Self::OtherMapping,
        Self::CurrentIncomplete,
        Self::UnreadableEntries,
        Self::Abandoned,
    ];

    /// Returns the reason as answers and items spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreviousUnknown => "previous_unknown",
            Self::PreviousGone => "previous_gone",
            Self::OtherMapping => "other_mapping",
            Self::CurrentIncomplete => "current_incomplete",
            Self::UnreadableEntries => "unreadable_entries",
            Self::Abandoned => "abandoned",
        }
    }
}

impl Comparison {
    /// Returns a comparison that is pending, or skipped if the snapshot before is not known.
    #[must_use]
    pub const fn begin(previous: Option<CompleteSnapshot>) -> Self {
        let progress = match previous {
            Some(_) => ComparisonProgress::After(None),
            None => ComparisonProgress::Skipped(SkipReason::PreviousUnknown),
        };
        Self { previous, progress, changes: 0 }
    }

    /// Returns the key of the last compared entry, if the comparison is pending and has begun.
    #[must_use]
    pub fn position(&self) -> Option<&str> {
        match &self.progress {
            ComparisonProgress::After(key) => key.as_deref(),
            ComparisonProgress::Complete | ComparisonProgress::Skipped(_) => None,
        }
    }

    /// Returns whether the comparison is not complete and not skipped.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        matches!(self.progress, ComparisonProgress::After(_))
    }

    /// Returns the comparison after the entries with `key` were compared, if the position is short enough to be saved.
    #[must_use]
    pub fn after(&self, key: &str, changes: u64) -> Option<Self> {
        let progress = ComparisonProgress::After(Some(key.to_owned()));
        (key.len() <= LONGEST_POSITION).then(|| Self { progress, changes, ..self.clone() })
    }
}
