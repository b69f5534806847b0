//! Checks every system and permission, each with the cheapest call.
//!
//! A check never fails, because faults are part of its answer. It writes nothing and reads no documents. The three
//! systems are checked at the same time, so that a system that hangs does not delay the others.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{
    checkpoint::{Key, Store},
    collect,
    deadline::Deadline,
    document::{Namespace, Stream},
    elastic::{self, ClusterInfo, Ignored, IgnoredValues, Role},
    error::Error,
    lastpass::{
        self, folders,
        own_polls::{Poll, Verdict},
        paging::PageRequest,
        reporting,
        time::ApiZone,
        user_dates::{self, Fit},
        users,
        whole_seconds::{CLOCK_TOLERANCE, WindowReader, judge_follow_up},
    },
};

/// How far back events are requested. Source: LASTPASS_API.md, "reporting": they are kept for about a year. One
/// response has at most 10,000 events. Only if there are more does it have a `next`, which shows the zone.
const RETENTION: SignedDuration = SignedDuration::from_hours(366 * 24);

const CREATE_WRITER_KEY: &str = "create one with the role in assets/roles/writer.json in Kibana under Stack Management > \
    API keys, and store it as `elastic_api_key` in the secret";

/// The answer to `check`.
#[derive(Debug, Serialize)]
pub struct CheckAnswer {
    action: &'static str,
    status: CheckStatus,
    checks: Vec<Check>,
}

/// The outcome of one check, or of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// Everything is correct.
    Ok,
    /// Something must be fixed. The message names it and where to fix it.
    Failed,
    /// Not checked, because an earlier check failed.
    Skipped,
}

/// One check and its outcome.
#[derive(Debug, Serialize)]
pub struct Check {
    name: Name,
    status: CheckStatus,
    message: String,
}

/// The checks, in the order of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Name {
    Settings,
    Secret,
    Checkpoint,
    CheckpointDestination,
    Clock,
    #[serde(rename = "lastpass_event_report")]
    LastPassEventReport,
    #[serde(rename = "lastpass_time_zone")]
    LastPassTimeZone,
    #[serde(rename = "lastpass_user")]
    LastPassUser,
    #[serde(rename = "lastpass_user_time_zone")]
    LastPassUserTimeZone,
    #[serde(rename = "lastpass_detailed_shared_folder")]
    LastPassDetailedSharedFolder,
    Elasticsearch,
    ElasticsearchRights,
    ElasticsearchExcessRights,
    ElasticsearchSetupRights,
    IndexTemplates,
    IgnoredValues,
    OtherWriters,
}

impl Name {
    const ALL: [Self; 17] = [
        Self::Settings,
        Self::Secret,
        Self::Checkpoint,
        Self::CheckpointDestination,
        Self::Clock,
        Self::LastPassEventReport,
        Self::LastPassTimeZone,
        Self::LastPassUser,
        Self::LastPassUserTimeZone,
        Self::LastPassDetailedSharedFolder,
        Self::Elasticsearch,
        Self::ElasticsearchRights,
        Self::ElasticsearchExcessRights,
        Self::ElasticsearchSetupRights,
        Self::IndexTemplates,
        Self::IgnoredValues,
        Self::OtherWriters,
    ];
}

/// The systems to check once the settings and the secret are known.
pub struct Systems<'a> {
    /// The client of the LastPass account.
    pub lastpass: &'a lastpass::Client,
    /// The client of the cluster, with the key for reading and writing documents.
    pub elastic: &'a elastic::Client,
    /// The client of the cluster with the key that only `setup` uses, if the secret has one.
    pub elastic_setup: Option<&'a elastic::Client>,
    /// The checkpoint store.
    pub store: &'a Store,
    /// The zone setting.
    pub zone: &'a ApiZone,
    /// The zone setting for the dates of users.
    pub user_zone: &'a ApiZone,
    /// The namespace setting.
    pub namespace: &'a Namespace,
    /// When the check must end.
    pub deadline: Deadline,
}

