//! Faults of DynamoDB.

use std::time::Duration;

use fastrand::Rng;
use lastpass_harness::{Answer, Error, Fault, Gate, Invocation, Moment, Outcome, Rule, System, now};
use serde_json::json;

use crate::scenarios::elasticsearch::more_events;
use crate::stage::{CALM, Context, HINDERED, PASSING, collect_events};
use crate::tally::Tally;
use crate::worlds::{company, pick, quirks};

/// Returns a random fault of DynamoDB.
pub fn fault(rng: &mut Rng) -> Fault {
    let said = |status, kind: &str| {
        let kind = format!("com.amazonaws.dynamodb.v20120810#{kind}");
        Fault::Answer(Answer::json(status, &json!({"__type": kind, "message": "later"})))
    };
    match rng.u8(..9) {
        0 => said(400, "ProvisionedThroughputExceededException"),
        1 => said(400, "ThrottlingException"),
        2 => said(400, "RequestLimitExceeded"),
        3 => said(500, "InternalServerError"),
        4 => Fault::Cut(Moment::Before),
        // The request took effect, but its response is lost.
        5 => Fault::Cut(Moment::After),
        6 => Fault::Cut(Moment::Inside),
        7 => Fault::Silence,
        _ => Fault::Delay(Duration::from_millis(rng.u64(50..1_000))),
    }
}

pub async fn dynamodb_faults(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let page_size = *pick(&mut rng, &[20, 50]);
    let world = company(&mut rng, 200, 3, now());
    let mut stage = context.stage(world, quirks(&mut rng, page_size)).await?;
    let mut function = stage.function().await;
    for _ in 0..5 {
        stage.calls().clear();
        stage.accepted = PASSING.to_vec();
        for _ in 0..rng.usize(1..4) {
            let rule = Rule::on(System::DynamoDb, "", fault(&mut rng));
            stage.calls().add(rule.after(rng.u64(..6)).times(rng.u64(1..4)));
        }
        let invocation = Invocation::new(collect_events()).with_timeout(HINDERED);
        // The second invocation is Lambda's retry.
        for _ in 0..2 {
            let outcome = stage.invoke(&mut function, invocation.clone()).await?;
            let is_lost = matches!(&outcome, Outcome::Answer(answer) if answer["reason"] == "lease_lost");
            stage.tally.expect(!is_lost, || format!("the lease was lost without another run: {outcome:?}"));
        }
        more_events(&stage, &mut rng);
    }
    stage.finish().await
}

pub async fn lost_lease(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let world = company(&mut rng, 150, 3, now());
    let mut stage = context.stage(world, quirks(&mut rng, 25)).await?;
    let (mut owner, mut other) = (stage.function().await, stage.function().await);
    let invocation = || Invocation::new(collect_events()).with_timeout(CALM);
    for round in 0..3 {
        let gate = Gate::closed();
        let (system, operation) = *pick(
            &mut rng,
            &[
                (System::LastPass, "reporting"),
                (System::Elasticsearch, "_mget"),
                (System::Elasticsearch, "_bulk"),
                (System::DynamoDb, "UpdateItem"),
            ],
        );
        // Not the write that acquires the lease: the first one, and of the first run the second, because the first finds
        // that there is no item.
        let acquiring = if round == 0 { 2 } else { 1 };
        let nth = if system == System::DynamoDb { rng.u64(acquiring..acquiring + 3) } else { rng.u64(..3) };
        stage.calls().clear();
        stage.calls().add(Rule::on(system, operation, Fault::Hold(gate.clone())).after(nth).times(1));
        let before = stage.before().await?;
        let mut owners = Box::pin(owner.invoke(invocation()));
        let outcomes = tokio::select! {
            outcome = &mut owners => vec![outcome?],
            () = gate.reached() => {
                stage.installation.expire_leases().await?;
                let others = other.invoke(invocation()).await?;
                let reached = stage.installation.watermark("event_report").await?;
                gate.open();
                let owners = owners.as_mut().await?;
                let after = stage.installation.watermark("event_report").await?;
                stage.tally.expect(reached == after, || format!("the loser moved the watermark from {reached:?} to {after:?}"));
                stage.tally.expect(matches!(others, Outcome::Answer(_)), || format!("the other run: {others:?}"));
                vec![owners, others]
            }
        };
        drop(owners);
        stage.check(&before, &outcomes).await?;
        more_events(&stage, &mut rng);
    }
    stage.finish().await
}
