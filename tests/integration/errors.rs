//! External failures have a stable error type and a message with the remedy. They leave the checkpoint unchanged and
//! print no secret.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use lastpass_harness::{Answer, Error, Fault, Function, Installation, Invocation, Moment, Rule, Secrets, System, now};
use lastpass_simulator::{Event, Fault as LastPassFault, FaultRule, Trigger};
use serde_json::{Value, json};

use crate::stage::{collect, company, next_snapshot, number, plan};

/// For failures that are retried until the deadline: longer than the reserve that a run keeps, but short for a test.
const SHORT: Duration = Duration::from_secs(10);

/// An installation whose event report was read once, and that has a new event to read.
struct Used {
    installation: Installation,
    function: Function,
}

impl Used {
    async fn prepare(name: &str) -> Result<Option<Self>, Error> {
        let Some((services, plan)) = plan(name).await else { return Ok(None) };
        let world = company(71, 60, 5);
        let installation = plan.world(world).make(&services).await?;
        let mut function = installation.function();
        let answer = function.ask(collect("event_report")).await?;
        assert_eq!(answer["status"], "complete", "{answer}");
        installation.simulator.push_events([Event::at(now()).by("new@example.com").doing("Log in")]);
        Ok(Some(Self { installation, function }))
    }

    /// Returns the position of every stream.
    async fn positions(&self) -> Result<BTreeMap<String, Vec<String>>, Error> {
        let items = self.installation.checkpoints().await?;
        let positions = ["watermark", "unfinished", "reread_at", "complete"];
        Ok(items
            .into_iter()
            .map(|(key, item)| (key, positions.map(|name| format!("{:?}", item.get(name))).to_vec()))
            .collect())
    }

    /// Expects an error of this type whose message contains these words.
    async fn refuses(&mut self, request: Value, error_type: &str, words: &[&str]) -> Result<(), Error> {
        self.fails(Invocation::new(request), error_type, words).await
    }

    /// Expects an error from the event report for a fault that is retried until the deadline.
    async fn gives_up(&mut self, error_type: &str, words: &[&str]) -> Result<(), Error> {
        self.fails(Invocation::new(event_report()).with_timeout(SHORT), error_type, words).await
    }

    async fn fails(&mut self, invocation: Invocation, error_type: &str, words: &[&str]) -> Result<(), Error> {
        let before = self.positions().await?;
        let (given, text) = self.function.invoke(invocation).await?.error()?;
        assert_eq!(given, error_type, "{text}");
        for word in words {
            assert!(text.contains(word), "{word:?} is not in: {text}");
        }
        assert_eq!(self.positions().await?, before, "{error_type}: the checkpoint moved");
        // The next step begins with a cold start, after all output was read.
        self.function.stop().await;
        Ok(())
    }

    /// Asserts that the function works after the cause is fixed, and that nothing was lost or doubled.
    async fn recovers(&mut self) -> Result<(), Error> {
        let answer = self.function.ask(collect("event_report")).await?;
        assert_eq!(answer["status"], "complete", "{answer}");
        let held = self.installation.compare_events().await?;
        assert!(held.is_exact(), "{held}");
        Ok(())
    }
}

fn event_report() -> Value {
    collect("event_report")
}

#[tokio::test]
async fn a_wrong_request_is_refused_by_name() -> Result<(), Error> {
    let Some(mut used) = Used::prepare("request").await? else { return Ok(()) };
    let backfill =
        |from: &str, to: &str| json!({"action": "backfill", "stream": "event_report", "from": from, "to": to});
    for (request, words) in [
        (collect("passwords"), ["passwords", "event_report, user, detailed_shared_folder"]),
        (backfill("2025-02-01", "2025-01-01"), ["`from`", "not before `to`"]),
        (json!({"stream": "user", "scheduledtime": "2025-01-01"}), ["scheduledtime", "scheduled_time"]),
        (json!({"action": "explode"}), ["explode", "collect"]),
        (backfill("yesterday", "2025-01-01"), ["yesterday", "2025-01-31"]),
    ] {
        used.refuses(request, "Request.Invalid", &words).await?;
    }
    used.recovers().await
}

