//! Finds the zone of the dates in user records.
//!
//! The API does not name it: a recording shows local time, and Elastic's integration reads UTC (LASTPASS_API.md,
//! "Recordings and other clients"). A user's `last_login` is the time of a login that is also in the event report. The
//! correct zone is the one in which both are the same instant.
//!
//! Pure. The zone of the events must be known.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::{
    own_polls::known_zones,
    reporting::{Event, Page},
    time::ApiZone,
    wire,
};

/// The actions of logins. Source: ECS_MAPPING.md, the actions of the category `authentication` that start a session.
const LOGINS: [&str; 3] = ["log in", "login to admin console", "saml login"];
/// Longest time between the two records of one login. Chosen: two parts of LastPass write them one after the other.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(5);
/// Zones that are documented or recorded. For these, one user is enough evidence. Any other zone needs
/// [`FEWEST_USERS`], because among many zones some time matches by chance.
const DOCUMENTED: [&str; 2] = ["UTC", "US/Eastern"];
/// See [`DOCUMENTED`]. Chosen: two users match another zone by chance very rarely.
const FEWEST_USERS: usize = 2;

/// The zone that matches the dates of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoneMatch {
    /// The zone of the setting.
    AsSet {
        /// How many users match.
        users: usize,
    },
    /// Another zone.
    Other {
        /// The name of the zone.
        zone: String,
        /// How many users match.
        users: usize,
    },
    /// There is too little to compare.
    Unknown {
        /// How many users have both a `last_login` and a login in the event report.
        compared: usize,
    },
}

/// Compares the `last_login` of `users` (keys and records) with the logins in `events`. `set` is the zone setting of
/// the user dates, and `zone` is the zone of the events.
#[must_use]
pub fn compare(users: &[(String, String)], events: &Page, zone: &ApiZone, set: &ApiZone) -> ZoneMatch {
    let logins = logins(events);
    let compared: Vec<(String, &BTreeSet<Timestamp>)> = users
        .iter()
        .filter_map(|(_, record)| {
            let logins = logins.get(&wire::text(record, "username").to_lowercase())?;
            let last_login = wire::text(record, "last_login");
            (!last_login.is_empty()).then_some((last_login, logins))
        })
        .collect();
    let matching = |zone: &ApiZone| {
        let is_login = |(last_login, logins): &&(String, &BTreeSet<Timestamp>)| {
            let time = zone.read_text(last_login).ok().flatten();
            time.is_some_and(|time| time.instants().any(|instant| has_near(logins, instant)))
        };
        compared.iter().filter(is_login).count()
    };
    let as_set = matching(set);
    let documented = DOCUMENTED.into_iter().filter_map(|name| ApiZone::new(name).ok());
    let of_one = std::iter::once(zone.clone()).chain(documented).map(|zone| (zone, 1));
    let of_more = known_zones().map(|zone| (zone, FEWEST_USERS));
    let mut best: Option<(ApiZone, usize)> = None;
    for (zone, fewest) in of_one.chain(of_more) {
        let users = matching(&zone);
        if users >= fewest && users > best.as_ref().map_or(as_set, |(_, users)| *users) {
            best = Some((zone, users));
        }
    }
    match best {
        Some((zone, users)) => ZoneMatch::Other { zone: zone.name().to_owned(), users },
        None if as_set > 0 => ZoneMatch::AsSet { users: as_set },
        None => ZoneMatch::Unknown { compared: compared.len() },
    }
}

/// Returns the logins of each user, by the username in lowercase. A login in a repeated hour counts at both instants.
fn logins(events: &Page) -> HashMap<String, BTreeSet<Timestamp>> {
    let mut logins: HashMap<String, BTreeSet<Timestamp>> = HashMap::new();
    for Event { record, time } in &events.events {
        let Some(time) = time else { continue };
        if LOGINS.contains(&wire::text(record, "Action").trim().to_lowercase().as_str()) {
            logins.entry(wire::text(record, "Username").to_lowercase()).or_default().extend(time.instants());
        }
    }
    logins.remove("");
    logins
}

fn has_near(logins: &BTreeSet<Timestamp>, instant: Timestamp) -> bool {
    let from = instant.saturating_sub(TOLERANCE).unwrap_or(instant);
    let to = instant.saturating_add(TOLERANCE).unwrap_or(instant);
    logins.range(from..=to).next().is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn zone(name: &str) -> ApiZone {
        ApiZone::new(name).expect("a zone")
    }

    /// Compares `count` users who logged in a day apart, with events in the zone `account` and dates in the zone
    /// `dates`.
    fn compare_in(account: &str, dates: &str, set: &str, count: i64) -> ZoneMatch {
        let newest: Timestamp = "2025-07-02T12:34:56Z".parse().expect("a time");
        let (mut users, mut events) = (Vec::new(), Page::default());
        for number in 0..count {
            let login = newest - SignedDuration::from_secs(number * 86_431);
            let username = format!("User{number}@example.com");
            for (at, action) in [(login, "Log in"), (login - SignedDuration::from_secs(777), "Saml Login")] {
                let time = zone(account).wall_time(at);
                let record = json!({"Time": time, "Username": username, "Action": action}).to_string();
                events.events.push(Event { record, time: zone(account).read_text(&time).expect("readable") });
            }
            let last_login = zone(dates).wall_time(login + SignedDuration::from_secs(number % 3));
            let record = json!({"username": username.to_lowercase(), "last_login": last_login}).to_string();
            users.push((number.to_string(), record));
        }
        users.push(("never".to_owned(), json!({"username": "never@example.com", "last_login": ""}).to_string()));
        compare(&users, &events, &zone(account), &zone(set))
    }

    #[test]
    fn the_zone_of_the_dates_is_found() {
        for (account, dates, set) in [
            ("US/Eastern", "US/Eastern", "UTC"),
            ("US/Eastern", "UTC", "US/Eastern"),
            ("Europe/Berlin", "Europe/Berlin", "UTC"),
            ("Europe/Berlin", "US/Eastern", "UTC"),
            ("Europe/Berlin", "UTC", "US/Eastern"),
            ("+09:00", "+09:00", "UTC"),
        ] {
            for users in [1, 3, 40] {
                let count = usize::try_from(users).expect("a number");
                assert_eq!(
                    compare_in(account, dates, set, users),
                    ZoneMatch::Other { zone: dates.to_owned(), users: count }
                );
                assert_eq!(compare_in(account, dates, dates, users), ZoneMatch::AsSet { users: count });
            }
        }
        // A year contains both offsets of a zone. Another zone has them for only a part of the year.
        let found = compare_in("UTC", "US/Pacific", "UTC", 300);
        assert_eq!(found, ZoneMatch::Other { zone: "US/Pacific".to_owned(), users: 300 });
    }

    #[test]
    fn too_little_evidence_proves_no_zone() {
        assert_eq!(compare_in("US/Eastern", "UTC", "UTC", 0), ZoneMatch::Unknown { compared: 0 });
        // Only one user supports this zone.
        assert_eq!(compare_in("US/Eastern", "Asia/Tokyo", "UTC", 1), ZoneMatch::Unknown { compared: 1 });
        assert_eq!(
            compare_in("US/Eastern", "Asia/Tokyo", "UTC", 2),
            ZoneMatch::Other { zone: "Asia/Tokyo".to_owned(), users: 2 }
        );
        // No named zone has this offset.
        assert_eq!(compare_in("US/Eastern", "+00:15", "UTC", 9), ZoneMatch::Unknown { compared: 9 });
    }
}
