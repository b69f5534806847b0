//! A random company: its employees and their events.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::actions::{ACTIONS, Action, Actor, TWIN_ACTIONS, data};
use crate::event::Event;
use crate::rng::Rng;
use crate::staff;
use crate::world::World;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

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
    addresses: [Arc<str>; 3],
}

/// The employees of a company and its random generator.
#[derive(Debug)]
pub(crate) struct Company {
    rng: Rng,
    pub(crate) people: Vec<Person>,
    names: Vec<Arc<str>>,
    total_weight: u32,
    api: Arc<str>,
    empty: Arc<str>,
}

impl World {
    /// Creates the account of a company with this history up to `end` (excluded). Equal arguments give equal worlds.
    pub fn company(seed: u64, size: &CompanySize, end: Timestamp) -> Self {
        let mut company = Company::new(seed, size);
        let mut world = Self::default();
        world.events.extend(history(&mut company, size, end));
        staff::fill(&mut world, &mut company, size, end);
        world
    }
}

impl Company {
    pub(crate) fn new(seed: u64, size: &CompanySize) -> Self {
        let mut rng = Rng::new(seed);
        let people = (0..size.users.max(1)).map(|number| person(number, &mut rng)).collect();
        Self {
            rng,
            people,
            names: ACTIONS.iter().map(|action| Arc::from(action.name)).collect(),
            total_weight: ACTIONS.iter().map(|action| action.weight).sum(),
            api: Arc::from("API"),
            empty: Arc::from(""),
        }
    }

    /// Returns the same employees with another random sequence of events.
    pub(crate) fn with_actions_from(self, seed: u64) -> Self {
        Self { rng: Rng::new(seed), ..self }
    }

    pub(crate) fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Returns the address of an employee.
    pub(crate) fn colleague(&mut self) -> Arc<str> {
        let index = self.rng.below(self.people.len());
        self.people[index].username.clone()
    }

    /// Returns an event of an employee at this instant.
    pub(crate) fn act(&mut self, instant: Timestamp) -> Event {
        let mut drawn = self.rng.below(self.total_weight as usize) as u32;
        let mut index = 0;
        while drawn >= ACTIONS[index].weight {
            drawn -= ACTIONS[index].weight;
            index += 1;
        }
        self.perform(index, instant)
    }

    /// Returns an event that often happens twice in a second.
    fn act_often_doubled(&mut self, instant: Timestamp) -> Event {
        let name = *self.rng.pick(TWIN_ACTIONS);
        let index = ACTIONS.iter().position(|action| action.name == name).unwrap_or(0);
        self.perform(index, instant)
    }

