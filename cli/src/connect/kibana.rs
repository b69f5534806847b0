//! The address of Kibana, and the link to the documents in it.

use lastpass_elastic::{config::Config, document::Namespace};

/// Returns the address of Kibana without a slash at its end: the given one, or that in the Cloud ID.
pub fn address(given: Option<&str>, config: &Config) -> Option<String> {
    let address = given.map(str::to_owned).or_else(|| config.elasticsearch.kibana().map(ToString::to_string))?;
    Some(address.trim_end_matches('/').to_owned())
}

/// Returns the URL of Discover with the documents of the last day, in Kibana at `address`.
///
/// Source: Kibana, `src/plugins/discover/common/app_locator.ts`: `_g` has the time range, `_a` an ES|QL query.
pub fn discover_url(address: &str, namespace: &Namespace) -> String {
    format!(
        "{address}/app/discover#/?_g=(time:(from:now-24h,to:now))&_a=(query:(esql:'FROM%20logs-lastpass.*-{namespace}'))"
    )
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
        let link = |base, config| address(base, config).map(|address| discover_url(&address, &namespace));
        assert_eq!(link(None, &url), None);
        assert_eq!(link(None, &cloud), Some(format!("https://def.found.io{rest}")));
        let given = link(Some("https://kibana.example.com/s/security/"), &cloud);
        assert_eq!(given, Some(format!("https://kibana.example.com/s/security{rest}")));
    }
}
