//! Users or shared folders: JSON by key, in a fixed order, which can change during paging.

use serde_json::Value;

/// JSON entries by key. It can tell which entries existed at each request.
#[derive(Debug, Clone, Default)]
pub struct Entries {
    all: Vec<Entry>,
    /// The number of answered requests. Each change is stamped with it.
    requests: u64,
}

/// One version of an entry. It is present for request `r` if `since < r` and not `until < r`.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: Value,
    /// The value as JSON text, so that a page need not serialize 2,000 values again.
    pub(crate) text: String,
    since: u64,
    until: Option<u64>,
}

impl Entries {
    /// Appends an entry, or replaces the one with this key in place.
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

    /// Appends entries whose keys are all different, and which the entries so far do not have.
    pub fn extend(&mut self, entries: impl IntoIterator<Item = (String, Value)>) {
        let since = self.requests;
        let entry = |(key, value): (String, Value)| Entry { text: value.to_string(), value, since, until: None, key };
        self.all.extend(entries.into_iter().map(entry));
    }

    /// Inserts an entry before all others, so that all others move by one place.
    pub fn put_first(&mut self, key: impl Into<String>, value: Value) {
        let entry = Entry { key: key.into(), text: value.to_string(), value, since: self.requests, until: None };
        self.all.insert(0, entry);
    }

    /// Removes an entry. Returns `false` if no entry has this key.
    pub fn remove(&mut self, key: &str) -> bool {
        match self.all.iter_mut().find(|held| held.until.is_none() && held.key == key) {
            Some(held) => {
                held.until = Some(self.requests);
                true
            }
            None => false,
        }
    }

    /// Returns the current number of entries.
    pub fn len(&self) -> usize {
        self.current().count()
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.current().next().is_none()
    }

    /// Returns the current entries in the order in which they are served.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.current().map(|entry| (entry.key.as_str(), &entry.value))
    }

    /// Returns the entries that existed unchanged during all of these requests (numbers as in the request records, both
    /// included).
    pub fn throughout(&self, first_request: u64, last_request: u64) -> Vec<(String, Value)> {
        let stayed =
            |entry: &&Entry| entry.since < first_request && entry.until.is_none_or(|until| until >= last_request);
        self.all.iter().filter(stayed).map(|entry| (entry.key.clone(), entry.value.clone())).collect()
    }

    /// Returns every version of an entry that existed during one of the requests from this one on.
    pub fn since(&self, first_request: u64) -> Vec<(String, Value)> {
        let existed = |entry: &&Entry| entry.until.is_none_or(|until| until >= first_request);
        self.all.iter().filter(existed).map(|entry| (entry.key.clone(), entry.value.clone())).collect()
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
    fn only_unchanged_entries_existed_throughout() {
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
        let values = |first| -> Vec<Value> { entries.since(first).into_iter().map(|(_, value)| value).collect() };
        assert_eq!(values(1), [1, 2, 5, 4, 3]);
        assert_eq!(values(2), [1, 5, 4]);
        assert_eq!(entries.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["stays", "changes", "comes"]);
    }
}