    fn perform(&mut self, index: usize, instant: Timestamp) -> Event {
        let action: &Action = &ACTIONS[index];
        let who = self.rng.below(self.people.len());
        let place = self.rng.below(3);
        let mut ip = self.people[who].addresses[place].clone();
        let username = match action.actor {
            Actor::Person => self.people[who].username.clone(),
            Actor::Api => self.api.clone(),
            Actor::Anyone if self.rng.chance(0.1) => self.empty.clone(),
            Actor::Anyone if self.rng.chance(0.1) => format!("guess{}@example.org", self.rng.below(50)).into(),
            Actor::Anyone => self.people[who].username.clone(),
        };
        if self.rng.chance(0.03) {
            ip = self.empty.clone();
        }
        let data = data(action.form, self);
        Event::at(instant).by(username).from_ip(ip).doing(self.names[index].clone()).with_data(data)
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

/// The hours of a history, each with the cumulative activity up to it.
struct Hours {
    start: Timestamp,
    seconds: i64,
    busy: Vec<u32>,
}

impl Hours {
    /// High activity in office hours in New York, low activity in evenings, at weekends and at night.
    fn new(size: &CompanySize, end: Timestamp) -> Self {
        let seconds = i64::from(size.days.max(1)) * 86_400;
        let end = Timestamp::from_second(end.as_second()).unwrap_or(end);
        let start = end.saturating_sub(SignedDuration::from_secs(seconds)).unwrap_or(end);
        let zone = TimeZone::get("America/New_York").unwrap_or(TimeZone::UTC);
        let mut busy = Vec::new();
        let mut sum = 0;
        for hour in 0..(seconds / 3_600) as i32 {
            let local = zone.to_datetime(start.saturating_add(HOUR * hour).unwrap_or(start));
            let weekend = matches!(local.weekday(), Weekday::Saturday | Weekday::Sunday);
            sum += match local.hour() {
                8..=17 if !weekend => 100,
                6 | 7 | 18..=21 if !weekend => 25,
                8..=21 => 10,
                _ => 3,
            };
            busy.push(sum);
        }
        Self { start, seconds, busy }
    }

    fn pick(&self, rng: &mut Rng) -> Timestamp {
        let total = self.busy.last().copied().unwrap_or(1);
        let drawn = rng.below(total as usize) as u32;
        let hour = self.busy.partition_point(|sum| *sum <= drawn) as i64;
        let second = (hour * 3_600 + rng.below(3_600) as i64).min(self.seconds - 1);
        self.start.saturating_add(SignedDuration::from_secs(second)).unwrap_or(self.start)
    }
}

/// Returns the events with exactly the given share of twins. All other events differ from the rest of their second.
fn history(company: &mut Company, size: &CompanySize, end: Timestamp) -> Vec<Event> {
    let hours = Hours::new(size, end);
    let mut taken = HashSet::new();
    let mut new_event = |company: &mut Company, twin: bool| loop {
        let instant = hours.pick(&mut company.rng);
        let event = if twin { company.act_often_doubled(instant) } else { company.act(instant) };
        if taken.insert(fingerprint(&event)) {
            return event;
        }
    };
    let twins = (size.twin_share.clamp(0.0, 1.0) * size.events as f64).round() as usize;
    // A single event cannot be a twin.
    let twins = if twins == 1 { 0 } else { twins };
    let mut events = Vec::with_capacity(size.events);
    while events.len() < twins {
        let left = twins - events.len();
        let group = match company.rng.below(20) {
            0 => 5,
            1 => 4,
            2..=4 => 3,
            _ => 2,
        };
        // No single event may remain.
        let group = if left <= group + 1 { left } else { group };
        let event = new_event(company, true);
        events.extend(std::iter::repeat_n(event, group));
    }
    while events.len() < size.events {
        events.push(new_event(company, false));
    }
    // Mixes the twins of a second with its other events.
    company.rng.shuffle(&mut events);
    events
}

fn fingerprint(event: &Event) -> u64 {
    let mut hasher = DefaultHasher::new();
    (event.instant, &event.username, &event.ip, event.action.to_lowercase(), &event.data).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn end() -> Timestamp {
        "2025-11-10T00:00:00Z".parse().unwrap()
    }

    fn twins(world: &World) -> usize {
        let mut groups = HashMap::new();
        for event in world.events.iter() {
            *groups.entry(fingerprint(event)).or_insert(0) += 1;
        }
        groups.values().filter(|count| **count > 1).sum()
    }

    #[test]
    fn the_share_of_twins_is_exact() {
        for (share, events, expected) in [(0.15, 2_000, 300), (0.0, 500, 0), (1.0, 501, 501), (0.5, 3, 2)] {
            for seed in 0..3 {
                let size = CompanySize { events, twin_share: share, ..CompanySize::default() };
                let world = World::company(seed, &size, end());
                assert_eq!((world.events.len(), twins(&world)), (events, expected), "share {share}, seed {seed}");
            }
        }
    }

    #[test]
    fn equal_seeds_give_equal_companies() {
        let size = CompanySize { events: 300, ..CompanySize::default() };
        let texts = |seed| {
            let world = World::company(seed, &size, end());
            let users: Vec<_> = world.users.iter().map(|(key, user)| format!("{key}{user}")).collect();
            let folders: Vec<_> = world.folders.iter().map(|(key, folder)| format!("{key}{folder}")).collect();
            (world.events.iter().cloned().collect::<Vec<_>>(), users, folders)
        };
        assert_eq!(texts(5), texts(5));
        assert_ne!(texts(5).0, texts(6).0);
    }

    #[test]
    fn a_history_has_every_action_and_every_kind_of_actor_within_its_days() {
        let size = CompanySize { events: 20_000, days: 10, ..CompanySize::default() };
        let world = World::company(1, &size, end());
        let start = end() - HOUR * 240;
        assert!(world.events.iter().all(|event| event.instant >= start && event.instant < end()));
        for action in ACTIONS {
            assert!(world.events.iter().any(|event| &*event.action == action.name), "{}", action.name);
        }
        let some = |test: fn(&Event) -> bool| assert!(world.events.iter().any(test));
        some(|event| event.username.is_empty());
        some(|event| &*event.username == "API");
        some(|event| event.ip.is_empty());
        some(|event| event.ip.contains(':'));
        some(|event| !event.data.is_ascii());
        some(|event| event.data.contains('"'));
        for begin in ["LastPass via Chrome v", "LastPass via Website", "VID: ", "github.com"] {
            assert!(
                world.events.iter().any(|event| &*event.action == "Log in" && event.data.starts_with(begin)),
                "{begin}"
            );
        }
        some(|event| &*event.action == "Failed Login Attempt" && event.data.starts_with("LastPass via "));
    }
}
