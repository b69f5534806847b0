//! Handles one invocation: request → action → answer.
//!
//! This module owns what lives as long as the sandbox (settings, clients, cached secrets, the set-up cluster) and
//! builds what lives as long as an invocation. If a system refuses the credentials, or the account, namespace or zone
//! cannot be correct, the secret is read again. If it has changed, the action starts over. The saved position and the
//! document IDs prevent duplicates.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_config::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Context, LambdaEvent};
use secrecy::SecretString;
use serde_json::Value;
use tracing::{Instrument, Level};

use crate::{
    check::{self, CheckAnswer},
    checkpoint::{self, Key, Scope, Store},
    clock::{self, Deadline},
    collect::{self, Session},
    config::{self, Config, SecretSource},
    document::{AccountName, Stream},
    elastic::{self, Origin, SetupOptions},
    error::{Error, Failure},
    http, lastpass,
    request::{self, Action, PlanAnswer, Reason, Request, RunAnswer},
    secrets::{self, Credentials, Secret, Secrets},
    status::{AccountsStatusAnswer, StatusAnswer},
    streams::Mapper,
    telemetry::{Journal, Totals, write_metrics},
};

/// Divides the remaining time of an invocation: this fraction is reserved for saving progress and answering.
const RESERVED_SHARE: u32 = 10;
/// Least and most reserved time. Chosen: a conditional write takes milliseconds, so the reserve allows for a retry.
const RESERVED: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// The part of the reserve that is left for the answer.
const ANSWERING: Duration = Duration::from_millis(200);
/// How long a lease may outlive Lambda's deadline. The sandbox is gone by then.
const LEASE_BEYOND_DEADLINE: SignedDuration = SignedDuration::from_secs(5);
/// Longest duration of `check` and `status`. Chosen: someone waits for them, and the AWS CLI times out after a minute.
const READ_ONLY_TIMEOUT: Duration = Duration::from_secs(50);

/// The function, for the lifetime of its sandbox.
pub struct Function {
    sandbox: Result<Sandbox, config::Invalid>,
}

struct Sandbox {
    config: Config,
    http: http::Clients,
    secrets: Secrets,
    dynamodb: aws_sdk_dynamodb::Client,
    /// The UUID of the cluster whose index templates were found, so that they are checked only before the first write.
    set_up_cluster: Mutex<Option<String>>,
}

/// One invocation.
struct Invocation<'a> {
    sandbox: &'a Sandbox,
    lastpass_http: reqwest::Client,
    elasticsearch_http: reqwest::Client,
    payload: &'a Value,
    request: &'a Request,
    /// The secret with the account's credentials. `None` for `status` of all accounts.
    secret_id: Option<String>,
    journal: &'a Journal,
    request_id: &'a str,
    deadline: Deadline,
    save_deadline: Deadline,
    lease_until: Timestamp,
}

impl Function {
    /// Builds the clients, unless the settings are invalid. Every invocation then returns the faults.
    #[must_use]
    pub fn new(config: Result<Config, config::Invalid>, aws: &SdkConfig) -> Self {
        let sandbox = config.and_then(|config| {
            let http = http::Clients::new(config.elasticsearch_ca.as_deref()).map_err(config::Invalid::from)?;
            Ok(Sandbox {
                secrets: Secrets::new(&aws_sdk_secretsmanager::Client::new(aws)),
                dynamodb: aws_sdk_dynamodb::Client::new(aws),
                http,
                config,
                set_up_cluster: Mutex::new(None),
            })
        });
        Self { sandbox }
    }

