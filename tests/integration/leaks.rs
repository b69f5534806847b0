//! Systems and proxies that echo the secrets that were sent to them. The harness searches everything that a function
//! writes, returns, sends and stores, and fails the test if it finds a secret. The tests here provoke such leaks.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use jiff::SignedDuration;
use lastpass_harness::{Answer, Error, Fault, Installation, Invocation, Lock, Moment, Outcome, Rule, System};
use lastpass_simulator::Event;
use serde_json::{Value, json};

use crate::stage::{ago, collect, company, plan};

/// Long enough for a response and one retry.
const SHORT: Duration = Duration::from_secs(2);

async fn installation(name: &str) -> Result<Option<Installation>, Error> {
    let Some((services, plan)) = plan(name).await else { return Ok(None) };
    Ok(Some(plan.world(company(101, 60, 5)).make(&services).await?))
}

/// Sends every request, whatever the outcome.
async fn ask_all(installation: &Installation) -> Result<Vec<Outcome>, Error> {
    let mut function = installation.function();
    let mut outcomes = Vec::new();
    for request in [
        collect("event_report"),
        collect("user"),
        json!({"action": "setup"}),
        json!({"action": "check"}),
        json!({"action": "status"}),
        json!({"action": "resume"}),
        json!({"action": "redrive", "stream": "event_report"}),
    ] {
        outcomes.push(function.invoke(Invocation::new(request).with_timeout(SHORT)).await?);
    }
    drop(function);
    installation.look_at_all().await?;
    assert_eq!(installation.watch.leaks(), Vec::<String>::new());
    Ok(outcomes)
}

/// Sends every request while a rule applies.
async fn ask_all_under(installation: &Installation, rule: Rule) -> Result<Vec<Outcome>, Error> {
    installation.calls.add(rule);
    let outcomes = ask_all(installation).await?;
    installation.calls.clear();
    Ok(outcomes)
}

fn failed(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Error { .. })).count()
}

#[tokio::test]
async fn lastpass_echoes_the_request() -> Result<(), Error> {
    let Some(installation) = installation("echo_lastpass").await? else { return Ok(()) };
    let shapes: [fn(&str) -> Answer; 7] = [
        |body| Answer {
            status: 400,
            content_type: "text/plain".into(),
            headers: Vec::new(),
            body: body.to_owned().into(),
        },
        |body| Answer { headers: vec![("Location".into(), format!("/?{}", body.len()))], ..Answer::html(302) },
        |body| Answer::json(200, &json!({"status": "FAIL", "error": [format!("you said {body}")]})),
        |body| Answer::json(200, &json!({"status": "FAIL", "errors": {"authorization": body}})),
        |body| Answer::json(500, &json!({"error": body})),
        |body| Answer::json(200, &serde_json::from_str(body).unwrap_or_default()),
        |body| Answer {
            status: 403,
            content_type: "text/html".into(),
            headers: vec![("X-Request".into(), body.into())],
            body: body.to_owned().into(),
        },
    ];
    for shape in shapes {
        let echo = move |body: &[u8]| shape(&String::from_utf8_lossy(body));
        let rule = Rule::on(System::LastPass, "", Fault::Reply(Arc::new(echo)));
        let outcomes = ask_all_under(&installation, rule).await?;
        assert!(failed(&outcomes) >= 1, "{outcomes:?}");
    }
    Ok(())
}