#[tokio::test]
async fn wrong_settings_are_all_named_at_once() -> Result<(), Error> {
    let Some(mut used) = Used::prepare("config").await? else { return Ok(()) };
    used.function.set("OVERLAP", "soon").await;
    used.function.set("LASTPASS_TIME_ZONE", "Mars/Olympus").await;
    used.function.set("NAMESPACE", "a-b").await;
    used.refuses(event_report(), "Config.Invalid", &["OVERLAP", "LASTPASS_TIME_ZONE", "NAMESPACE"]).await
}

#[tokio::test]
async fn a_wrong_provisioning_hash() -> Result<(), Error> {
    let Some(mut used) = Used::prepare("hash").await? else { return Ok(()) };
    used.installation.put_credential("provisioning_hash", Some("wrong-hash-of-this-test")).await?;
    used.function.stop().await;
    let words = ["provisioning_hash", "Admin Console", "Advanced > Enterprise API"];
    used.refuses(event_report(), "LastPass.Unauthorized", &words).await?;
    assert!(!used.function.output().text().contains("wrong-hash-of-this-test"), "it is a secret as well");
    used.installation.put_secret(&used.installation.credentials.to_string()).await?;
    used.recovers().await
}

/// LastPass's front end randomly returns this page when it throttles.
#[tokio::test]
async fn a_403_page_is_retried_and_reported_if_it_stays() -> Result<(), Error> {
    let Some(mut used) = Used::prepare("denied").await? else { return Ok(()) };
    let denied = FaultRule { times: Some(3), ..FaultRule::next(LastPassFault::AccessDenied) };
    used.installation.simulator.add_fault(denied);
    used.recovers().await?;
    used.installation.simulator.push_events([Event::at(now()).by("newer@example.com").doing("Log in")]);

    let denied = FaultRule::every(1, LastPassFault::AccessDenied);
    used.installation.simulator.add_fault(denied);
    let before = used.installation.calls.count_of(System::LastPass, "reporting");
    used.gives_up("LastPass.Throttled", &["HTTP 403", "rate", "IP restriction", "`provisioning_hash`"]).await?;
    assert!(used.installation.calls.count_of(System::LastPass, "reporting") - before > 2, "it retries");
    used.installation.simulator.clear_faults();
    used.recovers().await
}

#[tokio::test]
async fn an_answer_of_another_form_advances_nothing() -> Result<(), Error> {
    let Some(mut used) = Used::prepare("forms").await? else { return Ok(()) };
    for stream in ["event_report", "user", "detailed_shared_folder"] {
        let answer = used.function.ask(collect(stream)).await?;
        assert_eq!(answer["status"], "complete", "{answer}");
    }
    for (body, error_type) in [
        (json!({"status": "WARN", "errors": ["one of two servers is away"]}), "LastPass.Refused"),
        (json!({"status": "OK", "events": [{"Time": "2025-07-17 09:51:51"}]}), "LastPass.BadAnswer"),
        (json!({"error": "Too many requests"}), "LastPass.Throttled"),
        (json!({"message": "Internal server error"}), "LastPass.BadAnswer"),
    ] {
        used.installation.calls.add(Rule::on(System::LastPass, "", Fault::Answer(Answer::json(200, &body))));
        for stream in ["event_report", "user", "detailed_shared_folder"] {
            let before = used.installation.watermark(stream).await?;
            let documents = used.installation.documents(stream).await?.len();
            let invocation = Invocation::new(next_snapshot(stream));
            let invocation =
                if error_type == "LastPass.Throttled" { invocation.with_timeout(SHORT) } else { invocation };
            let (given, text) = used.function.invoke(invocation).await?.error()?;
            assert_eq!(given, error_type, "{body}: {text}");
            assert_eq!(used.installation.watermark(stream).await?, before, "{body}");
            assert_eq!(used.installation.documents(stream).await?.len(), documents, "{body}");
        }
        used.installation.calls.clear();
    }
    used.recovers().await
}

