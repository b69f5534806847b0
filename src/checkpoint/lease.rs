//! The lease, which lets only one run at a time change a checkpoint.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use tokio::time::timeout_at;

use super::item::{AttributeChange, LEASE, LEASE_TIME, lease_change, state_changes};
use super::refused_write::RefusedWrite;
use super::table::{Condition, Outcome, Table, Write};
use super::{Error, Key, PartitionKey, State};
use crate::aws::CallError;
use crate::clock::Deadline;

/// A lease of one checkpoint. Only its holder may change the checkpoint.
///
/// Its methods may be called from several futures at the same time, such as the work and a timer that renews the lease.
/// Their writes take effect one after the other. A future may be dropped at any point. The next call detects whether
/// its write took effect. A lease that is dropped without [`release`](Self::release) expires by itself.
#[derive(Debug)]
pub struct Lease {
    pub(super) table: Table,
    pub(super) pk: PartitionKey,
    pub(super) token: String,
    pub(super) request_id: String,
    pub(super) latest_expiry: Timestamp,
    pub(super) state: Mutex<State>,
    pub(super) written: tokio::sync::Mutex<Written>,
}

/// The last write that is known to have taken effect.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) version: u64,
    pub(super) expires: Timestamp,
}

/// Returns when a lease that is written at `now` expires.
pub(super) fn expiry(now: Timestamp, latest_expiry: Timestamp) -> Timestamp {
    now.saturating_add(LEASE_TIME).map_or(latest_expiry, |at| at.min(latest_expiry))
}

impl Lease {
    /// Returns this lease with another deadline for its writes.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Deadline) -> Self {
        self.table.deadline = deadline;
        self
    }

    /// Returns the key of the checkpoint.
    #[must_use]
    pub const fn key(&self) -> Key {
        self.pk.key
    }

    /// Returns the state of the checkpoint as it was found or last saved.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Saves `state` and renews the lease. Everything before the positions of `state` must be acknowledged.
    ///
    /// # Errors
    /// [`Error::LeaseLost`]: stop, because another run continues. [`Error::Unreachable`]: the write may have taken
    /// effect; call again to find out. Any other: the settings or permissions are wrong.
    pub async fn save(&self, state: State, now: Timestamp) -> Result<(), Error> {
        self.write(state_changes(self.pk.key, &state, now), Some(now)).await?;
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        Ok(())
    }

    /// Renews the lease and changes nothing else.
    ///
    /// # Errors
    /// The errors of [`save`](Self::save).
    pub async fn renew(&self, now: Timestamp) -> Result<(), Error> {
        self.write(Vec::new(), Some(now)).await
    }

    /// Saves `state` and releases the lease, at the end of a run.
    ///
    /// # Errors
    /// The errors of [`save`](Self::save). The lease then expires by itself.
    pub async fn release(self, state: State, now: Timestamp) -> Result<(), Error> {
        self.write(state_changes(self.pk.key, &state, now), None).await
    }

    /// Writes `changes` and the lease: renewed at `renewed`, or released if that is `None`.
    async fn write(&self, mut changes: Vec<AttributeChange>, renewed: Option<Timestamp>) -> Result<(), Error> {
        let mut written = timeout_at(self.table.deadline.instant(), self.written.lock()).await.map_err(|_| {
            let fault = CallError::transient("another write of the same checkpoint was still in progress");
            Error::of_call(fault, "dynamodb:UpdateItem", &self.table.name)
        })?;
        let expires = renewed.map(|now| expiry(now, self.latest_expiry).max(written.expires));
        changes.push(match expires {
            Some(expires) => lease_change(&self.token, &self.request_id, expires),
            None => (LEASE, None),
        });
        let condition = Condition::Held { version: written.version, token: self.token.clone() };
        let mut write = Write::new(condition, changes);
        loop {
            let found = match self.table.update(&self.pk.to_string(), &write).await? {
                Outcome::Done(_) => break,
                Outcome::Refused(found) => found,
            };
            match RefusedWrite::judge(found.as_ref(), &write.id, &self.token, written.version) {
                RefusedWrite::Written => break,
                RefusedWrite::Behind { version } => {
                    written.version = version;
                    write.condition = Condition::Held { version, token: self.token.clone() };
                }
                RefusedWrite::Lost { expires } => {
                    let (table, pk) = (self.table.name.clone(), self.pk.to_string());
                    return Err(Error::LeaseLost { table, pk, expires });
                }
            }
        }
        *written = Written { version: write.version(), expires: expires.unwrap_or(written.expires) };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_lasts_a_minute_and_never_outlives_its_run() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2024-05-01T12:00:00Z");
        assert_eq!(expiry(now, at("2024-05-01T12:15:00Z")), at("2024-05-01T12:01:00Z"));
        assert_eq!(expiry(now, at("2024-05-01T12:00:20Z")), at("2024-05-01T12:00:20Z"));
        assert_eq!(expiry(Timestamp::MAX, now), now);
    }
}