/// The checks so far.
#[derive(Debug, Default)]
struct Checks(Vec<Check>);

impl Checks {
    /// Records the outcome of a check. Returns whether it is correct.
    fn enter(&mut self, name: Name, tried: Result<String, String>) -> bool {
        let (status, message) = match tried {
            Ok(message) => (CheckStatus::Ok, message),
            Err(message) => (CheckStatus::Failed, message),
        };
        self.0.push(Check { name, status, message });
        status == CheckStatus::Ok
    }

    /// Records that a check was skipped.
    fn skip(&mut self, name: Name, because: &str) {
        self.0.push(Check { name, status: CheckStatus::Skipped, message: format!("not tried: {because}") });
    }

    /// Builds the answer. Checks without an outcome count as skipped.
    fn answer(mut self, because: &str) -> CheckAnswer {
        let entered: BTreeSet<Name> = self.0.iter().map(|check| check.name).collect();
        for name in Name::ALL.into_iter().filter(|name| !entered.contains(name)) {
            self.skip(name, because);
        }
        self.0.sort_by_key(|check| check.name);
        let all_ok = self.0.iter().all(|check| check.status == CheckStatus::Ok);
        let status = if all_ok { CheckStatus::Ok } else { CheckStatus::Failed };
        CheckAnswer { action: "check", status, checks: self.0 }
    }
}

impl CheckAnswer {
    /// Builds the answer for invalid settings, with which nothing else can be checked.
    #[must_use]
    pub fn without_settings(error: &Error) -> Self {
        let mut checks = Checks::default();
        checks.enter(Name::Settings, Err(error.with_causes()));
        checks.answer("correct the settings first")
    }

    /// Builds the answer for a secret that cannot be used.
    #[must_use]
    pub fn without_secret(error: &Error) -> Self {
        let mut checks = Checks::default();
        checks.enter(Name::Settings, Ok(SETTINGS_OK.to_owned()));
        checks.enter(Name::Secret, Err(error.with_causes()));
        checks.answer("correct the secret first")
    }
}

const SETTINGS_OK: &str = "the settings are valid";

/// Checks every system.
pub async fn check(systems: &Systems<'_>) -> CheckAnswer {
    let mut checks = Checks::default();
    checks.enter(Name::Settings, Ok(SETTINGS_OK.to_owned()));
    let secret = match systems.elastic_setup {
        None => "the secret is readable and complete",
        Some(_) => {
            "the secret is readable and complete; take `elastic_setup_api_key` out of it once `setup` has run, and delete that key"
        }
    };
    checks.enter(Name::Secret, Ok(secret.to_owned()));
    let (on_table, on_lastpass, (on_elasticsearch, cluster_uuid)) =
        tokio::join!(check_table(systems), check_lastpass(systems), check_elasticsearch(systems));
    for system in [on_table, on_lastpass, on_elasticsearch] {
        checks.0.extend(system.0);
    }
    if !checks.0.iter().any(|check| check.name == Name::CheckpointDestination) {
        checks.enter(Name::CheckpointDestination, check_destination(systems, cluster_uuid).await);
    }
    checks.answer("not checked, because a check that it depends on failed")
}

async fn check_table(systems: &Systems<'_>) -> Checks {
    let mut checks = Checks::default();
    match systems.store.check_access(systems.deadline).await {
        Ok(server_time) => {
            checks.enter(Name::Checkpoint, Ok("the table can be read and written".to_owned()));
            checks.enter(Name::Clock, judge_clock(collect::now(), server_time));
        }
        Err(error) => {
            checks.enter(Name::Checkpoint, Err(Error::from(error).with_causes()));
            let because = "the table of checkpoints has to answer first";
            checks.skip(Name::CheckpointDestination, because);
            checks.skip(Name::Clock, because);
        }
    }
    checks
}

