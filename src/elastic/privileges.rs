//! Identifies the cluster, and compares the privileges of the API key with those of its role.

use std::collections::BTreeMap;

use elasticsearch::InfoParts;
use elasticsearch::security::SecurityHasPrivilegesParts;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::error::{Error, OLDEST_VERSION};
use super::operation::Operation;
use super::transport::Request;
use crate::document::{DataStream, Namespace, Stream};

const READ_REMEDY: &str = "check whether ELASTICSEARCH_URL or ELASTIC_CLOUD_ID is that of Elasticsearch, not of Kibana";

/// The `cluster_uuid` of a node that has not joined a cluster yet. Source: Elasticsearch, `Metadata.java`,
/// `UNKNOWN_CLUSTER_UUID`.
const NOT_FORMED: &str = "_na_";

/// The data streams of the installer role: every LastPass dataset in every namespace.
const ALL_DATA_STREAMS: &str = "logs-lastpass.*-*";

/// The identity of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterInfo {
    /// Its name.
    pub name: String,
    /// Its UUID, which distinguishes it from another cluster under the same host. None before the cluster has formed.
    pub uuid: Option<String>,
    /// Its version, such as `8.19.21`. The version of a serverless project has no meaning.
    pub version: String,
    /// Whether it is a serverless project of Elastic Cloud.
    pub serverless: bool,
}

impl ClusterInfo {
    /// Returns whether the version is new enough. A serverless project always is, though it reports 8.11.0.
    #[must_use]
    pub fn is_supported(&self) -> bool {
        let mut parts = self.version.split('.').map_while(|part| part.parse::<u32>().ok());
        let version = parts.next().zip(parts.next());
        self.serverless || version.is_some_and(|version| version >= OLDEST_VERSION)
    }
}

/// The role that a key should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// For `collect` and all actions except `setup`: `assets/roles/writer.json`.
    Writer,
    /// For `setup`: `assets/roles/installer.json`.
    Installer,
}

impl Role {
    const fn cluster_privileges(self) -> &'static [&'static str] {
        match self {
            Self::Writer => &["monitor"],
            Self::Installer => &["monitor", "manage_index_templates", "manage_ingest_pipelines"],
        }
    }

    const fn index_privileges(self) -> &'static [&'static str] {
        match self {
            Self::Writer => &["auto_configure", "create_doc", "read", "view_index_metadata"],
            Self::Installer => &["manage"],
        }
    }

    /// Returns the data streams that the role must cover. A writer's key may be limited to its namespace.
    fn data_streams(self, namespace: &Namespace) -> Vec<String> {
        match self {
            Self::Writer => Stream::ALL
                .iter()
                .map(|stream| stream.data_stream(namespace))
                .chain([DataStream::dead_letter(namespace), DataStream::change(namespace)])
                .map(|data_stream| data_stream.as_str().to_owned())
                .collect(),
            Self::Installer => vec![ALL_DATA_STREAMS.to_owned()],
        }
    }
}

/// Reads the identity of the cluster, which proves that the address and the key are right.
///
/// # Errors
/// [`Error`].
pub async fn fetch_cluster_info(client: &Client) -> Result<ClusterInfo, Error> {
    #[derive(Deserialize)]
    struct Info {
        cluster_name: String,
        cluster_uuid: Option<String>,
        version: Version,
    }
    #[derive(Deserialize)]
    struct Version {
        number: String,
        build_flavor: Option<String>,
    }
    let request = Request::new(Operation::ReadInfo, Method::GET, InfoParts::None.url());
    let info: Info = client.read(&request, READ_REMEDY).await?;
    Ok(ClusterInfo {
        name: info.cluster_name,
        uuid: info.cluster_uuid.filter(|uuid| uuid != NOT_FORMED),
        version: info.version.number,
        serverless: info.version.build_flavor.as_deref() == Some("serverless"),
    })
}

