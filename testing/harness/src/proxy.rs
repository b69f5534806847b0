//! An HTTP/1.1 proxy in front of one service. It reads each call completely and applies the rules.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, TRANSFER_ENCODING,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::http::Http;
use crate::process::lock;
use crate::secrecy::Lock;
use crate::{Answer, Calls, Error, Fault, Moment, System, Watch};

/// Tells hyper to close the connection at this point.
#[derive(Debug, thiserror::Error)]
#[error("cut on purpose")]
struct Cut;

type Body = BoxBody<Bytes, Cut>;

/// The service behind a proxy. The two AWS services share an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upstream {
    LastPass,
    Elasticsearch,
    Aws,
}

/// A running proxy. Dropping it stops it and closes all its connections.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    to: Arc<Mutex<String>>,
    connections: Arc<Mutex<JoinSet<()>>>,
    server: JoinHandle<()>,
}

/// The state that all connections of a proxy share.
#[derive(Debug, Clone)]
struct Route {
    upstream: Upstream,
    /// `host:port`.
    to: Arc<Mutex<String>>,
    calls: Calls,
    watch: Watch,
    http: Http,
}

impl Proxy {
    /// Starts a proxy in front of `url`.
    pub(crate) async fn start(upstream: Upstream, url: &str, calls: Calls, watch: Watch) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(Error::Listen)?;
        let address = listener.local_addr().map_err(Error::Listen)?;
        let to = Arc::new(Mutex::new(authority(url)?));
        let route = Route { upstream, to: Arc::clone(&to), calls, watch, http: Http::new() };
        let connections = Arc::new(Mutex::new(JoinSet::new()));
        let accepted = Arc::clone(&connections);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut accepted = lock(&accepted);
                // Forgets those that have ended.
                while accepted.try_join_next().is_some() {}
                accepted.spawn(serve(stream, route.clone()));
            }
        });
        Ok(Self { address, to, connections, server })
    }

    /// Moves the proxy to `url`.
    pub(crate) fn turn_to(&self, url: &str) -> Result<(), Error> {
        *lock(&self.to) = authority(url)?;
        Ok(())
    }

    /// Closes all connections, as a load balancer closes idle ones.
    pub(crate) async fn close_connections(&self) {
        let mut all = std::mem::take(&mut *lock(&self.connections));
        all.shutdown().await;
    }

    /// Returns its URL `http://127.0.0.1:…`, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Returns `host:port` of a URL.
fn authority(url: &str) -> Result<String, Error> {
    let authority = url.parse::<Uri>().ok().and_then(|url| url.authority().map(ToString::to_string));
    authority.ok_or_else(|| Error::Answer(format!("{url} is no address of a service")))
}

async fn serve(stream: TcpStream, route: Route) {
    // Small responses must not wait for an acknowledgement. A failure only makes them slower.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(request, &route));
    // hyper reports a connection that was closed on purpose as an error.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, route: &Route) -> Result<Response<Body>, Cut> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let (system, operation) = operation_of(route.upstream, &head, &body);
    look_for_secrets(route, &operation, &head, &body);
    let (number, fault) = route.calls.begin(system, operation, body.clone());
    match &fault {
        Some(Fault::Kill(killer, Moment::Before)) => {
            killer.kill();
            return Err(Cut);
        }
        Some(Fault::Cut(Moment::Before)) => return Err(Cut),
        Some(Fault::Answer(answer)) => {
            route.calls.answered(number, answer.status);
            return scripted(answer);
        }
        Some(Fault::Reply(reply)) => {
            let answer = reply(&body);
            route.calls.answered(number, answer.status);
            return scripted(&answer);
        }
        Some(Fault::Delay(delay)) => tokio::time::sleep(*delay).await,
        Some(Fault::Hold(gate)) => gate.pass().await,
        Some(Fault::Kill(..) | Fault::Cut(_) | Fault::Change(_) | Fault::Silence) | None => {}
    }
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut forwarded = Request::new(Full::new(body));
    *forwarded.method_mut() = head.method.clone();
    // Only the address changes. The client's `Host` header is kept, because AWS requests are signed with it.
    *forwarded.uri_mut() = format!("http://{}{path}", lock(&route.to)).parse().map_err(|_| Cut)?;
    *forwarded.headers_mut() = head.headers;
    forwarded.headers_mut().remove(CONNECTION);
    if matches!(fault, Some(Fault::Change(_))) {
        // A response that is to be changed must not be compressed.
        forwarded.headers_mut().remove(ACCEPT_ENCODING);
    }
    // If the system closes the connection without a response, the function sees the same.
    let answer = route.http.forward(forwarded).await.map_err(|_| Cut)?;
    let mut answer = match answer {
        Ok(answer) => answer,
        Err(head) => return Ok(broken(head.map(|()| Bytes::new()))),
    };
    match fault {
        Some(Fault::Kill(killer, _)) => {
            killer.kill();
            return Err(Cut);
        }
        Some(Fault::Cut(Moment::Inside)) => return Ok(broken(answer)),
        Some(Fault::Cut(_)) => return Err(Cut),
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::Change(change)) => {
            let value: Value = serde_json::from_slice(answer.body()).map_err(|_| Cut)?;
            *answer.body_mut() = change(value).to_string().into();
        }
        Some(Fault::Answer(_) | Fault::Reply(_) | Fault::Delay(_) | Fault::Hold(_)) | None => {}
    }
    route.calls.answered(number, answer.status().as_u16());
    // The length of the body, which may have changed, is set again.
    answer.headers_mut().remove(CONTENT_LENGTH);
    answer.headers_mut().remove(TRANSFER_ENCODING);
    answer.headers_mut().remove(CONNECTION);
    Ok(answer.map(whole))
}