async fn check_destination(systems: &Systems<'_>, cluster_uuid: Option<String>) -> Result<String, String> {
    let store = systems.store.in_cluster(cluster_uuid);
    match store.check_items(systems.deadline).await {
        Ok(true) => Ok(format!("the checkpoints belong to {}", store.destination())),
        Ok(false) => Ok(format!(
            "no checkpoint is bound yet: the first page that Elasticsearch acknowledges binds its stream to {}",
            store.destination()
        )),
        Err(error) => Err(Error::from(error).with_causes()),
    }
}

/// Compares the clock with `server_time`, the time of DynamoDB's response to the second.
fn judge_clock(clock: Timestamp, server_time: Option<Timestamp>) -> Result<String, String> {
    let Some(server_time) = server_time else {
        return Ok("DynamoDB's answer tells no time; nothing speaks against the clock".to_owned());
    };
    if clock.duration_since(server_time).abs() > CLOCK_TOLERANCE {
        return Err(format!(
            "the function's clock shows {clock:.0}, and AWS's {server_time}: have the machine's clock set by NTP (Lambda's own always is)"
        ));
    }
    Ok("the clock agrees with AWS's".to_owned())
}

async fn check_lastpass(systems: &Systems<'_>) -> Checks {
    let mut checks = Checks::default();
    // This is the cheapest request.
    let first_poll = match fetch_events_since(systems, SignedDuration::from_hours(1)).await {
        Ok(newest) => {
            let count = newest.page.events.len();
            let message = format!("LastPass answers reporting: {count} events since an hour ago");
            checks.enter(Name::LastPassEventReport, Ok(message));
            Some(newest.poll)
        }
        Err(error) => {
            let is_of_this_command_alone = matches!(error, lastpass::Error::Refused { .. });
            checks.enter(Name::LastPassEventReport, Err(Error::from(error).with_causes()));
            let because = "LastPass has to answer `reporting` first";
            checks.skip(Name::LastPassTimeZone, because);
            checks.skip(Name::LastPassUserTimeZone, because);
            if !is_of_this_command_alone {
                checks.skip(Name::LastPassUser, because);
                checks.skip(Name::LastPassDetailedSharedFolder, because);
                return checks;
            }
            None
        }
    };
    let zone = async {
        match first_poll {
            Some(poll) => Some(check_zone(systems, poll).await),
            None => None,
        }
    };
    let (zone, users, folders) = tokio::join!(zone, fetch_first_users(systems), check_folders(systems));
    let told = |error: lastpass::Error| Error::from(error).with_causes();
    if let Some((zone, events)) = zone {
        let is_zone_right = checks.enter(Name::LastPassTimeZone, zone.map_err(told));
        let name = Name::LastPassUserTimeZone;
        match (&users, events) {
            _ if !is_zone_right => checks.skip(name, "the time zone of events has to be right first"),
            (Err(_), _) => checks.skip(name, "LastPass has to answer `getuserdata` first"),
            (Ok(Some(users)), Some(events)) => {
                checks.enter(name, judge_user_dates(systems, users, &events));
            }
            (Ok(None), _) => {
                let message = "the first page of users is too large to be compared with the event report";
                checks.enter(name, Ok(message.to_owned()));
            }
            (Ok(Some(_)), None) => {
                let message = "LastPass did not answer for the events of the last year, so the dates of users were not compared with their logins: try again later";
                checks.enter(name, Ok(message.to_owned()));
            }
        }
    }
    checks.enter(Name::LastPassUser, users.map(|users| users_told(users.as_ref())).map_err(told));
    checks.enter(Name::LastPassDetailedSharedFolder, folders.map_err(told));
    checks
}

/// Fetches the first page of users. Returns `None` if it is too large, because a run then requests smaller pages.
async fn fetch_first_users(systems: &Systems<'_>) -> Result<Option<users::Page>, lastpass::Error> {
    match systems.lastpass.fetch_users(PageRequest::first(users::PAGE_SIZE), systems.deadline).await {
        Err(error) if error.is_too_large() => Ok(None),
        page => page.map(Some),
    }
}

