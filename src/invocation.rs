//! One invocation: one action → one answer.
//!
//! This module owns the clients that a sandbox keeps, and binds them to the deadline and the credentials of an
//! invocation. If a system refuses the credentials, or the account, namespace or zone cannot be correct, the secret is
//! read again. If it has changed, the action starts over. The saved position and the document IDs prevent duplicates.

use std::sync::Arc;

use aws_config::SdkConfig;
use futures_util::try_join;
use jiff::Timestamp;
use lambda_runtime::Context;
use secrecy::SecretString;
use serde_json::Value;

use crate::{
    answer::{
        AccountsStatusAnswer, Answer, CheckAnswer, PlanAnswer, Reason, ResumeAnswer, RunAnswer, RunStatus, SetupAnswer,
        StatusAnswer,
    },
    aws_http, check,
    checkpoint::{self, Item, Key, Listing, Scope, Store},
    clock,
    cluster::{Cluster, KnownCluster},
    collect::{self, Session},
    config::{self, Config},
    elastic::{self, Login, Origin, SetupOptions},
    error::Error,
    http, lastpass,
    limits::Limits,
    request::{Action, Request, Work},
    secrets::{self, Credentials, Secret, Secrets},
    streams::Mapper,
    telemetry::{Journal, Totals},
};

/// The settings and clients that a sandbox keeps.
pub(crate) struct Sandbox {
    pub(crate) config: Config,
    http: http::Clients,
    secrets: Secrets,
    dynamodb: aws_sdk_dynamodb::Client,
    /// The cluster whose index templates were found, so that they are checked only before the first write.
    set_up_cluster: KnownCluster,
}

impl Sandbox {
    /// Builds the clients.
    pub(crate) fn new(config: Config, aws: &SdkConfig) -> Result<Self, config::Invalid> {
        let http = http::Clients::new(config.elasticsearch_ca.as_deref())?;
        let aws = aws.clone().into_builder().http_client(aws_http::shared(http.for_aws()?)).build();
        Ok(Self {
            http,
            secrets: Secrets::new(&aws_sdk_secretsmanager::Client::new(&aws)),
            dynamodb: aws_sdk_dynamodb::Client::new(&aws),
            config,
            set_up_cluster: KnownCluster::default(),
        })
    }
}

/// The input of one invocation.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) request: &'a Request,
    pub(crate) payload: &'a Value,
    pub(crate) context: &'a Context,
    pub(crate) started: Timestamp,
    pub(crate) journal: &'a Journal,
}

/// An action that needs credentials, and starts over if they were changed.
#[derive(Clone, Copy)]
enum Task<'a> {
    SetUp(&'a SetupOptions),
    Work(Work),
}

/// One invocation.
pub(crate) struct Invocation<'a> {
    sandbox: &'a Sandbox,
    call: Call<'a>,
    limits: Limits,
}

impl<'a> Invocation<'a> {
    /// Prepares an invocation.
    pub(crate) fn new(sandbox: &'a Sandbox, call: Call<'a>) -> Self {
        Self { sandbox, call, limits: Limits::new(&call.request.action, call.context, call.started) }
    }

    /// Performs the action of the request, with the credentials in the secret `secret_id`.
    pub(crate) async fn answer(&self, secret_id: &str) -> Result<Answer, Error> {
        let secret = self.sandbox.secrets.secret(secret_id, self.limits.deadline);
        let task = match &self.call.request.action {
            Action::Check => return Ok(Answer::Check(self.check(secret).await)),
            Action::Status => return self.status(secret).await,
            Action::Setup(options) => Task::SetUp(options),
            Action::Work(work) => Task::Work(*work),
        };
        if matches!(task, Task::Work(Work::Resume)) {
            let Listing { items, broken } = self.resumable().await?;
            for error in broken {
                tracing::error!(%error, "a checkpoint cannot be read");
            }
            self.record_watermarks(&items);
            if !collect::has_pending_work(&items) {
                return Ok(Answer::Resume(ResumeAnswer::new(Vec::new(), false)));
            }
        }
        let mut credentials = match secret.get(clock::now()).await {
            Ok(credentials) => credentials,
            Err(error) => return without_credentials(task, error),
        };
        loop {
            let expected = self.sandbox.set_up_cluster.uuid();
            let answer = self.perform(task, &credentials).await;
            if expected.is_some() && answer.as_ref().is_err_and(Error::is_destination_changed) {
                tracing::info!(
                    "a checkpoint or the cluster does not fit the cluster of earlier invocations; identifying the cluster again"
                );
                self.sandbox.set_up_cluster.set(None);
                self.call.journal.clear_failures();
                continue;
            }
            let Some(part) = answer.as_ref().err().and_then(Error::cause_in_secret) else { return answer };
            match secret.reload(clock::now()).await {
                // Each round requires that the secret has changed, so the loop ends.
                Ok(reloaded) if !reloaded.have_same(part, &credentials) => credentials = reloaded,
                _ => return answer,
            }
            tracing::info!(?part, "the secret has changed; starting again with its new values");
            self.call.journal.clear_failures();
        }
    }