/// Searches a request for secrets. The credential of its destination is allowed in its proper place.
fn look_for_secrets(route: &Route, operation: &str, head: &hyper::http::request::Parts, body: &Bytes) {
    let Route { upstream, watch, .. } = route;
    let of = |part: &str| format!("{part} of a request to {upstream:?} ({operation})");
    watch.look(&of("the address"), head.uri.to_string().as_bytes());
    for (name, value) in &head.headers {
        let is_key = *upstream == Upstream::Elasticsearch && name == AUTHORIZATION;
        let opens = is_key.then_some(Lock::Elasticsearch);
        watch.look_except_for(opens, &of(&format!("the header {name}")), value.as_bytes());
    }
    let mut body = body.clone();
    if *upstream == Upstream::LastPass
        && let Ok(Value::Object(mut fields)) = serde_json::from_slice(&body)
    {
        if let Some(hash) = fields.shift_remove("provhash") {
            watch.look_except_for(Some(Lock::LastPass), &of("`provhash`"), hash.to_string().as_bytes());
        }
        body = Value::Object(fields).to_string().into();
    }
    watch.look_into(&of("the body"), &body);
}

/// Returns the system and the operation of a call.
fn operation_of(upstream: Upstream, head: &hyper::http::request::Parts, body: &Bytes) -> (System, String) {
    match upstream {
        Upstream::LastPass => {
            let command = serde_json::from_slice::<Value>(body).ok();
            let command = command.as_ref().and_then(|body| body["cmd"].as_str()).unwrap_or_default();
            (System::LastPass, command.to_owned())
        }
        Upstream::Elasticsearch => (System::Elasticsearch, format!("{} {}", head.method, head.uri.path())),
        Upstream::Aws => {
            let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
            let (service, operation) = target.split_once('.').unwrap_or_default();
            let system = if service == "secretsmanager" { System::SecretsManager } else { System::DynamoDb };
            (system, operation.to_owned())
        }
    }
}

fn scripted(answer: &Answer) -> Result<Response<Body>, Cut> {
    let mut response = Response::new(whole(answer.body.clone()));
    *response.status_mut() = StatusCode::from_u16(answer.status).map_err(|_| Cut)?;
    let content_type = HeaderValue::from_str(&answer.content_type).map_err(|_| Cut)?;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    for (name, value) in &answer.headers {
        let name: hyper::header::HeaderName = name.parse().map_err(|_| Cut)?;
        response.headers_mut().insert(name, HeaderValue::from_str(value).map_err(|_| Cut)?);
    }
    Ok(response)
}

fn whole(body: Bytes) -> Body {
    Full::new(body).map_err(|never: Infallible| match never {}).boxed()
}

/// Returns a response with the full length and half of the body, after which the connection closes.
fn broken(answer: Response<Bytes>) -> Response<Body> {
    let (mut head, body) = answer.into_parts();
    head.headers.remove(TRANSFER_ENCODING);
    if !head.headers.contains_key(CONTENT_LENGTH) {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len().max(1)));
    }
    let half = body.slice(..body.len() / 2);
    let frames = stream::iter([Ok(Frame::data(half)), Err(Cut)]);
    Response::from_parts(head, StreamBody::new(frames).boxed())
}
