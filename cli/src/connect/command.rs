//! Runs `connect`: plans, stores and confirms the changes, and starts the first runs.

use std::{cell::Cell, future::Future};

use lastpass_elastic::document::Stream;
use serde_json::{Value, json};

use super::{
    args::ConnectArgs, connection::Connection, document::Document, error::Error, field::Field, first_runs,
    input::Input, key::CreatedKey, kibana, plan::Plan, report::Report, rotation, secret::Secret, settings::Settings,
};
use crate::{
    accounts::Targets,
    exit::Exit,
    failure::{Error as CommandError, Failure as _},
    kibana_address::Address,
    output::{self, Format},
    payload,
    session::Session,
    stack::StackOptions,
};

/// Connects a stack, or one of its accounts, with LastPass and Elasticsearch. A stack that is connected is only checked,
/// unless `args` say what to change.
///
/// # Errors
/// [`CommandError`]. If it occurs before the secret is stored, an API key that was created is invalidated again.
pub async fn connect(options: &StackOptions, args: &ConnectArgs, format: Format) -> Result<Exit, CommandError> {
    let input = Input::read(args)?;
    let kibana = args.kibana.as_deref().map(|url| Address::new(url, None)).transpose()?;
    let session = Session::open(options).await?;
    let account = match session.targets()? {
        Targets::Stack => None,
        Targets::One(account) => Some(account),
        Targets::Several(_) => return Err(Error::SeveralAccounts.into()),
    };
    let settings = Settings::fetch(&session.aws, &session.stack, account.as_deref()).await?;
    let kms_key = session.stack.kms_key_arn.as_deref();
    let secret = Secret::new(&session.aws, &settings.secret_id, kms_key, account.is_some());
    let connection = Connection {
        args,
        input: &input,
        session: &session,
        settings: &settings,
        secret: &secret,
        account: account.as_deref(),
        kibana: kibana.or_else(|| kibana::in_cloud_id(&settings.config)),
    };
    connection.run(format).await
}

/// The content of the secret before and after it was stored.
struct Stored {
    before: Document,
    after: Document,
    created: CreatedKey,
    /// Whether the former API key was stored again.
    is_restored: Cell<bool>,
}