    async fn perform(&self, task: Task<'_>, credentials: &Arc<Credentials>) -> Result<Answer, Error> {
        match task {
            Task::SetUp(options) => {
                let key = credentials.elastic_setup_api_key.as_ref().unwrap_or(&credentials.elastic_api_key);
                let installed = elastic::setup(&self.elastic(key)?, options).await?;
                Ok(Answer::Setup(SetupAnswer { action: "setup", status: RunStatus::Complete, installed }))
            }
            Task::Work(work) => self.work(work, credentials).await,
        }
    }

    async fn work(&self, work: Work, credentials: &Arc<Credentials>) -> Result<Answer, Error> {
        let elastic = self.elastic(&credentials.elastic_api_key)?;
        // A reset writes nothing to Elasticsearch, and binds a checkpoint to the cluster that answers.
        let writes = !matches!(work, Work::Reset { .. });
        let expected = self.sandbox.set_up_cluster.uuid().filter(|_| writes);
        let is_expected = expected.is_some();
        let (cluster_uuid, is_set_up) = match expected {
            Some(uuid) => (Some(uuid), true),
            None if writes => self.find_cluster(&elastic).await?,
            None => (elastic::fetch_cluster_info(&elastic).await?.uuid, true),
        };
        if !is_set_up {
            tracing::warn!("the index templates are not installed: run the action `setup`; nothing is collected yet");
            return Ok(Answer::skipped(work, Reason::SetupRequired));
        }
        let mapper = self.mapper(credentials);
        let store = self.store(&mapper, cluster_uuid);
        let cluster = if is_expected { Cluster::expected(&elastic, &store) } else { Cluster::found(&elastic, &store) };
        let lastpass = self.lastpass(credentials)?;
        // Actions that can wait let live runs retry first.
        let can_wait = matches!(work, Work::Backfill(_) | Work::Plan(_) | Work::Resume);
        let session = Session {
            config: &self.sandbox.config,
            lastpass: &if can_wait { lastpass.low_priority() } else { lastpass },
            elastic: &elastic,
            cluster: &cluster,
            store: &store,
            mapper: &mapper,
            origin: &Origin {
                account: credentials.account_number.clone(),
                request_id: self.call.context.request_id.clone(),
                request: self.call.payload.clone(),
            },
            journal: self.call.journal,
            limits: self.limits,
        };
        Ok(match work {
            Work::Collect { stream, scheduled_time } => {
                Answer::Run(self.with_totals(collect::collect(&session, stream, scheduled_time).await?))
            }
            Work::Backfill(request) => Answer::Run(self.with_totals(collect::backfill(&session, request).await?)),
            Work::Plan(window) => {
                let answer = collect::plan(&session, window).await?;
                let lastpass_requests = self.call.journal.totals().lastpass_requests;
                Answer::Plan(PlanAnswer { lastpass_requests, ..answer })
            }
            Work::Resume => Answer::Resume(collect::resume(&session, &self.resumable().await?.items).await?),
            Work::Reset { stream, to } => Answer::Reset(collect::reset(&session, stream, to).await?),
            Work::Redrive { stream } => Answer::Run(self.with_totals(collect::redrive(&session, stream).await?)),
        })
    }

    /// Adds everything that this invocation has done to an answer, including the work before it started over.
    fn with_totals(&self, answer: RunAnswer) -> RunAnswer {
        let Totals { counters, lastpass_requests, bulk_requests, .. } = self.call.journal.totals();
        RunAnswer { counters, lastpass_requests, bulk_requests, ..answer }
    }

    /// Returns the UUID of the cluster, and whether the cluster has the index templates. Remembers the UUID of a cluster that
    /// has them. A cluster without a UUID is queried in each invocation.
    async fn find_cluster(&self, elastic: &elastic::Client) -> Result<(Option<String>, bool), Error> {
        let (info, is_set_up) = try_join!(elastic::fetch_cluster_info(elastic), elastic::is_set_up(elastic))?;
        if is_set_up {
            self.sandbox.set_up_cluster.set(info.uuid.clone());
        }
        Ok((info.uuid, is_set_up))
    }

    async fn check(&self, secret: Secret<'_>) -> CheckAnswer {
        // Reads the secret again, because the check must use what the next invocation will find.
        let credentials = match secret.reload(clock::now()).await {
            Ok(credentials) => credentials,
            Err(error) => return CheckAnswer::without_secret(&error.into()),
        };
        let setup_key = credentials.elastic_setup_api_key.as_ref();
        let clients = self.elastic(&credentials.elastic_api_key).and_then(|elastic| {
            let elastic_setup = setup_key.map(|key| self.elastic(key)).transpose()?;
            Ok((elastic, elastic_setup, self.lastpass(&credentials)?))
        });
        let (elastic, elastic_setup, lastpass) = match clients {
            Ok(clients) => clients,
            Err(error) => return CheckAnswer::without_secret(&error),
        };
        let mapper = self.mapper(&credentials);
        check::check(&check::Systems {
            lastpass: &lastpass,
            elastic: &elastic,
            elastic_setup: elastic_setup.as_ref(),
            store: &self.store(&mapper, None),
            zone: &mapper.zone,
            user_zone: &mapper.user_zone,
            namespace: &mapper.namespace,
        })
        .await
    }

