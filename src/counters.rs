//! The numbers of documents of a run.

use std::ops::AddAssign;

use serde::Serialize;

/// The document counters of a run. `fetched` = `created` + `duplicates` + `dead_letters`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Documents built from responses of LastPass, or from dead letters.
    pub fetched: u64,
    /// Documents that were new in Elasticsearch.
    pub created: u64,
    /// Documents that already existed.
    pub duplicates: u64,
    /// Documents that Elasticsearch rejected permanently and that became dead letters; in a redrive, documents rejected
    /// again.
    pub dead_letters: u64,
    /// Created documents whose time is before the window.
    pub late: u64,
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.fetched += other.fetched;
        self.created += other.created;
        self.duplicates += other.duplicates;
        self.dead_letters += other.dead_letters;
        self.late += other.late;
    }
}
