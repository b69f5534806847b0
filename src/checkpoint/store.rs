//! Takes leases, reads items and resets them, across the whole table.

use std::sync::Mutex;

use aws_sdk_dynamodb::Client;
use jiff::Timestamp;

use super::attributes::Attributes;
use super::item::{AttributeChange, EXPIRES_AT, Item, LEASE, destination_change, lease_change, pk_of, state_changes};
use super::key::ACCOUNT;
use super::lease::{Lease, Written, expiry};
use super::refused_write::RefusedWrite;
use super::table::{Condition, Outcome, Table, Take, Write, random_id};
use super::{Destination, Error, Key, PartitionKey, State};
use crate::clock::Deadline;
use crate::document::AccountName;

/// The checkpoints of one account in the table, for one destination. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) table: Table,
    pub(super) account: Option<AccountName>,
    destination: Destination,
}

/// The outcome of [`Store::acquire`].
#[derive(Debug)]
pub enum Acquired {
    /// This run holds the lease.
    Held(Box<Lease>),
    /// Another run holds the lease.
    Busy {
        /// When the lease expires, unless it is renewed.
        expires: Timestamp,
    },
}

/// The outcome of [`Store::reset`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reset {
    /// The checkpoint was reset.
    Done {
        /// The previous item, if there was one.
        before: Option<Box<Item>>,
    },
    /// A run holds the lease.
    Busy {
        /// When the lease expires, unless it is renewed.
        expires: Timestamp,
    },
}

/// Items of the table.
#[derive(Debug, Default)]
pub struct Listing {
    /// The readable items, in no particular order.
    pub items: Vec<Item>,
    /// An [`Error::Broken`] for each unreadable item. A broken item must not delay the others.
    pub broken: Vec<Error>,
}

impl Listing {
    /// Adds an item of `table`.
    pub(super) fn add(&mut self, attributes: &Attributes, table: &str) {
        match Item::read(attributes, table) {
            Ok(item) => self.items.extend(item),
            Err(error) => self.broken.push(error),
        }
    }
}

/// The accounts whose items are listed.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// All accounts.
    AllAccounts,
    /// One account; `None` in a deployment with a single account.
    Account(Option<&'a AccountName>),
}

impl Scope<'_> {
    fn contains(self, pk: &str) -> bool {
        match self {
            Self::AllAccounts => true,
            Self::Account(Some(account)) => pk
                .strip_prefix(ACCOUNT)
                .is_some_and(|rest| rest.strip_prefix(account.as_str()).is_some_and(|rest| rest.starts_with('#'))),
            Self::Account(None) => !pk.starts_with(ACCOUNT),
        }
    }
}

/// The run that claims an item, and the time of the claim.
struct Claim<'a> {
    key: Key,
    request_id: &'a str,
    now: Timestamp,
}

/// The outcome of [`Store::take`].
enum Taken {
    Done(Changed),
    /// The item has another destination, a lease, or does not exist.
    Refused(Option<Box<Item>>),
}

/// The outcome of [`Store::change`].
enum Changed {
    Done { before: Option<Box<Item>>, version: u64 },
    Busy { expires: Timestamp },
}

/// Lists items of `table` without a destination or credentials. Skips items of a newer version whose key is unknown.
///
/// # Errors
/// Errors of the call to DynamoDB.
pub async fn list(client: &Client, table: String, scope: Scope<'_>, deadline: Deadline) -> Result<Listing, Error> {
    Table::new(client, table, deadline).list(scope).await
}

impl Table {
    async fn list(&self, scope: Scope<'_>) -> Result<Listing, Error> {
        let mut listing = Listing::default();
        let items = self.scan().await?;
        for attributes in items.into_iter().filter(|attributes| scope.contains(pk_of(attributes))) {
            listing.add(&attributes, &self.name);
        }
        Ok(listing)
    }

    /// Reads an item that was found, if there is one.
    fn read(&self, found: Option<Attributes>) -> Result<Option<Item>, Error> {
        found.map_or(Ok(None), |found| Item::read(&found, &self.name))
    }
}

impl Store {
    /// Builds a store that keeps its items in `table`, for `destination`. Replaces the client's own retries and
    /// timeouts. Its calls end at `deadline`.
    #[must_use]
    pub fn new(client: &Client, table: String, destination: Destination, deadline: Deadline) -> Self {
        Self { table: Table::new(client, table, deadline), account: None, destination }
    }

    /// Returns the store for `account`, in a deployment of several accounts.
    #[must_use]
    pub fn of_account(self, account: Option<AccountName>) -> Self {
        Self { account, ..self }
    }

    pub(super) fn pk(&self, key: Key) -> PartitionKey {
        PartitionKey { account: self.account.clone(), key }
    }