fn users_told(page: Option<&users::Page>) -> String {
    let Some(page) = page else { return "LastPass answers getuserdata".to_owned() };
    match page.total {
        Some(total) => format!("LastPass answers getuserdata: {total} users"),
        None => format!("LastPass answers getuserdata: {} users in its first page", page.users.len()),
    }
}

/// Compares the last logins of users with the logins in the event report.
fn judge_user_dates(systems: &Systems<'_>, users: &users::Page, events: &reporting::Page) -> Result<String, String> {
    let Systems { zone, user_zone, .. } = *systems;
    let set = user_zone.name();
    match user_dates::compare(&users.users, events, zone, user_zone) {
        Fit::AsSet { users } => Ok(format!(
            "the dates of users fit {set}: {users} of them last logged in when the event report says that they did"
        )),
        Fit::Other { zone, users } => {
            let message = format!(
                "the dates of users fit {zone}, not {set}: with {zone}, {users} of them last logged in when the event report says that they did. Set LASTPASS_USER_TIME_ZONE (parameter LastPassUserTimeZone), or `user_time_zone` in the secret where it has one, to {zone}"
            );
            // Elastic's integration also reads these dates as UTC, so this is no fault: the documents are the same.
            if set == "UTC" { Ok(message) } else { Err(message) }
        }
        Fit::Unknown { compared: 0 } => Ok(format!(
            "it is not known whether the dates of users are in {set}: no user has both a last login and a login in the event report, which is not enough data to compare"
        )),
        Fit::Unknown { compared } => Ok(format!(
            "it is not known whether the dates of users are in {set}: the last logins of {compared} users fit the event report in no zone that is known, which is not enough data to tell"
        )),
    }
}

async fn check_folders(systems: &Systems<'_>) -> Result<String, lastpass::Error> {
    let request = PageRequest::first(folders::PAGE_SIZE);
    let page = match systems.lastpass.fetch_folders(request, systems.deadline).await {
        Err(error) if error.is_too_large() => return Ok("LastPass answers getdetailedsfdata".to_owned()),
        page => page?,
    };
    Ok(format!("LastPass answers getdetailedsfdata: {} folders in its first page", page.folders.len()))
}

/// The newest page of the event report, and its request.
struct NewestEvents<'a> {
    reading: WindowReader<'a>,
    request: reporting::Request,
    page: reporting::Page,
    poll: Poll,
}

async fn fetch_events_since<'a>(
    systems: &Systems<'a>,
    ago: SignedDuration,
) -> Result<NewestEvents<'a>, lastpass::Error> {
    let Systems { lastpass, zone, deadline, .. } = *systems;
    let now = collect::now();
    let from = zone.begin_outside_fold(now.saturating_sub(ago).unwrap_or(now));
    let to = collect::open_end(zone, now);
    let reading = WindowReader::new(zone, from, to);
    let request = reading.request();
    let sent = collect::now();
    let page = lastpass.fetch_events(&request, zone, deadline).await?;
    Ok(NewestEvents { reading, request, page, poll: Poll { sent, answered: collect::now() } })
}