    /// Handles one invocation. At its end, writes one summary line and the metrics of its streams.
    ///
    /// # Errors
    /// [`Failure`], which becomes Lambda's `errorType` and `errorMessage`.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value, Failure> {
        let LambdaEvent { payload, context } = event;
        let started = clock::now();
        let request = Request::parse(&payload, started);
        let action = request.as_ref().ok().map(|request| &request.action);
        let stream = action.and_then(Action::stream);
        let account = request.as_ref().ok().and_then(|request| request.account.as_ref());
        let span = tracing::info_span!(
            "invocation",
            request_id = context.request_id,
            account = account.map(AccountName::as_str),
            action = action.map(Action::as_str),
            stream = stream.map(Stream::as_str),
        );
        let journal = Journal::default();
        async {
            let answer = match &request {
                // Boxed, because the future of a whole invocation is too large a type for the compiler to lay out in
                // one piece.
                Ok(request) => Box::pin(self.answer(request, &payload, &context, started, &journal)).await,
                Err(invalid) => Err(invalid.clone().into()),
            };
            let ended = clock::now();
            let failed_stream = stream.filter(|_| answer.is_err());
            let function_name = &context.env_config.function_name;
            write_metrics(&journal.metric_lines(function_name, account, failed_stream, ended));
            let took = Duration::try_from(ended.duration_since(started)).unwrap_or_default();
            summarize(&answer, journal.totals(), took, left_at(ended, &context));
            answer
                .map(|answer| with_account(answer, account))
                .map_err(|error| Failure { account: account.cloned(), error })
        }
        .instrument(span)
        .await
    }

    async fn answer(
        &self,
        request: &Request,
        payload: &Value,
        context: &Context,
        now: Timestamp,
        journal: &Journal,
    ) -> Result<Value, Error> {
        let sandbox = match &self.sandbox {
            Ok(sandbox) => sandbox,
            Err(invalid) => {
                let error = Error::from(invalid.clone());
                return if request.action == Action::Check {
                    Ok(json(&CheckAnswer::without_settings(&error)))
                } else {
                    Err(error)
                };
            }
        };
        let secret_id = match secret_id(&sandbox.config.secret, request) {
            Ok(secret_id) => secret_id,
            Err(invalid) if request.action == Action::Check => {
                return Ok(json(&CheckAnswer::without_secret(&invalid.into())));
            }
            Err(invalid) => return Err(invalid.into()),
        };
        let left = left_at(now, context);
        let ends = Timestamp::try_from(context.deadline()).unwrap_or(now);
        let reserved = (left / RESERVED_SHARE).clamp(RESERVED.0, RESERVED.1);
        let is_looked_at = matches!(request.action, Action::Check | Action::Status);
        let working = left.saturating_sub(reserved).min(if is_looked_at { READ_ONLY_TIMEOUT } else { Duration::MAX });
        let invocation = Invocation {
            sandbox,
            lastpass_http: sandbox.http.for_lastpass().map_err(config::Invalid::from)?,
            elasticsearch_http: sandbox.http.for_elasticsearch().map_err(config::Invalid::from)?,
            payload,
            request,
            secret_id,
            journal,
            request_id: &context.request_id,
            deadline: Deadline::after(working),
            save_deadline: Deadline::after(left.saturating_sub(ANSWERING)),
            lease_until: ends.saturating_add(LEASE_BEYOND_DEADLINE).unwrap_or(ends),
        };
        invocation.answer().await
    }
}