    /// Takes the lease of `key` for `request_id`. Creates the item if there is none.
    ///
    /// The lease expires no later than `latest_expiry`, because Lambda has ended the run by then. If an older version
    /// created the item without a cluster UUID, this call adds it.
    ///
    /// # Errors
    /// [`Error::DestinationChanged`] if the item is bound to another destination. A complete backfill or redrive starts
    /// over instead, and so does an item that is not bound. [`Error::Broken`] if the item cannot be read. Errors of the
    /// calls to DynamoDB.
    pub async fn acquire(
        &self,
        key: Key,
        request_id: &str,
        now: Timestamp,
        latest_expiry: Timestamp,
    ) -> Result<Acquired, Error> {
        let token = random_id();
        let expires = expiry(now, latest_expiry);
        let claim = Claim { key, request_id, now };
        let changes = |found: Option<&Item>| {
            let mut changes = vec![lease_change(&token, request_id, expires)];
            match self.start_from(found)? {
                Start::Continue(item) => {
                    // Without this, DynamoDB could delete the item during the run, and the work would start over.
                    changes.push((EXPIRES_AT, None));
                    if item.destination.cluster_uuid.is_none() {
                        changes.push(destination_change(&self.destination));
                    }
                }
                Start::Fresh(state) => {
                    changes.push(destination_change(&self.destination));
                    changes.extend(state_changes(key, &state, now));
                }
            }
            Ok(changes)
        };
        let changed = match self.take(&claim, &token, expires).await? {
            Taken::Done(changed) => changed,
            Taken::Refused(found) => self.change(&claim, found.map(|found| *found), changes).await?,
        };
        Ok(match changed {
            Changed::Busy { expires } => Acquired::Busy { expires },
            Changed::Done { before, version } => Acquired::Held(Box::new(Lease {
                table: self.table.clone(),
                pk: self.pk(key),
                token,
                request_id: request_id.to_owned(),
                latest_expiry,
                state: Mutex::new(match self.start_from(before.as_deref())? {
                    Start::Continue(item) => item.state.clone(),
                    Start::Fresh(state) => *state,
                }),
                written: tokio::sync::Mutex::new(Written { version, expires }),
            })),
        })
    }

    /// Takes a lease and reads its item in one call, if the item has this destination already. Otherwise returns the item
    /// that was found.
    async fn take(&self, claim: &Claim<'_>, token: &str, expires: Timestamp) -> Result<Taken, Error> {
        let pk = self.pk(claim.key).to_string();
        let write_id = random_id();
        let take = Take {
            write_id: &write_id,
            token,
            request_id: claim.request_id,
            now: claim.now,
            expires,
            destination: &self.destination,
        };
        // After an attempt that took effect, the item that is found has the version of that attempt.
        let (found, writes) = match self.table.take(&pk, &take).await? {
            Outcome::Done(before) => (before, 1),
            Outcome::Refused(found) if RefusedWrite::is_written(found.as_ref(), &write_id) => (found, 0),
            Outcome::Refused(found) => {
                return Ok(Taken::Refused(self.table.read(found)?.map(Box::new)));
            }
        };
        Ok(match self.table.read(found)? {
            Some(item) => {
                let version = item.version + writes;
                Taken::Done(Changed::Done { before: Some(Box::new(item)), version })
            }
            None => Taken::Refused(None),
        })
    }

    /// Sets the checkpoint of `key` to `watermark` and this destination and discards everything else, unless a run
    /// holds the lease.
    ///
    /// # Errors
    /// Errors of the calls to DynamoDB, and [`Error::Broken`].
    pub async fn reset(
        &self,
        key: Key,
        watermark: Option<Timestamp>,
        request_id: &str,
        now: Timestamp,
    ) -> Result<Reset, Error> {
        let state = State { watermark, ..State::default() };
        let changes = |_: Option<&Item>| {
            let mut changes = state_changes(key, &state, now);
            changes.extend([destination_change(&self.destination), (LEASE, None)]);
            Ok(changes)
        };
        let found = self.load(key).await?;
        Ok(match self.change(&Claim { key, request_id, now }, found, changes).await? {
            Changed::Busy { expires } => Reset::Busy { expires },
            Changed::Done { before, .. } => Reset::Done { before },
        })
    }

    /// Returns the store for the cluster with this UUID.
    #[must_use]
    pub fn in_cluster(&self, cluster_uuid: Option<String>) -> Self {
        Self { destination: Destination { cluster_uuid, ..self.destination.clone() }, ..self.clone() }
    }

    /// Returns the destination that this store's checkpoints are valid for.
    #[must_use]
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Reads one item, regardless of its destination.
    ///
    /// # Errors
    /// Errors of the call to DynamoDB, and [`Error::Broken`].
    pub async fn load(&self, key: Key) -> Result<Option<Item>, Error> {
        self.table.read(self.table.get(&self.pk(key).to_string()).await?)
    }

    /// Lists all items of the store's account, regardless of their destination; see [`list`].
    ///
    /// # Errors
    /// Errors of the call to DynamoDB.
    pub async fn list(&self) -> Result<Listing, Error> {
        self.table.list(Scope::Account(self.account.as_ref())).await
    }

