//! Gets missing and changed credentials, and proves them, before anything is stored in AWS.

use jiff::Timestamp;
use lastpass_elastic::{
    clock,
    document::Namespace,
    elastic::{self, SetupOptions},
};

use secrecy::SecretString;

use super::{
    connection::Connection,
    document::Document,
    elasticsearch::{Access, Elasticsearch},
    error::Error,
    field::Field,
    key::CreatedKey,
    lastpass,
    plan::Plan,
};
use crate::output;

impl Connection<'_> {
    /// Gets and proves all credentials, installs the index templates, and returns the new content of the secret. Stores a new
    /// key in `created`.
    ///
    /// # Errors
    /// [`Error`]. Nothing is stored in AWS.
    pub async fn prepare(
        &self,
        plan: Plan,
        mut document: Document,
        created: &mut CreatedKey,
    ) -> Result<Document, Error> {
        let has_key = self.input.has(Field::WriterKey) || self.input.has(Field::InstallerKey);
        let uses_keys = self.args.api_keys || (has_key && !self.input.has(Field::User));
        let elasticsearch = Elasticsearch { config: &self.settings.config, plan, uses_keys };
        let fields: Vec<Field> = plan.fields().chain(elasticsearch.fields()).collect();
        self.input.check_available(&fields)?;
        if plan.uses_elasticsearch() {
            elasticsearch.reach().await?;
        }
        for field in plan.fields() {
            document.set(field, &self.input.get_nonempty(field).await?);
        }
        let account = document.account(&self.settings.config, self.secret.id())?;
        if plan.number || plan.hash {
            lastpass::prove(&account, clock::now()).await?;
        }
        if plan.uses_elasticsearch() {
            let access = elasticsearch.log_in(self.input, account.namespace()).await?;
            let (writer, installer) = self.get_keys(&elasticsearch, access, account.namespace(), created).await?;
            if let Some(writer) = &writer {
                document.set(Field::WriterKey, writer);
            }
            if let (true, Some(client)) = (plan.templates, &installer) {
                let options = SetupOptions { retention: self.args.retention.clone(), take_over: self.args.take_over };
                elastic::setup(client, &options).await?;
                output::print_message("the index templates are installed");
            }
        }
        Ok(document)
    }

    /// Creates or takes the writer key if it is needed. Returns it, and the client that can install the index templates.
    async fn get_keys(
        &self,
        elasticsearch: &Elasticsearch<'_>,
        access: Access,
        namespace: &Namespace,
        created: &mut CreatedKey,
    ) -> Result<(Option<SecretString>, Option<elastic::Client>), Error> {
        Ok(match access {
            Access::User(client) if elasticsearch.plan.key => {
                let stack = &self.session.stack.name;
                let name = key_name(stack, self.account, clock::now());
                let writer = created.create(&client, &name, stack).await?;
                elasticsearch.prove_writer(&writer, namespace).await?;
                (Some(writer), Some(client))
            }
            Access::User(client) => (None, Some(client)),
            Access::Keys { writer, installer } => (writer, installer),
        })
    }
}

/// Names a new API key after its stack and account, and after the time, so that no other key has this name.
fn key_name(stack: &str, account: Option<&str>, now: Timestamp) -> String {
    let account = account.map_or_else(String::new, |account| format!(" {account}"));
    format!("lastpass-elastic {stack}{account} {now:.0}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_after_its_stack_and_account() {
        let now = "2026-10-05T13:45:00.182Z".parse().expect("a time");
        assert_eq!(key_name("lastpass", None, now), "lastpass-elastic lastpass 2026-10-05T13:45:00Z");
        assert_eq!(key_name("prod", Some("acme"), now), "lastpass-elastic prod acme 2026-10-05T13:45:00Z");
    }
}
