//! The work that `resume` continues.
//!
//! The keys of snapshots and redrives are known. A table can hold years of backfills, so one item lists those that are
//! unfinished. While it holds the lease, the run of a backfill adds the key to this item before saving the backfill as
//! unfinished, and removes the key after saving it as complete (`collect/backfill.rs`).

use aws_sdk_dynamodb::{Client, types::AttributeValue};

use super::key::unfinished_backfills;
use super::table::Table;
use super::{Error, Key, Listing, PartitionKey, Store};
use crate::clock::Deadline;
use crate::document::{AccountName, Stream};

/// The attribute with the partition keys of the unfinished backfills.
const KEYS: &str = "keys";

/// Reads the items that `resume` needs: those of the streams and redrives, and those of the unfinished backfills. Makes one
/// call if no backfill is unfinished.
///
/// # Errors
/// Errors of the calls to DynamoDB.
pub async fn load_resumable(
    client: &Client,
    table: String,
    account: Option<&AccountName>,
    deadline: Deadline,
) -> Result<Listing, Error> {
    let pk = |key| PartitionKey { account: account.cloned(), key }.to_string();
    let keys = Stream::ALL.into_iter().flat_map(|stream| [Key::Stream(stream), Key::Redrive(stream)]);
    let index = unfinished_backfills(account);
    let pks: Vec<String> = keys.map(pk).chain([index.clone()]).collect();
    let table = Table::new(client, table, deadline);
    let mut listing = Listing::default();
    let mut backfills = Vec::new();
    for attributes in table.get_all(&pks).await? {
        if super::item::pk_of(&attributes) == index {
            match attributes.get(KEYS).map(AttributeValue::as_ss) {
                Some(Ok(keys)) => backfills.extend(keys.iter().cloned()),
                Some(Err(_)) => {
                    let (table, pk) = (table.name.clone(), index.clone());
                    listing.broken.push(Error::Broken {
                        table,
                        pk,
                        attribute: KEYS.into(),
                        wanted: "a set of strings",
                    });
                }
                None => {}
            }
        } else {
            listing.add(&attributes, &table.name);
        }
    }
    // If the item of a backfill was deleted by hand, its key remains here, and there is nothing to continue.
    for attributes in table.get_all(&backfills).await? {
        listing.add(&attributes, &table.name);
    }
    Ok(listing)
}

impl Store {
    /// Adds the backfill `key` to the unfinished backfills. Only the run that holds its lease may call this.
    ///
    /// # Errors
    /// Errors of the call to DynamoDB.
    pub async fn add_to_unfinished(&self, key: Key) -> Result<(), Error> {
        self.change_unfinished("ADD", key).await
    }

    /// Removes the backfill `key` from the unfinished backfills. Only the run that holds its lease may call this.
    ///
    /// # Errors
    /// Errors of the call to DynamoDB.
    pub async fn remove_from_unfinished(&self, key: Key) -> Result<(), Error> {
        self.change_unfinished("DELETE", key).await
    }

    async fn change_unfinished(&self, verb: &str, key: Key) -> Result<(), Error> {
        let index = unfinished_backfills(self.account.as_ref());
        self.table.change_set(&index, verb, KEYS, self.pk(key).to_string()).await
    }
}
