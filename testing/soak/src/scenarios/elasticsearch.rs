//! Faults of Elasticsearch.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use flate2::read::GzDecoder;
use lastpass_harness::{Answer, Error, Fault, Function, Gate, Invocation, Method, Moment, Outcome, Rule, System, now};
use lastpass_simulator::Event;
use serde_json::{Value, json};

use crate::stage::{CALM, Context, HINDERED, PASSING, Stage, backfill, collect_events, is_bulk, roll_over};
use crate::tally::Tally;
use crate::worlds::{burst, company, pick, quirks, seconds, whole_second};

async fn stage_of(context: &Context, rng: &mut Rng) -> Result<Stage, Error> {
    let page_size = *pick(rng, &[30, 60, 10_000]);
    let events = rng.usize(80..300);
    let world = company(rng, events, 4, now());
    context.stage(world, quirks(rng, page_size)).await
}

/// Adds events for the next run, in a second that already has events.
pub fn more_events(stage: &Stage, rng: &mut Rng) {
    let instant = whole_second(stage.now() - seconds(rng, 1..600));
    let count = rng.usize(1..30);
    stage.installation.simulator.push_events(burst(rng, instant, count));
}

/// Returns a random fault of Elasticsearch or of a proxy in front of it.
pub fn fault(rng: &mut Rng) -> Fault {
    let overloaded = json!({"error": {"type": "es_rejected_execution_exception", "reason": "full"}, "status": 429});
    match rng.u8(..10) {
        0 | 1 => Fault::Answer(Answer::json(429, &overloaded)),
        2 => {
            Fault::Answer(Answer::json(503, &json!({"error": {"type": "unavailable_shards_exception"}, "status": 503})))
        }
        3 => Fault::Answer(Answer::html(502)),
        4 => Fault::Answer(Answer::html(200)),
        5 => Fault::Cut(Moment::Before),
        6 => Fault::Cut(Moment::After),
        7 => Fault::Cut(Moment::Inside),
        8 => Fault::Silence,
        _ => Fault::Delay(Duration::from_millis(rng.u64(50..1_000))),
    }
}

/// Makes the cluster reject some items of a bulk with a retryable status although it has written them.
fn disown_some_items(stage: &Stage, every: usize, times: u64) {
    let change = move |mut answer: Value| {
        if let Some(items) = answer["items"].as_array_mut() {
            for item in items.iter_mut().step_by(every) {
                let created = &mut item["create"];
                created["status"] = 429.into();
                created["error"] = json!({"type": "es_rejected_execution_exception", "reason": "full"});
            }
        }
        answer
    };
    stage.calls().add(Rule::when(is_bulk, Fault::Change(Arc::new(change))).times(times));
}

/// Makes the cluster reject every item of a bulk with a retryable status and write none.
fn refuse_items(stage: &Stage, times: u64) {
    let refuse = |body: &[u8]| {
        let mut lines = String::new();
        // A body that cannot be read gets a response without items, which the function treats as no response.
        let _ = GzDecoder::new(body).read_to_string(&mut lines);
        let full = json!({"type": "es_rejected_execution_exception", "reason": "full"});
        let items: Vec<Value> = lines
            .lines()
            .filter_map(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                let id = line.get("create")?.get("_id")?;
                Some(json!({"create": {"_index": "refused", "_id": id, "status": 429, "error": full}}))
            })
            .collect();
        Answer::json(200, &json!({"items": items}))
    };
    stage.calls().add(Rule::when(is_bulk, Fault::Reply(Arc::new(refuse))).times(times));
}

pub async fn elasticsearch_faults(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let mut stage = stage_of(&context, &mut rng).await?;
    let mut function = stage.function().await;
    for _ in 0..4 {
        stage.calls().clear();
        stage.accepted = PASSING.to_vec();
        // Added first, because the first matching rule applies.
        if rng.bool() {
            refuse_items(&stage, rng.u64(1..3));
        }
        for _ in 0..rng.usize(1..4) {
            let operation = *pick(&mut rng, &["_bulk", "_bulk", "_bulk", "_mget", "_resolve"]);
            let rule = Rule::on(System::Elasticsearch, operation, fault(&mut rng));
            stage.calls().add(rule.after(rng.u64(..3)).times(rng.u64(1..3)));
        }
        if rng.bool() {
            disown_some_items(&stage, rng.usize(1..5), rng.u64(1..3));
        }
        stage.invoke(&mut function, Invocation::new(collect_events()).with_timeout(HINDERED)).await?;
        more_events(&stage, &mut rng);
    }
    stage.finish().await
}