/// Compares the zone setting with the clock, with `next`, with the page that `next` leads to, and with the events of
/// the function's own requests. Also returns the newest page of the last year. If LastPass cannot respond for so long a
/// range now, that is no evidence against the zone.
async fn check_zone(
    systems: &Systems<'_>,
    first_poll: Poll,
) -> (Result<String, lastpass::Error>, Option<reporting::Page>) {
    let Systems { lastpass, zone, deadline, .. } = *systems;
    let name = zone.name();
    let newest = match fetch_events_since(systems, RETENTION).await {
        Ok(newest) => newest,
        Err(error) if error.is_retryable() => {
            let message = format!(
                "nothing speaks against {name}, but LastPass did not answer for the last year, which could tell more: try again later"
            );
            return (Ok(message), None);
        }
        Err(error) => return (Err(error), None),
    };
    let mut polls = vec![first_poll, newest.poll];
    let page = newest.page.clone();
    let by_next = compare_next(systems, newest, &mut polls).await;
    let account = collect::Account { lastpass, zone, deadline };
    let waiting = waiting_polls(systems).await;
    let verdict = match account.judge(&page, &waiting) {
        differs @ Verdict::Differs { .. } => differs,
        Verdict::Agrees | Verdict::Unknown => account.prove_zone(&page, &mut polls).await,
    };
    let told = match (by_next, verdict) {
        (_, Verdict::Differs { offset }) => Err(account.wrong(offset)),
        (Err(error), _) if !error.is_retryable() => Err(error),
        (Ok(true), Verdict::Agrees) => Ok(format!(
            "{name} agrees with LastPass's own times (`next`) and with the `Reporting` events of the function's own requests"
        )),
        (Ok(true), Verdict::Unknown) => Ok(format!("{name} agrees with LastPass's own times (`next`)")),
        (_, Verdict::Agrees) => Ok(format!("{name} agrees with the `Reporting` events of the function's own requests")),
        (_, Verdict::Unknown) => Ok(format!(
            "nothing speaks against {name}: no event lies ahead of the clock. The `Reporting` events of the function's own requests, which could prove it, did not appear: check again in some minutes, and compare an event in Kibana with the Admin Console"
        )),
    };
    (told, Some(page))
}

/// Returns whether `next` agrees with the zone setting. Returns `false` if it proves nothing.
async fn compare_next(
    systems: &Systems<'_>,
    newest: NewestEvents<'_>,
    polls: &mut Vec<Poll>,
) -> Result<bool, lastpass::Error> {
    let Systems { lastpass, zone, deadline, .. } = *systems;
    let NewestEvents { mut reading, request, page, .. } = newest;
    let wrong = |contradiction| lastpass::Error::of_contradiction(&contradiction, zone);
    reading.take(page.clone(), collect::now()).map_err(wrong)?;
    let Some(next_us) = page.next_us else { return Ok(false) };
    let request = reporting::Request { next_us: Some(next_us), ..request };
    let sent = collect::now();
    let follow_up = lastpass.fetch_events(&request, zone, deadline).await?;
    polls.push(Poll { sent, answered: collect::now() });
    judge_follow_up(&page, next_us, &follow_up).map_err(wrong)
}

/// Returns the requests of a live run whose own events had not appeared yet. They may have appeared since.
async fn waiting_polls(systems: &Systems<'_>) -> Vec<Poll> {
    match systems.store.load(Key::Stream(Stream::EventReport), systems.deadline).await {
        Ok(Some(item)) => collect::polls_of(&item.state),
        Ok(None) | Err(_) => Vec::new(),
    }
}

