//! Properties of the conversions between UTC and the API's local time, mostly around zone transitions.

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};
use proptest::prelude::*;
use serde_json::json;

use super::time::{ApiZone, LocalTime};

/// Zones with transitions of one hour, half an hour and two hours, at midnight, more than twice a year, across a whole
/// day, and without transitions.
const ZONES: &[&str] = &[
    "America/New_York",
    "Europe/London",
    "Europe/Dublin",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "America/Havana",
    "Antarctica/Troll",
    "Africa/Casablanca",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "UTC",
    "+05:45",
    "-0330",
];

const SECOND: SignedDuration = SignedDuration::from_secs(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Seconds around a transition that contain most instants.
const REACH: i64 = 7_200;

fn zone(name: &str) -> ApiZone {
    ApiZone::new(name).expect("a zone")
}

/// Returns the zone's next transition after an instant, if any.
fn transition_after(name: &str, instant: Timestamp) -> Option<Timestamp> {
    TimeZone::get(name).ok()?.following(instant).next().map(|transition| transition.timestamp())
}

/// Generates a zone and an instant from 2000 to 2060: within two hours of a transition, at the ends of its fold, or
/// anywhere.
fn zoned_instants() -> impl Strategy<Value = (&'static str, Timestamp)> {
    let from_transition = prop_oneof![
        4 => (-REACH..=REACH).prop_map(Some),
        2 => (prop::sample::select(vec![-3_600, -1_800, 0, 1_800, 3_600]), -1..=1_i64).prop_map(|(end, by)| Some(end + by)),
        1 => Just(None),
    ];
    (prop::sample::select(ZONES), 946_684_800..2_840_140_800_i64, from_transition).prop_map(|(name, second, from)| {
        let anywhere = Timestamp::from_second(second).expect("an instant");
        let near = from.and_then(|from| Some(transition_after(name, anywhere)? + SignedDuration::from_secs(from)));
        (name, near.unwrap_or(anywhere))
    })
}

fn read(zone: &ApiZone, text: &str) -> LocalTime {
    zone.read(Some(&json!(text))).expect("readable").expect("a time")
}

/// Finds the instants within a day of `instant` that the wall clock shows as `text`, by trying each offset of the zone.
fn shown_as(zone: &ApiZone, text: &str, instant: Timestamp) -> Vec<Timestamp> {
    let quarters = (-96..=96).map(|quarters| instant + SignedDuration::from_mins(15 * quarters));
    quarters.filter(|other| zone.wall_time(*other) == text).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_instant_is_among_those_that_its_wall_time_can_mean((name, instant) in zoned_instants()) {
        let zone = zone(name);
        let text = zone.wall_time(instant);
        let local = read(&zone, &text);
        let mut meant = vec![local.earliest(), local.latest()];
        meant.dedup();
        prop_assert_eq!(&meant, &shown_as(&zone, &text, instant));
        prop_assert!(meant.contains(&instant));
        prop_assert_eq!(local.is_repeated(), meant.len() == 2);
        prop_assert_eq!(local.either_pass().ambiguous, local.is_repeated());
        prop_assert_eq!(local.first_pass().timestamp, meant[0]);
        prop_assert_eq!(Some(&local.second_pass().timestamp), meant.last());
    }

    #[test]
    fn a_fold_is_where_wall_times_repeat((name, instant) in zoned_instants()) {
        let zone = zone(name);
        let local = read(&zone, &zone.wall_time(instant));
        let fold = zone.fold_at(instant);
        prop_assert_eq!(fold.is_some(), local.is_repeated());
        if let Some(fold) = fold {
            prop_assert!((fold.begin..fold.end).contains(&instant));
            prop_assert_eq!(fold.set_back.duration_since(fold.begin), fold.end.duration_since(fold.set_back));
            prop_assert_eq!(local.latest().duration_since(local.earliest()), fold.end.duration_since(fold.set_back));
            for inside in [fold.begin, fold.set_back - SECOND, fold.set_back, fold.end - SECOND] {
                prop_assert_eq!(zone.fold_at(inside), Some(fold));
            }
            prop_assert_eq!(zone.fold_at(fold.begin - SECOND), None);
            prop_assert_eq!(zone.fold_at(fold.end), None);
        }
    }

    #[test]
    fn the_ends_of_a_window_are_outside_folds_and_enclose_the_requested_range((name, instant) in zoned_instants()) {
        let zone = zone(name);
        let (begin, end) = (zone.begin_outside_fold(instant), zone.end_outside_fold(instant));
        prop_assert!(begin <= instant && instant <= end);
        // A wall time of one second is never on both sides of an end.
        for cut in [begin, end] {
            let before = read(&zone, &zone.wall_time(cut - SECOND));
            let after = read(&zone, &zone.wall_time(cut));
            prop_assert!(before.latest() < cut && after.earliest() >= cut, "{cut}");
        }
        if zone.fold_at(instant).is_none() {
            prop_assert_eq!((begin, end), (instant, instant));
        }
        prop_assert_eq!((zone.begin_outside_fold(begin), zone.end_outside_fold(end)), (begin, end));
    }

    #[test]
    fn a_wall_time_that_is_skipped_means_one_instant(
        (name, instant) in zoned_instants(),
        seconds in 0..REACH,
    ) {
        let zone = zone(name);
        // Wall times of a clock that is never set. Some of them are skipped and others repeated in the zone.
        let before = instant - SignedDuration::from_secs(seconds);
        let unset: DateTime = zone.wall_time(before).replace(' ', "T").parse().expect("a wall time");
        let text = (unset + SignedDuration::from_secs(seconds)).strftime("%Y-%m-%d %H:%M:%S").to_string();
        let local = read(&zone, &text);
        if zone.wall_time(local.earliest()) == text {
            prop_assert_eq!(zone.wall_time(local.latest()), text);
        } else {
            prop_assert!(!local.is_repeated() && !local.either_pass().ambiguous);
            prop_assert_eq!(shown_as(&zone, &text, local.earliest()), vec![]);
            prop_assert_eq!(zone.fold_at(local.earliest()), None);
            // The instant is moved forward by the length of the gap.
            let set_forward = transition_after(name, local.earliest() - DAY).expect("a transition");
            let civil = |instant| read(&zone, &zone.wall_time(instant)).civil();
            let length = civil(set_forward).duration_since(civil(set_forward - SECOND)) - SECOND;
            prop_assert_eq!(civil(local.earliest()).duration_since(local.civil()), length);
        }
    }

    #[test]
    fn any_wall_time_is_read_or_refused(
        name in prop::sample::select(ZONES),
        (year, month, day) in (0..=9_999_i16, 1..=12_i8, 1..=28_i8),
        second in 0..86_400_i64,
    ) {
        let zone = zone(name);
        let midnight = Date::new(year, month, day).expect("a date").to_datetime(jiff::civil::Time::midnight());
        let text = (midnight + SignedDuration::from_secs(second)).strftime("%Y-%m-%d %H:%M:%S").to_string();
        match zone.read(Some(&json!(text))) {
            Ok(local) => {
                let local = local.expect("a time");
                for instant in [local.earliest(), local.latest()] {
                    let (begin, end) = (zone.begin_outside_fold(instant), zone.end_outside_fold(instant));
                    prop_assert!(begin <= instant && instant <= end);
                }
                if !local.is_repeated() {
                    prop_assert_eq!(zone.fold_at(local.earliest()), None);
                }
            }
            Err(_) => prop_assert!(year == 0 || (year, month, day) == (9_999, 12, 28), "{text}"),
        }
    }
}
