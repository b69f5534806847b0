//! Checks every system, and joins the outcomes.

use super::{
    Systems,
    elasticsearch::check_elasticsearch,
    lastpass::check_lastpass,
    table::{check_destination, check_table},
};
use crate::answer::{CheckAnswer, Checks, Name, SETTINGS_OK};

/// Checks every system.
pub async fn check(systems: &Systems<'_>) -> CheckAnswer {
    let mut checks = Checks::default();
    checks.add(Name::Settings, Ok(SETTINGS_OK.to_owned()));
    let secret = match systems.elastic_setup {
        None => "the secret is readable and complete",
        Some(_) => {
            "the secret is readable and complete; remove `elastic_setup_api_key` from it after `setup` has run, and \
             delete that key"
        }
    };
    checks.add(Name::Secret, Ok(secret.to_owned()));
    let (on_table, on_lastpass, (on_elasticsearch, cluster_uuid)) =
        tokio::join!(check_table(systems), check_lastpass(systems), check_elasticsearch(systems));
    for system in [on_table, on_lastpass, on_elasticsearch] {
        checks.extend(system);
    }
    if !checks.has(Name::CheckpointDestination) {
        checks.add(Name::CheckpointDestination, check_destination(systems, cluster_uuid).await);
    }
    checks.answer("a check that it depends on failed")
}
