//! `check` names each problem and its remedy, and reports no problem for the setup that the README describes.

use jiff::{SignedDuration, tz::TimeZone};
use lastpass_harness::{
    Answer, Error, Fault, Function, Installation, Invocation, Rule, System, installer_role, now, writer_role,
};
use lastpass_simulator::{CompanySize, Event, NextIs, Quirks, Repeats, World};
use serde_json::{Value, json};

use crate::stage::{SETTING_UP, collect, company, message, plan};

const ALL: [&str; 17] = [
    "settings",
    "secret",
    "checkpoint",
    "checkpoint_destination",
    "clock",
    "lastpass_event_report",
    "lastpass_time_zone",
    "lastpass_user",
    "lastpass_user_time_zone",
    "lastpass_detailed_shared_folder",
    "elasticsearch",
    "elasticsearch_rights",
    "elasticsearch_excess_rights",
    "elasticsearch_setup_rights",
    "index_templates",
    "ignored_values",
    "other_writers",
];

async fn prepare(name: &str, world: World, quirks: Quirks) -> Result<Option<(Installation, Function)>, Error> {
    let Some((services, plan)) = plan(name).await else { return Ok(None) };
    let installation = plan.world(world).quirks(quirks).reporting_events().make(&services).await?;
    let function = installation.function();
    Ok(Some((installation, function)))
}

/// Runs a check. Asserts that the response lists every check once and in order.
async fn check(function: &mut Function) -> Result<Value, Error> {
    let answer = function.ask(json!({"action": "check"})).await?;
    let names: Vec<&str> = checks(&answer).map(|check| check["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ALL, "{answer}");
    assert!(checks(&answer).all(|check| check["message"].as_str().is_some_and(|text| !text.is_empty())), "{answer}");
    let all_ok = checks(&answer).all(|check| check["status"] == "ok");
    assert_eq!(answer["status"], if all_ok { "ok" } else { "failed" }, "{answer}");
    Ok(answer)
}

fn checks(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["checks"].as_array().expect("checks").iter()
}

fn of_status<'a>(answer: &'a Value, status: &str) -> Vec<&'a str> {
    checks(answer).filter(|check| check["status"] == status).filter_map(|check| check["name"].as_str()).collect()
}

