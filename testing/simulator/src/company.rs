//! A random company and its employees.

use std::collections::HashMap;
use std::sync::Arc;

use crate::rng::Rng;

/// The size of a company.
#[derive(Debug, Clone, PartialEq)]
pub struct CompanySize {
    /// Events in its history. Default 1,000.
    pub events: usize,
    /// Days that the history goes back from its end. Default 30.
    pub days: u32,
    /// Share of the events that have an equal event in the same second, 0.0 to 1.0. Default 0.15.
    pub twin_share: f64,
    /// Users. Default 50.
    pub users: usize,
    /// Shared folders. Default 10.
    pub folders: usize,
    /// Most users of a folder. Default 10.
    pub max_folder_users: usize,
}

impl Default for CompanySize {
    fn default() -> Self {
        Self { events: 1_000, days: 30, twin_share: 0.15, users: 50, folders: 10, max_folder_users: 10 }
    }
}

/// An employee.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) username: Arc<str>,
    pub(crate) full_name: String,
    pub(crate) addresses: [Arc<str>; 3],
}

/// The employees of a company and its random generator.
#[derive(Debug)]
pub(crate) struct Company {
    rng: Rng,
    pub(crate) people: Vec<Person>,
    /// The texts that many events share.
    shared: HashMap<&'static str, Arc<str>>,
}

impl Company {
    pub(crate) fn new(seed: u64, size: &CompanySize) -> Self {
        let mut rng = Rng::new(seed);
        let people = (0..size.users.max(1)).map(|number| person(number, &mut rng)).collect();
        Self { rng, people, shared: HashMap::new() }
    }

    pub(crate) fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Returns the address of an employee.
    pub(crate) fn colleague(&mut self) -> Arc<str> {
        let index = self.rng.below(self.people.len());
        self.people[index].username.clone()
    }

    /// Returns a text of which all events share one copy.
    pub(crate) fn shared(&mut self, text: &'static str) -> Arc<str> {
        self.shared.entry(text).or_insert_with(|| Arc::from(text)).clone()
    }
}

const FIRST: &[&str] = &[
    "Ann", "Bob", "Chloé", "Dave", "Eve", "Fatma", "Göran", "Hanako", "Ivan", "José", "Kim", "Łukasz", "Miles", "Nora",
];
const LAST: &[&str] =
    &["Smith", "O'Brien", "Müller", "García", "Tanaka", "de la Cruz", "Nguyen", "Åström", "Rossi", "van Dyk", "Öztürk"];
/// The same names in the spelling of addresses.
const LAST_ASCII: &[&str] =
    &["smith", "o'brien", "mueller", "garcia", "tanaka", "delacruz", "nguyen", "astrom", "rossi", "vandyk", "ozturk"];
const DOMAINS: &[&str] = &["example.com", "example.com", "mail.example.org", "corp.internal"];

fn person(number: usize, rng: &mut Rng) -> Person {
    let last = rng.below(LAST.len());
    let first = *rng.pick(FIRST);
    let initial = first.chars().find(char::is_ascii_alphabetic).unwrap_or('x').to_ascii_lowercase();
    let domain = *rng.pick(DOMAINS);
    let name = LAST_ASCII[last];
    let local = match rng.below(4) {
        0 => format!("{name}_{initial}{number}"),
        1 => format!("{initial}.{name}+{number}"),
        _ => format!("{initial}.{name}{number}"),
    };
    let office = format!("198.51.100.{}", 1 + rng.below(8));
    let home = format!("203.0.113.{}", 1 + rng.below(254));
    let third = match rng.below(3) {
        0 => format!("2001:db8:{:x}:{:x}::{:x}", rng.below(65_536), rng.below(65_536), 1 + rng.below(65_535)),
        1 => format!("2001:DB8::{:X}", 1 + rng.below(65_535)),
        _ => format!("192.0.2.{}", 1 + rng.below(254)),
    };
    Person {
        username: format!("{local}@{domain}").into(),
        full_name: format!("{first} {}", LAST[last]),
        addresses: [office.into(), home.into(), third.into()],
    }
}
