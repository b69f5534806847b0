//! Runs `content install`.

use serde_json::{Map, Value, json};

use super::{
    api_key, bundle,
    digest::Published,
    error::{Error, VARIABLE},
    kibana::Kibana,
    rules::{Plan, plan},
};
use crate::{
    exit::Exit,
    failure::Error as CommandError,
    kibana_address::Address,
    output::{self, Format},
};

/// The options of `content install`.
#[derive(Debug, clap::Args)]
pub struct ContentInstall {
    /// Address of Kibana, as the browser shows it
    #[arg(long, value_name = "URL")]
    pub kibana: String,
    /// ID of the space; default: the one in the URL, or default
    #[arg(long, value_name = "ID")]
    pub space: Option<String>,
    /// Also replace values that you changed in the rules; each rule stays enabled or disabled
    #[arg(long)]
    pub overwrite: bool,
}

/// Returns the help after the list of options.
pub fn help() -> String {
    format!(
        "The API key comes from the environment variable {}, or is asked for. Rules that are new are disabled. Rules that you \
         changed keep your values. Dashboards are replaced.",
        VARIABLE
    )
}

type Rule = Map<String, Value>;

/// Installs the dashboards and rules, and prints what happened to each.
///
/// Everything is read before anything is written, so that most refusals leave Kibana as it was.
pub async fn install(args: &ContentInstall, format: Format) -> Result<Exit, CommandError> {
    let address = Address::new(&args.kibana, args.space.as_deref())?;
    let (rules, dashboards) = (bundle::lines(bundle::RULES)?, bundle::lines(bundle::DASHBOARDS)?);
    let published: Published = serde_json::from_str(bundle::PUBLISHED).map_err(Error::Bundle)?;
    let kibana = Kibana::new(address, api_key::read().await?)?;
    kibana.check().await?;
    let plans = match plans(&kibana, &rules, &published, args.overwrite).await {
        Err(Error::NoSecurity) => Err(Error::NoSecurity),
        plans => Ok(plans?),
    };
    let replaced = kibana.import_dashboards().await?;
    let plans = plans?;
    let new: Vec<&Rule> = plans.iter().filter(|(_, plan)| *plan == Plan::Install).map(|(rule, _)| *rule).collect();
    if !new.is_empty() {
        kibana.import_rules(&new).await?;
    }
    for (rule, plan) in &plans {
        if let Plan::Change { fields, .. } = plan
            && !fields.is_empty()
        {
            kibana.change_rule(&rule["rule_id"], fields).await?;
        }
    }
    output::print_answer(&answer(&kibana.address, &dashboards, &replaced, &plans), format)?;
    Ok(Exit::Done)
}

async fn plans<'r>(
    kibana: &Kibana,
    rules: &'r [Rule],
    published: &Published,
    overwrite: bool,
) -> Result<Vec<(&'r Rule, Plan)>, Error> {
    let mut plans = Vec::with_capacity(rules.len());
    for rule in rules {
        let installed = kibana.fetch_rule(rule["rule_id"].as_str().unwrap_or_default()).await?;
        plans.push((rule, plan(rule, installed.as_ref(), published, overwrite)));
    }
    Ok(plans)
}

fn answer(address: &Address, dashboards: &[Rule], replaced: &[String], plans: &[(&Rule, Plan)]) -> Value {
    let dashboard = |saved: &Rule| {
        let id = saved["id"].as_str().unwrap_or_default();
        let status = if replaced.iter().any(|there| there == id) { "replaced" } else { "installed" };
        json!({"name": saved["attributes"]["title"], "status": status, "url": address.dashboard_url(id)})
    };
    let is_dashboard = |saved: &&Rule| saved["type"] == "dashboard";
    let rule = |(rule, plan): &(&Rule, Plan)| {
        let (status, changed, kept, is_enabled) = match plan {
            Plan::Install => ("installed", Vec::new(), &[][..], false),
            Plan::Change { fields, kept, is_enabled } => {
                let changed: Vec<&String> = fields.keys().collect();
                let status = match (changed.is_empty(), kept.is_empty()) {
                    (true, true) => "unchanged",
                    (false, _) => "updated",
                    (true, false) => "kept",
                };
                (status, changed, &kept[..], *is_enabled)
            }
        };
        json!({"name": rule["name"], "rule_id": rule["rule_id"], "status": status, "updated": changed, "kept": kept, "enabled": is_enabled})
    };
    json!({
        "action": "content install",
        "status": "complete",
        "space": address.space,
        "dashboards": dashboards.iter().filter(is_dashboard).map(dashboard).collect::<Vec<_>>(),
        "rules": plans.iter().map(rule).collect::<Vec<_>>(),
    })
}
