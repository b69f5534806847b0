//! Builds the HTTP clients for LastPass, Elasticsearch and AWS.
//!
//! The TLS configuration is kept for the lifetime of the sandbox. Each invocation gets new clients for LastPass and
//! Elasticsearch, because a frozen sandbox leaves dead connections behind, and a new client has none.

use std::{error::Error as _, fmt, io, sync::Arc, time::Duration};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::CertificateDer,
    pki_types::pem::PemObject,
};

use crate::clock::now;

/// Longest time to connect. Chosen: a host on another continent responds within a second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time to connect to AWS. Chosen: less than an attempt may take, so that the error names the cause.
const AWS_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The reason why no TLS client can be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A text does not contain valid certificates.
    #[error(
        "it contains no valid certificate: provide the authority's certificate as PEM, from -----BEGIN \
         CERTIFICATE----- to -----END CERTIFICATE-----"
    )]
    Certificate,
    /// The TLS library or the client cannot be set up.
    #[error("TLS cannot be set up in this process")]
    SetUp(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Most names of a certificate in a message. Chosen: the name to look for is among the first.
const MOST_NAMES: usize = 5;
/// Longest name in a message. Source: RFC 1035: a host name has at most 253 characters.
const LONGEST_NAME: usize = 253;

/// The fault of TLS on a connection that was established.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsFault {
    /// The certificate is not from a trusted authority, or its signature is wrong.
    UnknownAuthority,
    /// The certificate is for other host names.
    OtherName {
        /// The host names in the certificate, if known.
        names: Vec<String>,
    },
    /// The certificate has expired.
    Expired,
    /// The certificate is not valid yet, or the clock is wrong.
    NotYetValid,
    /// The certificate is invalid for another reason.
    Certificate,
    /// The host supports neither TLS 1.2 nor 1.3, or none of the ciphers.
    Version,
    /// The host does not speak TLS.
    NotTls,
}

impl TlsFault {
    /// Returns the TLS fault that made a request fail, if any.
    #[must_use]
    pub fn of(error: &reqwest::Error) -> Option<Self> {
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(fault) = error.downcast_ref() {
                return Self::judge(fault);
            }
            // `source()` of an `io::Error` skips the error that it holds (often another `io::Error`), so the held error
            // comes first.
            let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            cause = held.map_or_else(|| error.source(), |held| Some(held));
        }
        None
    }

    /// Returns whether a retry may help. A certificate that is refused once is refused again, but a proxy that restarts
    /// may break off a handshake.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Version | Self::NotTls)
    }

    fn judge(error: &rustls::Error) -> Option<Self> {
        Some(match error {
            rustls::Error::InvalidCertificate(fault) => match fault {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownAuthority,
                CertificateError::NotValidForName => Self::OtherName { names: Vec::new() },
                CertificateError::NotValidForNameContext { presented, .. } => {
                    let name = |name: &String| name.trim_start_matches("DnsName(").trim_matches(['"', ')']).to_owned();
                    let is_name = |name: &String| {
                        name.len() <= LONGEST_NAME
                            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-*:".contains(&byte))
                    };
                    Self::OtherName { names: presented.iter().map(name).filter(is_name).take(MOST_NAMES).collect() }
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
                _ => Self::Certificate,
            },
            rustls::Error::PeerIncompatible(_)
            | rustls::Error::AlertReceived(
                AlertDescription::ProtocolVersion
                | AlertDescription::HandshakeFailure
                | AlertDescription::InsufficientSecurity,
            ) => Self::Version,
            rustls::Error::InvalidMessage(_) | rustls::Error::InappropriateMessage { .. } => Self::NotTls,
            _ => return None,
        })
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownAuthority => f.write_str("its certificate is from an authority that is not trusted"),
            Self::OtherName { names } if names.is_empty() => f.write_str("its certificate is for another host name"),
            Self::OtherName { names } => write!(f, "its certificate is for another host name: {}", names.join(", ")),
            Self::Expired => f.write_str("its certificate has expired"),
            Self::NotYetValid => f.write_str("its certificate is not valid yet"),
            Self::Certificate => f.write_str("its certificate is not a valid server certificate"),
            Self::Version => f.write_str("it supports neither TLS 1.2 nor 1.3"),
            Self::NotTls => f.write_str("it does not use TLS"),
        }
    }
}

/// Builds clients that trust the system's authorities. The custom CA is trusted for Elasticsearch only.
#[derive(Debug, Clone)]
pub struct Clients {
    lastpass: Arc<ClientConfig>,
    elasticsearch: Arc<ClientConfig>,
}