impl Connection<'_> {
    async fn run(&self, format: Format) -> Result<Exit, CommandError> {
        let before = match self.secret.fetch().await? {
            Some(text) => Document::parse(&text, self.secret.id(), &self.settings.config)?,
            None => Document::default(),
        };
        let mut plan = Plan::new(&before, self.args);
        for message in plan.unused(&before, self.input) {
            output::print_message(&message);
        }
        // Also proves the permission to invoke the function, before anybody is asked for anything.
        let status = self.ask("status").await?;
        let mut check = None;
        if plan.is_none() {
            let answer = until_interrupted(self.ask("check")).await?;
            plan.templates = lacks_templates(&answer);
            check = Some(answer);
        }
        let (document, check, changed) = match check {
            Some(check) if plan.is_none() => (before, check, Vec::new()),
            _ => {
                let stored = self.store(plan, before).await?;
                let checked = until_interrupted(self.confirm(plan, &stored)).await;
                let (check, changed) = checked.inspect_err(|_| self.report_former_key(plan, &stored))?;
                (stored.after, check, changed)
            }
        };
        let report = until_interrupted(self.finish(&document, check, changed, status)).await?;
        Ok(report.print(format)?)
    }

    /// Proves the new credentials and stores them. If that fails, invalidates the key that was created.
    async fn store(&self, plan: Plan, before: Document) -> Result<Stored, CommandError> {
        let mut created = CreatedKey::default();
        let prepared = tokio::select! {
            prepared = self.prepare(plan, before.clone(), &mut created) => prepared,
            _ = tokio::signal::ctrl_c() => Err(Error::Interrupted),
        };
        let after = match prepared {
            Ok(after) => after,
            Err(error) => {
                created.invalidate().await;
                return Err(error.into());
            }
        };
        if plan.changes_secret() {
            self.put(&after, &created).await?;
            output::print_message(&format!("the credentials are stored in the secret {}", self.secret.id()));
        }
        Ok(Stored { before, after, created, is_restored: Cell::new(false) })
    }

    /// Writes the secret. If it is unknown whether it was written, reads it again.
    async fn put(&self, document: &Document, created: &CreatedKey) -> Result<(), CommandError> {
        let Err(error) = self.secret.put(&document.text()).await else { return Ok(()) };
        if error.transient().is_none() {
            created.invalidate().await;
            return Err(error.into());
        }
        let unknown = |source| Error::Unknown {
            secret: self.secret.id().to_owned(),
            key: created.name().unwrap_or("from Kibana").to_owned(),
            source: Box::new(source),
        };
        let Ok(Some(text)) = self.secret.fetch().await else { return Err(unknown(error).into()) };
        if document.is_same(&text) {
            return Ok(());
        }
        created.invalidate().await;
        Err(error.into())
    }

    /// Reports that the former API key is still valid if a rotation failed after the new key was stored.
    fn report_former_key(&self, plan: Plan, stored: &Stored) {
        if plan.key && !stored.is_restored.get() && stored.before.get(Field::WriterKey).is_some() {
            output::print_message(&format!(
                "the new API key is stored, and the former one is still valid: {}",
                rotation::BY_HAND
            ));
        }
    }

    /// Lets the function check the new credentials, invalidates the former API key, and describes the changes. If the function
    /// cannot use the new API key, stores the former one again.
    async fn confirm(&self, plan: Plan, stored: &Stored) -> Result<(Value, Vec<String>), CommandError> {
        let check = self.ask("check").await?;
        let mut changed: Vec<String> = plan.fields().map(|field| field.name().to_owned()).collect();
        if plan.key {
            if let Some(former) = stored.before.get(Field::WriterKey) {
                if let Some(fault) = fault_of(&check, "elasticsearch") {
                    let mut restored = stored.after.clone();
                    restored.set(Field::WriterKey, &former);
                    self.secret.put(&restored.text()).await?;
                    stored.is_restored.set(true);
                    stored.created.invalidate().await;
                    return Err(Error::NotRotated(fault.to_owned()).into());
                }
                let others = self.session.stack.accounts.as_deref().unwrap_or_default();
                let shared = rotation::accounts_with_key(&self.session.aws, self.settings, others, &former).await?;
                if rotation::invalidate_former(&former, &stored.created, &shared).await {
                    changed.push("the former API key is invalid".to_owned());
                }
            }
            let name = stored.created.name().map_or_else(String::new, |name| format!(" ({name})"));
            changed.push(format!("{}{name}", Field::WriterKey.name()));
        }
        if plan.templates {
            changed.push("index templates".to_owned());
        }
        Ok((check, changed))
    }

    /// Starts the first run of each stream that was never read, if all checks succeeded, and collects the report.
    async fn finish(
        &self,
        document: &Document,
        check: Value,
        changed: Vec<String>,
        mut status: Value,
    ) -> Result<Report<'_>, CommandError> {
        let mut runs = Vec::new();
        let unread: Vec<Stream> = first_runs::unread(&status);
        if Exit::of_answer(&check) == Exit::Done && !unread.is_empty() {
            let names: Vec<&str> = unread.iter().map(|stream| stream.as_str()).collect();
            output::print_message(&format!("the first run of {} begins, which may take minutes", names.join(", ")));
            runs = first_runs::start(&self.session.function, &unread, self.account).await?;
            status = self.ask("status").await?;
        }
        let account = document.account(&self.settings.config, self.secret.id())?;
        let accounts = self.session.stack.accounts.as_ref();
        let is_read = |name: &str| accounts.is_none_or(|accounts| accounts.iter().any(|account| account == name));
        Ok(Report {
            stack: &self.session.stack.name,
            account: self.account,
            changed,
            check,
            runs,
            status,
            kibana: self.kibana.clone(),
            namespace: account.namespace().clone(),
            is_scheduled: self.account.is_none_or(is_read),
        })
    }

    async fn ask(&self, action: &str) -> Result<Value, CommandError> {
        Ok(self.session.function.invoke(&payload::with_account(&json!({"action": action}), self.account)).await?)
    }
}

/// Runs a step in which nothing is stored any more, until it ends or Ctrl-C is pressed.
async fn until_interrupted<T>(part: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    tokio::select! {
        done = part => done,
        _ = tokio::signal::ctrl_c() => Err(Error::InterruptedLater.into()),
    }
}

/// Returns the message of a check that failed.
fn fault_of<'a>(check: &'a Value, name: &str) -> Option<&'a str> {
    let checks = check["checks"].as_array()?;
    let failed = checks.iter().find(|entry| entry["name"] == name && entry["status"] == "failed")?;
    Some(failed["message"].as_str().unwrap_or_default())
}

/// Returns whether Elasticsearch answers, but lacks the current index templates.
fn lacks_templates(check: &Value) -> bool {
    fault_of(check, "elasticsearch").is_none() && fault_of(check, "index_templates").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_count_as_missing_only_if_elasticsearch_answers() {
        let check = |elasticsearch: &str, templates: &str| {
            json!({"checks": [{"name": "elasticsearch", "status": elasticsearch, "message": "why"},
                {"name": "index_templates", "status": templates, "message": "missing"}]})
        };
        assert!(lacks_templates(&check("ok", "failed")));
        assert!(!lacks_templates(&check("ok", "ok")));
        assert!(!lacks_templates(&check("failed", "skipped")));
        assert_eq!(fault_of(&check("failed", "skipped"), "elasticsearch"), Some("why"));
    }
}
