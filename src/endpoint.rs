//! The addresses of Elasticsearch and LastPass, and the rules for URLs that credentials are sent to.
//!
//! Credentials are sent over TLS only: plain `http://` is refused unless the host is a loopback address. A secret in a URL is
//! refused as well, and no error text repeats it.
//!
//! This module parses Cloud IDs, because the official client supports neither ports in them nor Cloud IDs without a name.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use url::{Host, Url};

/// Default of `LASTPASS_URL`. Source: LASTPASS_API.md, "Transport".
pub(crate) const LASTPASS_URL: &str = "https://lastpass.com/enterpriseapi.php";
/// The hosts of LastPass's API. Source: LASTPASS_API.md, "Transport".
const LASTPASS_HOSTS: [&str; 2] = ["lastpass.com", "lastpass.eu"];

/// A fault of a URL that credentials are sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlFault {
    /// It names no host, or is no URL at all.
    NotAUrl,
    /// The scheme is neither `https` nor `http`.
    Scheme,
    /// The scheme is `http`, and the host is not this machine.
    Plain,
    /// There is a user name or password before the host.
    UserInfo,
    /// There is a `?` or `#` part.
    Query,
}

impl UrlFault {
    fn is_in(self, url: &Url) -> bool {
        match self {
            Self::NotAUrl => url.host().is_none(),
            Self::Scheme => !matches!(url.scheme(), "https" | "http"),
            Self::Plain => url.scheme() == "http" && !is_loopback(url),
            Self::UserInfo => !url.username().is_empty() || url.password().is_some(),
            Self::Query => url.query().is_some() || url.fragment().is_some(),
        }
    }
}

/// Parses a URL that credentials are sent to.
///
/// # Errors
/// The first of `faults` that the URL has; [`UrlFault::NotAUrl`] if it is no URL at all.
pub fn parse(text: &str, faults: &[UrlFault]) -> Result<Url, UrlFault> {
    let url = Url::parse(text.trim()).map_err(|_| UrlFault::NotAUrl)?;
    match faults.iter().find(|fault| fault.is_in(&url)) {
        Some(fault) => Err(*fault),
        None => Ok(url),
    }
}

/// A setting that is not an address of LastPass. The text never repeats its value, which may contain a password or be a
/// credential in the wrong place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidLastPassUrl {
    /// It is not a URL with a host.
    #[error("{0} is not a URL: use {LASTPASS_URL}, or lastpass.eu for accounts hosted there")]
    NotAUrl(&'static str),
    /// Credentials would be sent in plain text.
    #[error("{0} does not begin with https://: credentials are never sent unencrypted")]
    Unprotected(&'static str),
    /// There is a user name or password before the host.
    #[error("{0} contains a user name or password: credentials belong in the secret")]
    UserInfo(&'static str),
    /// There is a `?` or `#` part.
    #[error("{0} must end after host and path: remove the part from the ? or # onward")]
    Query(&'static str),
    /// The host is neither LastPass nor this machine.
    #[error(
        "{0} is not an address of LastPass: use {LASTPASS_URL}, or lastpass.eu for accounts hosted there. The host \
         receives the provisioning hash, so any other host requires the setting OTHER_LASTPASS_URL (parameter \
         OtherLastPassUrl)"
    )]
    NotLastPass(&'static str),
}

/// The address of LastPass's Enterprise API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastPassUrl {
    url: Url,
    host: String,
}

impl LastPassUrl {
    /// Returns the host, without a port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the whole URL.
    #[must_use]
    pub const fn as_url(&self) -> &Url {
        &self.url
    }
}

/// Parses the value of `setting` as the address of LastPass itself, or as a loopback address.
///
/// # Errors
/// [`InvalidLastPassUrl`], which says what to change.
pub(crate) fn lastpass_url(setting: &'static str, text: &str) -> Result<LastPassUrl, InvalidLastPassUrl> {
    let lastpass = other_lastpass_url(setting, text)?;
    let url = &lastpass.url;
    let is_lastpass =
        url.port().is_none() && matches!(url.host(), Some(Host::Domain(name)) if LASTPASS_HOSTS.contains(&name));
    if is_lastpass || is_loopback(url) { Ok(lastpass) } else { Err(InvalidLastPassUrl::NotLastPass(setting)) }
}

/// Parses the value of `setting` as an address of any host that receives LastPass's credentials.
///
/// # Errors
/// [`InvalidLastPassUrl`], which says what to change.
pub(crate) fn other_lastpass_url(setting: &'static str, text: &str) -> Result<LastPassUrl, InvalidLastPassUrl> {
    let faults = [UrlFault::NotAUrl, UrlFault::UserInfo, UrlFault::Query, UrlFault::Scheme, UrlFault::Plain];
    let url = parse(text, &faults).map_err(|fault| match fault {
        UrlFault::NotAUrl => InvalidLastPassUrl::NotAUrl(setting),
        UrlFault::UserInfo => InvalidLastPassUrl::UserInfo(setting),
        UrlFault::Query => InvalidLastPassUrl::Query(setting),
        UrlFault::Scheme | UrlFault::Plain => InvalidLastPassUrl::Unprotected(setting),
    })?;
    let host = url.host_str().ok_or(InvalidLastPassUrl::NotAUrl(setting))?.to_owned();
    Ok(LastPassUrl { url, host })
}

/// The base URL of an Elasticsearch cluster, possibly with a path prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
    host: String,
    kibana: Option<Url>,
}