#[tokio::test]
async fn an_answer_that_unpacks_to_more_than_memory_holds() -> Result<(), Error> {
    let Some(mut used) = Used::prepare("bomb").await? else { return Ok(()) };
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let blanks = vec![b' '; 1 << 20];
    for _ in 0..210 {
        std::io::Write::write_all(&mut encoder, &blanks).expect("memory");
    }
    let answer = Answer {
        headers: vec![("Content-Encoding".to_owned(), "gzip".to_owned())],
        body: encoder.finish().expect("memory").into(),
        ..Answer::json(200, &json!({}))
    };
    used.installation.calls.add(Rule::on(System::LastPass, "", Fault::Answer(answer)));
    used.refuses(event_report(), "LastPass.BadAnswer", &["24 MB", "`reporting`", "\"from\":", "LASTPASS_URL"]).await?;
    used.installation.calls.clear();
    used.recovers().await
}

#[tokio::test]
async fn a_refusal_that_echoes_the_hash_does_not_print_it() -> Result<(), Error> {
    let Some(mut used) = Used::prepare("echo").await? else { return Ok(()) };
    let hash = used.installation.credentials["provisioning_hash"].as_str().unwrap_or_default().to_owned();
    let fault = LastPassFault::fail(&format!("no such command for {hash}"));
    used.installation.simulator.add_fault(FaultRule { on: Trigger::Every(1), times: None, ..FaultRule::next(fault) });
    used.refuses(event_report(), "LastPass.Refused", &["LastPass refused"]).await?;
    used.installation.simulator.clear_faults();
    used.recovers().await
}

#[tokio::test]
async fn an_api_key_that_is_wrong_or_lacks_a_privilege() -> Result<(), Error> {
    let Some(mut used) = Used::prepare("key").await? else { return Ok(()) };
    let unknown = "aWQtb2Ytbm8ta2V5OmtleS1vZi10aGlzLXRlc3QtMTIzNDU2Nzg5";
    used.installation.put_credential("elastic_api_key", Some(unknown)).await?;
    used.function.stop().await;
    let words = ["API key", "`elastic_api_key`", "Stack Management"];
    used.refuses(event_report(), "Elasticsearch.Unauthorized", &words).await?;
    assert!(!used.function.output().text().contains(unknown), "it is a secret as well");

    let elasticsearch = used.installation.services.elasticsearch.clone();
    let role = |names: &str, privileges: Value| json!({"cluster": ["monitor"], "indices": [{"names": [names], "privileges": privileges}]});
    let less = json!(["read", "view_index_metadata"]);
    for (role, words) in [
        (json!({"cluster": ["manage_own_api_key"]}), ["`monitor`", "writer role"]),
        (role("logs-other-*", json!(["all"])), ["logs-lastpass.*-*", "writer role"]),
        (role("logs-lastpass.*-*", less), ["create_doc", "writer role"]),
    ] {
        let key = elasticsearch.create_key("less", &role).await?;
        used.installation.put_credential("elastic_api_key", Some(&key.encoded)).await?;
        used.refuses(event_report(), "Elasticsearch.Forbidden", &words).await?;
        let secrets = Secrets::default().with("key", &key.encoded).with("decoded", &key.key);
        assert_eq!(secrets.found_in(&used.function.output().text()), Vec::<String>::new(), "printed");
    }
    used.installation.put_secret(&used.installation.credentials.to_string()).await?;
    used.function.stop().await;
    used.recovers().await
}

#[tokio::test]
async fn a_secret_that_cannot_be_used() -> Result<(), Error> {
    let Some(mut used) = Used::prepare("secret").await? else { return Ok(()) };
    let credentials = used.installation.credentials.to_string();
    for field in ["account_number", "provisioning_hash", "elastic_api_key"] {
        used.installation.put_credential(field, None).await?;
        used.function.stop().await;
        used.refuses(event_report(), "Secret.Invalid", &[field, "put-secret-value"]).await?;
    }
    for broken in [credentials.trim_end_matches('}'), "[]", "\"text\""] {
        used.installation.put_secret(broken).await?;
        used.refuses(event_report(), "Secret.Invalid", &["JSON", "put-secret-value"]).await?;
    }
    used.installation.put_secret(&credentials).await?;
    used.function.set("SECRET_ARN", "arn:aws:secretsmanager:us-east-1:000000000000:secret:nowhere-AbCdEf").await;
    used.refuses(event_report(), "Secret.Unreachable", &["SECRET_ARN", "secret:nowhere"]).await
}

/// Returns the address of a host that refuses connections.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

