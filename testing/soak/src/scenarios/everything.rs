//! Faults of LastPass, Elasticsearch and DynamoDB, kills, silence, rollovers, concurrent runs and wrong clocks in random order,
//! on one installation.

use jiff::SignedDuration;
use lastpass_harness::{Error, Fault, Invocation, Moment, Rule, System, now};

use crate::scenarios::{dynamodb, elasticsearch};
use crate::stage::{CALM, Context, HINDERED, PASSING, backfill, collect_events};
use crate::tally::Tally;
use crate::worlds::{company, lastpass_faults, late_events, pick, quirks, repeating, seconds, whole_second};

/// The number of invocations, and the longest time between two.
const ROUNDS: i32 = 16;
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(15);

pub async fn everything(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let from = whole_second(now() - SignedDuration::from_hours(6));
    let to = from + ROUNDS * LONGEST_PAUSE;
    let page_size = *pick(&mut rng, &[20, 50, 10_000]);
    let mut world = company(&mut rng, 120, 4, from - SignedDuration::from_hours(1));
    world.events.extend(late_events(&mut rng, from, to, 120));
    let quirks = quirks(&mut rng, page_size);
    let quirks = repeating(&mut rng, quirks);
    let mut stage = context.stage(world, quirks).await?;
    stage.may_be_killed = true;
    let mut time = from;
    let mut function = stage.function().await;
    let mut other = stage.function().await;
    for _ in 0..ROUNDS {
        time += seconds(&mut rng, 60..LONGEST_PAUSE.as_secs());
        stage.set_now(time);
        stage.calls().clear();
        stage.installation.simulator.clear_faults();
        let clock_error = SignedDuration::from_secs(*pick(&mut rng, &[0, 0, 0, 120, -120]));
        for function in [&mut function, &mut other] {
            function.set_clock(stage.ahead() + clock_error).await;
        }
        stage.accepted = PASSING.to_vec();
        let mut timeout = CALM;
        let mut is_alone = true;
        match rng.u8(..8) {
            0 => {
                stage.installation.simulator.add_fault(lastpass_faults(&mut rng));
                timeout = HINDERED;
            }
            1 => {
                let rule = Rule::on(System::Elasticsearch, "_bulk", elasticsearch::fault(&mut rng));
                stage.calls().add(rule.after(rng.u64(..3)).times(rng.u64(1..3)));
                timeout = HINDERED;
            }
            2 => {
                let rule = Rule::on(System::DynamoDb, "", dynamodb::fault(&mut rng));
                stage.calls().add(rule.after(rng.u64(..5)).times(rng.u64(1..3)));
                timeout = HINDERED;
            }
            3 => {
                stage.calls().clear_records();
                let moment = *pick(&mut rng, &[Moment::Before, Moment::After]);
                stage.calls().add(Rule::at(rng.u64(1..25), Fault::Kill(function.killer(), moment)));
            }
            4 => {
                stage.calls().clear_records();
                stage.calls().add(Rule::at(rng.u64(1..25), Fault::Silence));
                timeout = HINDERED;
            }
            5 => stage.roll_over().await?,
            6 => is_alone = false,
            _ => {}
        }
        let live = Invocation::new(collect_events()).with_timeout(timeout);
        if is_alone {
            stage.invoke(&mut function, live.clone()).await?;
        } else {
            let cut = whole_second(time - seconds(&mut rng, 0..20_000));
            let past = Invocation::new(backfill(cut - SignedDuration::from_hours(3), cut)).with_timeout(CALM);
            let mut both = [function, other];
            stage.invoke_together(&mut both, vec![live.clone(), past]).await?;
            [function, other] = both;
        }
        match rng.u8(..3) {
            // Lambda's retry.
            0 => drop(stage.invoke(&mut function, live).await?),
            1 => stage.installation.expire_leases().await?,
            _ => {}
        }
    }
    // All events have appeared, so that none appears between the last run and the comparison.
    stage.set_now(to + SignedDuration::from_mins(20));
    stage.finish().await
}
