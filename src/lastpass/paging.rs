//! Pages through users and shared folders by index: which page to request next, and where the pages end (pure).
//!
//! LastPass does not document how it counts pages. A page may have fewer entries than requested, and its index may
//! count pages of either size. LastPass may also ignore paging, or repeat its last page. If the first page is shorter
//! than requested, the next requests therefore use its size. Reading ends only at a page that is empty, brings no new
//! entry or completes the total.

use std::{
    collections::{HashSet, hash_map::RandomState},
    hash::BuildHasher as _,
};

use serde_json::{Value, json};

/// The request for one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// The maximum number of entries of the page.
    pub size: u32,
    /// The number of the page, from 0.
    pub index: u32,
}

impl PageRequest {
    /// Requests the first page, with `size` entries.
    #[must_use]
    pub const fn first(size: u32) -> Self {
        Self { size, index: 0 }
    }

    /// Returns the number of entries before the page.
    pub(super) const fn skipped(self) -> u64 {
        self.size as u64 * self.index as u64
    }

    /// Returns the fields of the request's `data`.
    pub(super) fn data(self) -> Value {
        json!({"pagesize": self.size, "pageindex": self.index})
    }
}

/// One page of users or shared folders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The key of each entry in the response, which is its ID, and the record as compact JSON.
    pub entries: Vec<(String, String)>,
    /// The number of entries on all pages, if the response states it.
    pub total: Option<u64>,
}

/// The consequence of a page: whether more pages follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageOutcome {
    /// The first response holds all entries.
    Whole,
    /// More pages may follow.
    More,
    /// The page is the last, because it is empty or completes the total.
    End,
    /// The page is the last, because it brings no new entry. Whether other pages follow it is unknown.
    Repeats,
}

/// One pass over all pages.
#[derive(Debug, Clone)]
pub struct Paging {
    next: PageRequest,
    read: u64,
    /// The hashes of the keys that were read: an account may have 100,000 entries. Of two keys with the same hash, one
    /// does not count as new, which costs at most one more request.
    keys: HashSet<u64>,
    hasher: RandomState,
}

impl Paging {
    /// Continues a pass with the page `next`, after `read` entries.
    #[must_use]
    pub fn from(next: PageRequest, read: u64) -> Self {
        Self { next, read, keys: HashSet::new(), hasher: RandomState::new() }
    }

    /// Returns the page to request.
    #[must_use]
    pub const fn next(&self) -> PageRequest {
        self.next
    }

    /// Returns the number of distinct entries that were read.
    #[must_use]
    pub const fn read(&self) -> u64 {
        self.read
    }

    /// Takes the requested page: the keys of its entries, and the total if LastPass states it.
    pub fn take<'k>(&mut self, keys: impl IntoIterator<Item = &'k str>, total: Option<u64>) -> PageOutcome {
        let (mut count, mut new) = (0_u32, 0);
        for key in keys {
            count = count.saturating_add(1);
            new += u64::from(self.keys.insert(self.hasher.hash_one(key)));
        }
        self.read += new;
        let PageRequest { size, index } = self.next;
        let is_complete = count == 0 || total.is_some_and(|total| self.read >= total);
        // More entries than requested: LastPass ignores paging.
        if index == 0 && (is_complete || count > size) {
            return PageOutcome::Whole;
        }
        if is_complete {
            return PageOutcome::End;
        }
        if new == 0 {
            return PageOutcome::Repeats;
        }
        let size = if index == 0 { size.min(count) } else { size };
        self.next = PageRequest { size, index: index.saturating_add(1) };
        PageOutcome::More
    }

    /// Restarts with pages of half the size. Returns `false` if the size is 1 already.
    pub fn shrink(&mut self) -> bool {
        let size = self.next.size / 2;
        if size == 0 {
            return false;
        }
        *self = Self::from(PageRequest::first(size), 0);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How a fake LastPass counts its pages.
    #[derive(Debug, Clone, Copy)]
    enum Counts {
        /// By the number of entries that it returns.
        Given,
        /// By the requested size.
        Asked,
        /// Not at all: every response has all entries.
        All,
        /// Not at all: every response has the first page.
        First,
        /// By the number of entries that it returns, and repeats the last page after the end.
        LastAgain,
    }

    /// Reads `entries` entries. Returns how many were read and with how many requests.
    fn read(counts: Counts, entries: u32, cap: u32, total: Option<u64>) -> (u64, usize) {
        let mut paging = Paging::from(PageRequest::first(500), 0);
        for requests in 1..=2_000 {
            let PageRequest { size, index } = paging.next();
            let given = size.min(cap);
            let last = entries.saturating_sub(1) / given.max(1);
            let (start, given) = match counts {
                Counts::Given => (index * given, given),
                Counts::Asked => (index * size, given),
                Counts::All => (0, entries),
                Counts::First => (0, given),
                Counts::LastAgain => (index.min(last) * given, given),
            };
            let keys: Vec<String> =
                (start..start.saturating_add(given).min(entries)).map(|key| key.to_string()).collect();
            if paging.take(keys.iter().map(String::as_str), total) != PageOutcome::More {
                return (paging.read(), requests);
            }
        }
        panic!("reading never ends: {counts:?}, {entries} entries, {cap} a page");
    }

    #[test]
    fn all_entries_are_read_however_pages_are_counted() {
        for counts in [Counts::Given, Counts::Asked, Counts::All, Counts::LastAgain] {
            for entries in [0, 1, 2, 39, 40, 41, 80, 499, 500, 501, 1_000, 1_203] {
                for cap in [1, 3, 40, 250, 499, 500, 501, 10_000] {
                    if entries / cap > 1_500 {
                        continue;
                    }
                    for total in [None, Some(u64::from(entries))] {
                        let (read, _) = read(counts, entries, cap, total);
                        assert_eq!(read, u64::from(entries), "{counts:?}, {entries} entries, {cap} a page, {total:?}");
                    }
                }
            }
        }
        // If LastPass always returns the first page, the other entries cannot be read.
        assert_eq!(read(Counts::First, 700, 500, None).0, 500);
    }

    #[test]
    fn a_known_total_saves_the_request_after_the_last_page() {
        assert_eq!(read(Counts::Given, 12, 2_000, Some(12)).1, 1);
        assert_eq!(read(Counts::Given, 12, 2_000, None).1, 2);
        assert_eq!(read(Counts::Given, 0, 2_000, None).1, 1);
        assert_eq!(read(Counts::Given, 1_000, 500, Some(1_000)).1, 2);
        assert_eq!(read(Counts::All, 1_000, 500, None).1, 1);
    }

    #[test]
    fn the_page_size_is_halved_down_to_one() {
        let mut paging = Paging::from(PageRequest { size: 5, index: 3 }, 15);
        let mut sizes = Vec::new();
        while paging.shrink() {
            assert_eq!((paging.next().index, paging.read()), (0, 0));
            sizes.push(paging.next().size);
        }
        assert_eq!(sizes, [2, 1]);
    }
}