#[tokio::test]
async fn hosts_that_cannot_be_reached() -> Result<(), Error> {
    let Some(mut used) = Used::prepare("unreachable").await? else { return Ok(()) };
    for (system, error_type, words) in [
        (System::LastPass, "LastPass.Unreachable", ["LASTPASS_URL", "next run"]),
        (System::Elasticsearch, "Elasticsearch.Unreachable", ["ELASTICSEARCH_URL", "next run"]),
        (System::DynamoDb, "Checkpoint.Unreachable", ["DynamoDB", "next run"]),
        (System::SecretsManager, "Secret.Unreachable", ["Secrets Manager", "next run"]),
    ] {
        used.installation.calls.add(Rule::on(system, "", Fault::Cut(Moment::Before)));
        used.function.stop().await;
        used.gives_up(error_type, &words).await?;
        used.installation.calls.clear();
    }
    used.recovers().await?;

    used.function.set("LASTPASS_URL", &nowhere()).await;
    used.gives_up("LastPass.Unreachable", &["LASTPASS_URL"]).await
}

#[tokio::test]
async fn a_web_page_in_place_of_an_answer() -> Result<(), Error> {
    let Some(mut used) = Used::prepare("page").await? else { return Ok(()) };
    for (system, operation, error_type, words) in [
        (System::LastPass, "reporting", "LastPass.BadAnswer", ["LASTPASS_URL", "proxy"]),
        (System::Elasticsearch, "", "Elasticsearch.Unreachable", ["ELASTICSEARCH_URL", "proxy"]),
        (System::DynamoDb, "", "Checkpoint.Unreachable", ["DynamoDB", "next run"]),
        (System::SecretsManager, "", "Secret.Unreachable", ["Secrets Manager", "next run"]),
    ] {
        used.installation.calls.add(Rule::on(system, operation, Fault::Answer(Answer::html(200))));
        used.function.stop().await;
        used.gives_up(error_type, &words).await?;
        used.installation.calls.clear();
    }
    used.recovers().await
}

/// A run that has read pages but delivered nothing before its deadline has failed.
#[tokio::test]
async fn no_answer_to_a_bulk() -> Result<(), Error> {
    let Some(mut used) = Used::prepare("bulk_page").await? else { return Ok(()) };
    for (fault, words) in [
        (Fault::Answer(Answer::html(200)), ["ELASTICSEARCH_URL", "proxy"]),
        (Fault::Cut(Moment::Before), ["ELASTICSEARCH_URL", "next run"]),
        (Fault::Silence, ["deadline", "next run"]),
    ] {
        used.installation.calls.add(Rule::on(System::Elasticsearch, "_bulk", fault));
        used.gives_up("Elasticsearch.Unreachable", &words).await?;
        used.installation.calls.clear();
    }
    used.recovers().await
}

#[tokio::test]
async fn systems_that_throttle_for_too_long() -> Result<(), Error> {
    let Some(mut used) = Used::prepare("throttled").await? else { return Ok(()) };
    let rejected = json!({"error": {"type": "es_rejected_execution_exception"}, "status": 429});
    for (system, operation, answer, error_type) in [
        (System::LastPass, "reporting", Answer::html(429), "LastPass.Throttled"),
        (System::Elasticsearch, "_bulk", Answer::json(429, &rejected), "Elasticsearch.Throttled"),
    ] {
        used.installation.calls.add(Rule::on(system, operation, Fault::Answer(answer)));
        used.gives_up(error_type, &["429", "next run"]).await?;
        used.installation.calls.clear();
    }
    used.recovers().await
}

#[tokio::test]
async fn a_missing_pipeline() -> Result<(), Error> {
    let Some(mut used) = Used::prepare("pipeline").await? else { return Ok(()) };
    let elasticsearch = used.installation.services.elasticsearch.clone();
    let indices = elasticsearch.backing_indices(&used.installation.data_stream("event_report")).await?;
    let settings = |pipeline: Value| json!({"index.final_pipeline": pipeline});
    let path = format!("/{}/_settings", indices[0]);
    let method = || "PUT".parse().expect("PUT");
    let before = elasticsearch.request("GET".parse().expect("GET"), &path, None).await?;
    elasticsearch.request(method(), &path, Some(&settings(json!("nowhere_to_be_found")))).await?;
    used.refuses(event_report(), "Elasticsearch.NotSetUp", &["pipeline", "setup"]).await?;
    let own = before[&indices[0]]["settings"]["index"]["final_pipeline"].clone();
    elasticsearch.request(method(), &path, Some(&settings(own))).await?;
    used.recovers().await
}