/// A setting that is not an address of Elasticsearch. The text names the setting and never repeats its value, which may
/// contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// It is not a URL.
    #[error("ELASTICSEARCH_URL is not a URL: write it as https://host:port")]
    NotAUrl,
    /// The scheme is neither `https` nor `http`.
    #[error("ELASTICSEARCH_URL must begin with https://")]
    Scheme,
    /// The scheme is `http`, and the host is not this machine.
    #[error("ELASTICSEARCH_URL must begin with https://: plain http:// is accepted for loopback addresses only")]
    Plain,
    /// There is a user name or password before the host.
    #[error(
        "ELASTICSEARCH_URL contains a user name or password: remove it, and store an API key as `elastic_api_key` in \
         the secret"
    )]
    UserInfo,
    /// There is a `?` or `#` part.
    #[error("ELASTICSEARCH_URL must end after host, port and path: remove the part from the ? or # onward")]
    Query,
    /// It is not a Cloud ID as the Elastic Cloud console shows it.
    #[error(
        "ELASTIC_CLOUD_ID cannot be read: copy the Cloud ID from the deployment's page in the Elastic Cloud console, \
         or set ELASTICSEARCH_URL instead"
    )]
    CloudId,
}

impl Endpoint {
    /// Parses `ELASTICSEARCH_URL`. Its path is a prefix of the path of every request.
    ///
    /// # Errors
    /// [`InvalidEndpoint`], which says what to change.
    pub fn from_url(text: &str) -> Result<Self, InvalidEndpoint> {
        let faults = [UrlFault::Scheme, UrlFault::Plain, UrlFault::UserInfo, UrlFault::Query, UrlFault::NotAUrl];
        let url = parse(text, &faults).map_err(|fault| match fault {
            UrlFault::NotAUrl => InvalidEndpoint::NotAUrl,
            UrlFault::Scheme => InvalidEndpoint::Scheme,
            UrlFault::Plain => InvalidEndpoint::Plain,
            UrlFault::UserInfo => InvalidEndpoint::UserInfo,
            UrlFault::Query => InvalidEndpoint::Query,
        })?;
        let mut host = url.host_str().ok_or(InvalidEndpoint::NotAUrl)?.to_owned();
        if let Some(port) = url.port() {
            host = format!("{host}:{port}");
        }
        host.push_str(url.path().trim_end_matches('/'));
        Ok(Self { url, host, kibana: None })
    }

    /// Parses `ELASTIC_CLOUD_ID`: `name:` and the base64 form of `host[:port]$elasticsearch[:port]$kibana[:port]`.
    ///
    /// # Errors
    /// [`InvalidEndpoint::CloudId`].
    pub fn from_cloud_id(text: &str) -> Result<Self, InvalidEndpoint> {
        let text = text.trim();
        let encoded = text.rsplit_once(':').map_or(text, |(_, encoded)| encoded);
        let bytes = STANDARD
            .decode(encoded)
            .or_else(|_| STANDARD_NO_PAD.decode(encoded))
            .map_err(|_| InvalidEndpoint::CloudId)?;
        let decoded = String::from_utf8(bytes).map_err(|_| InvalidEndpoint::CloudId)?;
        let mut parts = decoded.split('$');
        let (domain, cluster) = match (parts.next(), parts.next()) {
            (Some(domain), Some(cluster)) if !domain.is_empty() && !cluster.is_empty() => (domain, cluster),
            _ => return Err(InvalidEndpoint::CloudId),
        };
        let (domain, domain_port) = split_port(domain);
        let (cluster, cluster_port) = split_port(cluster);
        let port = cluster_port.or(domain_port).map(|port| format!(":{port}")).unwrap_or_default();
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if !cluster.chars().all(is_allowed) || !domain.chars().all(is_allowed) {
            return Err(InvalidEndpoint::CloudId);
        }
        let endpoint = Self::from_url(&format!("https://{cluster}.{domain}{port}"));
        let kibana = parts.next().filter(|kibana| !kibana.is_empty()).map(split_port).and_then(|(kibana, port)| {
            let port = port.or(domain_port).map(|port| format!(":{port}")).unwrap_or_default();
            Url::parse(&format!("https://{kibana}.{domain}{port}")).ok()
        });
        Ok(Self { kibana, ..endpoint.map_err(|_| InvalidEndpoint::CloudId)? })
    }

    /// Returns the address of Kibana, which only a Cloud ID contains.
    #[must_use]
    pub const fn kibana(&self) -> Option<&Url> {
        self.kibana.as_ref()
    }

    /// Returns the host of the cluster, with a port that is not the default and with the path prefix. It identifies the
    /// destination.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the URL of an API: the path prefix, then `path`, which is encoded and begins with a slash.
    pub(crate) fn join(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    }
}