impl Invocation<'_> {
    async fn answer(&self) -> Result<Value, Error> {
        match self.request.action {
            Action::Check => return Ok(json(&self.check().await)),
            Action::Status => return self.status().await,
            Action::Resume => self.enter_watermarks().await,
            Action::Collect { .. }
            | Action::Backfill(_)
            | Action::Plan(_)
            | Action::Reset { .. }
            | Action::Redrive { .. }
            | Action::Setup { .. } => {}
        }
        let secret = self.secret();
        let mut credentials = match secret.get(clock::now()).await {
            Ok(credentials) => credentials,
            Err(error) => return self.without_credentials(error),
        };
        loop {
            let answer = self.act(&credentials).await;
            let Some(part) = answer.as_ref().err().and_then(Error::cause_in_secret) else { return answer };
            match secret.reload(clock::now()).await {
                // Each round requires that the secret has changed, so the loop ends.
                Ok(reloaded) if !reloaded.have_same(part, &credentials) => credentials = reloaded,
                _ => return answer,
            }
            tracing::info!(?part, "the secret was changed; beginning anew with what it holds now");
            self.journal.begin_anew();
        }
    }

    /// Skips the action if the secret still holds its placeholder, because schedules may be enabled from the first
    /// deployment.
    fn without_credentials(&self, error: secrets::Error) -> Result<Value, Error> {
        match (&self.request.action, error) {
            (Action::Setup { .. } | Action::Reset { .. }, error) => Err(error.into()),
            (_, error @ secrets::Error::Placeholder { .. }) => {
                tracing::warn!(%error, "nothing is collected yet");
                Ok(self.skipped(Reason::SetupRequired))
            }
            (_, error) => Err(error.into()),
        }
    }

    fn skipped(&self, reason: Reason) -> Value {
        let action = self.request.action.as_str();
        match (&self.request.action, self.request.action.stream()) {
            (Action::Plan(window), _) => json(&PlanAnswer::skipped(*window, reason)),
            (_, Some(stream)) => json(&RunAnswer::skipped(action, stream, reason)),
            (_, None) => serde_json::json!({"action": action, "status": "skipped", "reason": reason}),
        }
    }

    async fn act(&self, credentials: &Arc<Credentials>) -> Result<Value, Error> {
        if let Action::Setup { retention, take_over } = &self.request.action {
            let key = credentials.elastic_setup_api_key.as_ref().unwrap_or(&credentials.elastic_api_key);
            let options = SetupOptions { retention: retention.clone(), take_over: *take_over };
            let installed = elastic::setup(&self.elastic(key)?, &options).await?;
            return Ok(serde_json::json!({"action": "setup", "status": "complete", "installed": installed}));
        }
        let elastic = self.elastic(&credentials.elastic_api_key)?;
        let cluster_uuid = elastic::cluster_info(&elastic).await?.uuid;
        // A reset writes nothing to Elasticsearch.
        let writes = !matches!(self.request.action, Action::Reset { .. });
        if writes && !self.is_set_up(&elastic, cluster_uuid.as_deref()).await? {
            tracing::warn!("the index templates are not installed: run the action `setup`; nothing is collected yet");
            return Ok(self.skipped(Reason::SetupRequired));
        }
        let config = &self.sandbox.config;
        let mapper = self.mapper(credentials);
        let lastpass = self.lastpass(credentials);
        // Actions that can wait let live runs retry first.
        let can_wait = matches!(self.request.action, Action::Backfill(_) | Action::Plan(_) | Action::Resume);
        let session = Session {
            config,
            lastpass: &if can_wait { lastpass.low_priority() } else { lastpass },
            elastic: &elastic,
            store: &self.store(credentials, cluster_uuid),
            mapper: &mapper,
            origin: &Origin {
                account: credentials.account_number.clone(),
                request_id: self.request_id.to_owned(),
                request: self.payload.clone(),
            },
            journal: self.journal,
            request_id: self.request_id,
            deadline: self.deadline,
            save_deadline: self.save_deadline,
            lease_until: self.lease_until,
        };
        Ok(match self.request.action {
            Action::Collect { stream, scheduled_time } => {
                json(&self.with_totals(collect::collect(&session, stream, scheduled_time).await?))
            }
            Action::Backfill(request) => json(&self.with_totals(collect::backfill(&session, request).await?)),
            Action::Plan(window) => {
                let answer = collect::plan(&session, window).await?;
                json(&PlanAnswer { lastpass_requests: self.journal.totals().lastpass_requests, ..answer })
            }
            Action::Resume => json(&collect::resume(&session).await?),
            Action::Reset { stream, to } => json(&collect::reset(&session, stream, to).await?),
            Action::Redrive { stream } => json(&self.with_totals(collect::redrive(&session, stream).await?)),
            Action::Setup { .. } | Action::Check | Action::Status => Value::Null,
        })
    }

    /// Adds everything that this invocation has done to an answer, including the work before it started over.
    fn with_totals(&self, answer: RunAnswer) -> RunAnswer {
        let Totals { counters, lastpass_requests, bulk_requests, .. } = self.journal.totals();
        RunAnswer { counters, lastpass_requests, bulk_requests, ..answer }
    }

    /// Returns whether the cluster has the index templates. The UUID of a cluster that has them is remembered. A
    /// replaced cluster, or one without a UUID, is asked again.
    async fn is_set_up(&self, elastic: &elastic::Client, cluster_uuid: Option<&str>) -> Result<bool, Error> {
        let seen = || self.sandbox.set_up_cluster.lock().unwrap_or_else(PoisonError::into_inner);
        if cluster_uuid.is_some() && seen().as_deref() == cluster_uuid {
            return Ok(true);
        }
        let is_set_up = elastic::is_set_up(elastic).await?;
        if is_set_up {
            *seen() = cluster_uuid.map(str::to_owned);
        }
        Ok(is_set_up)
    }

    async fn check(&self) -> CheckAnswer {
        // Reads the secret again, because the check must use what the next invocation will find.
        let credentials = match self.secret().reload(clock::now()).await {
            Ok(credentials) => credentials,
            Err(error) => return CheckAnswer::without_secret(&error.into()),
        };
        let setup_key = credentials.elastic_setup_api_key.as_ref();
        let clients = self
            .elastic(&credentials.elastic_api_key)
            .and_then(|elastic| Ok((elastic, setup_key.map(|key| self.elastic(key)).transpose()?)));
        let (elastic, elastic_setup) = match clients {
            Ok(clients) => clients,
            Err(error) => return CheckAnswer::without_secret(&error),
        };
        let mapper = self.mapper(&credentials);
        check::check(&check::Systems {
            lastpass: &self.lastpass(&credentials),
            elastic: &elastic,
            elastic_setup: elastic_setup.as_ref(),
            store: &self.store(&credentials, None),
            zone: &mapper.zone,
            user_zone: &mapper.user_zone,
            namespace: &mapper.namespace,
        })
        .await
    }

    async fn status(&self) -> Result<Value, Error> {
        let Some(_) = &self.secret_id else {
            let listing = self.list_checkpoints(Scope::AllAccounts).await?;
            return Ok(json(&AccountsStatusAnswer::new(&listing, clock::now())));
        };
        let listing = self.list_checkpoints(Scope::Account(self.request.account.as_ref())).await?;
        let waiting = self.waiting_dead_letters().await;
        if let Err(error) = &waiting {
            tracing::warn!(%error, "the dead letters were not counted");
        }
        Ok(json(&StatusAnswer::new(&listing, waiting.ok(), clock::now())))
    }

    async fn waiting_dead_letters(&self) -> Result<u64, Error> {
        let credentials = self.secret().get(clock::now()).await?;
        let elastic = self.elastic(&credentials.elastic_api_key)?;
        let Mapper { namespace, account, .. } = self.mapper(&credentials);
        Ok(elastic::waiting_dead_letters(&elastic, &namespace, &account).await?)
    }

    async fn list_checkpoints(&self, scope: Scope<'_>) -> Result<checkpoint::Listing, Error> {
        let table = self.sandbox.config.checkpoint_table.clone();
        Ok(checkpoint::list(&self.sandbox.dynamodb, table, scope, self.deadline).await?)
    }

    /// Records the watermark of every stream before anything else can fail. The alarm on late streams must go to ALARM
    /// for a stream whose own runs do not start, and must not go to ALARM because of another fault.
    async fn enter_watermarks(&self) {
        let listing = match self.list_checkpoints(Scope::Account(self.request.account.as_ref())).await {
            Ok(listing) => listing,
            Err(error) => return tracing::warn!(%error, "how far the streams are is not known"),
        };
        for item in &listing.items {
            if let (Key::Stream(stream), Some(watermark)) = (item.key, item.state.watermark) {
                self.journal.enter_watermark(stream, watermark);
            }
        }
    }

    /// Returns the secret of the account. Only `status` of all accounts has none.
    fn secret_id(&self) -> &str {
        self.secret_id.as_deref().unwrap_or_default()
    }

    fn secret(&self) -> Secret<'_> {
        self.sandbox.secrets.secret(self.secret_id(), self.deadline)
    }

    fn mapper(&self, credentials: &Credentials) -> Mapper {
        collect::mapper(&self.sandbox.config, credentials, self.request.account.as_ref())
    }

    fn elastic(&self, api_key: &SecretString) -> Result<elastic::Client, Error> {
        let endpoint = self.sandbox.config.elasticsearch.clone();
        Ok(elastic::Client::new(self.elasticsearch_http.clone(), endpoint, api_key, self.deadline)?)
    }

    fn lastpass(&self, credentials: &Credentials) -> lastpass::Client {
        lastpass::Client::new(
            self.lastpass_http.clone(),
            self.sandbox.config.lastpass_url.clone(),
            lastpass::Account {
                number: credentials.account_number.clone(),
                provisioning_hash: credentials.provisioning_hash.clone(),
            },
            self.deadline,
        )
        .named(self.sandbox.config.lastpass_api_user.clone())
    }

    /// Builds the checkpoint store, with `cluster_uuid` if it is known.
    fn store(&self, credentials: &Credentials, cluster_uuid: Option<String>) -> Store {
        let config = &self.sandbox.config;
        let destination = checkpoint::Destination {
            host: config.elasticsearch.host().to_owned(),
            namespace: self.mapper(credentials).namespace,
            account: credentials.account_number.clone(),
            cluster_uuid,
        };
        Store::new(&self.sandbox.dynamodb, config.checkpoint_table.clone(), destination, self.deadline)
            .of_account(self.request.account.clone())
    }
}

