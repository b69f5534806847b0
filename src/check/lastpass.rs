//! Checks each command of LastPass.

use futures_util::future::OptionFuture;
use jiff::SignedDuration;

use super::{
    Systems,
    zone::{check_zone, fetch_events_since},
};
use crate::{
    answer::{Checks, Name},
    error::Error,
    lastpass::{
        self, folders,
        paging::{Page, PageRequest},
        reporting,
        user_dates::{self, ZoneMatch},
        users,
    },
};

pub(super) async fn check_lastpass(systems: &Systems<'_>) -> Checks {
    let mut checks = Checks::default();
    // This is the cheapest request.
    let first_poll = match fetch_events_since(systems, SignedDuration::from_hours(1)).await {
        Ok(newest) => {
            let count = newest.page.events.len();
            let message = format!("LastPass responds to `reporting`: {count} events in the last hour");
            checks.add(Name::LastPassEventReport, Ok(message));
            Some(newest.poll)
        }
        Err(error) => {
            let concerns_only_this_command = matches!(error, lastpass::Error::Refused { .. });
            checks.add(Name::LastPassEventReport, Err(Error::from(error).with_causes()));
            let because = "LastPass must respond to `reporting` first";
            checks.skip(Name::LastPassTimeZone, because);
            checks.skip(Name::LastPassUserTimeZone, because);
            if !concerns_only_this_command {
                checks.skip(Name::LastPassUser, because);
                checks.skip(Name::LastPassDetailedSharedFolder, because);
                return checks;
            }
            None
        }
    };
    let zone = OptionFuture::from(first_poll.map(|poll| check_zone(systems, poll)));
    let (zone, users, folders) = tokio::join!(zone, fetch_first_users(systems), check_folders(systems));
    let with_causes = |error: lastpass::Error| Error::from(error).with_causes();
    if let Some((zone, events)) = zone {
        let is_zone_right = checks.add(Name::LastPassTimeZone, zone.map_err(with_causes));
        let name = Name::LastPassUserTimeZone;
        match (&users, events) {
            _ if !is_zone_right => checks.skip(name, "the time zone of events must be correct first"),
            (Err(_), _) => checks.skip(name, "LastPass must respond to `getuserdata` first"),
            (Ok(Some(users)), Some(events)) => {
                checks.add(name, judge_user_dates(systems, users, &events));
            }
            (Ok(None), _) => {
                let message = "the first page of users is too large to compare with the event report";
                checks.add(name, Ok(message.to_owned()));
            }
            (Ok(Some(_)), None) => {
                let message = "LastPass did not return the events of the last year, so the dates of users were not \
                               compared with their logins: try again later";
                checks.add(name, Ok(message.to_owned()));
            }
        }
    }
    checks.add(Name::LastPassUser, users.map(|users| users_message(users.as_ref())).map_err(with_causes));
    checks.add(Name::LastPassDetailedSharedFolder, folders.map_err(with_causes));
    checks
}

/// Fetches the first page of users. Returns `None` if it is too large, because a run then requests smaller pages.
async fn fetch_first_users(systems: &Systems<'_>) -> Result<Option<Page>, lastpass::Error> {
    match systems.lastpass.fetch_users(PageRequest::first(users::PAGE_SIZE)).await {
        Err(error) if error.is_too_large() => Ok(None),
        page => page.map(Some),
    }
}

fn users_message(page: Option<&Page>) -> String {
    let Some(page) = page else { return "LastPass responds to `getuserdata`".to_owned() };
    match page.total {
        Some(total) => format!("LastPass responds to `getuserdata`: {total} users"),
        None => format!("LastPass responds to `getuserdata`: {} users on the first page", page.entries.len()),
    }
}

/// Compares the last logins of users with the logins in the event report.
fn judge_user_dates(systems: &Systems<'_>, users: &Page, events: &reporting::Page) -> Result<String, String> {
    let Systems { zone, user_zone, .. } = *systems;
    let set = user_zone.name();
    match user_dates::compare(&users.entries, events, zone, user_zone) {
        ZoneMatch::AsSet { users } => Ok(format!(
            "the dates of users match {set}: the last logins of {users} users match logins in the event report"
        )),
        ZoneMatch::Other { zone, users } => {
            let message = format!(
                "the dates of users match {zone}, not {set}: with {zone}, the last logins of {users} users match \
                 logins in the event report. Set LASTPASS_USER_TIME_ZONE (parameter LastPassUserTimeZone), or \
                 `user_time_zone` in the secret if it has that field, to {zone}"
            );
            // Elastic's integration also reads these dates as UTC, so this is no fault: the documents are the same.
            let is_utc = ["UTC", "Etc/UTC"].iter().any(|utc| utc.eq_ignore_ascii_case(set));
            if is_utc { Ok(message) } else { Err(message) }
        }
        ZoneMatch::Unknown { compared: 0 } => Ok(format!(
            "it could not be determined whether the dates of users are in {set}: there is not enough data, because no \
             user has both a last login and a login in the event report"
        )),
        ZoneMatch::Unknown { compared } => Ok(format!(
            "it could not be determined whether the dates of users are in {set}: there is not enough data, because \
             the last logins of {compared} users match the event report in no known time zone"
        )),
    }
}

async fn check_folders(systems: &Systems<'_>) -> Result<String, lastpass::Error> {
    let request = PageRequest::first(folders::PAGE_SIZE);
    let page = match systems.lastpass.fetch_folders(request).await {
        Err(error) if error.is_too_large() => return Ok("LastPass responds to `getdetailedsfdata`".to_owned()),
        page => page?,
    };
    Ok(format!("LastPass responds to `getdetailedsfdata`: {} folders on the first page", page.entries.len()))
}
