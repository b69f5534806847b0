//! Faults and quirks of LastPass.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use lastpass_harness::{Error, Function, Invocation, now};
use lastpass_simulator::{Command, Repeats, World};

use crate::stage::{CALM, Context, HINDERED, PASSING, Stage, collect_events};
use crate::tally::Tally;
use crate::worlds::{burst, company, half_characters, lastpass_faults as drawn_faults, late_events as drawn_events};
use crate::worlds::{pick, quirks, repeating, seconds, whole_second};

/// Returns a number of events that fills several pages of this size.
fn events_for(rng: &mut Rng, page_size: usize) -> usize {
    (page_size * rng.usize(3..12)).clamp(40, 300)
}

/// Returns a company with seconds that exceed a page.
fn busy_company(rng: &mut Rng, page_size: usize) -> World {
    let events = events_for(rng, page_size);
    let mut world = company(rng, events, 4, now());
    let instant = whole_second(now() - seconds(rng, 600..300_000));
    world.events.extend(half_characters(rng, instant, 3));
    if page_size <= 50 {
        for _ in 0..2 {
            let instant = whole_second(now() - seconds(rng, 600..300_000));
            let size = page_size * 2 + rng.usize(..page_size + 1);
            world.events.extend(burst(rng, instant, size));
        }
    }
    world
}

pub async fn pages(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let page_size = *pick(&mut rng, &[1, 2, 3, 7, 20, 50, 110, 10_000]);
    let (world, quirks) = (busy_company(&mut rng, page_size), quirks(&mut rng, page_size));
    let mut stage = context.stage(world, quirks).await?;
    let mut function = stage.function().await;
    for _ in 0..2 {
        stage.until_complete(&mut function, &Invocation::new(collect_events()).with_timeout(CALM)).await?;
    }
    stage.finish().await
}

/// Events of one second that holds a page or more can be taken for twins of themselves: the limit that
/// docs/reliability.md states. Doubled events of such a second are therefore ignored. Lost events are not.
pub async fn repeating_pages(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let page_size = *pick(&mut rng, &[12, 20, 50]);
    let mut world = company(&mut rng, 200, 4, now());
    let half_a_page = whole_second(now() - SignedDuration::from_hours(30));
    world.events.extend(burst(&mut rng, half_a_page, page_size / 2));
    let large = whole_second(now() - SignedDuration::from_hours(2));
    world.events.extend(burst(&mut rng, large, page_size * 2 + 3));
    let quirks = quirks(&mut rng, page_size);
    let mut quirks = repeating(&mut rng, quirks);
    if rng.u8(..3) == 0 {
        // Repeats events newer than `next`.
        quirks.next_repeats = Repeats::Events(rng.usize(1..6));
    }
    let mut stage = context.stage(world, quirks).await?;
    let mut function = stage.function().await;
    stage.until_complete(&mut function, &Invocation::new(collect_events()).with_timeout(CALM)).await?;
    let mut held = stage.compare_events().await?;
    let large = large.to_string();
    held.doubled.retain(|event| !event.ends_with(&large));
    stage.tally.compare(&held);
    stage.end().await
}

pub async fn lastpass_faults(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let page_size = *pick(&mut rng, &[20, 50]);
    let (world, quirks) = (busy_company(&mut rng, page_size), quirks(&mut rng, page_size));
    let mut stage = context.stage(world, quirks).await?;
    stage.accepted = PASSING.to_vec();
    let mut function = stage.function().await;
    for _ in 0..4 {
        stage.installation.simulator.clear_faults();
        for _ in 0..rng.usize(1..4) {
            stage.installation.simulator.add_fault(drawn_faults(&mut rng));
        }
        stage.invoke(&mut function, Invocation::new(collect_events()).with_timeout(HINDERED)).await?;
    }
    stage.finish().await
}

/// Plays live runs every few minutes from `from` to `to`, each with the function's clock set to that time.
pub async fn live_runs(
    stage: &mut Stage,
    rng: &mut Rng,
    (from, to): (Timestamp, Timestamp),
    clock_error: SignedDuration,
) -> Result<Function, Error> {
    let mut function = stage.function().await;
    let mut time = from;
    while time < to {
        time += seconds(rng, 60..720);
        stage.set_now(time);
        function.set_clock(stage.ahead() + clock_error).await;
        let mut payload = collect_events();
        if rng.bool() {
            // The schedule's time is a little earlier than the invocation.
            payload["scheduled_time"] = whole_second(time - seconds(rng, 0..90)).to_string().into();
        }
        stage.invoke(&mut function, Invocation::new(payload.clone()).with_timeout(CALM)).await?;
        if rng.u8(..4) == 0 {
            stage.invoke(&mut function, Invocation::new(payload).with_timeout(CALM)).await?;
        }
    }
    Ok(function)
}

pub async fn late_events(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let from = whole_second(now() - SignedDuration::from_hours(5));
    let to = from + SignedDuration::from_hours(3);
    let page_size = *pick(&mut rng, &[5, 30, 10_000]);
    let world = World::of_events(drawn_events(&mut rng, from - SignedDuration::from_hours(1), to, 150));
    let mut stage = context.stage(world, quirks(&mut rng, page_size)).await?;
    live_runs(&mut stage, &mut rng, (from, to), SignedDuration::ZERO).await?;
    stage.set_now(to + SignedDuration::from_mins(16));
    stage.finish().await
}

pub async fn rotated_hash(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let page_size = *pick(&mut rng, &[20, 50]);
    let (world, quirks) = (busy_company(&mut rng, page_size), quirks(&mut rng, page_size));
    let mut stage = context.stage(world, quirks).await?;
    let mut function = stage.function().await;
    for rotation in 0..3 {
        let hash = format!("{:032x}", rng.u128(..));
        // A careful operator stores the new hash in the secret before LastPass accepts it; others do so later.
        let is_early = rng.bool();
        let simulator = stage.installation.simulator.clone();
        let known = hash.clone();
        simulator.clone().after_page(Command::Reporting, rng.u64(1..4), move |world| {
            world.provisioning_hash = lastpass_simulator::ProvisioningHash::new(known);
        });
        if is_early {
            stage.installation.put_credential("provisioning_hash", Some(&hash)).await?;
        }
        stage.accepted = vec!["LastPass.Unauthorized"];
        let invocation = Invocation::new(collect_events()).with_timeout(CALM);
        stage.invoke(&mut function, invocation.clone()).await?;
        stage.installation.put_credential("provisioning_hash", Some(&hash)).await?;
        stage.accepted.clear();
        // If the run read too few pages, the rotation has not happened yet.
        simulator.set_provisioning_hash(hash);
        stage.until_complete(&mut function, &invocation).await?;
        let instant = whole_second(now() - seconds(&mut rng, 1..300));
        simulator.push_events(burst(&mut rng, instant, page_size + rotation));
    }
    stage.finish().await
}
