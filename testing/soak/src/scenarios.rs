//! All scenarios by name.

mod changes;
mod clocks;
mod dynamodb;
mod elasticsearch;
mod everything;
mod first_day;
mod function;
mod lastpass;
mod snapshots;

use futures_util::future::BoxFuture;
use lastpass_harness::Error;

use crate::stage::Context;
use crate::tally::Tally;

/// One scenario: a world, its faults, and the expected result.
#[derive(Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    /// The faults of the scenario.
    pub about: &'static str,
    pub play: fn(Context) -> BoxFuture<'static, Result<Tally, Error>>,
}

macro_rules! scenario {
    ($module:ident :: $name:ident, $about:literal) => {
        Scenario { name: stringify!($name), about: $about, play: |context| Box::pin($module::$name(context)) }
    };
}

/// All scenarios.
pub const SCENARIOS: &[Scenario] = &[
    scenario!(lastpass::pages, "pages of any size, order and bounds; seconds larger than a page"),
    scenario!(lastpass::repeating_pages, "`next` repeats events of the page before"),
    scenario!(lastpass::lastpass_faults, "429, 503, HTML pages, cut and slow responses, FAIL"),
    scenario!(lastpass::late_events, "live runs; events that appear late, among them twins of known events"),
    scenario!(lastpass::rotated_hash, "the provisioning hash is rotated between two pages"),
    scenario!(elasticsearch::rotated_api_key, "the API key is rotated between two calls of a run"),
    scenario!(snapshots::changing_users, "users change between two pages; kills and faults in between"),
    scenario!(snapshots::changing_folders, "shared folders change between two pages"),
    scenario!(changes::changes, "snapshots of a company that changes between them; kills, retries, rollovers, faults"),
    scenario!(elasticsearch::elasticsearch_faults, "429 and 503, for requests and items; cut before and after"),
    scenario!(elasticsearch::cluster_down, "the cluster is down for several invocations"),
    scenario!(elasticsearch::cluster_emptied, "the cluster comes back empty"),
    scenario!(elasticsearch::rollovers, "rollovers between and inside runs, between lookup and write"),
    scenario!(elasticsearch::unreadable_indices, "an older backing index is closed or blocked for a while"),
    scenario!(elasticsearch::refused_items, "rejected items, their dead letters and their redrive"),
    scenario!(function::killed, "killed at every outside call"),
    scenario!(function::timed_out, "no response until the deadline, at every outside call"),
    scenario!(function::together, "two and five invocations at once; retries of a schedule"),
    scenario!(function::backfills, "backfills across, before and over the watermark, twice, beside live runs"),
    scenario!(dynamodb::dynamodb_faults, "throttled, failing, slow; lost responses to conditional writes"),
    scenario!(dynamodb::lost_lease, "a lease expires while its owner is running"),
    scenario!(first_day::first_day, "number, namespace or address mistyped before anything was acknowledged"),
    scenario!(clocks::wrong_clock, "the function's clock is two minutes off"),
    scenario!(clocks::live_clock_change, "live runs through a repeated and a skipped hour"),
    scenario!(clocks::backfilled_clock_change, "backfills over a repeated and a skipped hour"),
    scenario!(clocks::wrong_zone, "the zone setting is wrong and then corrected"),
    scenario!(
        everything::everything,
        "in random order: faults of LastPass, Elasticsearch and DynamoDB, kills, silence, rollovers, concurrent runs, wrong clocks"
    ),
];