/// Returns the secret that a request needs, or `None` for `status` of all accounts.
fn secret_id(source: &SecretSource, request: &Request) -> Result<Option<String>, request::Invalid> {
    match (source, &request.account) {
        (SecretSource::Arn(arn), None) => Ok(Some(arn.clone())),
        (SecretSource::Arn(_), Some(_)) => Err(request::Invalid::account_without_prefix()),
        (SecretSource::Prefix(prefix), Some(account)) => Ok(Some(format!("{prefix}/{account}"))),
        (SecretSource::Prefix(_), None) if request.action == Action::Status => Ok(None),
        (SecretSource::Prefix(_), None) => Err(request::Invalid::account_missing()),
    }
}

/// Adds the account to an answer if the request named one.
fn with_account(answer: Value, account: Option<&AccountName>) -> Value {
    match (answer, account) {
        (Value::Object(mut fields), Some(account)) => {
            fields.shift_insert(1.min(fields.len()), "account".to_owned(), account.as_str().into());
            Value::Object(fields)
        }
        (answer, _) => answer,
    }
}

/// Returns how long Lambda lets the invocation continue after `now`.
fn left_at(now: Timestamp, context: &Context) -> Duration {
    let ends = Timestamp::try_from(context.deadline()).unwrap_or(now);
    Duration::try_from(ends.duration_since(now)).unwrap_or_default()
}

