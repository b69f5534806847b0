//! Checks Elasticsearch: version, rights, templates and documents.

use super::Systems;
use crate::{
    answer::{Checks, Name},
    elastic::{self, ClusterInfo, Ignored, IgnoredValues, Role},
    error::Error,
};

const CREATE_WRITER_KEY: &str = "create a key with the role in `roles/writer.json` of the release \
    (`assets/roles/writer.json` in the sources) in Kibana under Stack Management > API keys, and store it as `elastic_api_key` in the secret";

/// Returns the checks, and the cluster's UUID if it responded.
pub(super) async fn check_elasticsearch(systems: &Systems<'_>) -> (Checks, Option<String>) {
    let Systems { elastic, namespace, .. } = *systems;
    let mut checks = Checks::default();
    let info = match elastic::fetch_cluster_info(elastic).await {
        Ok(info) => info,
        Err(error) => {
            checks.add(Name::Elasticsearch, Err(Error::from(error).with_causes()));
            let because = "Elasticsearch must accept the API key first";
            for name in [
                Name::CheckpointDestination,
                Name::ElasticsearchRights,
                Name::ElasticsearchExcessRights,
                Name::ElasticsearchSetupRights,
                Name::IndexTemplates,
                Name::IgnoredValues,
                Name::OtherWriters,
            ] {
                checks.skip(name, because);
            }
            return (checks, None);
        }
    };
    checks.add(Name::Elasticsearch, judge_version(&info));

    let missing = elastic::fetch_missing_privileges(elastic, Role::Writer, namespace).await;
    let rights = none_of(missing, "the API key has all privileges of the writer role", |missing| {
        format!("the API key lacks {missing}: {CREATE_WRITER_KEY}")
    });
    let can_read = checks.add(Name::ElasticsearchRights, rights);

    let excess = elastic::fetch_excess_privileges(elastic, &info, namespace).await;
    let excess = none_of(excess, "the API key has no privileges beyond the writer role", |excess| {
        format!(
            "the API key has more privileges than it needs: {excess}. To replace it, {CREATE_WRITER_KEY}, then delete \
             the old one"
        )
    });
    checks.add(Name::ElasticsearchExcessRights, excess);

    checks.add(Name::ElasticsearchSetupRights, check_setup_rights(systems).await);

    let stale = elastic::fetch_stale_assets(elastic, namespace).await;
    let templates = none_of(stale, "the index templates are installed and current", |stale| {
        format!("{stale}; then run `lastpass-elastic connect`, or invoke the function with {{\"action\": \"setup\"}}")
    });
    checks.add(Name::IndexTemplates, templates);

    if can_read {
        let (ignored, others) = tokio::join!(
            elastic::fetch_ignored_values(elastic, namespace),
            elastic::fetch_other_writers(elastic, namespace)
        );
        let with_causes = |error: elastic::Error| Error::from(error).with_causes();
        checks.add(Name::IgnoredValues, ignored.map_err(with_causes).and_then(|found| judge_ignored(&found)));
        checks.add(Name::OtherWriters, others.map_err(with_causes).and_then(|found| judge_writers(found.as_ref())));
    } else {
        for name in [Name::IgnoredValues, Name::OtherWriters] {
            checks.skip(name, "the API key must have the privileges of the writer role first");
        }
    }
    (checks, info.uuid)
}

/// Checks the key that only `setup` uses.
async fn check_setup_rights(systems: &Systems<'_>) -> Result<String, String> {
    match systems.elastic_setup {
        None => Ok("the secret has no `elastic_setup_api_key`; only `setup` needs one".to_owned()),
        Some(client) => match elastic::fetch_missing_privileges(client, Role::Installer, systems.namespace).await {
            Err(error) if error.is_auth() => Err(
                "Elasticsearch refuses the key for `setup`, which may have expired: remove `elastic_setup_api_key` \
                 from the secret; a new key is needed only to run `setup` again"
                    .to_owned(),
            ),
            missing => none_of(missing, "the key for `setup` has all privileges of the installer role", |missing| {
                format!(
                    "the key for `setup` lacks {missing}: create a key with the role in `roles/installer.json` of the \
                     release (`assets/roles/installer.json` in the sources), and store it as `elastic_setup_api_key` in the secret"
                )
            }),
        },
    }
}