#[tokio::test]
async fn elasticsearch_echoes_the_key() -> Result<(), Error> {
    let Some(installation) = installation("echo_cluster").await? else { return Ok(()) };
    // Each run reads it again, because it is within the overlap, and looks it up once it is stored.
    installation.simulator.push_events([Event::at(ago(SignedDuration::from_mins(1))).doing("Log in")]);
    // Without a setup key, the writer's key is used for all requests.
    installation.put_credential("elastic_setup_api_key", None).await?;
    let key = format!("ApiKey {}", installation.writer.encoded);
    let halves = format!("{}:{}", installation.writer.id, installation.writer.key);
    let in_base64 = base64::engine::general_purpose::STANDARD.encode(format!("said {key} {halves}"));
    let reason = format!("{key} {halves} {in_base64}");
    let error =
        |error_type: &str| json!({"error": {"type": error_type, "reason": reason, "header": {"Authorization": key}}});
    for (status, operations) in
        [(400, ["", "_bulk"]), (401, ["", "_bulk"]), (403, ["", "_bulk"]), (503, ["_bulk", "_mget"])]
    {
        for operation in operations {
            let answer = Answer {
                headers: vec![("X-Authorization".to_owned(), key.clone()), ("Warning".to_owned(), halves.clone())],
                ..Answer::json(status, &error("security_exception"))
            };
            let rule = Rule::on(System::Elasticsearch, operation, Fault::Answer(answer));
            if operation == "_mget" {
                ask_all(&installation).await?;
            }
            installation.calls.clear_records();
            let outcomes = ask_all_under(&installation, rule).await?;
            let was_met = installation.calls.records().iter().any(|call| call.fault);
            assert!(was_met && failed(&outcomes) >= 1, "{status} {operation}: {outcomes:?}");
            installation.start_over().await?;
        }
    }
    for answer in [
        Answer { headers: vec![("Location".to_owned(), format!("http://127.0.0.1:1/?{halves}"))], ..Answer::html(307) },
        Answer::json(200, &json!({"cluster_name": key, "version": {"number": [halves]}})),
        Answer { body: key.clone().into(), ..Answer::html(200) },
    ] {
        let rule = Rule::on(System::Elasticsearch, "", Fault::Answer(answer));
        assert!(failed(&ask_all_under(&installation, rule).await?) >= 1);
    }
    Ok(())
}

#[tokio::test]
async fn secrets_manager_sends_broken_responses() -> Result<(), Error> {
    let Some(installation) = installation("echo_secret").await? else { return Ok(()) };
    for fault in [
        Fault::Cut(Moment::Inside),
        Fault::Change(Arc::new(|answer: Value| json!({"SecretString": {"text": answer["SecretString"]}}))),
        Fault::Change(Arc::new(|answer: Value| json!({"SecretString": format!("{},", answer["SecretString"])}))),
        Fault::Change(Arc::new(|answer: Value| json!({"__type": "InternalServiceError", "message": answer}))),
    ] {
        let outcomes = ask_all_under(&installation, Rule::on(System::SecretsManager, "", fault)).await?;
        assert!(failed(&outcomes) >= 4, "{outcomes:?}");
    }
    Ok(())
}

#[tokio::test]
async fn addresses_with_a_password_and_keys_with_a_line_end() -> Result<(), Error> {
    let Some(installation) = installation("user_info").await? else { return Ok(()) };
    installation.watch.add("the password of a URL", "pass-of-this-url", Lock::Other);
    for (name, value) in [
        ("ELASTICSEARCH_URL", "https://elastic:pass-of-this-url@es.example.com:9243"),
        ("ELASTICSEARCH_URL", "https://es.example.com:9243?apikey=pass-of-this-url"),
        ("ELASTICSEARCH_URL", "https://pass-of-this-url es.example.com"),
        ("LASTPASS_URL", "https://me:pass-of-this-url@lastpass.com/enterpriseapi.php"),
        ("LASTPASS_URL", "me:pass-of-this-url@lastpass.com"),
        ("LASTPASS_URL", "https://pass-of-this-url.example.com/enterpriseapi.php"),
        ("OTHER_LASTPASS_URL", "https://me:pass-of-this-url@gateway.example.com/enterpriseapi.php"),
    ] {
        let mut function = installation.function();
        function.set(name, value).await;
        let (error_type, text) = function.expect_error(collect("user")).await?;
        assert_eq!(error_type, "Config.Invalid", "{text}");
        assert!(text.contains(name), "{text}");
        function.ask(json!({"action": "check"})).await?;
    }
    let mut credentials = installation.credentials.clone();
    for (field, value) in [
        ("elastic_api_key", format!("{}\n", installation.writer.encoded)),
        ("elastic_api_key", format!("{}:{}", installation.writer.id, installation.writer.key)),
        ("elastic_api_key", format!("ApiKey {}", installation.writer.encoded)),
        ("provisioning_hash", "hash-of-\u{7}this-test".to_owned()),
        ("provisionning_hash", "hash-under-a-wrong-name".to_owned()),
    ] {
        credentials[field] = value.into();
        installation.put_secret(&credentials.to_string()).await?;
        ask_all(&installation).await?;
        credentials = installation.credentials.clone();
    }
    Ok(())
}