impl Clients {
    /// Reads the authorities. `ca` holds further ones for Elasticsearch, as PEM.
    ///
    /// # Errors
    /// [`Error::Certificate`] if `ca` holds no valid certificate.
    pub fn new(ca: Option<&str>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        // Unreadable system certificates are skipped. A missing authority leads to a refused connection.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let Some(pem) = ca else {
            let both = Arc::new(tls(roots)?);
            return Ok(Self { lastpass: Arc::clone(&both), elasticsearch: both });
        };
        let lastpass = Arc::new(tls(roots.clone())?);
        roots.extend(authorities(pem)?.roots);
        Ok(Self { lastpass, elasticsearch: Arc::new(tls(roots)?) })
    }

    /// Builds a client for LastPass, without connections.
    ///
    /// # Errors
    /// [`Error::SetUp`] if the library rejects the configuration.
    pub fn for_lastpass(&self) -> Result<reqwest::Client, Error> {
        build(builder(&self.lastpass, CONNECT_TIMEOUT))
    }

    /// Builds a client for Elasticsearch or Kibana, without connections.
    ///
    /// # Errors
    /// [`Error::SetUp`] if the library rejects the configuration.
    pub fn for_elasticsearch(&self) -> Result<reqwest::Client, Error> {
        build(builder(&self.elasticsearch, CONNECT_TIMEOUT))
    }

    /// Builds a client for AWS, which the SDK keeps for the lifetime of the sandbox. Like the SDK's own client, it requests
    /// no compression.
    ///
    /// # Errors
    /// [`Error::SetUp`] if the library rejects the configuration.
    pub(crate) fn for_aws(&self) -> Result<reqwest::Client, Error> {
        build(builder(&self.lastpass, AWS_CONNECT_TIMEOUT).no_gzip())
    }
}

fn builder(tls: &ClientConfig, connect_timeout: Duration) -> reqwest::ClientBuilder {
    #[expect(clippy::disallowed_methods, reason = "the one place where clients are made")]
    let builder = reqwest::Client::builder();
    builder
        .connect_timeout(connect_timeout)
        .use_preconfigured_tls(tls.clone())
        // A redirect would send credentials to another address.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("lastpass-elastic/", env!("CARGO_PKG_VERSION")))
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, Error> {
    builder.build().map_err(|error| Error::SetUp(error.into()))
}

/// Configures TLS 1.2 and 1.3 with the trusted authorities `roots`.
fn tls(roots: RootCertStore) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::SetUp(error.into()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Reads the authorities in a PEM text.
///
/// # Errors
/// [`Error::Certificate`] if there is none, or one of them cannot be read.
pub fn authorities(pem: &str) -> Result<RootCertStore, Error> {
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| Error::Certificate)?;
        authorities.add(certificate).map_err(|_| Error::Certificate)?;
    }
    if authorities.is_empty() { Err(Error::Certificate) } else { Ok(authorities) }
}

/// Returns how long a server asks to wait, from either form of `Retry-After`. Source: RFC 9110, section 10.2.3.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(until.duration_since(now())).ok()
}

/// Builds a client for tests that send no request.
#[cfg(test)]
pub(crate) fn for_tests() -> reqwest::Client {
    Clients::new(None).and_then(|clients| clients.for_elasticsearch()).expect("a client")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_faults_of_tls_are_distinguished() {
        let certificate = rustls::Error::InvalidCertificate;
        for (error, fault) in [
            (certificate(CertificateError::UnknownIssuer), Some(TlsFault::UnknownAuthority)),
            (certificate(CertificateError::BadSignature), Some(TlsFault::UnknownAuthority)),
            (certificate(CertificateError::NotValidForName), Some(TlsFault::OtherName { names: Vec::new() })),
            (certificate(CertificateError::Expired), Some(TlsFault::Expired)),
            (certificate(CertificateError::NotValidYet), Some(TlsFault::NotYetValid)),
            (certificate(CertificateError::BadEncoding), Some(TlsFault::Certificate)),
            (rustls::Error::AlertReceived(AlertDescription::ProtocolVersion), Some(TlsFault::Version)),
            (rustls::Error::HandshakeNotComplete, None),
        ] {
            assert_eq!(TlsFault::judge(&error), fault, "{error}");
        }
    }

    #[tokio::test]
    async fn a_port_without_tls_is_recognized_by_its_response() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
            }
        });
        let error = for_tests().get(format!("https://{address}")).send().await.expect_err("no TLS");
        assert_eq!(TlsFault::of(&error), Some(TlsFault::NotTls), "{error:?}");
        let refused = for_tests().get("https://127.0.0.1:1").send().await.expect_err("no server");
        assert_eq!(TlsFault::of(&refused), None);
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let headers = |value: &str| HeaderMap::from_iter([(RETRY_AFTER, value.parse().expect("a value"))]);
        assert_eq!(retry_after(&headers("7")), Some(Duration::from_secs(7)));
        assert!(retry_after(&headers("Fri, 31 Dec 2100 23:59:59 GMT")) > Some(Duration::from_secs(3600)));
        assert_eq!(retry_after(&headers("Sun, 06 Nov 1994 08:49:37 GMT")), None);
        assert_eq!(retry_after(&headers("soon")), None);
    }
}
