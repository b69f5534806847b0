//! Orchestrates a run: window → pages → documents → bulk requests → checkpoint.
//!
//! Only this module knows both LastPass and Elasticsearch. It keeps one invariant: a position is saved only after every
//! document before it was acknowledged. A run may end at any point and in any way. The next run begins at the saved
//! position and delivers again, under the same `_id`s, every document that may not have arrived.

mod backfill;
mod changes;
mod comparing;
mod events;
#[cfg(test)]
#[path = "../../tests/unit/collect/events_properties.rs"]
mod events_properties;
mod live;
mod preview;
mod redrive;
mod reset;
mod resume;
mod run;
mod session;
mod slices;
mod snapshot;
mod snapshot_kind;
mod windows;
mod zone;

pub(crate) use self::zone::{ZoneProof, polls_of};
pub use self::{
    backfill::backfill,
    live::collect,
    preview::Preview,
    redrive::redrive,
    reset::reset,
    resume::{has_pending_work, resume},
    session::{Session, mapper},
    slices::plan,
    snapshot_kind::SnapshotKind,
    windows::{ZONE_REACH, open_end},
};