/// Asserts that only these checks failed, and that the message of the first contains these words.
fn assert_failed(answer: &Value, names: &[&str], words: &[&str]) {
    assert_eq!(of_status(answer, "failed"), names, "{answer}");
    let text = message(answer, names[0]);
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

/// Returns the role without one of its privileges. A role needs an index privilege: if none remains, it gets `monitor`,
/// which neither role has on indices.
fn without(role: &Value, right: &str) -> Value {
    let whole = role;
    let mut role = role.clone();
    for list in ["/cluster", "/indices/0/privileges"] {
        role.pointer_mut(list).and_then(Value::as_array_mut).expect("rights").retain(|held| held != right);
    }
    let on_indices = role.pointer_mut("/indices/0/privileges").and_then(Value::as_array_mut).expect("rights");
    if on_indices.is_empty() {
        on_indices.push(json!("monitor"));
    }
    assert_ne!(role, *whole, "{right}");
    role
}

/// Returns the role with additional cluster and index privileges.
fn with(role: &Value, cluster: &[&str], indices: &Value) -> Value {
    let mut role = role.clone();
    let more = cluster.iter().map(|right| json!(right));
    role["cluster"].as_array_mut().expect("rights").extend(more);
    if indices.is_object() {
        role["indices"].as_array_mut().expect("indices").push(indices.clone());
    }
    role
}

async fn put_key(installation: &Installation, field: &str, role: &Value) -> Result<(), Error> {
    let key = installation.services.elasticsearch.create_key("check", role).await?;
    installation.put_credential(field, Some(&key.encoded)).await
}

#[tokio::test]
async fn the_documented_roles_pass_every_check() -> Result<(), Error> {
    let world = company(101, 60, 5);
    let Some((installation, mut function)) = prepare("check_ok", world, Quirks::default()).await? else {
        return Ok(());
    };
    let answer = check(&mut function).await?;
    assert_eq!(of_status(&answer, "ok"), ALL, "{answer}");
    assert!(message(&answer, "secret").contains("elastic_setup_api_key"), "{answer}");

    installation.put_credential("elastic_setup_api_key", None).await?;
    for stream in ["event_report", "user", "detailed_shared_folder"] {
        function.ask(collect(stream)).await?;
    }
    let answer = check(&mut function).await?;
    assert_eq!(answer["status"], "ok", "{answer}");
    assert!(!message(&answer, "secret").contains("elastic_setup_api_key"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_missing_privilege_is_named() -> Result<(), Error> {
    let world = company(102, 5, 5);
    let Some((installation, mut function)) = prepare("check_lacks", world, Quirks::default()).await? else {
        return Ok(());
    };
    for right in ["auto_configure", "create_doc", "read", "view_index_metadata"] {
        put_key(&installation, "elastic_api_key", &without(&writer_role(), right)).await?;
        let answer = check(&mut function).await?;
        assert!(of_status(&answer, "failed").contains(&"elasticsearch_rights"), "{answer}");
        let text = message(&answer, "elasticsearch_rights");
        for word in [right, "assets/roles/writer.json", "elastic_api_key", "Kibana"] {
            assert!(text.contains(word), "{word} is not in: {text}");
        }
        for other in ["auto_configure", "create_doc", "view_index_metadata"].iter().filter(|other| **other != right) {
            assert!(!text.contains(&format!("{other} on")), "{other} is not missing: {text}");
        }
    }
    put_key(&installation, "elastic_api_key", &without(&writer_role(), "monitor")).await?;
    let answer = check(&mut function).await?;
    assert_failed(&answer, &["elasticsearch"], &["`monitor`", "assets/roles"]);
    put_key(&installation, "elastic_api_key", &writer_role()).await?;
    for right in ["monitor", "manage_index_templates", "manage_ingest_pipelines", "manage"] {
        put_key(&installation, "elastic_setup_api_key", &without(&installer_role(), right)).await?;
        let answer = check(&mut function).await?;
        let words = [&format!("{right} on"), "assets/roles/installer.json", "elastic_setup_api_key"];
        assert_failed(&answer, &["elasticsearch_setup_rights"], &words);
    }
    // An expired key, as the README recommends an expiration after a day.
    installation.put_credential("elastic_setup_api_key", Some(&installation.installer.encoded)).await?;
    installation.services.elasticsearch.invalidate_key(&installation.installer).await?;
    let answer = check(&mut function).await?;
    assert_failed(&answer, &["elasticsearch_setup_rights"], &["remove `elastic_setup_api_key` from the secret"]);
    Ok(())
}

#[tokio::test]
async fn a_key_with_too_many_privileges_is_found() -> Result<(), Error> {
    let world = company(103, 5, 5);
    let Some((installation, mut function)) = prepare("check_excess", world, Quirks::default()).await? else {
        return Ok(());
    };
    let on = |name: &str, rights: &[&str]| json!({"names": [name], "privileges": rights});
    let ours = "logs-lastpass.*-*";
    for (cluster, indices, words) in [
        (vec!["all"], on("*", &["all"]), ["all", "on the cluster"]),
        (vec!["manage_security"], Value::Null, ["manage_security", "on the cluster"]),
        (vec!["manage_index_templates"], Value::Null, ["manage_index_templates", "on the cluster"]),
        (vec!["read_ilm"], Value::Null, ["read_ilm", "on the cluster"]),
        (vec![], on(ours, &["manage"]), ["manage", "on logs-lastpass.*-"]),
        (vec![], on(ours, &["delete"]), ["delete", "on logs-lastpass.*-"]),
        (vec![], on(ours, &["index"]), ["index", "on logs-lastpass.*-"]),
        (vec![], on("logs-lastpass.user-*", &["delete_index"]), ["delete_index", "on logs-lastpass.*-"]),
        (vec![], on("*", &["read"]), ["read", "on indices that do not belong to LastPass"]),
        (vec![], on("logs-*", &["create_doc"]), ["create_doc", "on indices that do not belong to LastPass"]),
        (vec![], on("metrics-*", &["view_index_metadata"]), ["view_index_metadata", "that do not belong to LastPass"]),
        (vec![], on(".alerts-*", &["read"]), ["read", "that do not belong to LastPass"]),
    ] {
        put_key(&installation, "elastic_api_key", &with(&writer_role(), &cluster, &indices)).await?;
        let answer = check(&mut function).await?;
        assert_failed(&answer, &["elasticsearch_excess_rights"], &words);
        assert_failed(&answer, &["elasticsearch_excess_rights"], &["assets/roles/writer.json", "delete the old one"]);
    }
    // The role includes all other namespaces of LastPass.
    put_key(&installation, "elastic_api_key", &with(&writer_role(), &[], &on("logs-lastpass.user-x", &["read"])))
        .await?;
    assert_eq!(check(&mut function).await?["status"], "ok");
    Ok(())
}

#[tokio::test]
async fn a_wrong_zone_is_found_by_next_to_the_east_and_to_the_west() -> Result<(), Error> {
    let documented = (NextIs::LastReturned, Repeats::Nothing);
    for (page_size, (next_is, next_repeats)) in [
        (20, documented),
        (20, (NextIs::FirstLeft, Repeats::Events(1))),
        (20, (NextIs::LastReturned, Repeats::BoundarySecond)),
        (10_000, documented),
    ] {
        for (zone, is_right) in [("US/Eastern", true), ("UTC", false), ("US/Pacific", false), ("Europe/Berlin", false)]
        {
            // The newest event is a week old, so that no zone makes it later than the clock.
            let week = SignedDuration::from_hours(7 * 24);
            let events = (0..400_i64).map(|number| {
                Event::at(now() - week - SignedDuration::from_mins(17 * number)).by("ann@example.com").doing("Log in")
            });
            let world = World::of_events(events);
            let time_zone = TimeZone::get("US/Eastern").expect("a zone");
            let quirks =
                Quirks { page_size, time_zone, next_is, next_repeats, reporting_events: false, ..Quirks::default() };
            let Some((_installation, mut function)) = prepare("check_zone", world, quirks).await? else {
                return Ok(());
            };
            function.set("LASTPASS_TIME_ZONE", zone).await;
            let answer = check(&mut function).await?;
            match (page_size, is_right) {
                (20, true) => assert!(message(&answer, "lastpass_time_zone").contains("agrees"), "{answer}"),
                (20, false) => {
                    assert_failed(&answer, &["lastpass_time_zone"], &["LASTPASS_TIME_ZONE", zone, "Admin Console"]);
                }
                // The responses do not reveal the zone.
                _ => assert!(message(&answer, "lastpass_time_zone").contains("nothing contradicts"), "{answer}"),
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_zone_that_puts_an_event_ahead_of_the_clock_is_wrong() -> Result<(), Error> {
    let quirks = Quirks { time_zone: TimeZone::UTC, reporting_events: false, ..Quirks::default() };
    let Some((_installation, mut function)) = prepare("check_ahead", company(105, 300, 1), quirks).await? else {
        return Ok(());
    };
    let answer = check(&mut function).await?;
    assert_failed(&answer, &["lastpass_time_zone"], &["LASTPASS_TIME_ZONE", "in the future: the clock shows"]);
    Ok(())
}

#[tokio::test]
async fn a_wrong_zone_is_found_by_own_requests_in_either_direction() -> Result<(), Error> {
    for (zone, set, words) in [
        ("US/Pacific", "US/Eastern", ["3 hours behind US/Eastern", "US/Pacific"]),
        ("US/Eastern", "US/Pacific", ["3 hours ahead of US/Pacific", "US/Eastern"]),
        ("Asia/Kathmandu", "Asia/Kolkata", ["15 minutes ahead of Asia/Kolkata: UTC+5:45", "Asia/Kathmandu"]),
        ("Asia/Kolkata", "Asia/Kathmandu", ["15 minutes behind Asia/Kathmandu: UTC+5:30", "Asia/Kolkata"]),
        ("Etc/GMT+12", "Pacific/Kiritimati", ["26 hours behind Pacific/Kiritimati: UTC-12 now", "Admin Console"]),
    ] {
        let time_zone = TimeZone::get(zone).expect("a zone");
        let quirks = Quirks { time_zone, ..Quirks::default() };
        let Some((installation, mut function)) = prepare("check_polls", World::default(), quirks).await? else {
            return Ok(());
        };
        // Another program requests the report once a minute.
        let others = (0..600).map(|minute| Event::at(now() - SignedDuration::from_mins(minute)).doing("Reporting"));
        installation.simulator.push_events(others);
        function.set("LASTPASS_TIME_ZONE", set).await;
        let answer = check(&mut function).await?;
        assert_failed(&answer, &["lastpass_time_zone"], &words);
        assert_eq!(of_status(&answer, "skipped"), ["lastpass_user_time_zone"], "{answer}");
        function.set("LASTPASS_TIME_ZONE", zone).await;
        let answer = check(&mut function).await?;
        assert_eq!(answer["status"], "ok", "{answer}");
        assert!(message(&answer, "lastpass_time_zone").contains("agrees with the `Reporting` events"), "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn own_requests_name_the_user_of_the_api_only_if_it_is_set() -> Result<(), Error> {
    let Some((installation, mut function)) = prepare("check_apiuser", company(109, 5, 5), Quirks::default()).await?
    else {
        return Ok(());
    };
    for user in ["", "lastpass-elastic"] {
        installation.simulator.forget_requests();
        function.set("LASTPASS_API_USER", user).await;
        assert_eq!(check(&mut function).await?["status"], "ok");
        for request in installation.simulator.requests() {
            let is_named = request.data["apiuser"] == "lastpass-elastic";
            assert_eq!(is_named, !user.is_empty() && request.command == "reporting", "{request:?}");
            assert!(is_named || request.data.get("apiuser").is_none(), "{request:?}");
        }
    }
    let names = installation.simulator.truth_events();
    assert!(names.iter().any(|event| event.record.contains("API: lastpass-elastic")));
    Ok(())
}

#[tokio::test]
async fn the_zone_of_the_dates_of_users_is_reported() -> Result<(), Error> {
    for (dates, set, status, words) in [
        (None, "UTC", "ok", "match US/Eastern, not UTC"),
        (None, "US/Eastern", "ok", "the dates of users match US/Eastern"),
        (None, "Europe/Berlin", "failed", "match US/Eastern, not Europe/Berlin"),
        (Some("UTC"), "UTC", "ok", "the dates of users match UTC"),
        (Some("UTC"), "US/Eastern", "failed", "match UTC, not US/Eastern"),
    ] {
        let user_time_zone = dates.map(|zone| TimeZone::get(zone).expect("a zone"));
        let quirks = Quirks { user_time_zone, ..Quirks::default() };
        // The last logins of users are among the events.
        let size = CompanySize { events: 400, days: 20, ..CompanySize::default() };
        let world = World::company(110, &size, now());
        let Some((_installation, mut function)) = prepare("check_dates", world, quirks).await? else { return Ok(()) };
        function.set("LASTPASS_USER_TIME_ZONE", set).await;
        let answer = check(&mut function).await?;
        let text = message(&answer, "lastpass_user_time_zone");
        assert!(text.contains(words), "{text}");
        assert_eq!(of_status(&answer, "failed").contains(&"lastpass_user_time_zone"), status == "failed", "{answer}");
        assert_eq!(text.contains("LastPassUserTimeZone"), words.contains("not"), "{text}");
    }
    let Some((_installation, mut function)) = prepare("check_no_dates", World::default(), Quirks::default()).await?
    else {
        return Ok(());
    };
    let answer = check(&mut function).await?;
    assert!(message(&answer, "lastpass_user_time_zone").contains("not enough data"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_clock_that_is_off_is_found() -> Result<(), Error> {
    let Some((_installation, mut function)) = prepare("check_clock", company(106, 5, 5), Quirks::default()).await?
    else {
        return Ok(());
    };
    for minutes in [10, -10] {
        function.set_clock(SignedDuration::from_mins(minutes)).await;
        let answer = check(&mut function).await?;
        assert!(of_status(&answer, "failed").contains(&"clock"), "{answer}");
        assert!(message(&answer, "clock").contains("NTP"), "{answer}");
    }
    function.set_clock(SignedDuration::from_secs(60)).await;
    assert_eq!(check(&mut function).await?["status"], "ok");
    Ok(())
}

#[tokio::test]
async fn a_fault_of_one_system_fails_only_its_own_check() -> Result<(), Error> {
    let Some((installation, mut function)) = prepare("check_systems", company(107, 5, 5), Quirks::default()).await?
    else {
        return Ok(());
    };
    let of_lastpass = &ALL[5..10];
    let broken = [
        (System::LastPass, "", Answer::html(200), "lastpass_event_report", "LASTPASS_URL"),
        (System::LastPass, "getuserdata", Answer::json(400, &json!({})), "lastpass_user", "Admin Console"),
        (
            System::LastPass,
            "getdetailedsfdata",
            Answer::json(400, &json!({})),
            "lastpass_detailed_shared_folder",
            "Admin Console",
        ),
        (System::Elasticsearch, "", Answer::html(200), "elasticsearch", "ELASTICSEARCH_URL"),
        (
            System::DynamoDb,
            "UpdateItem",
            Answer::json(400, &json!({"__type": "AccessDeniedException", "message": "not authorized"})),
            "checkpoint",
            "dynamodb:UpdateItem",
        ),
    ];
    for (system, operation, answer, name, word) in broken {
        installation.calls.add(Rule::on(system, operation, Fault::Answer(answer)));
        let invocation = Invocation::new(json!({"action": "check"})).with_timeout(std::time::Duration::from_secs(20));
        let answer = function.invoke(invocation).await?.answer()?;
        installation.calls.clear();
        assert_failed(&answer, &[name], &[word]);
        // Checks that need the failed system are skipped. The other systems are still checked.
        for skipped in of_status(&answer, "skipped") {
            let is_of_lastpass = of_lastpass.contains(&skipped);
            assert!(!is_of_lastpass || system == System::LastPass, "{answer}");
        }
    }
    installation.put_credential("provisioning_hash", Some("wrong-hash-of-this-test")).await?;
    let answer = check(&mut function).await?;
    assert_failed(&answer, &["lastpass_event_report"], &["provisioning_hash", "Admin Console"]);
    assert_eq!(of_status(&answer, "skipped"), of_lastpass[1..], "{answer}");

    installation.put_secret("{").await?;
    let answer = check(&mut function).await?;
    assert_failed(&answer, &["secret"], &["secret"]);
    assert_eq!(of_status(&answer, "skipped"), ALL[2..], "{answer}");

    function.set("OVERLAP", "soon").await;
    let answer = check(&mut function).await?;
    assert_failed(&answer, &["settings"], &["OVERLAP"]);
    Ok(())
}

#[tokio::test]
async fn checkpoints_of_another_destination_and_data_streams_of_other_templates_are_found() -> Result<(), Error> {
    let Some((installation, mut function)) = prepare("check_places", company(108, 5, 5), Quirks::default()).await?
    else {
        return Ok(());
    };
    let elasticsearch = &installation.services.elasticsearch;
    let users = installation.data_stream("user");
    let template = json!({
        "index_patterns": [users],
        "priority": 400,
        "data_stream": {},
        "template": {"mappings": {"properties": {"@timestamp": {"type": "date"}}}},
    });
    let path = format!("/_index_template/{users}");
    elasticsearch.request("PUT".parse().expect("PUT"), &path, Some(&template)).await?;
    // Until the data stream has our template, every `setup` fails.
    let setting_up = SETTING_UP.lock().await;
    // Checked before and after the function has written to it.
    let answer = check(&mut function).await?;
    assert_failed(&answer, &["index_templates"], &[&format!("index template {users} (priority 400)"), "delete it"]);
    function.ask(collect("user")).await?;
    elasticsearch.request("DELETE".parse().expect("DELETE"), &path, None).await?;
    let answer = check(&mut function).await?;
    assert_failed(&answer, &["index_templates"], &[&format!("data stream {users}"), "{\"action\": \"setup\"}"]);
    elasticsearch.roll_over(&users).await?;
    drop(setting_up);
    assert_eq!(check(&mut function).await?["status"], "ok");

    function.set("NAMESPACE", &format!("{}x", installation.namespace)).await;
    let answer = check(&mut function).await?;
    assert_failed(&answer, &["checkpoint_destination"], &["namespace", "reset"]);
    Ok(())
}

#[tokio::test]
async fn malformed_values_that_elasticsearch_ignored_fail_the_check_and_long_ones_do_not() -> Result<(), Error> {
    let Some((installation, mut function)) = prepare("check_ignored", company(109, 5, 5), Quirks::default()).await?
    else {
        return Ok(());
    };
    let elasticsearch = &installation.services.elasticsearch;
    let users = installation.data_stream("user");
    let put = |user: Value, tags: Value| {
        let document = json!({
            "@timestamp": "2026-10-05T12:00:00.500Z", "event": {"kind": "state"}, "tags": tags, "lastpass": {"user": user},
        });
        let path = format!("/{users}/_doc?refresh=true");
        async move { elasticsearch.request("POST".parse().expect("POST"), &path, Some(&document)).await }
    };
    // The value is stored but too long to be indexed, which is normal.
    put(json!({"sites": 1}), json!(["x".repeat(1_025)])).await?;
    let answer = check(&mut function).await?;
    assert_eq!(answer["status"], "ok", "{answer}");
    let text = message(&answer, "ignored_values");
    assert!(["no data is lost", "1 of", &users, "(tags)"].iter().all(|word| text.contains(word)), "{text}");
    // Our own template rejects a malformed value.
    assert!(put(json!({"sites": "many"}), json!([])).await.is_err());

    // A template with a higher priority accepts malformed values, as logsdb does by default.
    let path = format!("/_index_template/{users}");
    let template = json!({
        "index_patterns": [users],
        "priority": 400,
        "data_stream": {},
        "composed_of": ["lastpass-elastic.user"],
        "template": {"settings": {"index.mapping.ignore_malformed": true}},
    });
    elasticsearch.request("PUT".parse().expect("PUT"), &path, Some(&template)).await?;
    elasticsearch.roll_over(&users).await?;
    elasticsearch.request("DELETE".parse().expect("DELETE"), &path, None).await?;
    let answer = check(&mut function).await?;
    assert_failed(&answer, &["ignored_values"], &[&users, "index.mapping.ignore_malformed is true"]);
    put(json!({"sites": "many", "last_login": "soon"}), json!(["y".repeat(2_000)])).await?;
    put(json!({"sites": "few"}), json!([])).await?;
    let answer = check(&mut function).await?;
    let words = ["in 2 documents", "2026-10-05T12:00:00", "lastpass.user.last_login, lastpass.user.sites"];
    assert_failed(&answer, &["ignored_values"], &words);
    let words = ["ignore_malformed", "@custom", "{\"action\": \"setup\"}", "backfill", "1 of", "(tags)"];
    assert_failed(&answer, &["ignored_values"], &words);
    Ok(())
}
