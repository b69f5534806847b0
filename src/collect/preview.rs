//! Previews the documents of a stream, without a destination and without a checkpoint.

use std::{collections::HashSet, ops::ControlFlow};

use jiff::Timestamp;
use secrecy::SecretString;

use super::{SnapshotKind, events::documents, session::mapper, windows::backfill_window};
use crate::{
    clock::{Deadline, now, whole_second},
    config::Config,
    document::{Document, Namespace, Stream},
    endpoint::LastPassUrl,
    error::Error,
    http,
    lastpass::{
        self,
        paging::{Page, PageOutcome, PageRequest, Paging},
        whole_seconds::WindowReader,
    },
    request::Window,
    secrets::Credentials,
    streams::{self, Mapper},
};

/// Previews the documents of an account before they are sent.
pub struct Preview {
    http: reqwest::Client,
    url: LastPassUrl,
    api_user: Option<String>,
    account: lastpass::Account,
    mapper: Mapper,
}

impl Preview {
    /// Builds a preview of the account in `secret`, the JSON of the secret that errors call `secret_id`. Uses only the
    /// settings of LastPass and of the documents.
    ///
    /// # Errors
    /// [`Error::Secret`], [`Error::Config`].
    pub fn new(config: &Config, secret: &SecretString, secret_id: &str) -> Result<Self, Error> {
        let credentials = Credentials::parse(secret, secret_id)?;
        let http = http::Clients::new(None).and_then(|clients| clients.for_lastpass());
        let http = http.map_err(crate::config::Invalid::from)?;
        let mapper = mapper(config, &credentials, None);
        let Credentials { account_number, provisioning_hash, .. } = credentials;
        let account = lastpass::Account { number: account_number, provisioning_hash };
        let (url, api_user) = (config.lastpass_url.clone(), config.lastpass_api_user.clone());
        Ok(Self { http, url, api_user, account, mapper })
    }

    fn lastpass(&self, deadline: Deadline) -> lastpass::Client {
        lastpass::Client::new(self.http.clone(), self.url.clone(), self.account.clone(), deadline)
            .with_api_user(self.api_user.clone())
    }

    /// Returns the namespace of the account's data streams.
    #[must_use]
    pub const fn namespace(&self) -> &Namespace {
        &self.mapper.namespace
    }

    /// Returns the name of the data stream for the documents of `stream`.
    #[must_use]
    pub fn data_stream(&self, stream: Stream) -> String {
        stream.data_stream(&self.mapper.namespace).to_string()
    }

    /// Passes the events of `window` to `take`, the newest page first, as a backfill sends them. Stops if `take` returns
    /// [`ControlFlow::Break`], and returns its value.
    ///
    /// # Errors
    /// [`Error::LastPass`].
    pub async fn events<B>(
        &self,
        window: Window,
        deadline: Deadline,
        mut take: impl FnMut(Vec<Document>) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>, Error> {
        let zone = &self.mapper.zone;
        let Window { from, to } = backfill_window(window, whole_second(now()), zone);
        if from >= to {
            return Ok(ControlFlow::Continue(()));
        }
        let mut reading = WindowReader::new(zone, from, to);
        let lastpass = self.lastpass(deadline);
        loop {
            let page = lastpass.fetch_events(&reading.request(), zone).await?;
            let clock = now();
            let whole = reading
                .take(page, clock)
                .map_err(|contradiction| lastpass::Error::of_contradiction(&contradiction, zone))?;
            let complete = whole.complete;
            let taken = take(documents(&self.mapper, &stamps_at(clock), whole, from).collect());
            if complete || taken.is_break() {
                return Ok(taken);
            }
        }
    }

    /// Passes the current users or shared folders to `take`, page by page. Reads each page once, so entries may be
    /// missing if the account changes meanwhile. A collected snapshot detects such changes. Stops as [`Self::events`].
    ///
    /// # Errors
    /// [`Error::LastPass`].
    pub async fn snapshot<B>(
        &self,
        kind: SnapshotKind,
        deadline: Deadline,
        mut take: impl FnMut(Vec<Document>) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>, Error> {
        let lastpass = self.lastpass(deadline);
        let clock = now();
        let (stamps, snapshot) =
            (stamps_at(clock), streams::Snapshot { scheduled_time: whole_second(clock), timestamp: clock });
        let mapping = streams::SnapshotMapping::new(&self.mapper, &stamps, kind.stream(), &snapshot);
        let (mut paging, mut seen) = (Paging::from(PageRequest::first(kind.page_size()), 0), HashSet::new());
        loop {
            let Page { entries, total } = match kind.fetch(&lastpass, paging.next()).await {
                Err(error) if error.is_too_large() && paging.shrink() => continue,
                page => page?,
            };
            let outcome = paging.take(entries.iter().map(|(key, _)| key.as_str()), total);
            let new = entries.into_iter().filter(|(key, _)| seen.insert(key.clone()));
            let taken = take(new.flat_map(|(key, record)| kind.documents(&mapping, &key, &record)).collect());
            if outcome != PageOutcome::More || taken.is_break() {
                return Ok(taken);
            }
        }
    }
}

const fn stamps_at(clock: Timestamp) -> streams::Stamps {
    streams::Stamps { created: clock, ingested: None }
}
