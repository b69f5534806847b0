//! One isolated installation of the product, with everything it needs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use lastpass_simulator::{Quirks, Simulator, USER_PASSWORD, World};
use serde_json::{Value, json};

use crate::proxy::{Proxy, Upstream};
use crate::{
    ApiKey, Aws, Calls, Comparison, Elasticsearch, Error, Function, Lock, Services, StoredDocument, Watch,
    compare_events, compare_folders, compare_users, unique,
};

/// The account number of every installation.
const ACCOUNT: &str = "7654321";
/// The streams and the other kinds of documents that an installation writes, each to a data stream.
pub const DATA_STREAMS: [&str; 5] = ["event_report", "user", "detailed_shared_folder", "change", "dead_letter"];

/// The plan of an installation.
#[derive(Debug)]
pub struct Plan {
    name: String,
    binary: PathBuf,
    world: World,
    quirks: Quirks,
    reporting_events: bool,
    variables: BTreeMap<String, String>,
}

impl Plan {
    /// Sets the content of LastPass. The installation replaces its credentials.
    #[must_use]
    pub fn world(self, world: World) -> Self {
        Self { world, ..self }
    }

    /// Sets the behaviour of LastPass.
    #[must_use]
    pub fn quirks(self, quirks: Quirks) -> Self {
        Self { quirks, ..self }
    }

    /// Turns each event request of the function into an event, as LastPass does, unless the quirks disable it.
    /// Otherwise the account has only the events of its world, so they can be counted.
    #[must_use]
    pub fn reporting_events(self) -> Self {
        Self { reporting_events: true, ..self }
    }

    /// Sets an environment variable of the function.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Creates the installation.
    ///
    /// # Errors
    /// [`Error`] if a service refuses.
    pub async fn make(self, services: &Services) -> Result<Installation, Error> {
        let namespace = unique(&self.name).to_lowercase().replace('-', "_");
        let table = namespace.clone();
        let provisioning_hash = format!("{:032x}", fastrand::u128(..));
        let reporting_events = self.reporting_events && self.quirks.reporting_events;
        let quirks = Quirks { reporting_events, ..self.quirks };
        let simulator = Simulator::start(self.world.with_credentials(ACCOUNT, &provisioning_hash), quirks)?;
        let (calls, watch) = (Calls::default(), Watch::default());
        let proxy = |upstream, url: String| {
            let (calls, watch) = (calls.clone(), watch.clone());
            async move { Proxy::start(upstream, &url, calls, watch).await }
        };
        let lastpass = proxy(Upstream::LastPass, simulator.url()).await?;
        let elasticsearch = proxy(Upstream::Elasticsearch, services.elasticsearch.url().to_owned()).await?;
        let aws = proxy(Upstream::Aws, services.aws.endpoint().to_owned()).await?;

        services.aws.create_table(&table).await?;
        let writer = services.elasticsearch.create_key(&namespace, &writer_role()).await?;
        let installer = services.elasticsearch.create_key(&namespace, &installer_role()).await?;
        let credentials = json!({
            "account_number": ACCOUNT,
            "provisioning_hash": provisioning_hash,
            "elastic_api_key": writer.encoded,
            "elastic_setup_api_key": installer.encoded,
        });
        watch.add_document(&credentials.to_string());
        watch.add("the password in a user's attribs", USER_PASSWORD, Lock::Other);
        let secret_arn = services.aws.create_secret(&namespace, &credentials.to_string()).await?;

        let mut variables = Aws::variables(&aws.url());
        let own = [
            ("SECRET_ARN", secret_arn.clone()),
            ("CHECKPOINT_TABLE", table.clone()),
            ("ELASTICSEARCH_URL", elasticsearch.url()),
            ("LASTPASS_URL", format!("{}/enterpriseapi.php", lastpass.url())),
            ("NAMESPACE", namespace.clone()),
            // The comparison needs the record itself.
            ("PRESERVE_ORIGINAL_EVENT", "true".to_owned()),
        ];
        variables.extend(own.map(|(name, value)| (name.to_owned(), value)));
        variables.extend(self.variables);
        Ok(Installation {
            binary: self.binary,
            services: services.clone(),
            simulator,
            calls,
            watch,
            namespace,
            table,
            secret_arn,
            credentials,
            writer,
            installer,
            more_keys: Vec::new(),
            more_secrets: Vec::new(),
            variables,
            elasticsearch,
            proxies: [lastpass, aws],
        })
    }
}

