//! A self-managed cluster with its own certificate authority: a real node behind TLS.

use lastpass_harness::{Authority, Error, Function, Greeting, Installation, Invocation, TlsFront, check_of};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

use crate::stage::{SETTING_UP, collect, company, plan};

const TLS_1_2: u16 = 0x0303;
const TLS_1_3: u16 = 0x0304;

/// An installation whose cluster is reached only through TLS.
struct Safe {
    installation: Installation,
    front: TlsFront,
    function: Function,
}

impl Safe {
    /// `None` if the services are not available. `ca` is the setting ELASTICSEARCH_CA; empty if it is not set.
    async fn make(name: &str, greeting: Greeting, ca: &str) -> Result<Option<Self>, Error> {
        let Some((services, plan)) = plan(name).await else { return Ok(None) };
        let installation = plan.world(company(95, 60, 5)).make(&services).await?;
        let front = TlsFront::start(installation.variable("ELASTICSEARCH_URL"), greeting).await?;
        let mut function = installation.function();
        function.set("ELASTICSEARCH_URL", &front.url()).await;
        function.set("ELASTICSEARCH_CA", ca).await;
        Ok(Some(Self { installation, front, function }))
    }

    /// Returns the check of the cluster.
    async fn check_of_the_cluster(&mut self) -> Result<Value, Error> {
        let answer = self.function.ask(json!({"action": "check"})).await?;
        Ok(check_of(&answer, "elasticsearch").clone())
    }

    /// Asserts that everything works.
    async fn works(&mut self) -> Result<(), Error> {
        let setting_up = SETTING_UP.lock().await;
        let setup = self.function.ask(json!({"action": "setup"})).await?;
        drop(setting_up);
        assert_eq!(setup["status"], "complete", "{setup}");
        for stream in ["event_report", "user", "detailed_shared_folder"] {
            let answer = self.function.ask(collect(stream)).await?;
            assert_eq!(answer["status"], "complete", "{answer}");
        }
        let held = self.installation.compare_events().await?;
        assert!(held.is_exact() && held.truth == 60, "{held}");
        assert!(self.installation.compare_users().await?.is_exact());
        let cluster = self.check_of_the_cluster().await?;
        assert_eq!(cluster["status"], "ok", "{cluster}");
        let offered = self.front.offered();
        assert!(!offered.is_empty());
        for versions in offered {
            assert_eq!(versions, [TLS_1_3, TLS_1_2], "offered by the client");
        }
        Ok(())
    }

    /// Asserts that nothing works and that each message contains these words.
    async fn refuses(&mut self, words: &[&str]) -> Result<(), Error> {
        let begun = Instant::now();
        for request in [collect("event_report"), json!({"action": "setup"})] {
            let (error_type, text) = self.function.invoke(Invocation::new(request)).await?.error()?;
            assert_eq!(error_type, "Elasticsearch.Unreachable", "{text}");
            for word in words {
                assert!(text.contains(word), "{word:?} is not in: {text}");
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(25), "it is told at once, not after {:?}", begun.elapsed());
        let cluster = self.check_of_the_cluster().await?;
        let message = cluster["message"].as_str().unwrap_or_default();
        for word in words {
            assert!(message.contains(word), "{word:?} is not in: {message}");
        }
        assert_eq!(self.installation.checkpoints().await?.len(), 0);
        Ok(())
    }
}

fn own() -> Result<Authority, Error> {
    Authority::make("Elasticsearch security auto-configuration HTTP CA")
}

#[tokio::test]
async fn a_cluster_with_its_own_authority() -> Result<(), Error> {
    let authority = own()?;
    let greeting = || Ok::<_, Error>(Greeting::Tls(authority.certify("localhost")?));
    let Some(mut safe) = Safe::make("own_ca", greeting()?, authority.pem()).await? else { return Ok(()) };
    safe.works().await?;

    // The second of several certificates, in one line as a console field has it.
    let several = format!("{}\n{}", Authority::make("Another")?.pem(), authority.pem());
    for ca in [several.clone(), several.replace('\n', "\\n"), several.replace('\n', "\r\n")] {
        let Some(mut safe) = Safe::make("own_ca", greeting()?, &ca).await? else { return Ok(()) };
        let answer = safe.function.ask(collect("event_report")).await?;
        assert_eq!(answer["status"], "complete", "{answer}");
        assert!(safe.installation.compare_events().await?.is_exact());
    }
    Ok(())
}

#[tokio::test]
async fn an_authority_that_is_not_trusted() -> Result<(), Error> {
    let authority = own()?;
    let words = ["authority that is not trusted", "ELASTICSEARCH_CA", "ElasticsearchCa", "http_ca.crt"];
    // No authority, another one, and another one with the same name.
    for ca in [String::new(), Authority::make("Another")?.pem().to_owned(), own()?.pem().to_owned()] {
        let greeting = Greeting::Tls(authority.certify("localhost")?);
        let Some(mut safe) = Safe::make("other_ca", greeting, &ca).await? else { return Ok(()) };
        safe.refuses(&words).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_certificate_or_protocol_that_cannot_be_used() -> Result<(), Error> {
    let authority = own()?;
    for (greeting, words) in [
        (
            Greeting::Tls(authority.certify("es.example.com")?),
            ["another host name: es.example.com", "ELASTICSEARCH_URL", "localhost"],
        ),
        (Greeting::Tls(authority.certify_until("localhost", 2020)?), ["expired", "new certificate", "localhost"]),
        (Greeting::PROTOCOL_VERSION, ["TLS 1.2 nor 1.3", "Enable TLS 1.2 or 1.3", "localhost"]),
        (Greeting::PLAIN_HTTP, ["does not use TLS", "xpack.security.http.ssl.enabled", "ELASTICSEARCH_URL"]),
    ] {
        let Some(mut safe) = Safe::make("certificate", greeting, authority.pem()).await? else { return Ok(()) };
        safe.refuses(&words).await?;
    }
    Ok(())
}

/// A TLS-inspecting proxy or a wrong URL. The authority of the cluster is trusted for Elasticsearch only.
#[tokio::test]
async fn a_lastpass_that_is_not_trusted() -> Result<(), Error> {
    let Some((services, plan)) = plan("lastpass_tls").await else { return Ok(()) };
    let authority = own()?;
    let installation = plan.variable("ELASTICSEARCH_CA", authority.pem()).make(&services).await?;
    let greeting = Greeting::Tls(authority.certify("localhost")?);
    let front = TlsFront::start(&installation.simulator.url(), greeting).await?;
    let mut function = installation.function();
    function.set("LASTPASS_URL", &format!("{}/enterpriseapi.php", front.url())).await;
    let (error_type, text) = function.expect_error(collect("user")).await?;
    assert_eq!(error_type, "LastPass.Unreachable", "{text}");
    assert_eq!(front.offered().len(), 1, "a certificate that was refused is refused again: {text}");
    assert!(text.contains("authority that is not trusted") && text.contains("LASTPASS_URL"), "{text}");
    assert!(front.offered().iter().all(|versions| *versions == [TLS_1_3, TLS_1_2]), "{:?}", front.offered());
    assert_eq!(installation.simulator.requests().len(), 0, "the hash was not sent");
    Ok(())
}
