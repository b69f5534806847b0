//! The first day of a deployment: a setting is mistyped and then corrected.

use lastpass_harness::{Answer, Error, Fault, Invocation, Moment, Rule, System, now};
use serde_json::json;

use crate::stage::{CALM, Context, backfill, collect_events};
use crate::tally::Tally;
use crate::worlds::{company, pick, quirks};

/// The mistyped setting.
#[derive(Debug, Clone, Copy)]
enum Typo {
    /// The account number. LastPass refuses it.
    Number,
    /// The namespace. The API key has no privileges for it.
    Namespace,
    /// The namespace. Elasticsearch accepts the documents, but the function is killed before it saves the checkpoint.
    KilledNamespace,
    /// The URL. The cluster there accepts nothing.
    Address,
}

pub async fn first_day(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let page_size = *pick(&mut rng, &[30, 60, 10_000]);
    let events = rng.usize(80..300);
    let world = company(&mut rng, events, 4, now());
    let mut stage = context.stage(world, quirks(&mut rng, page_size)).await?;
    let mut function = stage.function().await;
    let begin = stage.begin;
    let requests = [collect_events(), backfill(begin, now())];
    let typos = [Typo::Number, Typo::Namespace, Typo::KilledNamespace, Typo::Address];
    for round in 0..rng.usize(1..4) {
        let typo = *pick(&mut rng, &typos);
        let mut secret = stage.installation.credentials.clone();
        let wrong = format!("{}x{round}", stage.installation.namespace);
        stage.may_be_killed = matches!(typo, Typo::KilledNamespace);
        match typo {
            Typo::Number => {
                secret["account_number"] = "7654312".into();
                stage.accepted = vec!["LastPass.Unauthorized"];
            }
            Typo::Namespace => {
                secret["elastic_api_key"] = stage.installation.narrow_key().await?.encoded.into();
                function.set("NAMESPACE", &wrong).await;
                stage.accepted = vec!["Elasticsearch.Forbidden"];
            }
            Typo::KilledNamespace => {
                function.set("NAMESPACE", &wrong).await;
                let killed = Fault::Kill(function.killer(), Moment::After);
                stage.calls().add(Rule::on(System::Elasticsearch, "_bulk", killed));
            }
            Typo::Address => {
                let address = stage.installation.variable("ELASTICSEARCH_URL").replace("127.0.0.1", "localhost");
                function.set("ELASTICSEARCH_URL", &address).await;
                let full = Answer::json(403, &json!({"error": {"type": "cluster_block_exception"}, "status": 403}));
                stage.calls().add(Rule::on(System::Elasticsearch, "_bulk", Fault::Answer(full)));
                stage.accepted = vec!["Elasticsearch.Refused"];
            }
        }
        stage.installation.put_secret(&secret.to_string()).await?;
        // The next run would find documents of a killed run and acknowledge them.
        let most = if stage.may_be_killed { 2 } else { 4 };
        for _ in 0..rng.usize(1..most) {
            let request = pick(&mut rng, &requests).clone();
            stage.invoke(&mut function, Invocation::new(request).with_timeout(CALM)).await?;
            stage.installation.expire_leases().await?;
        }
        stage.calm().await?;
        stage.may_be_killed = false;
        stage.installation.put_secret(&stage.installation.credentials.to_string()).await?;
        // A sandbox that keeps its settings may also keep the secret.
        function = stage.function().await;
        if rng.bool() {
            // The setting is correct. A later mistake would not be one of the first day.
            break;
        }
    }
    for request in requests {
        stage.until_complete(&mut function, &Invocation::new(request).with_timeout(CALM)).await?;
    }
    stage.finish().await
}
