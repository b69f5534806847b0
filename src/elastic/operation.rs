//! The operations on Elasticsearch, as error texts name them.

use std::fmt;

/// The purpose of a request to Elasticsearch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `GET /`.
    ReadInfo,
    /// `POST _security/user/_has_privileges`.
    CheckPrivileges,
    /// `GET _index_template`, `GET _component_template`.
    ReadTemplates,
    /// `PUT _index_template`, `PUT _component_template`.
    InstallTemplate,
    /// `PUT _ingest/pipeline`.
    InstallPipeline,
    /// `GET _resolve/index`, `GET <index>/_mapping`.
    ListBackingIndices,
    /// `POST _mget`.
    FindIds,
    /// `POST <data stream>/_bulk` with documents.
    Write,
    /// `POST <data stream>/_bulk` with dead letters.
    WriteDeadLetter,
    /// `POST <data stream>/_search`.
    ReadDeadLetters,
    /// `POST <data stream>/_search`, `GET <data stream>/_field_caps`.
    SearchDocuments,
    /// `POST <data stream>/_rollover`, `PUT _data_stream/<data stream>/_lifecycle` and `/_options`.
    UpdateDataStream,
    /// `POST _security/api_key`.
    CreateApiKey,
    /// `DELETE _security/api_key`.
    InvalidateApiKey,
}

/// An operation in error texts.
struct Facts {
    /// The operation, such as `write documents`.
    text: &'static str,
    /// The privilege that it requires.
    needs: &'static str,
    /// The role that has the privilege, and where its key is stored.
    role: &'static str,
}

const MONITOR: &str = "the cluster privilege `monitor`";
const VIEW: &str = "the privilege `view_index_metadata` on `logs-lastpass.*-*`";
const READ: &str = "the privilege `read` on `logs-lastpass.*-*`";
const WRITE: &str = "the privileges `create_doc` and `auto_configure` on `logs-lastpass.*-*`";
const INVALIDATE: &str =
    "the cluster privilege `manage_own_api_key` for their own keys, and `manage_api_key` for any other";

const WRITER: &str = "the writer role, and store it as `elastic_api_key`";
const INSTALLER: &str = "the installer role, and store it as `elastic_setup_api_key`";
/// An API key cannot create another one, so only a user is refused this.
const USER: &str = "neither role, but log in as a user";

impl Operation {
    /// Returns the privilege that the operation requires.
    pub(super) const fn needs(self) -> &'static str {
        self.facts().needs
    }

    /// Returns the role that has the privilege, and where its key is stored.
    pub(super) const fn role(self) -> &'static str {
        self.facts().role
    }

    const fn facts(self) -> Facts {
        let (text, needs, role) = match self {
            Self::ReadInfo => ("read the version of the cluster", MONITOR, WRITER),
            Self::CheckPrivileges => ("read the privileges of the API key", "to be a valid key", WRITER),
            Self::ReadTemplates => ("read the templates", MONITOR, WRITER),
            Self::InstallTemplate => {
                ("install a template", "the cluster privilege `manage_index_templates`", INSTALLER)
            }
            Self::InstallPipeline => {
                ("install the ingest pipeline", "the cluster privilege `manage_ingest_pipelines`", INSTALLER)
            }
            Self::ListBackingIndices => ("list the backing indices of a data stream", VIEW, WRITER),
            Self::FindIds => ("look up which documents exist", READ, WRITER),
            Self::Write => ("write documents", WRITE, WRITER),
            Self::WriteDeadLetter => ("write a dead letter", WRITE, WRITER),
            Self::ReadDeadLetters => ("read the dead letters", READ, WRITER),
            Self::SearchDocuments => ("search the data streams", READ, WRITER),
            Self::UpdateDataStream => {
                ("update a data stream", "the privilege `manage` on `logs-lastpass.*-*`", INSTALLER)
            }
            Self::CreateApiKey => ("create an API key", "the cluster privilege `manage_own_api_key`", USER),
            Self::InvalidateApiKey => ("invalidate an API key", INVALIDATE, USER),
        };
        Facts { text, needs, role }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.facts().text)
    }
}
