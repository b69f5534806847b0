//! The content of one LastPass account. Knows nothing about HTTP, paging or spelling.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::entries::Entries;
use crate::event::Event;
use crate::timeline::Timeline;

/// The provisioning hash. Its `Debug` shows nothing, and it is never serialized.
#[derive(Clone, PartialEq, Eq)]
pub struct ProvisioningHash(String);

impl ProvisioningHash {
    /// Creates a hash from text.
    pub fn new(hash: impl Into<String>) -> Self {
        Self(hash.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ProvisioningHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProvisioningHash(…)")
    }
}

/// One LastPass Business account.
#[derive(Debug, Clone)]
pub struct World {
    /// The account number (`cid`).
    pub account_number: String,
    /// The only valid provisioning hash.
    pub provisioning_hash: ProvisioningHash,
    /// The event report.
    pub events: Timeline,
    /// `Users` of `getuserdata`.
    pub users: Entries,
    /// The folders of `getdetailedsfdata`.
    pub folders: Entries,
    /// `Groups` of `getuserdata`: group → usernames.
    pub groups: BTreeMap<String, Vec<String>>,
    /// `Invited` of `getuserdata`.
    pub invited: Vec<String>,
}

impl Default for World {
    /// Returns an account without data: number `12345`, hash `simulated-provisioning-hash`.
    fn default() -> Self {
        Self {
            account_number: "12345".to_owned(),
            provisioning_hash: ProvisioningHash::new("simulated-provisioning-hash"),
            events: Timeline::default(),
            users: Entries::default(),
            folders: Entries::default(),
            groups: BTreeMap::new(),
            invited: Vec::new(),
        }
    }
}

impl World {
    /// Returns a world with only these events.
    pub fn of_events(events: impl IntoIterator<Item = Event>) -> Self {
        let mut world = Self::default();
        world.events.extend(events);
        world
    }

    /// Sets the credentials.
    pub fn with_credentials(mut self, account_number: impl Into<String>, provisioning_hash: impl Into<String>) -> Self {
        self.account_number = account_number.into();
        self.provisioning_hash = ProvisioningHash::new(provisioning_hash);
        self
    }

    /// Returns the number of documents for the folders: one per folder and user, and one for a folder without users.
    pub fn folder_documents(&self) -> usize {
        self.folders.iter().map(|(_, folder)| folder_users(folder).max(1)).sum()
    }

    /// Sets the number of answered requests, with which changes of entries are stamped.
    pub(crate) fn set_requests(&mut self, answered: u64) {
        self.users.set_requests(answered);
        self.folders.set_requests(answered);
    }
}

/// Returns the number of users of a folder: a list, a map, `[]` or absent.
pub fn folder_users(folder: &Value) -> usize {
    match folder.get("users") {
        Some(Value::Array(users)) => users.len(),
        Some(Value::Object(users)) => users.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_world_shows_no_hash() {
        let world = World::default().with_credentials("7", "top-secret");
        assert!(!format!("{world:?}").contains("top-secret"));
    }
}
