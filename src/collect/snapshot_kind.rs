//! The kinds of snapshots: how each is requested and mapped.

use crate::{
    document::{Document, Stream},
    lastpass::{
        self, folders,
        paging::{Page, PageRequest},
        users,
    },
    streams::{SnapshotMapping, change, detailed_shared_folder, user},
};

/// The kind of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotKind {
    /// The users.
    Users,
    /// The shared folders.
    SharedFolders,
}

impl SnapshotKind {
    /// Returns the stream of the documents.
    pub(super) const fn stream(self) -> Stream {
        match self {
            Self::Users => Stream::User,
            Self::SharedFolders => Stream::DetailedSharedFolder,
        }
    }

    /// Returns the fields that identify an entry, in the order in which entries are compared.
    pub(super) const fn key(self) -> &'static [&'static str] {
        match self {
            Self::Users => change::users::KEY,
            Self::SharedFolders => change::folders::KEY,
        }
    }

    /// Returns the fields of the documents that a comparison needs.
    pub(super) const fn compared_fields(self) -> &'static [&'static str] {
        match self {
            Self::Users => change::users::FIELDS,
            Self::SharedFolders => change::folders::FIELDS,
        }
    }

    /// Returns the largest size of a page.
    pub(super) const fn page_size(self) -> u32 {
        match self {
            Self::Users => users::PAGE_SIZE,
            Self::SharedFolders => folders::PAGE_SIZE,
        }
    }

    /// Requests a page.
    pub(super) async fn fetch(
        self,
        lastpass: &lastpass::Client,
        request: PageRequest,
    ) -> Result<Page, lastpass::Error> {
        match self {
            Self::Users => lastpass.fetch_users(request).await,
            Self::SharedFolders => lastpass.fetch_folders(request).await,
        }
    }

    /// Maps the entry with `key` to its documents.
    pub(super) fn documents(self, mapping: &SnapshotMapping<'_>, key: &str, record: &str) -> Vec<Document> {
        match self {
            Self::Users => vec![user::document(mapping, key, record)],
            Self::SharedFolders => detailed_shared_folder::documents(mapping, key, record),
        }
    }
}