pub async fn cluster_down(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let mut stage = stage_of(&context, &mut rng).await?;
    let mut function = stage.function().await;
    for _ in 0..2 {
        // The cluster is down from one of the run's calls on, for several invocations.
        stage.accepted = PASSING.to_vec();
        let how = match rng.u8(..3) {
            0 => Fault::Cut(Moment::Before),
            1 => Fault::Answer(Answer::html(503)),
            _ => Fault::Answer(Answer::json(503, &json!({"error": {"type": "no_shard_available_action_exception"}}))),
        };
        stage.calls().add(Rule::on(System::Elasticsearch, "", how).after(rng.u64(..8)));
        for _ in 0..rng.usize(2..4) {
            stage.invoke(&mut function, Invocation::new(collect_events()).with_timeout(HINDERED)).await?;
            more_events(&stage, &mut rng);
        }
        stage.calm().await?;
        stage.until_complete(&mut function, &Invocation::new(collect_events()).with_timeout(CALM)).await?;
    }
    stage.finish().await
}

pub async fn rotated_api_key(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let mut stage = stage_of(&context, &mut rng).await?;
    let mut function = stage.function().await;
    let collect = Invocation::new(collect_events()).with_timeout(CALM);
    let mut old = stage.installation.writer.clone();
    for _ in 0..3 {
        let new = stage.installation.another_key().await?;
        // A careful operator stores the new key in the secret before the old key is invalidated; others do so later.
        let is_early = rng.bool();
        if is_early {
            stage.installation.put_credential("elastic_api_key", Some(&new.encoded)).await?;
        }
        stage.accepted = if is_early { Vec::new() } else { vec!["Elasticsearch.Unauthorized"] };
        let gate = Gate::closed();
        let operation = *pick(&mut rng, &["_bulk", "_bulk", "_mget", "_resolve", "GET /"]);
        let waits = Rule::on(System::Elasticsearch, operation, Fault::Hold(gate.clone()));
        stage.calls().add(waits.after(rng.u64(..3)).times(1));
        let elasticsearch = stage.installation.services.elasticsearch.clone();
        let rotate = async { elasticsearch.invalidate_key(&old).await };
        stage.invoke_with(&mut function, collect.clone(), &gate, rotate).await?;
        // If the run made too few calls, the rotation has not happened yet.
        elasticsearch.invalidate_key(&old).await?;
        stage.calls().clear();
        stage.installation.put_credential("elastic_api_key", Some(&new.encoded)).await?;
        stage.accepted.clear();
        stage.until_complete(&mut function, &collect).await?;
        more_events(&stage, &mut rng);
        old = new;
    }
    stage.finish().await
}

/// Another cluster responds at the same address: it has no templates, no documents and another UUID.
pub async fn cluster_emptied(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let mut stage = stage_of(&context, &mut rng).await?;
    let mut function = stage.function().await;
    let collect = Invocation::new(collect_events()).with_timeout(CALM);
    stage.until_complete(&mut function, &collect).await?;
    let watermark = stage.installation.watermark("event_report").await?;

    let elasticsearch = stage.installation.services.elasticsearch.clone();
    let data_stream = stage.installation.data_stream("event_report");
    elasticsearch.empty(&data_stream).await?;
    let other = |mut answer: Value| {
        answer["cluster_uuid"] = "AnotherClusterOfThisName".into();
        answer
    };
    let is_root = |call: &lastpass_harness::Call| call.system == System::Elasticsearch && call.operation == "GET /";
    let nothing = Fault::Answer(Answer::json(200, &json!({"index_templates": []})));
    stage.calls().add(Rule::when(is_root, Fault::Change(Arc::new(other))));
    stage.calls().add(Rule::on(System::Elasticsearch, "/_index_template", nothing).times(1));
    more_events(&stage, &mut rng);
    // Use a sandbox that has already checked the templates, or a new one.
    if rng.bool() {
        function = stage.function().await;
    }
    stage.accepted = vec!["Checkpoint.DestinationChanged", "Elasticsearch.NotSetUp"];
    for _ in 0..3 {
        let outcome = stage.invoke(&mut function, collect.clone()).await?;
        let has_continued = matches!(&outcome, Outcome::Answer(answer) if answer["status"] != "skipped");
        stage.tally.expect(!has_continued, || format!("the run continued in an empty cluster: {outcome:?}"));
    }
    let still = stage.installation.watermark("event_report").await?;
    stage.tally.expect(still == watermark, || format!("the watermark went from {watermark:?} to {still:?}"));
    stage.accepted.clear();
    // The operator confirms the empty cluster and backfills the past.
    let reset = json!({"action": "reset", "stream": "event_report", "to": stage.begin});
    let answer = stage.invoke(&mut function, Invocation::new(reset)).await?.answer()?;
    stage.tally.expect(answer["status"] == "complete", || format!("the reset was answered with {answer}"));
    stage.until_complete(&mut function, &collect).await?;
    let held = stage.compare_events().await?;
    stage.tally.compare(&held);
    stage.end().await
}