#[tokio::test]
async fn a_write_blocked_index() -> Result<(), Error> {
    let Some(mut used) = Used::prepare("blocked").await? else { return Ok(()) };
    let elasticsearch = used.installation.services.elasticsearch.clone();
    let data_stream = used.installation.data_stream("event_report");
    elasticsearch.block_writes(&data_stream, true).await?;
    used.refuses(event_report(), "Elasticsearch.Refused", &["cluster_block_exception", "block"]).await?;
    elasticsearch.block_writes(&data_stream, false).await?;
    used.recovers().await
}

#[tokio::test]
async fn a_document_in_a_failure_store_does_not_count_as_written() -> Result<(), Error> {
    let Some(mut used) = Used::prepare("failure_store").await? else { return Ok(()) };
    let change = |mut answer: Value| {
        for item in answer["items"].as_array_mut().into_iter().flatten() {
            item["create"]["failure_store"] = "used".into();
        }
        answer
    };
    used.installation.calls.add(Rule::on(System::Elasticsearch, "_bulk", Fault::Change(Arc::new(change))));
    used.refuses(event_report(), "Elasticsearch.Refused", &["failure store"]).await?;
    used.installation.calls.clear();
    used.recovers().await
}

#[tokio::test]
async fn another_namespace_stops_the_run() -> Result<(), Error> {
    let Some(mut used) = Used::prepare("destination").await? else { return Ok(()) };
    let own = used.installation.namespace.clone();
    used.function.set("NAMESPACE", "elsewhere").await;
    used.refuses(event_report(), "Checkpoint.DestinationChanged", &["elsewhere", &own, "second stack"]).await?;
    used.function.set("NAMESPACE", &own).await;
    used.recovers().await
}

#[tokio::test]
async fn a_wrong_zone_is_found_and_stores_nothing() -> Result<(), Error> {
    let Some(mut used) = Used::prepare("zone").await? else { return Ok(()) };
    // Eastern local times, interpreted as Los Angeles time, are three hours ahead of the clock.
    used.function.set("LASTPASS_TIME_ZONE", "America/Los_Angeles").await;
    let before = used.installation.documents("event_report").await?.len();
    let words = ["LASTPASS_TIME_ZONE", "America/Los_Angeles"];
    used.refuses(event_report(), "LastPass.WrongTimeZone", &words).await?;
    assert_eq!(used.installation.documents("event_report").await?.len(), before);
    used.function.set("LASTPASS_TIME_ZONE", "US/Eastern").await;
    used.recovers().await
}

#[tokio::test]
async fn temporary_faults_are_retried_and_lose_nothing() -> Result<(), Error> {
    let Some(mut used) = Used::prepare("passing").await? else { return Ok(()) };
    let calls = used.installation.calls.clone();
    calls.add(Rule::on(System::LastPass, "", Fault::Cut(Moment::Inside)).times(1));
    calls.add(Rule::on(System::LastPass, "", Fault::Answer(Answer::html(503))).times(1));
    calls.add(Rule::on(System::Elasticsearch, "_bulk", Fault::Cut(Moment::Before)).times(1));
    calls.add(Rule::on(System::Elasticsearch, "_bulk", Fault::Answer(Answer::html(502))).times(1));
    // The bulk took effect. The function detects it without sending the bulk again.
    calls.add(Rule::on(System::Elasticsearch, "_bulk", Fault::Cut(Moment::Inside)).times(1));
    calls.add(Rule::on(System::DynamoDb, "UpdateItem", Fault::Cut(Moment::After)).times(2));
    calls.add(Rule::on(System::SecretsManager, "", Fault::Cut(Moment::Before)).times(1));
    used.function.stop().await;
    let answer = used.function.ask(collect("event_report")).await?;
    assert_eq!(answer["status"], "complete", "{answer}");
    assert_eq!((number(&answer, "bulk_requests"), number(&answer, "lastpass_requests")), (3, 3), "{answer}");
    used.recovers().await
}
