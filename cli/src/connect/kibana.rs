//! The link to the documents in Kibana.

use lastpass_elastic::{config::Config, document::Namespace};

/// Returns the URL of Discover with the documents of the last day, in Kibana at `base` or at the address in the Cloud ID.
///
/// Source: Kibana, `src/plugins/discover/common/app_locator.ts`: `_g` has the time range, `_a` an ES|QL query.
pub fn discover_url(base: Option<&str>, config: &Config, namespace: &Namespace) -> Option<String> {
    let base = base.map(str::to_owned).or_else(|| config.elasticsearch.kibana().map(ToString::to_string))?;
    let base = base.trim_end_matches('/');
    Some(format!(
        "{base}/app/discover#/?_g=(time:(from:now-24h,to:now))&_a=(query:(esql:'FROM%20logs-lastpass.*-{namespace}'))"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(setting: &str, value: &str) -> Config {
        let settings = [("SECRET_ARN", "arn"), ("CHECKPOINT_TABLE", "table"), (setting, value)];
        let value = |name: &str| settings.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
        Config::read(value).expect("settings")
    }

    #[test]
    fn a_link_needs_the_address_of_kibana() {
        let url = config("ELASTICSEARCH_URL", "https://es.example.com");
        // The Base64 of `found.io$abc$def`.
        let cloud = config("ELASTIC_CLOUD_ID", "name:Zm91bmQuaW8kYWJjJGRlZg==");
        let namespace = Namespace::new("acme").expect("a namespace");
        let rest = "/app/discover#/?_g=(time:(from:now-24h,to:now))&_a=(query:(esql:'FROM%20logs-lastpass.*-acme'))";
        assert_eq!(discover_url(None, &url, &namespace), None);
        let found = discover_url(None, &cloud, &namespace);
        assert_eq!(found, Some(format!("https://def.found.io{rest}")));
        let given = discover_url(Some("https://kibana.example.com/s/security/"), &cloud, &namespace);
        assert_eq!(given, Some(format!("https://kibana.example.com/s/security{rest}")));
    }
}
