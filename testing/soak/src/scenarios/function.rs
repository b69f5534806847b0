//! Faults of the function: killed, timed out, and invoked several times at once.

use fastrand::Rng;
use jiff::SignedDuration;
use lastpass_harness::{Error, Fault, Function, Invocation, Moment, Outcome, Rule, now};

use crate::scenarios::elasticsearch::more_events;
use crate::stage::{CALM, Context, HINDERED, PASSING, Stage, backfill, collect_events};
use crate::tally::Tally;
use crate::worlds::{burst, company, pick, quirks, seconds, whole_second};

/// Upper limit for the calls of one run in these scenarios, so that an endless run fails.
const MOST_CALLS: u64 = 80;

async fn small_stage(context: &Context, rng: &mut Rng) -> Result<Stage, Error> {
    let world = company(rng, 60, 3, now());
    context.stage(world, quirks(rng, 25)).await
}

fn is_complete(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Answer(answer) if answer["status"] == "complete")
}

/// Continues after an interrupted run: with Lambda's retry, or with another invocation after the lease has expired.
async fn go_on(stage: &mut Stage, function: &mut Function, broken: &Invocation, rng: &mut Rng) -> Result<(), Error> {
    stage.calls().clear();
    if rng.bool() {
        let retry = Invocation { timeout: CALM, ..broken.clone() };
        let outcome = stage.invoke(function, retry).await?;
        stage.tally.expect(is_complete(&outcome), || format!("Lambda's retry ended in {outcome:?}"));
    } else {
        stage.installation.expire_leases().await?;
        stage.until_complete(function, &Invocation { timeout: CALM, ..broken.clone() }).await?;
    }
    let held = stage.compare_events().await?;
    stage.tally.compare(&held);
    Ok(())
}

/// Plays one run for each of its calls, each time from the beginning, with the fault at that call.
async fn at_every_call(
    context: Context,
    timeout: std::time::Duration,
    fault: impl Fn(&mut Rng, &Function) -> Fault,
) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let mut stage = small_stage(&context, &mut rng).await?;
    stage.may_be_killed = true;
    for number in 1..MOST_CALLS {
        stage.installation.start_over().await?;
        // A cold sandbox also reads the secret and the templates.
        let mut function = stage.function().await;
        stage.calls().clear_records();
        stage.calls().add(Rule::at(number, fault(&mut rng, &function)));
        stage.accepted = PASSING.to_vec();
        let invocation = Invocation::new(collect_events()).with_timeout(timeout);
        let outcome = stage.invoke(&mut function, invocation.clone()).await?;
        // A slow run may end before it makes that call.
        let was_met = stage.calls().records().iter().any(|call| call.fault) || !is_complete(&outcome);
        stage.accepted.clear();
        go_on(&mut stage, &mut function, &invocation, &mut rng).await?;
        if !was_met {
            return stage.end().await;
        }
    }
    stage.tally.fail(format!("a run of 60 events makes {MOST_CALLS} calls"));
    stage.end().await
}

pub async fn killed(context: Context) -> Result<Tally, Error> {
    at_every_call(context, CALM, |rng, function| {
        Fault::Kill(function.killer(), *pick(rng, &[Moment::Before, Moment::After]))
    })
    .await
}

pub async fn timed_out(context: Context) -> Result<Tally, Error> {
    at_every_call(context, HINDERED, |_, _| Fault::Silence).await
}

pub async fn together(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let world = company(&mut rng, 200, 3, now());
    let page_size = *pick(&mut rng, &[20, 50, 10_000]);
    let mut stage = context.stage(world, quirks(&mut rng, page_size)).await?;
    for _ in 0..4 {
        let many = *pick(&mut rng, &[2, 5]);
        let mut functions = Vec::new();
        for _ in 0..many {
            functions.push(stage.function().await);
        }
        let mut payload = collect_events();
        if rng.bool() {
            payload["scheduled_time"] = whole_second(now() - seconds(&mut rng, 0..120)).to_string().into();
        }
        let invocation = Invocation::new(payload).with_timeout(CALM);
        // Lambda delivers one invocation several times, or a schedule sends several.
        let is_same = rng.bool();
        let invocations =
            (0..many).map(|_| if is_same { invocation.clone() } else { Invocation::new(invocation.payload.clone()) });
        stage.invoke_together(&mut functions, invocations.collect()).await?;
        more_events(&stage, &mut rng);
    }
    stage.finish().await
}

pub async fn backfills(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let mut world = company(&mut rng, 250, 6, now());
    let past = whole_second(now() - SignedDuration::from_hours(7 * 24));
    let span = now().duration_since(past).as_secs();
    let second = SignedDuration::from_secs;
    let mut ranges = Vec::new();
    for _ in 0..5 {
        let (one, two) = (rng.i64(0..span), rng.i64(0..span + 7_200));
        let (from, to) = (past + second(one.min(two)), past + second(one.max(two) + 1));
        // Events in its first and in its last second.
        for instant in [from, to - second(1)].into_iter().filter(|instant| *instant < now()) {
            world.events.extend(burst(&mut rng, instant, 2));
        }
        ranges.push((from, to));
    }
    let page_size = *pick(&mut rng, &[25, 60, 10_000]);
    let mut stage = context.stage_with(world, quirks(&mut rng, page_size), &[("INITIAL_LOOKBACK", "48h")]).await?;
    stage.begin = whole_second(now() - SignedDuration::from_hours(48));
    stage.accepted = PASSING.to_vec();
    let mut live = stage.function().await;
    let mut other = stage.function().await;
    for (round, (from, to)) in ranges.into_iter().enumerate() {
        let request = backfill(from, to);
        match rng.u8(..3) {
            0 => drop(stage.until_complete(&mut live, &Invocation::new(collect_events()).with_timeout(CALM)).await?),
            1 => {
                // Cut off by the deadline, killed or undisturbed, and then repeated.
                stage.may_be_killed = true;
                let kill = Fault::Kill(other.killer(), Moment::After);
                stage
                    .calls()
                    .add(Rule::when(|call| call.operation.ends_with("/_bulk"), kill).after(rng.u64(1..4)).times(1));
                stage.invoke(&mut other, Invocation::new(request.clone()).with_timeout(HINDERED)).await?;
                stage.calls().clear();
                stage.installation.expire_leases().await?;
            }
            _ => {
                // Run it beside a live run.
                let mut both = [live, other];
                let invocations =
                    [collect_events(), request.clone()].map(|payload| Invocation::new(payload).with_timeout(CALM));
                stage.invoke_together(&mut both, invocations.into()).await?;
                [live, other] = both;
            }
        }
        for _ in 0..rng.usize(1..3) {
            stage.until_complete(&mut other, &Invocation::new(request.clone()).with_timeout(CALM)).await?;
        }
        if round % 2 == 0 {
            stage.roll_over().await?;
        }
    }
    stage.calm().await?;
    let everything = backfill(past, whole_second(now()) + SignedDuration::from_hours(1));
    stage.until_complete(&mut other, &Invocation::new(everything).with_timeout(CALM)).await?;
    stage.begin = past;
    stage.finish().await
}
