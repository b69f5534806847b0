//! The history of a company: the events of its employees.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::actions::{ACTIONS, Action, Actor, TWIN_ACTIONS, data};
use crate::company::{Company, CompanySize};
use crate::event::Event;
use crate::rng::Rng;
use crate::staff;
use crate::world::World;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

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
    /// Returns an event of an employee at this instant.
    pub(crate) fn act(&mut self, instant: Timestamp) -> Event {
        let total: u32 = ACTIONS.iter().map(|action| action.weight).sum();
        let mut drawn = self.rng().below(total as usize) as u32;
        let mut index = 0;
        while drawn >= ACTIONS[index].weight {
            drawn -= ACTIONS[index].weight;
            index += 1;
        }
        self.perform(&ACTIONS[index], instant)
    }

    /// Returns an event that often happens twice in a second.
    fn act_often_doubled(&mut self, instant: Timestamp) -> Event {
        let name = *self.rng().pick(TWIN_ACTIONS);
        let action = ACTIONS.iter().find(|action| action.name == name).unwrap_or(&ACTIONS[0]);
        self.perform(action, instant)
    }

    fn perform(&mut self, action: &Action, instant: Timestamp) -> Event {
        let people = self.people.len();
        let who = self.rng().below(people);
        let place = self.rng().below(3);
        let mut ip = self.people[who].addresses[place].clone();
        let username = match action.actor {
            Actor::Person => self.people[who].username.clone(),
            Actor::Api => self.shared("API"),
            Actor::Anyone if self.rng().chance(0.1) => self.shared(""),
            Actor::Anyone if self.rng().chance(0.1) => format!("guess{}@example.org", self.rng().below(50)).into(),
            Actor::Anyone => self.people[who].username.clone(),
        };
        if self.rng().chance(0.03) {
            ip = self.shared("");
        }
        let data = data(action.form, self);
        Event::at(instant).by(username).from_ip(ip).doing(self.shared(action.name)).with_data(data)
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
        let instant = hours.pick(company.rng());
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
        let group = match company.rng().below(20) {
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
    company.rng().shuffle(&mut events);
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