/// Returns whether the host of a URL is this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use elasticsearch::BulkParts;

    use super::*;

    fn cloud_id(plain: &str) -> String {
        format!("my deployment:{}", STANDARD.encode(plain))
    }

    #[test]
    fn a_url_keeps_its_port_and_path_prefix() {
        let plain = Endpoint::from_url("https://es.example.com").unwrap();
        assert_eq!(plain.host(), "es.example.com");
        assert_eq!(plain.join("/_bulk", &[]).as_str(), "https://es.example.com/_bulk");

        let endpoint = Endpoint::from_url(" https://es.example.com:9243/cluster/a/ ").unwrap();
        assert_eq!(endpoint.host(), "es.example.com:9243/cluster/a");
        assert_eq!(
            endpoint.join(&BulkParts::Index("logs-a b").url(), &[("pipeline", "_none")]).as_str(),
            "https://es.example.com:9243/cluster/a/logs-a%20b/_bulk?pipeline=_none"
        );
        let no_slash = Endpoint::from_url("https://es.example.com:443/cluster").unwrap();
        assert_eq!(no_slash.host(), "es.example.com/cluster");
        assert_eq!(no_slash.join("/_bulk", &[]).path(), "/cluster/_bulk");
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for ok in ["http://localhost:9200", "http://127.0.0.1:9200", "http://127.1.2.3:1", "http://[::1]:9200"] {
            assert!(Endpoint::from_url(ok).is_ok(), "{ok}");
        }
        for refused in ["http://es.example.com:9200", "http://10.0.0.1", "http://localhost.example.com"] {
            assert_eq!(Endpoint::from_url(refused), Err(InvalidEndpoint::Plain), "{refused}");
        }
        assert_eq!(Endpoint::from_url("ftp://localhost"), Err(InvalidEndpoint::Scheme));
    }

    #[test]
    fn a_value_that_may_contain_a_secret_is_refused_and_not_repeated() {
        for (text, fault) in [
            ("https://elastic:hunter2@es.example.com", InvalidEndpoint::UserInfo),
            ("https://hunter2@es.example.com", InvalidEndpoint::UserInfo),
            ("https://es.example.com/?key=hunter2", InvalidEndpoint::Query),
            ("https://es.example.com/#hunter2", InvalidEndpoint::Query),
            ("es.example.com hunter2", InvalidEndpoint::NotAUrl),
            ("hunter2:9200", InvalidEndpoint::Scheme),
        ] {
            let error = Endpoint::from_url(text).unwrap_err();
            assert_eq!(error, fault, "{text}");
            assert!(error.to_string().contains("ELASTICSEARCH_URL"));
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_cloud_id_gives_the_address_of_elasticsearch() {
        for (plain, host) in [
            ("us-east-1.aws.found.io$abc$def", "abc.us-east-1.aws.found.io"),
            ("us-east-1.aws.found.io$abc$", "abc.us-east-1.aws.found.io"),
            ("us-east-1.aws.found.io$abc", "abc.us-east-1.aws.found.io"),
            ("us-east-1.aws.found.io:443$abc$def", "abc.us-east-1.aws.found.io"),
            ("us-east-1.aws.found.io:9243$abc$def", "abc.us-east-1.aws.found.io:9243"),
            ("us-east-1.aws.found.io:9243$abc:9244$def:9245", "abc.us-east-1.aws.found.io:9244"),
        ] {
            assert_eq!(Endpoint::from_cloud_id(&cloud_id(plain)).unwrap().host(), host, "{plain}");
        }
        let unnamed = STANDARD_NO_PAD.encode("found.io$abc$def");
        assert_eq!(Endpoint::from_cloud_id(&unnamed).unwrap().host(), "abc.found.io");
        for (plain, kibana) in [
            ("found.io$abc$def", Some("https://def.found.io/")),
            ("found.io:9243$abc$def", Some("https://def.found.io:9243/")),
            ("found.io:9243$abc:1$def:2", Some("https://def.found.io:2/")),
            ("found.io$abc", None),
            ("found.io$abc$", None),
        ] {
            let endpoint = Endpoint::from_cloud_id(&cloud_id(plain)).unwrap();
            assert_eq!(endpoint.kibana().map(Url::as_str), kibana, "{plain}");
        }
        assert_eq!(Endpoint::from_url("https://es.example.com").unwrap().kibana(), None);
    }

    #[test]
    fn an_unreadable_cloud_id_is_refused_with_the_name_of_its_setting() {
        for text in [
            String::new(),
            "name:%%%".to_owned(),
            cloud_id("found.io"),
            cloud_id("$abc$def"),
            cloud_id("found.io$$def"),
            cloud_id("found.io/x@evil.example$abc$def"),
            cloud_id("found.io:port$abc$def"),
        ] {
            let error = Endpoint::from_cloud_id(&text).unwrap_err();
            assert_eq!(error, InvalidEndpoint::CloudId, "{text}");
            assert!(error.to_string().contains("ELASTIC_CLOUD_ID"));
        }
    }
}
