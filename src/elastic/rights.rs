//! Which cluster this is, and which rights the API key lacks.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::client::{Body, Call, Client};
use super::error::{Doing, Error};
use crate::deadline::Deadline;
use crate::document::{DataStream, Namespace, Stream};

const READ_REMEDY: &str = "see whether ELASTICSEARCH_URL or ELASTIC_CLOUD_ID is that of Elasticsearch, not of Kibana";

/// The `cluster_uuid` that a node answers before it has joined a cluster. Source: Elasticsearch, `Metadata.java`,
/// `UNKNOWN_CLUSTER_UUID`.
const NOT_FORMED: &str = "_na_";

/// The data streams that the installer role is for: every dataset of LastPass in every namespace.
const ALL_DATA_STREAMS: &str = "logs-lastpass.*-*";

/// What a cluster says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterInfo {
    /// Its name.
    pub name: String,
    /// Its UUID, which another cluster under the same host hasn't; none from a cluster that has not formed yet.
    pub uuid: Option<String>,
    /// Its version, such as `8.19.21`. That of a serverless project says little.
    pub version: String,
    /// Whether it is a serverless project of Elastic Cloud.
    pub serverless: bool,
}

/// Which of the two roles a key should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What `collect` and its like need, as in `assets/roles/writer.json`.
    Writer,
    /// What `setup` needs, as in `assets/roles/installer.json`.
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

    /// The data streams the role is asked for: a writer's key may be limited to its namespace.
    fn data_streams(self, namespace: &Namespace) -> Vec<String> {
        match self {
            Self::Writer => Stream::ALL
                .iter()
                .map(|stream| stream.data_stream(namespace))
                .chain([DataStream::dead_letter(namespace)])
                .map(|data_stream| data_stream.as_str().to_owned())
                .collect(),
            Self::Installer => vec![ALL_DATA_STREAMS.to_owned()],
        }
    }
}

/// Asks the cluster who it is: proof that the way to it and the key are right.
///
/// # Errors
/// [`Error`].
pub async fn cluster_info(client: &Client, deadline: Deadline) -> Result<ClusterInfo, Error> {
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
    let call = Call { doing: Doing::ReadInfo, method: Method::GET, path: &[], query: &[], body: Body::None };
    let info: Info = client.read(&call, READ_REMEDY, deadline).await?;
    Ok(ClusterInfo {
        name: info.cluster_name,
        uuid: info.cluster_uuid.filter(|uuid| uuid != NOT_FORMED),
        version: info.version.number,
        serverless: info.version.build_flavor.as_deref() == Some("serverless"),
    })
}

/// The privileges of `role` that the key lacks, each as a text such as `create_doc on logs-lastpass.user-default`.
///
/// # Errors
/// [`Error`].
pub async fn missing_rights(
    client: &Client,
    role: Role,
    namespace: &Namespace,
    deadline: Deadline,
) -> Result<Vec<String>, Error> {
    #[derive(Serialize)]
    struct Question {
        cluster: &'static [&'static str],
        index: [IndexQuestion; 1],
    }
    #[derive(Serialize)]
    struct IndexQuestion {
        names: Vec<String>,
        privileges: &'static [&'static str],
    }
    #[derive(Deserialize)]
    struct Answer {
        cluster: BTreeMap<String, bool>,
        index: BTreeMap<String, BTreeMap<String, bool>>,
    }
    let names = role.data_streams(namespace);
    let question = Question {
        cluster: role.cluster_privileges(),
        index: [IndexQuestion { names: names.clone(), privileges: role.index_privileges() }],
    };
    let call = Call {
        doing: Doing::CheckRights,
        method: Method::POST,
        path: &["_security", "user", "_has_privileges"],
        query: &[],
        body: Body::Json(serde_json::json!(question).to_string().into_bytes()),
    };
    let answer: Answer = client.read(&call, READ_REMEDY, deadline).await?;
    // What the answer doesn't name counts as missing: only a plain `true` is a right.
    let cluster = role
        .cluster_privileges()
        .iter()
        .filter(|privilege| answer.cluster.get(**privilege) != Some(&true))
        .map(|privilege| format!("{privilege} on the cluster"));
    let index = names.iter().flat_map(|name| {
        let granted = answer.index.get(name);
        role.index_privileges()
            .iter()
            .filter(move |privilege| granted.and_then(|granted| granted.get(**privilege)) != Some(&true))
            .map(move |privilege| format!("{privilege} on {name}"))
    });
    Ok(cluster.chain(index).collect())
}