/// Rolls over while a call waits, so that lookups before it and writes after it use two backing indices.
async fn roll_over_at(
    stage: &mut Stage,
    function: &mut Function,
    operation: &str,
    nth: u64,
    invocation: Invocation,
) -> Result<Outcome, Error> {
    let gate = Gate::closed();
    stage.calls().add(Rule::on(System::Elasticsearch, operation, Fault::Hold(gate.clone())).after(nth).times(1));
    let services = stage.installation.services.clone();
    let data_stream = stage.installation.data_stream("event_report");
    stage.invoke_with(function, invocation, &gate, async { roll_over(&services, &data_stream).await }).await
}

pub async fn rollovers(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let mut stage = stage_of(&context, &mut rng).await?;
    let mut function = stage.function().await;
    stage.may_be_killed = true;
    for round in 0..6 {
        stage.calls().clear();
        let invocation = Invocation::new(collect_events()).with_timeout(CALM);
        // The kind and number of the call that waits for a rollover.
        let mut waits = (*pick(&mut rng, &["_bulk", "_bulk", "_mget", "_resolve"]), rng.u64(..3));
        if rng.u8(..3) == 0 {
            // The first run writes documents without receiving the response. When it is repeated, they are in an older
            // index.
            let cut =
                if rng.bool() { Fault::Cut(Moment::After) } else { Fault::Kill(function.killer(), Moment::After) };
            // Later runs send one bulk.
            let nth = if round == 0 { rng.u64(..3) } else { 0 };
            stage.calls().add(Rule::on(System::Elasticsearch, "_bulk", cut).after(nth).times(1));
            waits = ("_bulk", nth);
        }
        let (operation, nth) = waits;
        let outcome = roll_over_at(&mut stage, &mut function, operation, nth, invocation.clone()).await?;
        if outcome.is_dead() {
            stage.roll_over().await?;
            stage.invoke(&mut function, invocation).await?;
        }
        if rng.bool() {
            stage.roll_over().await?;
        }
        more_events(&stage, &mut rng);
    }
    stage.finish().await
}

/// Plays live runs while an older index cannot be read, then a backfill that needs that index.
pub async fn unreadable_indices(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let mut stage = stage_of(&context, &mut rng).await?;
    let mut function = stage.function().await;
    let collect = Invocation::new(collect_events()).with_timeout(CALM);
    stage.until_complete(&mut function, &collect).await?;
    let elasticsearch = stage.installation.services.elasticsearch.clone();
    let data_stream = stage.installation.data_stream("event_report");
    let old = elasticsearch.backing_indices(&data_stream).await?.pop().unwrap_or_default();
    stage.roll_over().await?;

    // After an hour the index is older than the overlap. Up to 25 hours, the daily reread still covers it.
    let mut time = whole_second(now() + seconds(&mut rng, 3_600..3 * 86_400));
    stage.set_now(time);
    function.set_clock(stage.ahead()).await;
    more_events(&stage, &mut rng);
    stage.until_complete(&mut function, &collect).await?;
    let is_closed = rng.bool();
    let block = |read: Value| json!({ "index.blocks.read": read });
    if is_closed {
        elasticsearch.request(Method::POST, &format!("/{old}/_close"), None).await?;
    } else {
        elasticsearch.request(Method::PUT, &format!("/{old}/_settings"), Some(&block(true.into()))).await?;
    }
    for _ in 0..4 {
        time += seconds(&mut rng, 60..1_200);
        // The daily reread goes further back.
        if rng.u8(..3) == 0 {
            time += seconds(&mut rng, 3_600..30 * 3_600);
        }
        stage.set_now(time);
        function.set_clock(stage.ahead()).await;
        more_events(&stage, &mut rng);
        // The documents cannot be compared meanwhile, because the index cannot be read.
        let outcome = function.invoke(Invocation::new(collect_events()).with_timeout(CALM)).await?;
        stage.tally.invocations += 1;
        let is_complete = matches!(&outcome, Outcome::Answer(answer) if answer["status"] == "complete");
        stage.tally.expect(is_complete, || format!("{old} stopped a live run: {outcome:?}"));
    }
    let past = Invocation::new(backfill(stage.begin, now())).with_timeout(CALM);
    let outcome = function.invoke(past.clone()).await?;
    stage.tally.invocations += 1;
    let is_named = matches!(&outcome, Outcome::Error { error_type, error_message }
        if error_type == "Elasticsearch.Refused" && error_message.contains(&old));
    stage.tally.expect(is_named, || format!("{old} was not named: {outcome:?}"));
    if is_closed {
        elasticsearch.request(Method::POST, &format!("/{old}/_open"), None).await?;
    } else {
        elasticsearch.request(Method::PUT, &format!("/{old}/_settings"), Some(&block(Value::Null))).await?;
    }
    stage.until_complete(&mut function, &past).await?;
    stage.finish().await
}

