//! Tries every system and right, each with what it costs least.
//!
//! Never fails: what is wrong is the answer.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{
    checkpoint::Store,
    deadline::Deadline,
    document::Namespace,
    elastic::{self, Role},
    error::Error,
    lastpass::{self, reporting, time::ApiZone},
};

/// The answer to `check`.
#[derive(Debug, Serialize)]
pub struct CheckAnswer {
    action: &'static str,
    status: CheckStatus,
    checks: Vec<Check>,
}

/// How a check, or all of them, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// Something has to be mended: the message says what and where.
    Failed,
    /// Not tried, because of a failure before.
    Skipped,
}

/// One thing that was tried.
#[derive(Debug, Serialize)]
pub struct Check {
    name: &'static str,
    status: CheckStatus,
    message: String,
}

/// What is tried once the settings and the secret are known.
pub struct Systems<'a> {
    /// The account.
    pub lastpass: &'a lastpass::Client,
    /// The cluster, with the key that writes.
    pub elastic: &'a elastic::Client,
    /// The checkpoints.
    pub store: &'a Store,
    /// The zone setting.
    pub zone: &'a ApiZone,
    /// The namespace setting.
    pub namespace: &'a Namespace,
    /// The clock.
    pub now: Timestamp,
    /// When to stop.
    pub deadline: Deadline,
}

/// The names of the checks after the settings and the secret, in their order.
const OF_SYSTEMS: [&str; 7] = [
    "checkpoint",
    "lastpass_event_report",
    "lastpass_user",
    "lastpass_detailed_shared_folder",
    "elasticsearch",
    "elasticsearch_rights",
    "index_templates",
];

impl Check {
    fn of(name: &'static str, tried: Result<String, String>) -> Self {
        match tried {
            Ok(message) => Self { name, status: CheckStatus::Ok, message },
            Err(message) => Self { name, status: CheckStatus::Failed, message },
        }
    }

    fn skipped(name: &'static str, because: &str) -> Self {
        Self { name, status: CheckStatus::Skipped, message: format!("not tried: {because}") }
    }
}

impl CheckAnswer {
    fn new(checks: Vec<Check>) -> Self {
        let all_ok = checks.iter().all(|check| check.status == CheckStatus::Ok);
        let status = if all_ok { CheckStatus::Ok } else { CheckStatus::Failed };
        Self { action: "check", status, checks }
    }

    /// The answer where the settings are wrong: nothing else can be tried.
    #[must_use]
    pub fn without_settings(error: &Error) -> Self {
        let mut checks = vec![Check::of("settings", Err(error.with_causes()))];
        checks.push(Check::skipped("secret", "the settings have to be mended first"));
        checks.extend(OF_SYSTEMS.map(|name| Check::skipped(name, "the settings have to be mended first")));
        Self::new(checks)
    }

    /// The answer where the secret can't be used.
    #[must_use]
    pub fn without_secret(error: &Error) -> Self {
        let mut checks = vec![settings_ok(), Check::of("secret", Err(error.with_causes()))];
        checks.extend(OF_SYSTEMS.map(|name| Check::skipped(name, "the secret has to be mended first")));
        Self::new(checks)
    }
}

fn settings_ok() -> Check {
    Check::of("settings", Ok("the settings are valid".to_owned()))
}

/// Tries every system.
pub async fn check(systems: &Systems<'_>) -> CheckAnswer {
    let Systems { lastpass, elastic, store, zone, namespace, now, deadline } = *systems;
    let mut checks = vec![settings_ok(), Check::of("secret", Ok("the secret is readable and complete".to_owned()))];
    let mut tried = |name, result: Result<String, Error>| {
        checks.push(Check::of(name, result.map_err(|error| error.with_causes())));
    };
    let [checkpoint, events, users, folders, cluster, rights, templates] = OF_SYSTEMS;
    tried(
        checkpoint,
        store
            .check_access(deadline)
            .await
            .map_err(Error::from)
            .map(|()| "the table can be read and written".to_owned()),
    );
    tried(events, check_events(lastpass, zone, now, deadline).await);
    let answer = lastpass.fetch_users(0, deadline).await;
    tried(
        users,
        answer.map_err(Error::from).map(|page| match page.total {
            Some(total) => format!("LastPass answers getuserdata: {total} users"),
            None => "LastPass answers getuserdata".to_owned(),
        }),
    );
    let answer = lastpass.fetch_folders(0, deadline).await;
    tried(folders, answer.map_err(Error::from).map(|_| "LastPass answers getdetailedsfdata".to_owned()));
    let info = elastic::cluster_info(elastic, deadline).await;
    tried(
        cluster,
        info.map_err(Error::from).map(|info| {
            let flavour = if info.serverless { "serverless" } else { "stateful" };
            format!("Elasticsearch {} ({flavour}) accepts the API key", info.version)
        }),
    );
    let missing = elastic::missing_rights(elastic, Role::Writer, namespace, deadline).await.map_err(Error::from);
    match missing {
        Ok(missing) if missing.is_empty() => tried(rights, Ok("the API key has every right of the writer role".to_owned())),
        Ok(missing) => checks.push(Check::of(
            rights,
            Err(format!(
                "the API key lacks {}: create one with the role in assets/roles/writer.json in Kibana under Stack Management > API keys, and store it as `elastic_api_key` in the secret",
                missing.join(", ")
            )),
        )),
        Err(error) => tried(rights, Err(error)),
    }
    checks.push(Check::of(
        templates,
        match elastic::is_set_up(elastic, deadline).await {
            Ok(true) => Ok("the index templates are installed".to_owned()),
            Ok(false) => Err("the index templates are not installed, or are those of an older version: invoke the function with {\"action\": \"setup\"}".to_owned()),
            Err(error) => Err(Error::from(error).with_causes()),
        },
    ));
    CheckAnswer::new(checks)
}

/// Asks for the events around the last hour.
async fn check_events(
    lastpass: &lastpass::Client,
    zone: &ApiZone,
    now: Timestamp,
    deadline: Deadline,
) -> Result<String, Error> {
    let hour = SignedDuration::from_hours(1);
    let request = reporting::Request {
        from: now.saturating_sub(hour).unwrap_or(now),
        to: now.saturating_add(hour).unwrap_or(now),
        next_us: None,
    };
    let page = lastpass.fetch_events(&request, zone, deadline).await?;
    Ok(format!("LastPass answers reporting: {} events around the last hour", page.events.len()))
}
