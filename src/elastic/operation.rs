//! The operations on Elasticsearch, as error texts name them.

use std::fmt;

/// What a request to Elasticsearch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `GET /`.
    ReadInfo,
    /// `POST _security/user/_has_privileges`.
    CheckRights,
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

impl Operation {
    /// Returns the privilege that the operation requires.
    pub(super) const fn needs(self) -> &'static str {
        match self {
            Self::ReadInfo | Self::ReadTemplates => "the cluster privilege `monitor`",
            Self::CheckRights => "to be a valid key",
            Self::InstallTemplate => "the cluster privilege `manage_index_templates`",
            Self::InstallPipeline => "the cluster privilege `manage_ingest_pipelines`",
            Self::ListBackingIndices => "the privilege `view_index_metadata` on `logs-lastpass.*-*`",
            Self::FindIds | Self::ReadDeadLetters | Self::SearchDocuments => {
                "the privilege `read` on `logs-lastpass.*-*`"
            }
            Self::Write | Self::WriteDeadLetter => {
                "the privileges `create_doc` and `auto_configure` on `logs-lastpass.*-*`"
            }
            Self::UpdateDataStream => "the privilege `manage` on `logs-lastpass.*-*`",
            Self::CreateApiKey => "the cluster privilege `manage_own_api_key`",
            Self::InvalidateApiKey => {
                "the cluster privilege `manage_own_api_key` for a key of its own, and `manage_api_key` for any other"
            }
        }
    }

    /// Returns the role that has the privilege, and where its key is stored.
    pub(super) const fn role(self) -> &'static str {
        match self {
            Self::InstallTemplate | Self::InstallPipeline | Self::UpdateDataStream => {
                "the installer role, and store it as `elastic_setup_api_key`"
            }
            Self::ReadInfo
            | Self::CheckRights
            | Self::ReadTemplates
            | Self::ListBackingIndices
            | Self::FindIds
            | Self::Write
            | Self::WriteDeadLetter
            | Self::ReadDeadLetters
            | Self::SearchDocuments => "the writer role, and store it as `elastic_api_key`",
            // An API key cannot create another one, so only a user is refused this.
            Self::CreateApiKey | Self::InvalidateApiKey => "neither role, but log in as a user",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadInfo => "read the version of the cluster",
            Self::CheckRights => "read the privileges of the API key",
            Self::ReadTemplates => "read the templates",
            Self::InstallTemplate => "install a template",
            Self::InstallPipeline => "install the ingest pipeline",
            Self::ListBackingIndices => "list the backing indices of a data stream",
            Self::FindIds => "look up which documents exist",
            Self::Write => "write documents",
            Self::WriteDeadLetter => "write a dead letter",
            Self::ReadDeadLetters => "read the dead letters",
            Self::SearchDocuments => "search the data streams",
            Self::UpdateDataStream => "update a data stream",
            Self::CreateApiKey => "create an API key",
            Self::InvalidateApiKey => "invalidate an API key",
        })
    }
}