/// Returns the checks, and the cluster's UUID if it responded.
async fn check_elasticsearch(systems: &Systems<'_>) -> (Checks, Option<String>) {
    let Systems { elastic, elastic_setup, namespace, deadline, .. } = *systems;
    let mut checks = Checks::default();
    let info = match elastic::cluster_info(elastic, deadline).await {
        Ok(info) => info,
        Err(error) => {
            checks.enter(Name::Elasticsearch, Err(Error::from(error).with_causes()));
            let because = "Elasticsearch has to accept the API key first";
            for name in [
                Name::CheckpointDestination,
                Name::ElasticsearchRights,
                Name::ElasticsearchExcessRights,
                Name::ElasticsearchSetupRights,
                Name::IndexTemplates,
                Name::IgnoredValues,
                Name::OtherWriters,
            ] {
                checks.skip(name, because);
            }
            return (checks, None);
        }
    };
    checks.enter(Name::Elasticsearch, judge_version(&info));

    let missing = elastic::missing_rights(elastic, Role::Writer, namespace, deadline).await;
    let rights = none_of(missing, "the API key has every right of the writer role", |missing| {
        format!("the API key lacks {missing}: {CREATE_WRITER_KEY}")
    });
    let can_read = checks.enter(Name::ElasticsearchRights, rights);

    let excess = elastic::excess_rights(elastic, &info, namespace, deadline).await;
    let excess = none_of(excess, "the API key has no right beyond the writer role", |excess| {
        format!(
            "the API key can do more than it should: {excess}. Instead of it {CREATE_WRITER_KEY}, then delete the old one"
        )
    });
    checks.enter(Name::ElasticsearchExcessRights, excess);

    let setup_rights = match elastic_setup {
        None => Ok("the secret has no `elastic_setup_api_key`; only `setup` needs one".to_owned()),
        Some(client) => match elastic::missing_rights(client, Role::Installer, namespace, deadline).await {
            Err(error) if error.is_auth() => Err(
                "Elasticsearch refuses the key for `setup`, which may have expired: take `elastic_setup_api_key` out of the secret; a new one is needed only to run `setup` again"
                    .to_owned(),
            ),
            missing => none_of(missing, "the key for `setup` has every right of the installer role", |missing| {
                format!(
                    "the key for `setup` lacks {missing}: create one with the role in assets/roles/installer.json, and store it as `elastic_setup_api_key` in the secret"
                )
            }),
        },
    };
    checks.enter(Name::ElasticsearchSetupRights, setup_rights);

    let stale = elastic::stale_assets(elastic, namespace, deadline).await;
    let templates = none_of(stale, "the index templates are installed and current", |stale| {
        format!("{stale}; then invoke the function with {{\"action\": \"setup\"}}")
    });
    checks.enter(Name::IndexTemplates, templates);

    if can_read {
        let (ignored, others) = tokio::join!(
            elastic::ignored_values(elastic, namespace, deadline),
            elastic::other_writers(elastic, namespace, deadline)
        );
        let told = |error: elastic::Error| Error::from(error).with_causes();
        checks.enter(Name::IgnoredValues, ignored.map_err(told).and_then(|found| judge_ignored(&found)));
        checks.enter(Name::OtherWriters, others.map_err(told).and_then(|found| judge_writers(found.as_ref())));
    } else {
        for name in [Name::IgnoredValues, Name::OtherWriters] {
            checks.skip(name, "the API key needs the rights of the writer role first");
        }
    }
    (checks, info.uuid)
}

/// Checks that Elasticsearch indexed every value that must be indexed. A value that is too long for a keyword need not
/// be.
fn judge_ignored(found: &[IgnoredValues]) -> Result<String, String> {
    let fields = |ignored: &Ignored| ignored.fields.join(", ");
    let mut faults = Vec::new();
    let mut remarks = Vec::new();
    for IgnoredValues { data_stream, malformed, not_indexed, takes_malformed } in found {
        if malformed.documents > 0 {
            let newest = malformed.newest.map(|time| format!(", the newest of {time:.0}")).unwrap_or_default();
            faults.push(format!(
                "{data_stream}: in {} documents{newest}, Elasticsearch ignored malformed values ({})",
                malformed.documents,
                fields(malformed)
            ));
        }
        if *takes_malformed {
            faults.push(format!("{data_stream}: its setting index.mapping.ignore_malformed is true"));
        }
        if not_indexed.documents > 0 {
            remarks.push(format!("{} of {data_stream} ({})", not_indexed.documents, fields(not_indexed)));
        }
    }
    let normal = match &remarks[..] {
        [] => String::new(),
        remarks => format!(
            "documents with values too long to be searched for, which are whole in `_source`: {}",
            remarks.join("; ")
        ),
    };
    match (&faults[..], normal.is_empty()) {
        ([], true) => Ok("no value was ignored by Elasticsearch".to_owned()),
        ([], false) => Ok(format!("nothing is lost; {normal}")),
        (faults, _) => Err(format!(
            "{}. Such values are in `_source` alone: no search finds them, and no dead letter tells of them. Take \
             `ignore_malformed` out of the @custom component templates, invoke the function with {{\"action\": \"setup\"}}, roll \
             the data stream over, delete the documents that have `_ignored`, and read their time again by a backfill \
             (docs/reliability.md, \"Values that Elasticsearch ignores\"){}{normal}",
            faults.join("; "),
            if normal.is_empty() { "" } else { ". Apart from that, " }
        )),
    }
}

