//! The HTTP client for LastPass and Elasticsearch.
//!
//! One TLS set-up for a sandbox's life, one client for each invocation: a frozen sandbox leaves dead connections
//! behind, and a client made anew has none.

use std::{error::Error as _, fmt, io, sync::Arc, time::Duration};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::CertificateDer,
    pki_types::pem::PemObject,
};

/// Longest that a connection may take to be made. Chosen: a host in another continent answers within a second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why no TLS connection can be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A text that should hold certificates.
    #[error(
        "there is no certificate in it: give the authority's certificate as PEM, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----"
    )]
    Certificate,
    /// The TLS library or the client.
    #[error("TLS can't be set up in this process")]
    SetUp(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// How many names of a certificate are told, and the longest. Chosen: who looks for the right one has it among the first.
const MOST_NAMES: usize = 5;
/// Source: RFC 1035: a host name has at most 253 characters.
const LONGEST_NAME: usize = 253;

/// Why a host with which a connection was made was not talked to. No repetition mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsFault {
    /// Its certificate is of an authority that nobody here knows, or says it is of one that is known.
    UnknownAuthority,
    /// Its certificate is for others.
    OtherName {
        /// Whom it names, where that is known.
        names: Vec<String>,
    },
    /// Its certificate was good until now.
    Expired,
    /// Its certificate will be good, or the clock is wrong.
    NotYetValid,
    /// Anything else about its certificate.
    Certificate,
    /// It knows neither TLS 1.2 nor 1.3, or none of the ciphers.
    Version,
    /// What it says is no TLS.
    NotTls,
}

impl TlsFault {
    /// The fault that made a request fail, if it was one of these.
    #[must_use]
    pub fn of(error: &reqwest::Error) -> Option<Self> {
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(fault) = error.downcast_ref() {
                return Self::judge(fault);
            }
            // It hides what it holds, often itself, and gives the cause of that.
            let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            cause = held.map_or_else(|| error.source(), |held| Some(held));
        }
        None
    }

    fn judge(error: &rustls::Error) -> Option<Self> {
        Some(match error {
            rustls::Error::InvalidCertificate(fault) => match fault {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownAuthority,
                CertificateError::NotValidForName => Self::OtherName { names: Vec::new() },
                CertificateError::NotValidForNameContext { presented, .. } => {
                    let name = |name: &String| name.trim_start_matches("DnsName(").trim_matches(['"', ')']).to_owned();
                    let has_form = |name: &String| {
                        name.len() <= LONGEST_NAME
                            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-*:".contains(&byte))
                    };
                    Self::OtherName { names: presented.iter().map(name).filter(has_form).take(MOST_NAMES).collect() }
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
            Self::UnknownAuthority => f.write_str("its certificate is of an authority that is not trusted"),
            Self::OtherName { names } if names.is_empty() => f.write_str("its certificate is for another host name"),
            Self::OtherName { names } => write!(f, "its certificate is for another host name: {}", names.join(", ")),
            Self::Expired => f.write_str("its certificate has expired"),
            Self::NotYetValid => f.write_str("its certificate is not valid yet"),
            Self::Certificate => f.write_str("its certificate is not one for a server"),
            Self::Version => f.write_str("it offers neither TLS 1.2 nor 1.3"),
            Self::NotTls => f.write_str("it does not speak TLS"),
        }
    }
}

/// Makes clients that trust the system's authorities; those of Elasticsearch also the authority of a self-managed cluster,
/// whose owner is nobody that LastPass's certificates are to be trusted from.
#[derive(Debug, Clone)]
pub struct Clients {
    lastpass: Arc<ClientConfig>,
    elasticsearch: Arc<ClientConfig>,
}

impl Clients {
    /// Reads the authorities. `ca` holds further ones for Elasticsearch as PEM.
    ///
    /// # Errors
    /// [`Error::Certificate`] if `ca` holds none.
    pub fn new(ca: Option<&str>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        // What can't be read of the system's is left out: a missing authority shows as a refused connection.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let Some(pem) = ca else {
            let both = Arc::new(tls(roots)?);
            return Ok(Self { lastpass: Arc::clone(&both), elasticsearch: both });
        };
        let lastpass = Arc::new(tls(roots.clone())?);
        for certificate in certificates(pem)? {
            roots.add(certificate).map_err(|_| Error::Certificate)?;
        }
        Ok(Self { lastpass, elasticsearch: Arc::new(tls(roots)?) })
    }

    /// A client for LastPass, without connections.
    ///
    /// # Errors
    /// [`Error::SetUp`] if the library refuses the set-up.
    pub fn for_lastpass(&self) -> Result<reqwest::Client, Error> {
        Self::fresh(&self.lastpass)
    }

    /// A client for Elasticsearch, without connections.
    ///
    /// # Errors
    /// [`Error::SetUp`] if the library refuses the set-up.
    pub fn for_elasticsearch(&self) -> Result<reqwest::Client, Error> {
        Self::fresh(&self.elasticsearch)
    }

    fn fresh(tls: &ClientConfig) -> Result<reqwest::Client, Error> {
        #[expect(clippy::disallowed_methods, reason = "the one place where clients are made")]
        let builder = reqwest::Client::builder();
        builder
            .use_preconfigured_tls(tls.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect would carry credentials to another address.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("lastpass-elastic/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::SetUp(error.into()))
    }
}

/// TLS 1.2 or 1.3 with a host that one of `roots` answers for.
fn tls(roots: RootCertStore) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::SetUp(error.into()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The certificates in a PEM text: at least one.
///
/// # Errors
/// [`Error::Certificate`] if there is none, or one can't be read.
pub fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(|_| Error::Certificate)?;
    if certificates.is_empty() { Err(Error::Certificate) } else { Ok(certificates) }
}

/// A client that is never asked.
#[cfg(test)]
pub(crate) fn for_tests() -> reqwest::Client {
    Clients::new(None).and_then(|clients| clients.for_elasticsearch()).expect("a client")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_apart() {
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
    async fn a_port_without_tls_is_known_by_what_it_answers() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
            }
        });
        let error = for_tests().get(format!("https://{address}")).send().await.expect_err("no TLS");
        assert_eq!(TlsFault::of(&error), Some(TlsFault::NotTls), "{error:?}");
        let nobody = for_tests().get("https://127.0.0.1:1").send().await.expect_err("nobody");
        assert_eq!(TlsFault::of(&nobody), None);
    }
}
