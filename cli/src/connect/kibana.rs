//! The address of Kibana in the Cloud ID, and the link to the documents.

use lastpass_elastic::{config::Config, document::Namespace};

use crate::kibana_address::Address;

/// Returns the address of Kibana in the Cloud ID.
pub fn in_cloud_id(config: &Config) -> Option<Address> {
    Address::new(config.elasticsearch.kibana()?.as_str(), None).ok()
}

/// Returns the URL of Discover with the documents of the last day.
///
/// Source: Kibana, `src/plugins/discover/common/app_locator.ts`: `_g` has the time range, `_a` an ES|QL query.
pub fn discover_url(address: &Address, namespace: &Namespace) -> String {
    address.url(&format!(
        "app/discover#/?_g=(time:(from:now-24h,to:now))&_a=(query:(esql:'FROM%20{}'))",
        data_streams(namespace)
    ))
}

/// Returns the pattern of the data streams of a namespace.
pub fn data_streams(namespace: &Namespace) -> String {
    format!("logs-lastpass.*-{namespace}")
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
        let link = |address: Option<Address>| address.map(|address| discover_url(&address, &namespace));
        assert_eq!(link(in_cloud_id(&url)), None);
        assert_eq!(link(in_cloud_id(&cloud)), Some(format!("https://def.found.io{rest}")));
        for (given, base) in [
            ("https://kibana.example.com/s/security/", "https://kibana.example.com/s/security"),
            ("https://kibana.example.com/app/home#/", "https://kibana.example.com"),
        ] {
            let address = Address::new(given, None).expect("an address");
            assert_eq!((address.space_url().as_str(), link(Some(address))), (base, Some(format!("{base}{rest}"))));
        }
    }
}
