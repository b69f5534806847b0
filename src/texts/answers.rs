//! What LastPass, DynamoDB and Secrets Manager answer. Elasticsearch's answers are in `elastic`.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Says, case, review};
use crate::{
    aws::Fault,
    checkpoint::{self, Destination, Key, PartitionKey},
    document::{AccountNumber, Namespace, Stream},
    lastpass::{self, Command, answers::Answers, time::ApiZone},
    secrets,
};

/// How LastPass's answer to a command is read.
#[derive(Clone, Copy)]
enum Asked {
    Events,
    Users,
    Folders,
}

/// What is wrong, what was asked, the answer's status and body, and what comes of it.
type Answered<'a> = (&'a str, Asked, u16, &'a str, &'static str, Says);

/// What is wrong, the answer's status, its code and message, and what comes of it.
type Failed<'a> = (&'a str, u16, Option<&'a str>, &'a str, &'static str, Says);

#[test]
fn answers_of_lastpass() {
    use Asked::{Events, Folders, Users};
    const HASH: &str = "c0ffee5ec4e7badcafe0c0ffee5ec4e7";
    let echo = format!(r#"{{"status":"FAIL","error":"hash {HASH} is wrong"}}"#);
    let bad = "LastPass.BadAnswer";
    let page: Says = &["LASTPASS_URL", "enterpriseapi.php", "proxy"];
    let who: Says = &["Admin Console", "Dashboard", "Advanced > Enterprise API", "`provisioning_hash`"];
    let refused: Says = &["LastPass Business", "Admin Console"];
    let unreachable: Says = &["LASTPASS_URL", "next run"];
    let table: &[Answered<'_>] = &[
        ("401", Events, 401, "", "LastPass.Unauthorized", who),
        (
            "LastPass's own refusal",
            Users,
            200,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<lastpass rc=\"Authorization Error\"/>",
            "LastPass.Unauthorized",
            &["Authorization Error", "`account_number`", "`provisioning_hash`"],
        ),
        ("XML of something else", Users, 200, "<feed><title>News</title></feed>", bad, &["XML, and no refusal"]),
        (
            "WARN without events",
            Events,
            200,
            r#"{"status":"WARN","errors":["one of two servers is away"]}"#,
            "LastPass.Refused",
            &["one of two servers is away"],
        ),
        (
            "throttling in words",
            Folders,
            200,
            r#"{"error":"Too many requests"}"#,
            "LastPass.Throttled",
            &["too many requests"],
        ),
        (
            "a folder that is none",
            Folders,
            200,
            r#"{"101":{"score":1},"102":null}"#,
            bad,
            &["something else than shared folders"],
        ),
        (
            "no users, though there are some",
            Users,
            200,
            r#"{"total":5,"count":0,"Users":[]}"#,
            bad,
            &["no users, though its `total`"],
        ),
        (
            "403 by a firewall",
            Events,
            403,
            "<html>Access denied</html>",
            "LastPass.Throttled",
            &["HTTP 403", "rate", "IP restriction", "proxy", "`provisioning_hash`"],
        ),
        (
            "FAIL for an authorization error",
            Events,
            200,
            r#"{"status":"FAIL","error":"Authorization Error"}"#,
            "LastPass.Unauthorized",
            &["Authorization Error", "`account_number`"],
        ),
        ("FAIL that echoes the hash", Users, 200, &echo, "LastPass.Unauthorized", who),
        (
            "FAIL that echoes a piece of the hash",
            Users,
            200,
            r#"{"status":"FAIL","error":"hash c0ffee5e... is wrong"}"#,
            "LastPass.Unauthorized",
            who,
        ),
        (
            "FAIL for the account number",
            Folders,
            200,
            r#"{"status":"FAIL","errors":["no such cid"]}"#,
            "LastPass.Unauthorized",
            &["no such cid", "`account_number`"],
        ),
        (
            "FAIL for a missing permission",
            Folders,
            200,
            r#"{"status":"FAIL","error":{"text":"Permission denied"}}"#,
            "LastPass.Unauthorized",
            &["Permission denied"],
        ),
        ("FAIL without a reason", Events, 200, r#"{"status":"FAIL"}"#, "LastPass.Refused", refused),
        (
            "FAIL for the command",
            Folders,
            200,
            r#"{"status":"FAIL","error":"Unknown command"}"#,
            "LastPass.Refused",
            &["`getdetailedsfdata`", "Unknown command", "LastPass Business"],
        ),
        (
            "FAIL with a long reason",
            Users,
            200,
            Box::leak(format!(r#"{{"status":"error","error":"{}"}}"#, "no ".repeat(500)).into_boxed_str()),
            "LastPass.Refused",
            refused,
        ),
        (
            "FAIL in several lines",
            Users,
            200,
            r#"{"status":"FAIL","error":"no\n\u0000such\tthing"}"#,
            "LastPass.Refused",
            &["no  such thing"],
        ),
        ("400", Events, 400, "", "LastPass.Refused", &["HTTP 400", "Admin Console"]),
        ("402", Events, 402, "", "LastPass.Refused", &["HTTP 402", "LastPass Business"]),
        ("404", Events, 404, "<html>Not found</html>", bad, &["no API at that address", "LASTPASS_URL"]),
        ("405", Users, 405, "", bad, &["no API at that address", "LASTPASS_URL"]),
        ("407 of a proxy", Users, 407, "", bad, &["proxy in between wants credentials"]),
        ("a redirect to a login page", Events, 302, "", bad, &["redirects to another address", "LASTPASS_URL"]),
        ("a permanent redirect", Events, 301, "", bad, &["redirects", "LASTPASS_URL"]),
        ("408", Events, 408, "", "LastPass.Unreachable", unreachable),
        ("429", Events, 429, "", "LastPass.Throttled", &["429", "lower the rate of the schedules"]),
        ("429 for folders", Folders, 429, "", "LastPass.Throttled", &["`getdetailedsfdata`", "next run"]),
        ("500", Events, 500, "", "LastPass.Unreachable", &["HTTP 500", "LASTPASS_URL", "next run"]),
        ("502 of a proxy", Users, 502, "<html></html>", "LastPass.Unreachable", &["HTTP 502"]),
        ("503", Folders, 503, "", "LastPass.Unreachable", &["HTTP 503"]),
        ("a maintenance page of 200", Events, 200, "<!DOCTYPE html><html>soon</html>", bad, page),
        ("an empty body", Events, 200, "", bad, &["it is empty", "LASTPASS_URL"]),
        ("a text", Users, 200, "OK", bad, &["not a JSON object"]),
        ("JSON that was cut", Users, 200, r#"{"Users":{"#, bad, &["not JSON, or was cut"]),
        ("a list with something in it", Folders, 200, "[1]", bad, &["it is a list"]),
        ("another API's JSON", Events, 200, r#"{"ok":true}"#, bad, &["no events under `data`"]),
        ("events that are a text", Events, 200, r#"{"status":"OK","data":"none"}"#, bad, &["no events under `data`"]),
        (
            "a `next` that can't be read",
            Events,
            200,
            r#"{"status":"OK","next":"soon","data":[]}"#,
            bad,
            &["its `next` can't be read"],
        ),
        ("another API's JSON for users", Users, 200, r#"{"ok":true}"#, bad, &["no users under `Users`"]),
    ];
    let zone = ApiZone::new("US/Eastern").expect("a zone");
    let answers = Answers::with_hash(HASH);
    let mut cases: Vec<_> = table
        .iter()
        .map(|(what, asked, status, body, error_type, says)| {
            let answer = (*status, body.as_bytes());
            let error = match asked {
                Events => answers.events(answer, &zone).expect_err(what),
                Users => answers.users(answer).expect_err(what),
                Folders => answers.folders(answer).expect_err(what),
            };
            case(*what, error, error_type, says)
        })
        .collect();
    for case in &cases {
        assert!(!case.error.with_causes().contains("c0ffee5e") && !format!("{:?}", case.error).contains("c0ffee5e"));
    }
    let asked = r#"{"pagesize":1,"pageindex":3,"data":"all"}"#.to_owned();
    let error = lastpass::Error::TooLarge { command: Command::GetDetailedSfData, asked };
    cases.push(case("an answer that is too large", error, bad, &["24 MB", "\"pageindex\":3", "LASTPASS_URL", "proxy"]));
    for why in [
        "no connection",
        "it did not answer in time",
        "the connection was cut",
        "its certificate is for another host name",
    ] {
        let host = "lastpass.com".to_owned();
        let error =
            lastpass::Error::Unreachable { host, waited: Duration::from_secs(10), why: why.to_owned(), source: None };
        cases.push(case(why, error, "LastPass.Unreachable", &["lastpass.com", "LASTPASS_URL", "way to the internet"]));
    }
    let proof =
        "it puts an event at 2025-07-01T15:00:00Z, ahead of the clock, which shows 2025-07-01T12:00:00Z".to_owned();
    let error = lastpass::Error::WrongTimeZone { zone: "America/Los_Angeles".to_owned(), proof };
    let says = &["LASTPASS_TIME_ZONE", "America/Los_Angeles", "Admin Console"];
    cases.push(case("an event ahead of the clock", error, "LastPass.WrongTimeZone", says));
    let eastern = ApiZone::new("US/Eastern").expect("a zone");
    let (offset, clock) = (jiff::tz::offset(-7), "2025-07-01T12:00:00Z".parse().expect("a time"));
    let proof = lastpass::own_polls::explain(&eastern, offset, clock);
    let error = lastpass::Error::WrongTimeZone { zone: "US/Eastern".to_owned(), proof };
    let says = &["LASTPASS_TIME_ZONE", "3 hours behind US/Eastern", "UTC-7", "US/Pacific", "Admin Console"];
    cases.push(case("own requests at another offset", error, "LastPass.WrongTimeZone", says));
    let error = lastpass::Error::BadAnswer { command: Command::Reporting, why: "its `next` leads nowhere" };
    cases.push(case("a `next` that stands", error, "LastPass.BadAnswer", &["`reporting`", "its `next` leads nowhere"]));
    review("lastpass", &cases);
}

#[test]
fn answers_of_secrets_manager() {
    let role = "User: arn:aws:sts::123456789012:assumed-role/lastpass-Role/lastpass is not authorized to perform: secretsmanager:GetSecretValue on resource: lastpass";
    let kms = "User: arn:aws:sts::123456789012:assumed-role/lastpass-Role/lastpass is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-west-1:123456789012:key/7";
    let table: &[Failed<'_>] = &[
        (
            "no permission",
            400,
            Some("AccessDeniedException"),
            role,
            "Secret.Forbidden",
            &["`secretsmanager:GetSecretValue`", "`ReadCredentials`", "template.yaml"],
        ),
        (
            "no permission for the KMS key",
            400,
            Some("AccessDeniedException"),
            kms,
            "Secret.Forbidden",
            &["`kms:Decrypt`", "key's policy"],
        ),
        (
            "access to KMS is not allowed",
            400,
            Some("AccessDeniedException"),
            "Access to KMS is not allowed",
            "Secret.Forbidden",
            &["`kms:Decrypt`"],
        ),
        (
            "decryption failed",
            400,
            Some("DecryptionFailure"),
            "Secrets Manager can't decrypt the protected secret text using the provided KMS key.",
            "Secret.Forbidden",
            &["KMS key"],
        ),
        (
            "credentials of the role that ran out",
            400,
            Some("ExpiredTokenException"),
            "The security token included in the request is expired",
            "Secret.Forbidden",
            &["role"],
        ),
        (
            "a signature that isn't valid",
            403,
            Some("InvalidSignatureException"),
            "Signature expired",
            "Secret.Forbidden",
            &["role"],
        ),
        (
            "no such secret",
            400,
            Some("ResourceNotFoundException"),
            "Secrets Manager can't find the specified secret.",
            "Secret.Unreachable",
            &["SECRET_ARN", "`SecretArn`", "SECRET_PREFIX", "account and region"],
        ),
        (
            "no value in it",
            400,
            Some("ResourceNotFoundException"),
            "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
            "Secret.Unreachable",
            &["SECRET_ARN", "no value in it"],
        ),
        (
            "scheduled for deletion",
            400,
            Some("InvalidRequestException"),
            "You can't perform this operation on the secret because it was marked for deletion.",
            "Secret.Unreachable",
            &["scheduled for deletion", "SECRET_ARN"],
        ),
        (
            "an ARN that isn't one",
            400,
            Some("ValidationException"),
            "Invalid name. Must be a valid name containing alphanumeric characters",
            "Secret.Unreachable",
            &["SECRET_ARN is its ARN"],
        ),
        (
            "a parameter that isn't valid",
            400,
            Some("InvalidParameterException"),
            "The parameter name is invalid",
            "Secret.Unreachable",
            &["SECRET_ARN"],
        ),
        (
            "an error of theirs",
            500,
            Some("InternalServiceError"),
            "An error occurred on the server side.",
            "Secret.Unreachable",
            &["next run", "VPC"],
        ),
        ("throttling", 400, Some("ThrottlingException"), "Rate exceeded", "Secret.Unreachable", &["next run"]),
        (
            "a proxy's answer",
            502,
            None,
            "",
            "Secret.Unreachable",
            &["not the service's own", "next run", "interface endpoint"],
        ),
        ("a login page", 200, None, "", "Secret.Unreachable", &["not the service's own"]),
    ];
    let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:lastpass-a1B2c3";
    let mut cases: Vec<_> = table
        .iter()
        .map(|(what, status, code, message, error_type, says)| {
            let fault = Fault::answered(*status, *code, Some(message));
            case(*what, secrets::Error::of_call(fault, arn), error_type, says)
        })
        .collect();
    let error = secrets::Error::of_call(Fault::no_time("no answer before the time was up"), arn);
    cases.push(case("no answer", error, "Secret.Unreachable", &["interface endpoint", "next run", "secret:lastpass"]));
    let problems = secrets::Problems(vec![secrets::Problem::Binary]);
    let error = secrets::Error::Invalid { secret_id: arn.to_owned(), problems };
    cases.push(case("binary data", error, "Secret.Invalid", &["binary data", "`SecretString`", "put-secret-value"]));
    review("secrets_manager", &cases);
}

#[test]
fn answers_of_dynamodb() {
    const UPDATE: &str = "dynamodb:UpdateItem";
    let role = "User: arn:aws:sts::123456789012:assumed-role/lastpass-Role/lastpass is not authorized to perform: dynamodb:UpdateItem on resource: checkpoints";
    let table: &[Failed<'_>] = &[
        (
            "no permission",
            400,
            Some("AccessDeniedException"),
            role,
            "Checkpoint.Forbidden",
            &["`dynamodb:UpdateItem`", "`KeepCheckpoints`", "template.yaml"],
        ),
        (
            "credentials that are none",
            400,
            Some("UnrecognizedClientException"),
            "The security token included in the request is invalid.",
            "Checkpoint.Forbidden",
            &["role"],
        ),
        (
            "a KMS key that is disabled",
            400,
            Some("AccessDeniedException"),
            "The KMS key arn:aws:kms:eu-west-1:123456789012:key/7 is disabled",
            "Checkpoint.Forbidden",
            &["KMS key", "`kms:Decrypt`"],
        ),
        (
            "no such table",
            400,
            Some("ResourceNotFoundException"),
            "Requested resource not found",
            "Checkpoint.Unreachable",
            &["CHECKPOINT_TABLE", "`TableName`"],
        ),
        (
            "a table of another key",
            400,
            Some("ValidationException"),
            "The provided key element does not match the schema",
            "Checkpoint.Unreachable",
            &["CHECKPOINT_TABLE", "`pk`"],
        ),
        (
            "throughput exceeded",
            400,
            Some("ProvisionedThroughputExceededException"),
            "The level of configured provisioned throughput for the table was exceeded.",
            "Checkpoint.Unreachable",
            &["throttling in CloudWatch", "next run"],
        ),
        (
            "the account's limit",
            400,
            Some("RequestLimitExceeded"),
            "Throughput exceeds the current throughput limit for your account.",
            "Checkpoint.Unreachable",
            &["next run"],
        ),
        (
            "an error of theirs",
            500,
            Some("InternalServerError"),
            "Internal server error",
            "Checkpoint.Unreachable",
            &["next run"],
        ),
        ("not available", 503, Some("ServiceUnavailable"), "unavailable", "Checkpoint.Unreachable", &["next run"]),
        ("a proxy's answer", 403, None, "", "Checkpoint.Unreachable", &["not the service's own", "gateway endpoint"]),
        (
            "a code that is new",
            400,
            Some("NeverSeenException"),
            "new",
            "Checkpoint.Unreachable",
            &["CHECKPOINT_TABLE", "NeverSeenException"],
        ),
    ];
    let mut cases: Vec<_> = table
        .iter()
        .map(|(what, status, code, message, error_type, says)| {
            let fault = Fault::answered(*status, *code, Some(message));
            case(*what, checkpoint::Error::of_call(fault, UPDATE, "checkpoints"), error_type, says)
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
    let broken: &[(&str, &str, Value, &[&'static str])] = &[
        ("no destination", "/destination", Value::Null, &["`destination` must be a map"]),
        ("a destination that is a text", "/destination", json!({"S": "es.example"}), &["`destination` must be a map"]),
        ("no host", "/destination/M/host", Value::Null, &["`destination.host` must be a string"]),
        (
            "a namespace that is none",
            "/destination/M/namespace/S",
            json!("A-B"),
            &["`destination.namespace` must be a namespace"],
        ),
        (
            "an account of letters",
            "/destination/M/account/S",
            json!("x"),
            &["`destination.account` must be an account number in digits"],
        ),
        ("no version", "/version", Value::Null, &["`version` must be a whole number"]),
        ("a version that is a text", "/version", json!({"S": "7"}), &["`version` must be a whole number"]),
        ("a version below zero", "/version/N", json!("-1"), &["`version` must be a whole number that isn't negative"]),
        (
            "a watermark in words",
            "/watermark/S",
            json!("yesterday"),
            &["`watermark` must be a string with an RFC 3339 time, such as 2024-05-01T12:00:00Z"],
        ),
        (
            "a watermark that is a number",
            "/watermark",
            json!({"N": "1746100800"}),
            &["`watermark` must be a string with an RFC 3339 time"],
        ),
        ("a lease without a token", "/lease/M/token", Value::Null, &["`lease.token` must be a string"]),
        (
            "a lease without an end",
            "/lease/M/expires",
            Value::Null,
            &["`lease.expires` must be a string with an RFC 3339 time"],
        ),
        (
            "unfinished work of another kind",
            "/unfinished/M/kind/S",
            json!("dance"),
            &["`unfinished.kind` must be `window`, `snapshot` or `redrive`"],
        ),
        (
            "unfinished work without a position",
            "/unfinished/M/position",
            Value::Null,
            &["`unfinished.position` must be"],
        ),
    ];
    for (what, pointer, value, says) in broken {
        let mut item = item.clone();
        if value.is_null() {
            let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
            item.pointer_mut(parent).and_then(Value::as_object_mut).expect("a map").shift_remove(name);
        } else {
            *item.pointer_mut(pointer).expect("a value") = value.clone();
        }
        let error = checkpoint::testing::read(item.as_object().expect("an item")).expect_err(what);
        let mut says = says.to_vec();
        says.extend(["`stream#user`", "DynamoDB console", "not doubled"]);
        cases.push(case(*what, error, "Checkpoint.Unreachable", &says));
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
        let says = &["\"action\": \"reset\"", "\"stream\": \"event_report\"", "second stack"];
        cases.push(case(what, error, "Checkpoint.DestinationChanged", says));
    }
    let expires = "2025-05-01T12:01:00Z".parse().ok();
    let error = checkpoint::Error::LeaseLost { table: "checkpoints".to_owned(), pk: "stream#user".to_owned(), expires };
    cases.push(case(
        "a lease that was lost",
        error,
        "Checkpoint.Unreachable",
        &["nothing is lost", "2025-05-01T12:01:00Z"],
    ));
    review("dynamodb", &cases);
}
