//! All scenarios by name.

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

/// One scenario: a world, something that goes wrong, and what has to come of it.
#[derive(Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    /// What goes wrong in it.
    pub about: &'static str,
    pub play: fn(Context) -> BoxFuture<'static, Result<Tally, Error>>,
}

macro_rules! scenario {
    ($module:ident :: $name:ident, $about:literal) => {
        Scenario { name: stringify!($name), about: $about, play: |context| Box::pin($module::$name(context)) }
    };
}

/// All of them.
pub const SCENARIOS: &[Scenario] = &[
    scenario!(lastpass::pages, "pages of any size, order and bounds; seconds larger than a page"),
    scenario!(lastpass::repeating_pages, "`next` repeats events of the page before"),
    scenario!(lastpass::lastpass_faults, "429, 503, web pages, cut and slow answers, FAIL"),
    scenario!(lastpass::late_events, "live runs; events that appear late, twins of known ones among them"),
    scenario!(lastpass::rotated_hash, "the provisioning hash is rotated between two pages"),
    scenario!(elasticsearch::rotated_api_key, "the API key is rotated between two calls of a run"),
    scenario!(snapshots::changing_users, "users come and go between two pages; killed and faulty in between"),
    scenario!(snapshots::changing_folders, "shared folders come and go between two pages"),
    scenario!(elasticsearch::elasticsearch_faults, "429 and 503, whole and of single items; cut before and after"),
    scenario!(elasticsearch::cluster_down, "the cluster is away for several invocations"),
    scenario!(elasticsearch::cluster_emptied, "the cluster comes back empty"),
    scenario!(elasticsearch::rollovers, "rollovers between and inside runs, between asking and writing"),
    scenario!(elasticsearch::unreadable_indices, "an older backing index is closed or blocked, then can be read again"),
    scenario!(elasticsearch::refused_items, "items refused for good, their dead letters, and their redrive"),
    scenario!(function::killed, "killed at every single outside call"),
    scenario!(function::timed_out, "no answer to an outside call until the deadline, at every single one"),
    scenario!(function::together, "two and five invocations at once; a schedule's retries"),
    scenario!(function::backfills, "backfills across, before and over the watermark, twice, beside live runs"),
    scenario!(dynamodb::dynamodb_faults, "throttled, failing, slow; answers to conditional writes that are lost"),
    scenario!(dynamodb::lost_lease, "a lease runs out while its owner lives"),
    scenario!(first_day::first_day, "number, namespace or address mistyped before anything was acknowledged"),
    scenario!(clocks::wrong_clock, "the function's clock is two minutes off"),
    scenario!(clocks::live_clock_change, "live runs through a repeated and a skipped hour"),
    scenario!(clocks::backfilled_clock_change, "backfills over a repeated and a skipped hour"),
    scenario!(clocks::wrong_zone, "the zone setting is wrong, and then repaired"),
    scenario!(everything::everything, "all of these by turns"),
];