/// Makes the newest backing index accept only numbers in `user.email`, or restores our own mapping.
async fn want_numbers(stage: &Stage, want: bool) -> Result<(), Error> {
    let elasticsearch = &stage.installation.services.elasticsearch;
    let data_stream = stage.installation.data_stream("event_report");
    let path = format!("/_index_template/soak-{}", stage.installation.namespace);
    if want {
        let template = json!({
            "index_patterns": [data_stream], "data_stream": {}, "priority": 500,
            "composed_of": ["lastpass-elastic.event_report", "logs@custom"],
            "ignore_missing_component_templates": ["logs@custom"],
            "template": {"mappings": {"properties": {"user": {"properties": {"email": {"type": "long"}}}}}},
        });
        elasticsearch.request(Method::PUT, &path, Some(&template)).await?;
    } else {
        elasticsearch.request(Method::DELETE, &path, None).await?;
    }
    elasticsearch.roll_over(&data_stream).await
}

pub async fn refused_items(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let mut stage = stage_of(&context, &mut rng).await?;
    let mut function = stage.function().await;
    let collect = Invocation::new(collect_events()).with_timeout(CALM);
    stage.until_complete(&mut function, &collect).await?;

    want_numbers(&stage, true).await?;
    let refused = rng.usize(1..9);
    let simulator = stage.installation.simulator.clone();
    for _ in 0..refused {
        let instant = whole_second(now() - seconds(&mut rng, 1..600));
        simulator.push_events([Event::at(instant).by("carol@example.com").doing("Log in")]);
    }
    for _ in 0..40 {
        let instant = whole_second(now() - seconds(&mut rng, 1..600));
        simulator.push_events([Event::at(instant).doing("Failed Login Attempt")]);
    }
    let mut dead = 0;
    for _ in 0..2 {
        dead += number(&stage.until_complete(&mut function, &collect).await?, "dead_letters");
    }
    stage.tally.expect(dead == refused, || format!("{dead} dead letters of {refused} refused events"));
    let letters = stage.installation.documents("dead_letter").await?.len();
    stage.tally.expect(letters == refused, || format!("{letters} letters for {refused} events"));

    let redrive = Invocation::new(json!({"action": "redrive", "stream": "event_report"})).with_timeout(CALM);
    let still = stage.until_complete(&mut function, &redrive).await?;
    let again = number(&still, "dead_letters");
    stage.tally.expect(again == refused, || format!("before the cause is fixed: {still}"));
    want_numbers(&stage, false).await?;
    let repaired = stage.until_complete(&mut function, &redrive).await?;
    let created = number(&repaired, "created");
    stage.tally.expect(created == refused, || format!("after the cause is fixed: {repaired}"));
    let none = stage.until_complete(&mut function, &redrive).await?;
    stage.tally.expect(number(&none, "fetched") == 0, || format!("when all are delivered: {none}"));
    stage.finish().await
}

fn number(answer: &Value, name: &str) -> usize {
    answer[name].as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or_default()
}