/// Writes the summary line of an invocation. The level is error if it failed, because someone may have to act.
fn summarize(answer: &Result<Value, Error>, totals: Totals, took: Duration, left: Duration) {
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    macro_rules! summarize {
        ($level:expr, $($field:tt)*) => {
            tracing::event!(
                $level,
                $($field)*
                fetched = totals.counters.fetched,
                created = totals.counters.created,
                duplicates = totals.counters.duplicates,
                dead_letters = totals.counters.dead_letters,
                late = totals.counters.late,
                lastpass_requests = totals.lastpass_requests,
                lastpass_throttled = totals.lastpass_throttled,
                bulk_requests = totals.bulk_requests,
                duration_ms = milliseconds(took),
                time_left_ms = milliseconds(left),
                "invocation ended"
            )
        };
    }
    match answer {
        Ok(answer) => {
            let text = |pointer| answer.pointer(pointer).and_then(Value::as_str);
            summarize!(
                Level::INFO,
                status = text("/status"),
                reason = text("/reason"),
                from = text("/window/from"),
                to = text("/window/to"),
                checkpoint = text("/checkpoint"),
            );
        }
        Err(error) => {
            summarize!(Level::ERROR, status = "failed", error_type = error.error_type(), error = error.with_causes(),)
        }
    }
}

/// Serializes an answer. This cannot fail, because answers are plain structs.
fn json<T: serde::Serialize>(answer: &T) -> Value {
    serde_json::to_value(answer).unwrap_or_default()
}