    /// Returns the status of all accounts, which needs no credentials.
    pub(crate) async fn status_of_all_accounts(&self) -> Result<Answer, Error> {
        let listing = self.list_checkpoints(Scope::AllAccounts).await?;
        Ok(Answer::AccountsStatus(AccountsStatusAnswer::new(&listing, clock::now())))
    }

    async fn status(&self, secret: Secret<'_>) -> Result<Answer, Error> {
        let listing = self.list_checkpoints(Scope::Account(self.call.request.account.as_ref())).await?;
        let waiting = self.waiting_dead_letters(secret).await;
        if let Err(error) = &waiting {
            tracing::warn!(%error, "the dead letters were not counted");
        }
        Ok(Answer::Status(StatusAnswer::new(&listing, waiting.ok(), clock::now())))
    }

    async fn waiting_dead_letters(&self, secret: Secret<'_>) -> Result<u64, Error> {
        let credentials = secret.get(clock::now()).await?;
        let elastic = self.elastic(&credentials.elastic_api_key)?;
        let Mapper { namespace, account, .. } = self.mapper(&credentials);
        Ok(elastic::waiting_dead_letters(&elastic, &namespace, &account).await?)
    }

    async fn list_checkpoints(&self, scope: Scope<'_>) -> Result<Listing, Error> {
        let table = self.sandbox.config.checkpoint_table.clone();
        Ok(checkpoint::list(&self.sandbox.dynamodb, table, scope, self.limits.deadline).await?)
    }

    async fn resumable(&self) -> Result<Listing, Error> {
        let table = self.sandbox.config.checkpoint_table.clone();
        let account = self.call.request.account.as_ref();
        Ok(checkpoint::load_resumable(&self.sandbox.dynamodb, table, account, self.limits.deadline).await?)
    }

    /// Records the watermark of every stream before anything else can fail. The alarm on late streams must go to ALARM
    /// for a stream whose own runs do not start, and must not go to ALARM because of another fault.
    fn record_watermarks(&self, items: &[Item]) {
        for item in items {
            if let (Key::Stream(stream), Some(watermark)) = (item.key, item.state.watermark) {
                self.call.journal.record_watermark(stream, watermark);
            }
        }
    }

    fn mapper(&self, credentials: &Credentials) -> Mapper {
        collect::mapper(&self.sandbox.config, credentials, self.call.request.account.as_ref())
    }

    fn elastic(&self, api_key: &SecretString) -> Result<elastic::Client, Error> {
        let http = self.sandbox.http.for_elasticsearch().map_err(config::Invalid::from)?;
        let endpoint = self.sandbox.config.elasticsearch.clone();
        let login = Login::ApiKey(api_key.clone());
        Ok(elastic::Client::new(http, endpoint, &login, self.limits.deadline)?)
    }

    fn lastpass(&self, credentials: &Credentials) -> Result<lastpass::Client, Error> {
        let http = self.sandbox.http.for_lastpass().map_err(config::Invalid::from)?;
        let client = lastpass::Client::new(
            http,
            self.sandbox.config.lastpass_url.clone(),
            lastpass::Account {
                number: credentials.account_number.clone(),
                provisioning_hash: credentials.provisioning_hash.clone(),
            },
            self.limits.deadline,
        );
        Ok(client.with_api_user(self.sandbox.config.lastpass_api_user.clone()))
    }

    /// Builds the checkpoint store, with `cluster_uuid` if it is known.
    fn store(&self, mapper: &Mapper, cluster_uuid: Option<String>) -> Store {
        let config = &self.sandbox.config;
        let destination = checkpoint::Destination {
            host: config.elasticsearch.host().to_owned(),
            namespace: mapper.namespace.clone(),
            account: mapper.account.clone(),
            cluster_uuid,
        };
        Store::new(&self.sandbox.dynamodb, config.checkpoint_table.clone(), destination, self.limits.deadline)
            .of_account(self.call.request.account.clone())
    }
}

/// Skips the work if the secret still holds its placeholder, because schedules may be enabled from the first
/// deployment.
fn without_credentials(task: Task<'_>, error: secrets::Error) -> Result<Answer, Error> {
    match (task, error) {
        (Task::SetUp(_) | Task::Work(Work::Reset { .. }), error) => Err(error.into()),
        (Task::Work(work), error @ secrets::Error::Placeholder { .. }) => {
            tracing::warn!(%error, "nothing is collected yet");
            Ok(Answer::skipped(work, Reason::SetupRequired))
        }
        (Task::Work(_), error) => Err(error.into()),
    }
}
