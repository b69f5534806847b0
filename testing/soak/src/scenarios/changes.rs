//! A company that changes between its snapshots. The changes must be those of the simulator's own history.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use lastpass_harness::{Error, Fault, Invocation, Moment, Outcome, Rule, System, compare_changes, now};
use lastpass_simulator::{CompanySize, Happening, Quirks, World};
use serde_json::json;

use crate::stage::{CALM, Context, HINDERED, PASSING, Stage, collect, roll_over};
use crate::tally::Tally;
use crate::worlds::{lastpass_faults, pick, quirks, whole_second};

const STREAMS: [&str; 2] = ["user", "detailed_shared_folder"];

pub async fn changes(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let snapshots = context.snapshots;
    let quirks = Quirks {
        user_page_cap: *pick(&mut rng, &[40, 2_000]),
        folder_page_cap: *pick(&mut rng, &[None, Some(30)]),
        ..quirks(&mut rng, 10_000)
    };
    let size = CompanySize { events: 0, users: 120, folders: 60, max_folder_users: 8, ..CompanySize::default() };
    let world = World::company(rng.u64(..), &size, whole_second(now()));
    let mut stage = context.stage(world, quirks).await?;
    stage.may_be_killed = true;
    let begun = whole_second(now());
    let mut happened: Vec<Happening> = Vec::new();
    for snapshot in 0..snapshots {
        for stream in STREAMS {
            take(&mut stage, &mut rng, stream, (begun, snapshots - snapshot)).await?;
        }
        if snapshot + 1 < snapshots {
            let (seed, count) = (rng.u64(..), rng.usize(0..25));
            happened.extend(stage.installation.simulator.with_world(|world| world.turn_over(seed, count)));
        }
    }
    let documents = stage.installation.documents("change").await?;
    let ids: std::collections::BTreeSet<&str> = documents.iter().map(|document| document.id.as_str()).collect();
    stage.tally.expect(ids.len() == documents.len(), || "changes have the same `_id`".to_owned());
    stage.tally.compare(&compare_changes(&happened, &documents));
    stage.end().await
}

/// Takes a snapshot with faults at random moments, until it and its comparison are complete.
async fn take(stage: &mut Stage, rng: &mut Rng, stream: &str, (begun, minutes): (Timestamp, i64)) -> Result<(), Error> {
    let mut payload = collect(stream);
    payload["scheduled_time"] = (begun - SignedDuration::from_mins(minutes)).to_string().into();
    let mut function = stage.function().await;
    stage.accepted = PASSING.to_vec();
    match rng.u8(..8) {
        0 => stage.installation.simulator.add_fault(lastpass_faults(rng)),
        1 | 2 => {
            let call = *pick(rng, &["_bulk", "_search", "_mget", "_pit"]);
            let moment = *pick(rng, &[Moment::Before, Moment::After]);
            let kill = Rule::on(System::Elasticsearch, call, Fault::Kill(function.killer(), moment));
            stage.calls().add(kill.after(rng.u64(..8)).times(1));
        }
        3 => {
            let call = *pick(rng, &["_bulk", "_search", "_pit"]);
            let busy = json!({"error": {"type": "es_rejected_execution_exception", "reason": "full"}, "status": 429});
            let fault = Fault::Answer(lastpass_harness::Answer::json(429, &busy));
            stage.calls().add(Rule::on(System::Elasticsearch, call, fault).after(rng.u64(..4)).times(2));
        }
        4 => {
            let stream = *pick(rng, &["user", "detailed_shared_folder", "change"]);
            let data_stream = stage.installation.data_stream(stream);
            roll_over(&stage.installation.services, &data_stream).await?;
        }
        _ => {}
    }
    let timeout = *pick(rng, &[CALM, CALM, HINDERED]);
    let invocation = Invocation::new(payload).with_timeout(timeout);
    // The second invocation is Lambda's retry.
    for _ in 0..2 {
        if matches!(stage.invoke(&mut function, invocation.clone()).await?, Outcome::Answer(_)) {
            break;
        }
    }
    stage.calm().await?;
    // Sometimes the schedule of `resume` comes first.
    if rng.bool() {
        let resume = Invocation::new(json!({"action": "resume"})).with_timeout(CALM);
        stage.until_complete(&mut function, &resume).await?;
    }
    let answer = stage.until_complete(&mut function, &Invocation::new(invocation.payload).with_timeout(CALM)).await?;
    let compared = &answer["changes"]["status"];
    stage.tally.expect(compared.is_null() || compared == "complete", || format!("not compared: {answer}"));
    Ok(())
}
