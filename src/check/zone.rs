//! Checks the zone setting.

use jiff::SignedDuration;

use super::Systems;
use crate::{
    checkpoint::Key,
    clock, collect,
    document::Stream,
    lastpass::{
        self,
        own_polls::{Poll, Verdict},
        reporting,
        whole_seconds::{WindowReader, judge_follow_up},
    },
};

/// How far back events are requested. A response has a `next`, which shows the zone, only if the range holds more than
/// 10,000 events. Source: LASTPASS_API.md, "reporting": events are kept for about a year.
const RETENTION: SignedDuration = SignedDuration::from_hours(366 * 24);

/// The newest page of the event report, and its request.
pub(super) struct NewestEvents<'a> {
    reading: WindowReader<'a>,
    request: reporting::Request,
    pub(super) page: reporting::Page,
    pub(super) poll: Poll,
}

pub(super) async fn fetch_events_since<'a>(
    systems: &Systems<'a>,
    ago: SignedDuration,
) -> Result<NewestEvents<'a>, lastpass::Error> {
    let Systems { lastpass, zone, .. } = *systems;
    let now = clock::now();
    let from = zone.begin_outside_fold(now.saturating_sub(ago).unwrap_or(now));
    let to = collect::open_end(zone, now);
    let reading = WindowReader::new(zone, from, to);
    let request = reading.request();
    let sent = clock::now();
    let page = lastpass.fetch_events(&request, zone).await?;
    Ok(NewestEvents { reading, request, page, poll: Poll { sent, answered: clock::now() } })
}

/// Compares the zone setting with the clock, with `next`, with the page that `next` leads to, and with the events of
/// the function's own requests. Also returns the newest page of the last year. A temporary failure of LastPass is no
/// evidence against the zone.
pub(super) async fn check_zone(
    systems: &Systems<'_>,
    first_poll: Poll,
) -> (Result<String, lastpass::Error>, Option<reporting::Page>) {
    let Systems { lastpass, zone, .. } = *systems;
    let name = zone.name();
    let newest = match fetch_events_since(systems, RETENTION).await {
        Ok(newest) => newest,
        Err(error) if error.is_retryable() => {
            let message = format!(
                "nothing contradicts {name}, but LastPass did not return the events of the last year, which could \
                 confirm it: try again later"
            );
            return (Ok(message), None);
        }
        Err(error) => return (Err(error), None),
    };
    let mut polls = vec![first_poll, newest.poll];
    let page = newest.page.clone();
    let by_next = compare_next(systems, newest, &mut polls).await;
    let proof = collect::ZoneProof { lastpass, zone };
    let waiting = waiting_polls(systems).await;
    let verdict = match proof.judge(&page, &waiting) {
        differs @ Verdict::Differs { .. } => differs,
        Verdict::Agrees | Verdict::Unknown => proof.prove_zone(&page, &mut polls).await,
    };
    let outcome = match (by_next, verdict) {
        (_, Verdict::Differs { offset }) => Err(proof.wrong(offset)),
        (Err(error), _) if !error.is_retryable() => Err(error),
        (Ok(true), Verdict::Agrees) => Ok(format!(
            "{name} agrees with LastPass's own times (`next`) and with the `Reporting` events of the function's own requests"
        )),
        (Ok(true), Verdict::Unknown) => Ok(format!("{name} agrees with LastPass's own times (`next`)")),
        (_, Verdict::Agrees) => Ok(format!("{name} agrees with the `Reporting` events of the function's own requests")),
        (_, Verdict::Unknown) => Ok(format!(
            "nothing contradicts {name}: no event is in the future. The `Reporting` events of the function's own \
             requests, which could confirm it, have not appeared: check again in a few minutes, and compare an event \
             in Kibana with the Admin Console"
        )),
    };
    (outcome, Some(page))
}

/// Returns whether `next` agrees with the zone setting. Returns `false` if it proves nothing.
async fn compare_next(
    systems: &Systems<'_>,
    newest: NewestEvents<'_>,
    polls: &mut Vec<Poll>,
) -> Result<bool, lastpass::Error> {
    let Systems { lastpass, zone, .. } = *systems;
    let NewestEvents { mut reading, request, page, .. } = newest;
    let wrong = |contradiction| lastpass::Error::of_contradiction(&contradiction, zone);
    reading.take(page.clone(), clock::now()).map_err(wrong)?;
    let Some(next_us) = page.next_us else { return Ok(false) };
    let request = reporting::Request { next_us: Some(next_us), ..request };
    let sent = clock::now();
    let follow_up = lastpass.fetch_events(&request, zone).await?;
    polls.push(Poll { sent, answered: clock::now() });
    judge_follow_up(&page, next_us, &follow_up).map_err(wrong)
}

/// Returns the requests of a live run whose own events had not appeared yet. They may have appeared since.
async fn waiting_polls(systems: &Systems<'_>) -> Vec<Poll> {
    match systems.store.load(Key::Stream(Stream::EventReport)).await {
        Ok(Some(item)) => collect::polls_of(&item.state),
        Ok(None) | Err(_) => Vec::new(),
    }
}
