//! The work that `resume` continues.
//!
//! A snapshot or a redrive is found by its own key, of which there are few. A table can hold years of backfills, so one
//! item names those that are unfinished. While its run holds the lease, a backfill enters this item before it is saved as
//! unfinished, and leaves it after it is saved as complete (`collect/backfill.rs`).

use aws_sdk_dynamodb::Client;

use super::key::unfinished_backfills;
use super::table::{SetChange, Table};
use super::{Error, Key, Listing, PartitionKey, Store};
use crate::clock::Deadline;
use crate::document::{AccountName, Stream};

/// The set of the partition keys.
const KEYS: &str = "keys";

/// The items that `resume` looks at.
#[derive(Debug, Default)]
pub struct Resumable {
    /// The items of the streams and redrives.
    pub listing: Listing,
    /// The keys of the unfinished backfills.
    pub backfills: Vec<Key>,
}

/// Reads what `resume` looks at, in one call.
///
/// # Errors
/// Errors of the call to DynamoDB.
pub async fn resumable(
    client: &Client,
    table: String,
    account: Option<&AccountName>,
    deadline: Deadline,
) -> Result<Resumable, Error> {
    let pk = |key| PartitionKey { account: account.cloned(), key }.to_string();
    let keys = Stream::ALL.into_iter().flat_map(|stream| [Key::Stream(stream), Key::Redrive(stream)]);
    let index = unfinished_backfills(account);
    let pks: Vec<String> = keys.map(pk).chain([index.clone()]).collect();
    let table = Table::new(client, table, deadline);
    let mut resumable = Resumable::default();
    for attributes in table.get_all(&pks).await? {
        if super::item::pk_of(&attributes) == index {
            let keys = attributes.get(KEYS).and_then(|keys| keys.as_ss().ok()).into_iter().flatten();
            resumable.backfills.extend(keys.filter_map(|pk| Some(PartitionKey::parse(pk)?.key)));
            continue;
        }
        resumable.listing.enter(&attributes, &table.name);
    }
    Ok(resumable)
}

impl Store {
    /// Enters the backfill `key` among the unfinished ones. To be called by the run that holds its lease.
    ///
    /// # Errors
    /// Errors of the call to DynamoDB.
    pub async fn enter_unfinished(&self, key: Key) -> Result<(), Error> {
        self.change_unfinished(SetChange::Add(&self.pk(key).to_string())).await
    }

    /// Takes the backfill `key` out of the unfinished ones. To be called by the run that holds its lease.
    ///
    /// # Errors
    /// Errors of the call to DynamoDB.
    pub async fn leave_unfinished(&self, key: Key) -> Result<(), Error> {
        self.change_unfinished(SetChange::Delete(&self.pk(key).to_string())).await
    }

    async fn change_unfinished(&self, change: SetChange<'_>) -> Result<(), Error> {
        self.table.change_set(&unfinished_backfills(self.account.as_ref()), KEYS, change).await
    }
}
