//! Users or shared folders: keyed JSON in a fixed order that may change while it is being read.

use serde_json::Value;

/// A keyed set of JSON entries that remembers what it held at which request.
#[derive(Debug, Clone, Default)]
pub struct Entries {
    all: Vec<Entry>,
    /// How many requests have been answered; stamps every change.
    requests: u64,
}

/// One entry's life. Present for request `r` where `since < r` and not `until < r`.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: Value,
    /// The value as JSON text: serving a page must not serialise 2,000 trees again.
    pub(crate) text: String,
    since: u64,
    until: Option<u64>,
}

impl Entries {
    /// Adds an entry at the end, or replaces the one with this key at its place.
    pub fn put(&mut self, key: impl Into<String>, value: Value) {
        let key = key.into();
        let entry = Entry { text: value.to_string(), value, since: self.requests, until: None, key };
        match self.all.iter_mut().find(|held| held.until.is_none() && held.key == entry.key) {
            Some(held) => {
                let mut replaced = std::mem::replace(held, entry);
                replaced.until = Some(self.requests);
                self.all.push(replaced);
            }
            None => self.all.push(entry),
        }
    }

    /// Adds an entry before all others, so that every following one moves on by one place.
    pub fn put_first(&mut self, key: impl Into<String>, value: Value) {
        let entry = Entry { key: key.into(), text: value.to_string(), value, since: self.requests, until: None };
        self.all.insert(0, entry);
    }

    /// Removes an entry; `false` where there is none with this key.
    pub fn remove(&mut self, key: &str) -> bool {
        match self.all.iter_mut().find(|held| held.until.is_none() && held.key == key) {
            Some(held) => {
                held.until = Some(self.requests);
                true
            }
            None => false,
        }
    }

    /// How many entries there are now.
    pub fn len(&self) -> usize {
        self.current().count()
    }

    /// Whether there are none now.
    pub fn is_empty(&self) -> bool {
        self.current().next().is_none()
    }

    /// What is held now, in the order it is served.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.current().map(|entry| (entry.key.as_str(), &entry.value))
    }

    /// What was there unchanged for every one of these requests (numbers as in the request records, both included).
    pub fn throughout(&self, first_request: u64, last_request: u64) -> Vec<(String, Value)> {
        let stayed =
            |entry: &&Entry| entry.since < first_request && entry.until.is_none_or(|until| until >= last_request);
        self.all.iter().filter(stayed).map(|entry| (entry.key.clone(), entry.value.clone())).collect()
    }

    pub(crate) fn current(&self) -> impl Iterator<Item = &Entry> {
        self.all.iter().filter(|entry| entry.until.is_none())
    }

    pub(crate) fn set_requests(&mut self, answered: u64) {
        self.requests = answered;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_stayed_counts_as_there_throughout() {
        let mut entries = Entries::default();
        entries.put("stays", json!(1));
        entries.put("goes", json!(2));
        entries.put("changes", json!(3));
        entries.set_requests(1);
        entries.remove("goes");
        entries.put("comes", json!(4));
        entries.put("changes", json!(5));
        let keys =
            |first, last| -> Vec<String> { entries.throughout(first, last).into_iter().map(|(key, _)| key).collect() };
        assert_eq!(keys(1, 2), ["stays"]);
        assert_eq!(keys(1, 1), ["stays", "goes", "changes"]);
        assert_eq!(keys(2, 2), ["stays", "changes", "comes"]);
        assert_eq!(entries.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["stays", "changes", "comes"]);
    }
}
