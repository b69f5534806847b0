//! A TLS proxy in front of a service, test certificates, and the TLS versions that a client offers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::Error;
use crate::process::lock;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Longest ClientHello that is parsed.
const LONGEST_HELLO: usize = 16 << 10;

/// A certificate authority that no client trusts by default.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Creates an authority with this name.
    ///
    /// # Errors
    /// [`Error::Tls`].
    pub fn make(name: &str) -> Result<Self, Error> {
        let failed = |error: rcgen::Error| Error::Tls(error.into());
        let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().map_err(failed)?;
        let pem = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key) })
    }

    /// Returns its certificate.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Returns the configuration of a server with a certificate for a name.
    ///
    /// # Errors
    /// [`Error::Tls`].
    pub fn certify(&self, name: &str) -> Result<Arc<ServerConfig>, Error> {
        self.certify_until(name, 4000)
    }

    /// Returns the configuration of a server whose certificate expired at the beginning of a year.
    ///
    /// # Errors
    /// [`Error::Tls`].
    pub fn certify_until(&self, name: &str, year: i32) -> Result<Arc<ServerConfig>, Error> {
        let failed = |error: Cause| Error::Tls(error);
        let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(|error| failed(error.into()))?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().map_err(|error| failed(error.into()))?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(|error| failed(error.into()))?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|error| failed(error.into()))?;
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.into()))?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .map_err(|error| failed(error.into()))?;
        Ok(Arc::new(config))
    }
}

/// The reaction of a server to a ClientHello.
#[derive(Clone)]
pub enum Greeting {
    /// Completes the handshake and forwards to the service.
    Tls(Arc<ServerConfig>),
    /// Sends these bytes.
    Bytes(&'static [u8]),
}

impl Greeting {
    /// The alert of a server that supports no TLS version that the client offers. Source: RFC 5246, 7.2.
    pub const PROTOCOL_VERSION: Self = Self::Bytes(&[21, 3, 2, 0, 2, 2, 70]);
    /// The response of a server without TLS.
    pub const PLAIN_HTTP: Self = Self::Bytes(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
}

/// A TLS proxy in front of a service. Dropping it stops it and closes all its connections.
#[derive(Debug)]
pub struct TlsFront {
    address: SocketAddr,
    offered: Arc<Mutex<Vec<Vec<u16>>>>,
    server: JoinHandle<()>,
}

impl TlsFront {
    /// Starts a proxy in front of the service at `url`.
    ///
    /// # Errors
    /// [`Error::Listen`].
    pub async fn start(url: &str, greeting: Greeting) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(Error::Listen)?;
        let address = listener.local_addr().map_err(Error::Listen)?;
        let to = url.trim_start_matches("http://").to_owned();
        let offered = Arc::<Mutex<Vec<Vec<u16>>>>::default();
        let hellos = Arc::clone(&offered);
        let server = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((client, _)) = listener.accept() => {
                        connections.spawn(serve(client, to.clone(), greeting.clone(), Arc::clone(&hellos)));
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self { address, offered, server })
    }

    /// Returns its URL `https://localhost:…`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Returns the TLS versions that each client has offered so far, from its `supported_versions`.
    #[must_use]
    pub fn offered(&self) -> Vec<Vec<u16>> {
        lock(&self.offered).clone()
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Serves one connection. An error ends it, which both sides notice.
async fn serve(mut client: TcpStream, to: String, greeting: Greeting, hellos: Arc<Mutex<Vec<Vec<u16>>>>) {
    let mut hello = vec![0; LONGEST_HELLO];
    let Ok(length) = client.peek(&mut hello).await else { return };
    if let Some(versions) = supported_versions(&hello[..length]) {
        lock(&hellos).push(versions);
    }
    match greeting {
        Greeting::Tls(config) => {
            let Ok(mut client) = TlsAcceptor::from(config).accept(client).await else { return };
            let Ok(mut service) = TcpStream::connect(&to).await else { return };
            let _ = copy_bidirectional(&mut client, &mut service).await;
        }
        Greeting::Bytes(bytes) => {
            let _ = client.write_all(bytes).await;
            let _ = client.shutdown().await;
            // Closing before everything is read would reset the connection and lose what was written.
            let _ = tokio::io::copy(&mut client, &mut tokio::io::sink()).await;
        }
    }
}

/// Returns the versions in a ClientHello that arrived in one piece. Source: RFC 8446, 4.1.2 and 4.2.1.
fn supported_versions(record: &[u8]) -> Option<Vec<u16>> {
    const RECORD_AND_HANDSHAKE_HEADER: usize = 5 + 4;
    const VERSION_AND_RANDOM: usize = 2 + 32;
    const SUPPORTED_VERSIONS: u16 = 43;
    let rest = record.get(RECORD_AND_HANDSHAKE_HEADER + VERSION_AND_RANDOM..)?;
    let (_session, rest) = rest.get(1..)?.split_at_checked(rest.first().copied()?.into())?;
    let (_ciphers, rest) = rest.get(2..)?.split_at_checked(number(rest)?.into())?;
    let (_compressions, rest) = rest.get(1..)?.split_at_checked(rest.first().copied()?.into())?;
    let mut extensions = rest.get(2..)?;
    while !extensions.is_empty() {
        let (kind, length) = (number(extensions)?, number(extensions.get(2..)?)?);
        let (content, rest) = extensions.get(4..)?.split_at_checked(length.into())?;
        if kind == SUPPORTED_VERSIONS {
            return Some(content.get(1..)?.chunks_exact(2).filter_map(number).collect());
        }
        extensions = rest;
    }
    None
}

fn number(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?))
}