/// Checks that Elasticsearch responds, with a client without a login.
///
/// # Errors
/// [`Error::Unreachable`], [`Error::NotTrusted`].
pub async fn reach(client: &Client) -> Result<(), Error> {
    match fetch_cluster_info(client).await {
        Err(error) if !error.is_auth() => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Cluster privileges that no role of ours has, the widest first. Elasticsearch 8.13 and later know all of them: an unknown
/// one makes the whole request fail. Source: Elasticsearch, "Security privileges", without those that `monitor` includes.
const OTHER_CLUSTER_PRIVILEGES: &[&str] = &[
    "all",
    "manage",
    "manage_security",
    "manage_api_key",
    "grant_api_key",
    "manage_own_api_key",
    "manage_service_account",
    "manage_token",
    "manage_user_profile",
    "manage_saml",
    "manage_oidc",
    "delegate_pki",
    "read_security",
    "manage_index_templates",
    "manage_pipeline",
    "manage_ingest_pipelines",
    "manage_logstash_pipelines",
    "manage_ilm",
    "manage_slm",
    "manage_ccr",
    "manage_enrich",
    "manage_ml",
    "manage_transform",
    "manage_watcher",
    "manage_autoscaling",
    "manage_search_application",
    "manage_search_query_rules",
    "manage_search_synonyms",
    "manage_behavioral_analytics",
    "create_snapshot",
    "cancel_task",
    "cross_cluster_search",
    "cross_cluster_replication",
    "read_ccr",
    "read_ilm",
    "read_pipeline",
    "read_slm",
    "read_fleet_secrets",
    "write_fleet_secrets",
    "monitor_snapshot",
];
/// Index privileges, the widest first, as above.
const INDEX_PRIVILEGES: &[&str] = &[
    "all",
    "manage",
    "write",
    "delete_index",
    "delete",
    "index",
    "create",
    "create_doc",
    "create_index",
    "auto_configure",
    "read",
    "view_index_metadata",
    "maintenance",
    "manage_ilm",
    "manage_data_stream_lifecycle",
    "manage_follow_index",
    "manage_leader_index",
    "cross_cluster_replication",
    "read_cross_cluster",
    "monitor",
];
/// Privileges of both lists that a serverless project does not know. It refuses a request that names one. Source:
/// Elasticsearch, `ServerlessSupportedPrivilegesRegistry` and `ServerlessHasPrivilegesIT`
/// (<https://www.elastic.co/docs/reference/elasticsearch/security-privileges> marks the same ones).
const NOT_IN_SERVERLESS: &[&str] = &[
    "grant_api_key",
    "manage_service_account",
    "manage_token",
    "manage_user_profile",
    "manage_saml",
    "manage_oidc",
    "delegate_pki",
    "manage_ilm",
    "manage_slm",
    "manage_ccr",
    "manage_watcher",
    "manage_autoscaling",
    "create_snapshot",
    "cross_cluster_search",
    "cross_cluster_replication",
    "read_ccr",
    "read_ilm",
    "read_slm",
    "read_fleet_secrets",
    "write_fleet_secrets",
    "monitor_snapshot",
    "manage_follow_index",
    "manage_leader_index",
    "read_cross_cluster",
];
/// A privilege that `read` includes since Elasticsearch 9 (measured on 9.5.3). In 8 it is separate.
const INCLUDED_IN_READ: &str = "read_cross_cluster";
/// Names of indices without LastPass data, of the kinds that a key with wildcards would cover.
const OTHER_INDICES: [&str; 4] =
    ["logs-other-default", "metrics-other-default", ".alerts-security.alerts-default", "other"];
/// Maximum number of privileges that are named for one place. Chosen: the widest ones characterize the key; the rest is
/// counted.
const MAX_NAMED: usize = 4;

/// The response of `_has_privileges`. Only an explicit `true` is a privilege: one that the response does not name counts as
/// missing.
#[derive(Deserialize)]
struct Privileges {
    cluster: BTreeMap<String, bool>,
    index: BTreeMap<String, BTreeMap<String, bool>>,
}

impl Privileges {
    async fn fetch(client: &Client, question: &Value) -> Result<Self, Error> {
        let path = SecurityHasPrivilegesParts::None.url();
        let request = Request::new(Operation::CheckPrivileges, Method::POST, path).with_json(question);
        client.read(&request, READ_REMEDY).await
    }

    fn on_cluster(&self, privilege: &str) -> bool {
        self.cluster.get(privilege) == Some(&true)
    }

    fn on(&self, name: &str, privilege: &str) -> bool {
        self.index.get(name).and_then(|granted| granted.get(privilege)) == Some(&true)
    }
}

/// Returns the privileges of `role` that the key lacks, each as a text such as `create_doc on logs-lastpass.user-default`.
///
/// # Errors
/// [`Error`].
pub async fn fetch_missing_privileges(
    client: &Client,
    role: Role,
    namespace: &Namespace,
) -> Result<Vec<String>, Error> {
    let names = role.data_streams(namespace);
    let (cluster, index) = (role.cluster_privileges(), role.index_privileges());
    let question = json!({"cluster": cluster, "index": [{"names": names, "privileges": index}]});
    let granted = Privileges::fetch(client, &question).await?;
    let on_cluster = cluster
        .iter()
        .filter(|privilege| !granted.on_cluster(privilege))
        .map(|privilege| format!("{privilege} on the cluster"));
    let on_indices = names.iter().flat_map(|name| {
        let missing = index.iter().filter(|privilege| !granted.on(name, privilege));
        missing.map(move |privilege| format!("{privilege} on {name}"))
    });
    Ok(on_cluster.chain(on_indices).collect())
}

/// Returns the privileges of the key that the writer role does not have: to change or delete documents, read other indices,
/// or administer the cluster. One text for each place, such as `manage, read_ilm on the cluster`.
///
/// # Errors
/// [`Error`].
pub async fn fetch_excess_privileges(
    client: &Client,
    cluster: &ClusterInfo,
    namespace: &Namespace,
) -> Result<Vec<String>, Error> {
    let is_known = |privilege: &&str| !cluster.serverless || !NOT_IN_SERVERLESS.contains(privilege);
    let known = |privileges: &'static [&'static str]| -> Vec<&'static str> {
        privileges.iter().copied().filter(is_known).collect()
    };
    let (cluster_privileges, index_privileges) = (known(OTHER_CLUSTER_PRIVILEGES), known(INDEX_PRIVILEGES));
    let role = Role::Writer;
    let ours = role.data_streams(namespace);
    let others = OTHER_INDICES.map(str::to_owned);
    let is_beyond = |privilege: &&str| *privilege != INCLUDED_IN_READ && !role.index_privileges().contains(privilege);
    let beyond: Vec<&str> = index_privileges.iter().copied().filter(is_beyond).collect();
    let question = json!({"cluster": cluster_privileges, "index": [
        {"names": ours, "privileges": beyond},
        {"names": others, "privileges": index_privileges},
    ]});
    let granted = Privileges::fetch(client, &question).await?;
    let on_any = |names: &[String], privilege: &str| names.iter().any(|name| granted.on(name, privilege));
    let on_cluster = cluster_privileges.into_iter().filter(|privilege| granted.on_cluster(privilege));
    let on_ours = beyond.into_iter().filter(|privilege| on_any(&ours, privilege));
    let on_others = index_privileges.into_iter().filter(|privilege| on_any(&others, privilege));
    Ok([
        describe(on_cluster.collect(), "the cluster"),
        describe(on_ours.collect(), &format!("logs-lastpass.*-{namespace}")),
        describe(on_others.collect(), "indices that do not belong to LastPass"),
    ]
    .into_iter()
    .flatten()
    .collect())
}

/// Describes the privileges on one place. None if there are none.
fn describe(privileges: Vec<&str>, place: &str) -> Option<String> {
    let (named, rest) = privileges.split_at(privileges.len().min(MAX_NAMED));
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    (!named.is_empty()).then(|| format!("{}{more} on {place}", named.join(", ")))
}