    /// Tries each call that a run makes, without changing anything: the condition of the write fails on purpose.
    /// Returns DynamoDB's time, if the response states it.
    ///
    /// # Errors
    /// Errors of the calls to DynamoDB.
    pub async fn check_access(&self) -> Result<Option<Timestamp>, Error> {
        /// A key that no item has.
        const NO_ITEM: &str = "check";
        let server_time = self.table.server_time(NO_ITEM).await?;
        let condition = Condition::Held { version: 0, token: random_id() };
        self.table.update(NO_ITEM, &Write::new(condition, Vec::new())).await?;
        self.table.scan().await?;
        self.table.get_all(&[NO_ITEM.to_owned()]).await?;
        Ok(server_time)
    }

    /// Checks that every item can be read and used for this store's destination. Returns `false` if no item is bound to
    /// that destination yet.
    ///
    /// # Errors
    /// The first error that a run would meet: [`Error::DestinationChanged`] or [`Error::Broken`]. Errors of the call to
    /// DynamoDB.
    pub async fn check_items(&self) -> Result<bool, Error> {
        let listing = self.list().await?;
        if let Some(error) = listing.broken.into_iter().next() {
            return Err(error);
        }
        for item in &listing.items {
            self.start_from(Some(item))?;
        }
        Ok(listing.items.iter().any(|item| item.is_bound() && item.destination.is_same(&self.destination)))
    }

    /// Writes `changes` of the item `before`, if it has not changed meanwhile. Otherwise retries with the item that was
    /// found. Each refusal means that another run has written, so the loop ends.
    async fn change(
        &self,
        claim: &Claim<'_>,
        mut before: Option<Item>,
        changes: impl Fn(Option<&Item>) -> Result<Vec<AttributeChange>, Error>,
    ) -> Result<Changed, Error> {
        let pk = self.pk(claim.key).to_string();
        loop {
            let changes = changes(before.as_ref())?;
            if let Some(expires) = before.as_ref().and_then(|item| item.busy_until(claim.request_id, claim.now)) {
                return Ok(Changed::Busy { expires });
            }
            let condition = before.as_ref().map_or(Condition::Absent, |item| Condition::Unchanged {
                version: item.version,
                write_id: item.write_id.clone(),
            });
            let write = Write::new(condition, changes);
            before = match self.table.update(&pk, &write).await? {
                Outcome::Refused(found) if !RefusedWrite::is_written(found.as_ref(), &write.id) => {
                    self.table.read(found)?
                }
                Outcome::Done(_) | Outcome::Refused(_) => {
                    return Ok(Changed::Done { before: before.map(Box::new), version: write.version() });
                }
            };
        }
    }

    /// Determines where a run that found this item starts.
    fn start_from<'a>(&self, found: Option<&'a Item>) -> Result<Start<'a>, Error> {
        match found {
            None => Ok(Start::Fresh(Box::default())),
            Some(item) if item.destination.is_same(&self.destination) => Ok(Start::Continue(item)),
            // Nothing was acknowledged, so nothing is lost.
            Some(item) if !item.is_bound() => Ok(Start::Fresh(Box::new(item.state.restarted()))),
            // A completion elsewhere says nothing about this destination, and starting over loses nothing.
            Some(item) if item.key.expires() && item.state.complete => Ok(Start::Fresh(Box::default())),
            Some(item) => Err(self.destination_changed(item.key, &item.destination, &self.destination)),
        }
    }

    /// Returns the error for a run of `key` that finds another cluster than its destination's.
    pub(crate) fn other_cluster(&self, key: Key, cluster_uuid: Option<String>) -> Error {
        self.destination_changed(key, &self.destination, self.in_cluster(cluster_uuid).destination())
    }

    fn destination_changed(&self, key: Key, stored: &Destination, now: &Destination) -> Error {
        Error::DestinationChanged {
            table: self.table.name.clone(),
            pk: Box::new(self.pk(key)),
            stored: Box::new(stored.clone()),
            now: Box::new(now.clone()),
        }
    }
}

/// The start of a run.
enum Start<'a> {
    /// The item holds the progress in this destination.
    Continue(&'a Item),
    /// There is no item, or it belongs to another destination and is complete or not bound. The run starts with this state.
    Fresh(Box<State>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_its_own_items_and_no_others() {
        let name = |name| AccountName::new(name).unwrap();
        let (globex, glob) = (name("globex"), name("glob"));
        for (pk, owner) in [
            ("stream#user", None),
            ("account#globex#stream#user", Some(&globex)),
            ("account#glob#stream#user", Some(&glob)),
            // Written by a newer version.
            ("account#globex#group", Some(&globex)),
        ] {
            assert!(Scope::AllAccounts.contains(pk));
            for account in [None, Some(&globex), Some(&glob)] {
                assert_eq!(Scope::Account(account).contains(pk), account == owner, "{pk} {account:?}");
            }
        }
    }
}