/// Checks that no other program writes to the data streams.
fn judge_writers(found: Option<&(u64, Vec<String>)>) -> Result<String, String> {
    match found {
        None => Ok("nobody else wrote to the data streams in the last two days".to_owned()),
        Some((count, names)) => Err(format!(
            "an Elastic Agent, or something else, writes beside this function: {count} documents of the last two days in {}. \
             With the index templates of lastpass-elastic they are stored unparsed, and what both read is there twice. Stop \
             the agent's LastPass integration: docs/from-elastics-integration.md tells how, and how to keep both",
            names.join(", ")
        )),
    }
}

/// Returns `ok` if nothing was found. Otherwise builds the message with `wrong`.
fn none_of(
    found: Result<Vec<String>, elastic::Error>,
    ok: &str,
    wrong: impl Fn(&str) -> String,
) -> Result<String, String> {
    match found {
        Ok(found) if found.is_empty() => Ok(ok.to_owned()),
        Ok(found) => Err(wrong(&found.join("; "))),
        Err(error) if error.is_unknown_privilege() => {
            Ok("this can't be checked: the cluster does not know one of the privileges that it was asked about"
                .to_owned())
        }
        Err(error) => Err(Error::from(error).with_causes()),
    }
}

/// Checks that the cluster's version supports the templates. A serverless project is always up to date.
fn judge_version(info: &ClusterInfo) -> Result<String, String> {
    if !info.is_supported() {
        let (major, minor) = elastic::OLDEST_VERSION;
        return Err(format!(
            "the cluster has version {}: Elasticsearch {major}.{minor} or later is needed, because older ones don't know \
             `require_data_stream`; upgrade the cluster",
            info.version
        ));
    }
    let flavour = if info.serverless { "serverless" } else { "stateful" };
    Ok(format!("Elasticsearch {} ({flavour}) accepts the API key", info.version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time of the test")
    }

    #[test]
    fn a_clock_that_is_off_is_said_with_both_times() {
        let clock = at("2026-10-05T12:00:00Z");
        assert!(judge_clock(clock, None).is_ok());
        assert!(judge_clock(clock, Some(at("2026-10-05T12:05:00Z"))).is_ok());
        for server_time in ["2026-10-05T12:05:01Z", "2026-10-05T11:54:59Z"] {
            let text = judge_clock(clock, Some(at(server_time))).expect_err("a wrong clock");
            assert!(
                text.contains("2026-10-05T12:00:00Z") && text.contains(server_time) && text.contains("NTP"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_version_that_lacks_what_the_templates_need_is_said() {
        let info = |version: &str, serverless| ClusterInfo {
            name: "c".to_owned(),
            uuid: None,
            version: version.to_owned(),
            serverless,
        };
        for (version, serverless) in [
            ("8.13.0", false),
            ("8.13.0-SNAPSHOT", false),
            ("8.19.21", false),
            ("9.0.0", false),
            ("9.1.0-SNAPSHOT", false),
            ("10.1.2-SNAPSHOT", false),
            ("8.11.0", true),
        ] {
            assert!(judge_version(&info(version, serverless)).is_ok(), "{version}");
        }
        for version in ["8.12.2", "8.12.2-SNAPSHOT", "8.11.0", "8.9.0", "7.17.29", "2.19.0", "8", "", "unknown"] {
            let text = judge_version(&info(version, false)).expect_err("too old");
            assert!(text.contains(version) && text.contains("8.13"), "{text}");
        }
    }

    #[test]
    fn every_check_is_in_every_answer_in_its_order() {
        let error = Error::Config(crate::config::Config::read(|_| None).expect_err("no settings"));
        for answer in [CheckAnswer::without_settings(&error), CheckAnswer::without_secret(&error)] {
            let names: Vec<Name> = answer.checks.iter().map(|check| check.name).collect();
            assert_eq!(names, Name::ALL);
            assert_eq!(answer.status, CheckStatus::Failed);
        }
    }
}
