//! Logs in to Elasticsearch, and proves the writer key.

use std::time::Duration;

use lastpass_elastic::{
    clock::Deadline,
    config::{self, Config},
    document::Namespace,
    elastic::{self, ClusterInfo, INSTALLER_ROLE, Login, Role, WRITER_ROLE},
    error::Error as LibraryError,
    http::Clients,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    error::Error,
    field::{Field, needed},
    input::Input,
    plan::Plan,
};
use crate::output;

/// Longest time of the requests to Elasticsearch with their retries. Chosen: somebody is waiting at the terminal.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time in which Elasticsearch must respond at all. Chosen: a wrong address is then reported soon.
const REACH_TIMEOUT: Duration = Duration::from_secs(8);

/// The cluster of a stack.
pub struct Elasticsearch<'a> {
    pub config: &'a Config,
    pub plan: Plan,
    /// Whether the keys come from Kibana.
    pub uses_keys: bool,
}

/// A login that can do the work.
pub enum Access {
    /// A user, who creates the writer key.
    User(elastic::Client),
    /// Two keys from Kibana, for the function and for installing the templates. Each is present only if it is needed.
    Keys { writer: Option<SecretString>, installer: Option<elastic::Client> },
}

impl Elasticsearch<'_> {
    /// Returns the values that are needed.
    pub fn fields(&self) -> impl Iterator<Item = Field> {
        let Plan { key, templates, .. } = self.plan;
        needed(if self.uses_keys {
            [(key, Field::WriterKey), (templates, Field::InstallerKey)]
        } else {
            [Field::User, Field::Password].map(|field| (self.plan.uses_elasticsearch(), field))
        })
    }

    /// Checks that Elasticsearch responds, before anybody is asked for a password.
    ///
    /// # Errors
    /// [`Error::ElasticsearchUnreachable`], [`Error::Library`].
    pub async fn reach(&self) -> Result<(), Error> {
        let client = self.client(&Login::Anonymous, REACH_TIMEOUT)?;
        Ok(elastic::reach(&client).await?)
    }

    /// Gets the login, and checks that it can do the work.
    pub async fn log_in(&self, input: &Input, namespace: &Namespace) -> Result<Access, Error> {
        if !self.uses_keys {
            let name = input.get(Field::User).await?;
            if !name.expose_secret().is_empty() {
                let password = input.get_nonempty(Field::Password).await?;
                return self.log_in_user(name.expose_secret().to_owned(), password, namespace).await;
            }
        }
        self.log_in_keys(input, namespace).await
    }

    async fn log_in_user(&self, user: String, password: SecretString, namespace: &Namespace) -> Result<Access, Error> {
        let client = self.client(&Login::User { name: user.clone(), password }, TIMEOUT)?;
        self.supported(&client).await?;
        let mut missing = Vec::new();
        for (is_needed, role) in [(self.plan.key, Role::Writer), (self.plan.templates, Role::Installer)] {
            if is_needed {
                missing.extend(elastic::fetch_missing_privileges(&client, role, namespace).await?);
            }
        }
        missing.sort();
        missing.dedup();
        if !missing.is_empty() {
            let host = self.config.elasticsearch.host().to_owned();
            return Err(Error::UserLacks { host, user, missing: missing.join("; ") });
        }
        output::print_message(&format!("Elasticsearch accepts the user {user:?}"));
        Ok(Access::User(client))
    }

    async fn log_in_keys(&self, input: &Input, namespace: &Namespace) -> Result<Access, Error> {
        self.show_roles();
        let writer = if self.plan.key { Some(input.get_nonempty(Field::WriterKey).await?) } else { None };
        if let Some(key) = &writer {
            self.prove_writer(key, namespace).await?;
        }
        let installer = if self.plan.templates { Some(input.get_nonempty(Field::InstallerKey).await?) } else { None };
        let installer = match installer {
            Some(key) => {
                let client = self.client(&Login::ApiKey(key), TIMEOUT)?;
                let missing = elastic::fetch_missing_privileges(&client, Role::Installer, namespace).await?;
                lacks_nothing("installer", &missing)?;
                Some(client)
            }
            None => None,
        };
        Ok(Access::Keys { writer, installer })
    }

    /// Shows the roles to paste.
    fn show_roles(&self) {
        output::print_message(
            "Create these API keys in Kibana under Stack Management > API keys (serverless: Project settings > Management > \
             API keys), each with its own role under `Control security privileges`, and copy them in the form `Encoded`:",
        );
        let roles = [(self.plan.key, "writer", WRITER_ROLE), (self.plan.templates, "installer", INSTALLER_ROLE)];
        for (_, name, role) in roles.into_iter().filter(|(is_needed, ..)| *is_needed) {
            output::print_message(&format!("\n{{\"lastpass-{name}\": {}}}", role.trim_end()));
        }
        output::print_message("");
    }

    /// Proves that a key has the privileges of the writer role, and no others.
    pub async fn prove_writer(&self, key: &SecretString, namespace: &Namespace) -> Result<(), Error> {
        let client = self.client(&Login::ApiKey(key.clone()), TIMEOUT)?;
        let cluster = self.supported(&client).await?;
        lacks_nothing("writer", &elastic::fetch_missing_privileges(&client, Role::Writer, namespace).await?)?;
        match elastic::fetch_excess_privileges(&client, &cluster, namespace).await {
            Ok(excess) if !excess.is_empty() => {
                Err(Error::Key { key: "writer", problem: format!("can do more than it should: {}", excess.join("; ")) })
            }
            Err(error) if !error.is_unknown_privilege() => Err(error.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Checks the version of the cluster.
    async fn supported(&self, client: &elastic::Client) -> Result<ClusterInfo, Error> {
        let cluster = elastic::fetch_cluster_info(client).await?;
        if cluster.is_supported() {
            return Ok(cluster);
        }
        let host = self.config.elasticsearch.host().to_owned();
        Err(elastic::Error::TooOld { host, version: cluster.version }.into())
    }

    fn client(&self, login: &Login, timeout: Duration) -> Result<elastic::Client, Error> {
        let Config { elasticsearch, elasticsearch_ca, .. } = self.config;
        let http = Clients::new(elasticsearch_ca.as_deref()).and_then(|clients| clients.for_elasticsearch());
        let http = http.map_err(|fault| LibraryError::from(config::Invalid::from(fault)))?;
        Ok(elastic::Client::new(http, elasticsearch.clone(), login, Deadline::after(timeout))?)
    }
}

fn lacks_nothing(key: &'static str, missing: &[String]) -> Result<(), Error> {
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::Key { key, problem: format!("lacks {}", missing.join("; ")) })
}