/// Checks that Elasticsearch indexed every value, except values that are too long for a keyword.
fn judge_ignored(found: &[IgnoredValues]) -> Result<String, String> {
    let fields = |ignored: &Ignored| ignored.fields.join(", ");
    let mut faults = Vec::new();
    let mut remarks = Vec::new();
    for IgnoredValues { data_stream, malformed, not_indexed, takes_malformed } in found {
        if malformed.documents > 0 {
            let newest = malformed.newest.map(|time| format!(", the newest of {time:.0}")).unwrap_or_default();
            faults.push(format!(
                "{data_stream}: Elasticsearch ignored malformed values in {} documents{newest} ({})",
                malformed.documents,
                fields(malformed)
            ));
        }
        if *takes_malformed {
            faults.push(format!("{data_stream}: the setting index.mapping.ignore_malformed is true"));
        }
        if not_indexed.documents > 0 {
            remarks.push(format!("{} of {data_stream} ({})", not_indexed.documents, fields(not_indexed)));
        }
    }
    let normal = match &remarks[..] {
        [] => String::new(),
        remarks => format!(
            "documents with values that are too long to search for, but complete in `_source`: {}",
            remarks.join("; ")
        ),
    };
    match (&faults[..], normal.is_empty()) {
        ([], true) => Ok("Elasticsearch ignored no values".to_owned()),
        ([], false) => Ok(format!("no data is lost; {normal}")),
        (faults, _) => Err(format!(
            "{}. Such values are only in `_source`: no search finds them, and no dead letters are written for them. \
             Remove `ignore_malformed` from the @custom component templates, invoke the function with {{\"action\": \
             \"setup\"}}, roll over the data stream, delete the documents that have `_ignored`, and backfill their \
             time range (docs/reliability.md, \"Values that Elasticsearch ignores\"){}{normal}",
            faults.join("; "),
            if normal.is_empty() { "" } else { ". Apart from that, " }
        )),
    }
}

/// Checks that no other program writes to the data streams.
fn judge_writers(found: Option<&(u64, Vec<String>)>) -> Result<String, String> {
    match found {
        None => Ok("no other program wrote to the data streams in the last two days".to_owned()),
        Some((count, names)) => Err(format!(
            "an Elastic Agent or another program also writes to the data streams: {count} documents in the last two \
             days in {}. The index templates of lastpass-elastic store these documents unparsed, and events that both \
             read are stored twice. Stop the agent's LastPass integration: docs/from-elastics-integration.md explains \
             how, and how to keep both",
            names.join(", ")
        )),
    }
}

/// Returns `ok` if nothing was found. Otherwise builds the message with `wrong`.
fn none_of(
    found: Result<Vec<String>, elastic::Error>,
    ok: &str,
    wrong: impl Fn(&str) -> String,
) -> Result<String, String> {
    match found {
        Ok(found) if found.is_empty() => Ok(ok.to_owned()),
        Ok(found) => Err(wrong(&found.join("; "))),
        Err(error) if error.is_unknown_privilege() => {
            Ok("this cannot be checked: the cluster does not know one of the privileges in the request".to_owned())
        }
        Err(error) => Err(Error::from(error).with_causes()),
    }
}

/// Checks that the cluster's version supports the templates. A serverless project is always up to date.
fn judge_version(info: &ClusterInfo) -> Result<String, String> {
    if !info.is_supported() {
        let (major, minor) = elastic::OLDEST_VERSION;
        return Err(format!(
            "the cluster has version {}: Elasticsearch {major}.{minor} or later is required, because older versions \
             do not support `require_data_stream`; upgrade the cluster",
            info.version
        ));
    }
    let flavour = if info.serverless { "serverless" } else { "stateful" };
    Ok(format!("Elasticsearch {} ({flavour}) accepts the API key", info.version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsupported_version_is_reported() {
        let info = |version: &str, serverless| ClusterInfo {
            name: "c".to_owned(),
            uuid: None,
            version: version.to_owned(),
            serverless,
        };
        for (version, serverless) in [
            ("8.13.0", false),
            ("8.13.0-SNAPSHOT", false),
            ("8.19.21", false),
            ("9.0.0", false),
            ("9.1.0-SNAPSHOT", false),
            ("10.1.2-SNAPSHOT", false),
            ("8.11.0", true),
        ] {
            assert!(judge_version(&info(version, serverless)).is_ok(), "{version}");
        }
        for version in ["8.12.2", "8.12.2-SNAPSHOT", "8.11.0", "8.9.0", "7.17.29", "2.19.0", "8", "", "unknown"] {
            let text = judge_version(&info(version, false)).expect_err("too old");
            assert!(text.contains(version) && text.contains("8.13"), "{text}");
        }
    }
}
