//! Error responses of LastPass, DynamoDB and Secrets Manager. Those of Elasticsearch are in `elastic`.

use std::time::Duration;

use serde_json::{Value, json};

use super::{case, review};
use crate::{
    aws::CallError,
    checkpoint::{self, Destination, Key, PartitionKey},
    document::{AccountNumber, Namespace, Stream},
    lastpass::{self, Command, answers::Answers, time::ApiZone},
    secrets,
};

/// The command that LastPass responds to.
#[derive(Clone, Copy)]
enum Asked {
    Events,
    Users,
    Folders,
}

/// The description, the command, the response's status and body, and the error type.
type Answered<'a> = (&'a str, Asked, u16, &'a str, &'static str);

/// The description, the response's status, its code and message, and the error type.
type Failed<'a> = (&'a str, u16, Option<&'a str>, &'a str, &'static str);

#[test]
fn answers_of_lastpass() {
    use Asked::{Events, Folders, Users};
    const HASH: &str = "c0ffee5ec4e7badcafe0c0ffee5ec4e7";
    let echo = format!(r#"{{"status":"FAIL","error":"hash {HASH} is wrong"}}"#);
    let bad = "LastPass.BadAnswer";
    let table: &[Answered<'_>] = &[
        ("401", Events, 401, "", "LastPass.Unauthorized"),
        (
            "LastPass's own refusal",
            Users,
            200,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<lastpass rc=\"Authorization Error\"/>",
            "LastPass.Unauthorized",
        ),
        ("XML of something else", Users, 200, "<feed><title>News</title></feed>", bad),
        (
            "WARN without events",
            Events,
            200,
            r#"{"status":"WARN","errors":["one of two servers is away"]}"#,
            "LastPass.Refused",
        ),
        ("throttling in words", Folders, 200, r#"{"error":"Too many requests"}"#, "LastPass.Throttled"),
        ("a folder that is null", Folders, 200, r#"{"101":{"score":1},"102":null}"#, bad),
        ("no users, though there are some", Users, 200, r#"{"total":5,"count":0,"Users":[]}"#, bad),
        ("403 by a firewall", Events, 403, "<html>Access denied</html>", "LastPass.Throttled"),
        (
            "FAIL for an authorization error",
            Events,
            200,
            r#"{"status":"FAIL","error":"Authorization Error"}"#,
            "LastPass.Unauthorized",
        ),
        ("FAIL that echoes the hash", Users, 200, &echo, "LastPass.Unauthorized"),
        (
            "FAIL that echoes a piece of the hash",
            Users,
            200,
            r#"{"status":"FAIL","error":"hash c0ffee5e... is wrong"}"#,
            "LastPass.Unauthorized",
        ),
        (
            "FAIL for the account number",
            Folders,
            200,
            r#"{"status":"FAIL","errors":["no such cid"]}"#,
            "LastPass.Unauthorized",
        ),
        (
            "FAIL for a missing permission",
            Folders,
            200,
            r#"{"status":"FAIL","error":{"text":"Permission denied"}}"#,
            "LastPass.Unauthorized",
        ),
        ("FAIL without a reason", Events, 200, r#"{"status":"FAIL"}"#, "LastPass.Refused"),
        ("FAIL for the command", Folders, 200, r#"{"status":"FAIL","error":"Unknown command"}"#, "LastPass.Refused"),
        (
            "FAIL with a long reason",
            Users,
            200,
            Box::leak(format!(r#"{{"status":"error","error":"{}"}}"#, "no ".repeat(500)).into_boxed_str()),
            "LastPass.Refused",
        ),
        (
            "FAIL in several lines",
            Users,
            200,
            r#"{"status":"FAIL","error":"no\n\u0000such\tthing"}"#,
            "LastPass.Refused",
        ),
        ("400", Events, 400, "", "LastPass.Refused"),
        ("402", Events, 402, "", "LastPass.Refused"),
        ("404", Events, 404, "<html>Not found</html>", bad),
        ("405", Users, 405, "", bad),
        ("407 of a proxy", Users, 407, "", bad),
        ("a redirect to a login page", Events, 302, "", bad),
        ("a permanent redirect", Events, 301, "", bad),
        ("408", Events, 408, "", "LastPass.Unreachable"),
        ("429", Events, 429, "", "LastPass.Throttled"),
        ("429 for folders", Folders, 429, "", "LastPass.Throttled"),
        ("500", Events, 500, "", "LastPass.Unreachable"),
        ("502 of a proxy", Users, 502, "<html></html>", "LastPass.Unreachable"),
        ("503", Folders, 503, "", "LastPass.Unreachable"),
        ("a maintenance page with status 200", Events, 200, "<!DOCTYPE html><html>soon</html>", bad),
        ("an empty body", Events, 200, "", bad),
        ("a text", Users, 200, "OK", bad),
        ("JSON that was cut", Users, 200, r#"{"Users":{"#, bad),
        ("a list with something in it", Folders, 200, "[1]", bad),
        ("another API's JSON", Events, 200, r#"{"ok":true}"#, bad),
        ("events that are a text", Events, 200, r#"{"status":"OK","data":"none"}"#, bad),
        ("a `next` that can't be read", Events, 200, r#"{"status":"OK","next":"soon","data":[]}"#, bad),
        ("another API's JSON for users", Users, 200, r#"{"ok":true}"#, bad),
    ];
    let zone = ApiZone::new("US/Eastern").expect("a zone");
    let answers = Answers::with_hash(HASH);
    let mut cases: Vec<_> = table
        .iter()
        .map(|(what, asked, status, body, error_type)| {
            let answer = (*status, body.as_bytes());
            let error = match asked {
                Events => answers.events(answer, &zone).expect_err(what),
                Users => answers.users(answer).expect_err(what),
                Folders => answers.folders(answer).expect_err(what),
            };
            case(*what, error, error_type)
        })
        .collect();
    for case in &cases {
        assert!(!case.error.with_causes().contains("c0ffee5e") && !format!("{:?}", case.error).contains("c0ffee5e"));
    }
    let asked = r#"{"pagesize":1,"pageindex":3,"data":"all"}"#.to_owned();
    let error = lastpass::Error::TooLarge { command: Command::GetDetailedSfData, asked };
    cases.push(case("an answer that is too large", error, bad));
    for why in [
        "no connection",
        "it did not respond in time",
        "the connection was closed",
        "its certificate is for another host name",
    ] {
        let host = "lastpass.com".to_owned();
        let error =
            lastpass::Error::Unreachable { host, waited: Duration::from_secs(10), why: why.to_owned(), source: None };
        cases.push(case(why, error, "LastPass.Unreachable"));
    }
    let proof =
        "it places an event at 2025-07-01T15:00:00Z, which is in the future: the clock shows 2025-07-01T12:00:00Z"
            .to_owned();
    let error = lastpass::Error::WrongTimeZone { zone: "America/Los_Angeles".to_owned(), proof };
    cases.push(case("an event ahead of the clock", error, "LastPass.WrongTimeZone"));
    let eastern = ApiZone::new("US/Eastern").expect("a zone");
    let (offset, clock) = (jiff::tz::offset(-7), "2025-07-01T12:00:00Z".parse().expect("a time"));
    let proof = lastpass::own_polls::explain(&eastern, offset, clock);
    let error = lastpass::Error::WrongTimeZone { zone: "US/Eastern".to_owned(), proof };
    cases.push(case("own requests at another offset", error, "LastPass.WrongTimeZone"));
    let error = lastpass::Error::BadAnswer { command: Command::Reporting, why: "its `next` does not advance" };
    cases.push(case("a `next` that does not advance", error, "LastPass.BadAnswer"));
    review("lastpass", &cases);
}

#[test]
fn answers_of_secrets_manager() {
    let role = "User: arn:aws:sts::123456789012:assumed-role/lastpass-Role/lastpass is not authorized to perform: secretsmanager:GetSecretValue on resource: lastpass";
    let kms = "User: arn:aws:sts::123456789012:assumed-role/lastpass-Role/lastpass is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-west-1:123456789012:key/7";
    let table: &[Failed<'_>] = &[
        ("no permission", 400, Some("AccessDeniedException"), role, "Secret.Forbidden"),
        ("no permission for the KMS key", 400, Some("AccessDeniedException"), kms, "Secret.Forbidden"),
        (
            "access to KMS is not allowed",
            400,
            Some("AccessDeniedException"),
            "Access to KMS is not allowed",
            "Secret.Forbidden",
        ),
        (
            "decryption failed",
            400,
            Some("DecryptionFailure"),
            "Secrets Manager can't decrypt the protected secret text using the provided KMS key.",
            "Secret.Forbidden",
        ),
        (
            "expired credentials of the role",
            400,
            Some("ExpiredTokenException"),
            "The security token included in the request is expired",
            "Secret.Forbidden",
        ),
        (
            "a signature that isn't valid",
            403,
            Some("InvalidSignatureException"),
            "Signature expired",
            "Secret.Forbidden",
        ),
        (
            "no such secret",
            400,
            Some("ResourceNotFoundException"),
            "Secrets Manager can't find the specified secret.",
            "Secret.Unreachable",
        ),
        (
            "no value in it",
            400,
            Some("ResourceNotFoundException"),
            "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
            "Secret.Unreachable",
        ),
        (
            "scheduled for deletion",
            400,
            Some("InvalidRequestException"),
            "You can't perform this operation on the secret because it was marked for deletion.",
            "Secret.Unreachable",
        ),
        (
            "an ARN that isn't one",
            400,
            Some("ValidationException"),
            "Invalid name. Must be a valid name containing alphanumeric characters",
            "Secret.Unreachable",
        ),
        (
            "a parameter that isn't valid",
            400,
            Some("InvalidParameterException"),
            "The parameter name is invalid",
            "Secret.Unreachable",
        ),
        (
            "an internal error of the service",
            500,
            Some("InternalServiceError"),
            "An error occurred on the server side.",
            "Secret.Unreachable",
        ),
        ("throttling", 400, Some("ThrottlingException"), "Rate exceeded", "Secret.Unreachable"),
        ("a proxy's answer", 502, None, "", "Secret.Unreachable"),
        ("a login page", 200, None, "", "Secret.Unreachable"),
    ];
    let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:lastpass-a1B2c3";
    let mut cases: Vec<_> = table
        .iter()
        .map(|(what, status, code, message, error_type)| {
            let fault = CallError::answered(*status, *code, Some(message));
            case(*what, secrets::Error::of_call(fault, arn), error_type)
        })
        .collect();
    let error = secrets::Error::of_call(CallError::transient("no response before the deadline"), arn);
    cases.push(case("no answer", error, "Secret.Unreachable"));
    let problems = secrets::Problems(vec![secrets::Problem::Binary]);
    let error = secrets::Error::Invalid { secret_id: arn.to_owned(), problems };
    cases.push(case("binary data", error, "Secret.Invalid"));
    review("secrets_manager", &cases);
}

#[test]
fn answers_of_dynamodb() {
    const UPDATE: &str = "dynamodb:UpdateItem";
    let role = "User: arn:aws:sts::123456789012:assumed-role/lastpass-Role/lastpass is not authorized to perform: dynamodb:UpdateItem on resource: checkpoints";
    let table: &[Failed<'_>] = &[
        ("no permission", 400, Some("AccessDeniedException"), role, "Checkpoint.Forbidden"),
        (
            "invalid credentials",
            400,
            Some("UnrecognizedClientException"),
            "The security token included in the request is invalid.",
            "Checkpoint.Forbidden",
        ),
        (
            "a KMS key that is disabled",
            400,
            Some("AccessDeniedException"),
            "The KMS key arn:aws:kms:eu-west-1:123456789012:key/7 is disabled",
            "Checkpoint.Forbidden",
        ),
        (
            "no such table",
            400,
            Some("ResourceNotFoundException"),
            "Requested resource not found",
            "Checkpoint.Unreachable",
        ),
        (
            "a table with another key",
            400,
            Some("ValidationException"),
            "The provided key element does not match the schema",
            "Checkpoint.Unreachable",
        ),
        (
            "throughput exceeded",
            400,
            Some("ProvisionedThroughputExceededException"),
            "The level of configured provisioned throughput for the table was exceeded.",
            "Checkpoint.Unreachable",
        ),
        (
            "the account's limit",
            400,
            Some("RequestLimitExceeded"),
            "Throughput exceeds the current throughput limit for your account.",
            "Checkpoint.Unreachable",
        ),
        (
            "an internal error of the service",
            500,
            Some("InternalServerError"),
            "Internal server error",
            "Checkpoint.Unreachable",
        ),
        ("not available", 503, Some("ServiceUnavailable"), "unavailable", "Checkpoint.Unreachable"),
        ("a proxy's answer", 403, None, "", "Checkpoint.Unreachable"),
        ("a code that is new", 400, Some("NeverSeenException"), "new", "Checkpoint.Unreachable"),
    ];
    let mut cases: Vec<_> = table
        .iter()
        .map(|(what, status, code, message, error_type)| {
            let fault = CallError::answered(*status, *code, Some(message));
            case(*what, checkpoint::Error::of_call(fault, UPDATE, "checkpoints"), error_type)
        })
        .collect();
    let item = json!({
        "pk": {"S": "stream#user"},
        "version": {"N": "7"},
        "write_id": {"S": "w"},
        "watermark": {"S": "2025-05-01T12:00:00Z"},
        "destination": {"M": {"host": {"S": "es.example"}, "namespace": {"S": "default"}, "account": {"S": "7"}}},
        "lease": {"M": {"token": {"S": "t"}, "request_id": {"S": "r"}, "expires": {"S": "2025-05-01T12:01:00Z"}}},
        "unfinished": {"M": {"kind": {"S": "redrive"}, "position": {"S": "2025-05-01T12:00:00Z"}}},
    });
    let broken: &[(&str, &str, Value)] = &[
        ("no destination", "/destination", Value::Null),
        ("a destination that is a text", "/destination", json!({"S": "es.example"})),
        ("no host", "/destination/M/host", Value::Null),
        ("an invalid namespace", "/destination/M/namespace/S", json!("A-B")),
        ("an account of letters", "/destination/M/account/S", json!("x")),
        ("no version", "/version", Value::Null),
        ("a version that is a text", "/version", json!({"S": "7"})),
        ("a version below zero", "/version/N", json!("-1")),
        ("a watermark in words", "/watermark/S", json!("yesterday")),
        ("a watermark that is a number", "/watermark", json!({"N": "1746100800"})),
        ("a lease without a token", "/lease/M/token", Value::Null),
        ("a lease without an end", "/lease/M/expires", Value::Null),
        ("unfinished work of another kind", "/unfinished/M/kind/S", json!("dance")),
        ("unfinished work without a position", "/unfinished/M/position", Value::Null),
    ];
    for (what, pointer, value) in broken {
        let mut item = item.clone();
        if value.is_null() {
            let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
            item.pointer_mut(parent).and_then(Value::as_object_mut).expect("a map").shift_remove(name);
        } else {
            *item.pointer_mut(pointer).expect("a value") = value.clone();
        }
        let error = checkpoint::testing::read(item.as_object().expect("an item")).expect_err(what);
        cases.push(case(*what, error, "Checkpoint.Unreachable"));
    }
    let destination = |host: &str, namespace: &str, account: &str, uuid: &str| {
        Box::new(Destination {
            host: host.to_owned(),
            namespace: Namespace::new(namespace).expect("a namespace"),
            account: AccountNumber::new(account).expect("an account number"),
            cluster_uuid: Some(uuid.to_owned()),
        })
    };
    let stored = || destination("es.example", "default", "7", "first");
    for (what, now) in [
        ("another host", destination("new.example", "default", "7", "first")),
        ("another namespace", destination("es.example", "prod", "7", "first")),
        ("another account", destination("es.example", "default", "8", "first")),
        ("another cluster under the same host", destination("es.example", "default", "7", "second")),
    ] {
        let pk = Box::new(PartitionKey { account: None, key: Key::Stream(Stream::EventReport) });
        let error =
            checkpoint::Error::DestinationChanged { table: "checkpoints".to_owned(), pk, stored: stored(), now };
        cases.push(case(what, error, "Checkpoint.DestinationChanged"));
    }
    let expires = "2025-05-01T12:01:00Z".parse().ok();
    let error = checkpoint::Error::LeaseLost { table: "checkpoints".to_owned(), pk: "stream#user".to_owned(), expires };
    cases.push(case("a lease that was lost", error, "Checkpoint.Unreachable"));
    review("dynamodb", &cases);
}