/// Returns the role of the function's API key.
#[must_use]
pub fn writer_role() -> Value {
    role(include_str!("../../../assets/roles/writer.json"))
}

/// Returns the role of the API key for `setup`.
#[must_use]
pub fn installer_role() -> Value {
    role(include_str!("../../../assets/roles/installer.json"))
}

#[expect(clippy::expect_used, reason = "a file of this project")]
fn role(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// One installation. Its functions reach every system through a proxy, which records the calls in [`Installation::calls`].
pub struct Installation {
    binary: PathBuf,
    /// The services behind the proxies.
    pub services: Services,
    /// Its LastPass.
    pub simulator: Simulator,
    /// The outside calls of its functions, with the faults.
    pub calls: Calls,
    /// Searches everything that its functions write, return, send and store for its secrets.
    pub watch: Watch,
    /// `NAMESPACE`.
    pub namespace: String,
    /// `CHECKPOINT_TABLE`.
    pub table: String,
    /// `SECRET_ARN`.
    pub secret_arn: String,
    /// The initial content of the secret.
    pub credentials: Value,
    /// The API key of the role *writer*.
    pub writer: ApiKey,
    /// The API key of the role *installer*.
    pub installer: ApiKey,
    more_keys: Vec<ApiKey>,
    more_secrets: Vec<String>,
    variables: BTreeMap<String, String>,
    elasticsearch: Proxy,
    proxies: [Proxy; 2],
}

impl Installation {
    /// Plans an installation. `name` becomes part of its names; `binary` is the function.
    #[must_use]
    pub fn plan(name: &str, binary: PathBuf) -> Plan {
        Plan {
            name: name.to_owned(),
            binary,
            world: World::default(),
            quirks: Quirks::default(),
            reporting_events: false,
            variables: BTreeMap::new(),
        }
    }

    /// Returns a new execution environment of its function. Several can run side by side.
    #[must_use]
    pub fn function(&self) -> Function {
        Function::new(self.binary.clone(), self.variables.clone(), self.watch.clone())
    }

    /// Returns the address of a proxied service, such as `ELASTICSEARCH_URL`.
    #[must_use]
    pub fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    /// Moves the proxy to another cluster. Its functions keep the same address.
    ///
    /// # Errors
    /// [`Error::Answer`] if the URL has no address.
    pub fn move_elasticsearch(&mut self, to: Elasticsearch) -> Result<(), Error> {
        self.elasticsearch.turn_to(to.url())?;
        self.services.elasticsearch = to;
        Ok(())
    }

    /// Closes all connections of its functions, as the services do with idle ones.
    pub async fn close_connections(&self) {
        for proxy in self.proxies.iter().chain([&self.elasticsearch]) {
            proxy.close_connections().await;
        }
    }

    /// Creates another API key of the role *writer*.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn another_key(&mut self) -> Result<ApiKey, Error> {
        self.key_of(&writer_role()).await
    }

    /// Creates an API key with the privileges of the role *writer* for only the data streams of its namespace.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn narrow_key(&mut self) -> Result<ApiKey, Error> {
        let mut role = writer_role();
        role["indices"][0]["names"] = json!([format!("logs-lastpass.*-{}", self.namespace)]);
        self.key_of(&role).await
    }

    async fn key_of(&mut self, role: &Value) -> Result<ApiKey, Error> {
        let key = self.services.elasticsearch.create_key(&self.namespace, role).await?;
        self.watch.add_key("another elastic_api_key", &key.encoded);
        self.more_keys.push(key.clone());
        Ok(key)
    }

    /// Creates another secret, for example for a second account.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn another_secret(&mut self, name: &str, value: &str) -> Result<(), Error> {
        self.watch.add_document(value);
        self.more_secrets.push(self.services.aws.create_secret(name, value).await?);
        Ok(())
    }

    /// Returns the name of the data stream of one of [`DATA_STREAMS`].
    #[must_use]
    pub fn data_stream(&self, stream: &str) -> String {
        format!("logs-lastpass.{stream}-{}", self.namespace)
    }

    /// Returns all documents of a stream.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn documents(&self, stream: &str) -> Result<Vec<StoredDocument>, Error> {
        let documents = self.services.elasticsearch.documents(&self.data_stream(stream)).await?;
        for StoredDocument { id, source, .. } in &documents {
            self.watch.look(&format!("a document of {stream}"), format!("{id} {source}").as_bytes());
        }
        Ok(documents)
    }

    /// Compares all events that LastPass shows with all documents of the event report.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn compare_events(&self) -> Result<Comparison, Error> {
        Ok(compare_events(&self.simulator.truth_events(), &self.documents("event_report").await?))
    }

    /// Compares the events of a range, its end exclusive, with all documents of the event report.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn compare_events_in(&self, from: Timestamp, to: Timestamp) -> Result<Comparison, Error> {
        let mut truth = self.simulator.truth_events();
        truth.retain(|event| (from..to).contains(&event.instant));
        Ok(compare_events(&truth, &self.documents("event_report").await?))
    }

    /// Compares the users in LastPass with all documents of their stream, which must be one snapshot.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn compare_users(&self) -> Result<Comparison, Error> {
        Ok(compare_users(&self.simulator.truth_users(), &self.documents("user").await?))
    }

    /// Compares the shared folders in LastPass with all documents of their stream, which must be one snapshot.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn compare_folders(&self) -> Result<Comparison, Error> {
        let documents = self.documents("detailed_shared_folder").await?;
        Ok(compare_folders(&self.simulator.truth_folders(), &documents))
    }

    /// Returns the items of its checkpoint table.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn checkpoints(&self) -> Result<BTreeMap<String, BTreeMap<String, AttributeValue>>, Error> {
        let items = self.services.aws.items(&self.table).await?;
        self.watch.look("an item of the table", format!("{items:?}").as_bytes());
        Ok(items)
    }

    /// Resets the installation: deletes all documents, checkpoints and request events. The rest of LastPass remains.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn start_over(&self) -> Result<(), Error> {
        for stream in DATA_STREAMS {
            self.services.elasticsearch.empty(&self.data_stream(stream)).await?;
        }
        for key in self.checkpoints().await?.keys() {
            self.services.aws.delete_item(&self.table, key).await?;
        }
        self.simulator.with_world(|world| world.events.remove_polls());
        Ok(())
    }

    /// Searches everything stored for secrets.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn look_at_all(&self) -> Result<(), Error> {
        for stream in DATA_STREAMS {
            self.documents(stream).await?;
        }
        self.checkpoints().await.map(drop)
    }

    /// Removes its documents, keys, table and secrets.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn remove(self) -> Result<(), Error> {
        self.start_over().await?;
        for key in [&self.writer, &self.installer].into_iter().chain(&self.more_keys) {
            self.services.elasticsearch.invalidate_key(key).await?;
        }
        self.services.aws.delete_table(&self.table).await?;
        for arn in [&self.secret_arn].into_iter().chain(&self.more_secrets) {
            self.services.aws.delete_secret(arn).await?;
        }
        Ok(())
    }

    /// Expires the lease of this checkpoint.
    ///
    /// # Errors
    /// [`Error`], also if there is no lease.
    pub async fn expire_lease(&self, key: &str) -> Result<(), Error> {
        let past = AttributeValue::S("2020-01-01T00:00:00Z".to_owned());
        self.services.aws.set_attribute(&self.table, key, "lease.expires", past).await
    }

    /// Expires all leases.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn expire_leases(&self) -> Result<(), Error> {
        for (key, item) in self.checkpoints().await? {
            if item.contains_key("lease") {
                self.expire_lease(&key).await?;
            }
        }
        Ok(())
    }

    /// Returns the checkpoint's `watermark` of a stream.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn watermark(&self, stream: &str) -> Result<Option<String>, Error> {
        self.services.aws.text(&self.table, &format!("stream#{stream}"), "watermark").await
    }

    /// Replaces the content of its secret.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn put_secret(&self, value: &str) -> Result<(), Error> {
        self.watch.add_document(value);
        self.services.aws.put_secret(&self.secret_arn, value).await
    }

    /// Sets its secret to the initial content with one field replaced. `None` removes the field.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn put_credential(&self, field: &str, value: Option<&str>) -> Result<(), Error> {
        let mut credentials = self.credentials.clone();
        match (credentials.as_object_mut(), value) {
            (Some(fields), Some(value)) => drop(fields.insert(field.to_owned(), value.into())),
            (Some(fields), None) => drop(fields.shift_remove(field)),
            (None, _) => {}
        }
        self.put_secret(&credentials.to_string()).await
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        self.watch.expect_none();
        let stale = self.calls.stale_reads();
        // A second panic in a failing test would abort the process.
        assert!(stale.is_empty() || std::thread::panicking(), "reads that may be stale:\n{}", stale.join("\n"));
    }
}
