//! The requests to Kibana, and the meaning of its refusals.
//!
//! Sources: Kibana's API description, <https://www.elastic.co/docs/api/doc/kibana/>, the operations `get-status`,
//! `get-spaces-space-id`, `post-saved-objects-import`, `readrule`, `importrules` and `patchrule`.

use std::time::Duration;

use lastpass_elastic::http::{Clients, TlsFault};
use reqwest::{Method, RequestBuilder, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

use super::{bundle, error::Error};
use crate::kibana_address::Address;

/// Longest time of one request. Chosen: an import of some 40 objects takes seconds.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The version of Kibana's public APIs for rules. Source: their description, `info.version`.
const API_VERSION: &str = "2023-10-31";
/// The oldest Kibana for which dashboards and rules are made.
const OLDEST: (u64, u64) = (8, 19);
/// Longest part of a response in a message, in characters. Chosen: a few lines of a terminal.
const LONGEST_MESSAGE: usize = 500;
/// Separates the parts of an upload. It does not occur in the files.
const BOUNDARY: &str = "lastpass-elastic-1c7f3a52d9";

/// Kibana, with an API key.
pub struct Kibana {
    client: reqwest::Client,
    pub address: Address,
    key: SecretString,
}

/// A response: its status, and its JSON; `Null` for anything else.
struct Response {
    status: StatusCode,
    body: Value,
}

impl Response {
    /// Kibana's own reason.
    fn message(&self) -> String {
        let text = self.body["message"].as_str().map_or_else(|| self.body.to_string(), str::to_owned);
        text.chars().take(LONGEST_MESSAGE).collect()
    }

    /// Returns the body of a successful response.
    fn success(self, action: &'static str) -> Result<Value, Error> {
        match self.status {
            status if status.is_success() => Ok(self.body),
            StatusCode::UNAUTHORIZED => Err(Error::Unauthorized),
            StatusCode::FORBIDDEN => Err(Error::Forbidden { action, message: self.message() }),
            status if is_unready(status) => Err(Error::NotReady(status.as_u16())),
            status => Err(Error::Refused { action, status: status.as_u16(), message: self.message() }),
        }
    }
}

impl Kibana {
    /// Builds a client.
    ///
    /// # Errors
    /// [`Error::Tls`].
    pub fn new(address: Address, key: SecretString) -> Result<Self, Error> {
        Ok(Self { client: Clients::new(None)?.for_elasticsearch()?, address, key })
    }

    /// Checks that a Kibana of a suitable version answers, accepts the API key, and has the space.
    ///
    /// # Errors
    /// [`Error`], which says what to change.
    pub async fn check(&self) -> Result<(), Error> {
        let status = self.send(self.request(Method::GET, self.address.global_url("api/status"))).await?;
        if is_unready(status.status) {
            return Err(Error::NotReady(status.status.as_u16()));
        }
        if !status.body["status"].is_object() && status.status != StatusCode::UNAUTHORIZED {
            let found = match status.body["tagline"].as_str() {
                Some(_) => self.describe_elasticsearch(),
                None => {
                    format!("it answers api/status with HTTP {} and without Kibana's status", status.status.as_u16())
                }
            };
            return Err(self.not_kibana(found));
        }
        if let Some(version) = status.body["version"]["number"].as_str().filter(|version| is_too_old(version)) {
            return Err(Error::TooOld(version.to_owned()));
        }
        let path = self.address.global_url(&format!("api/spaces/space/{}", self.address.space));
        let space = self.send(self.request(Method::GET, path)).await?;
        if space.status == StatusCode::NOT_FOUND {
            return Err(Error::NoSpace(self.address.space.clone()));
        }
        space.success("use this space").map(|_| ())
    }

    /// Fetches a rule that is installed. `None` if there is none.
    ///
    /// # Errors
    /// [`Error::NoSecurity`] if this Kibana has no rules; otherwise [`Error`].
    pub async fn fetch_rule(&self, rule_id: &str) -> Result<Option<Map<String, Value>>, Error> {
        const ACTION: &str = "read detection rules";
        let url = self.address.url(&format!("api/detection_engine/rules?rule_id={rule_id}"));
        let response = self.send(self.request(Method::GET, url)).await?;
        if response.status == StatusCode::NOT_FOUND {
            // Elastic Security spells the status `status_code`; a path that Kibana does not have is answered with `statusCode`.
            return if response.body["status_code"].is_number() { Ok(None) } else { Err(Error::NoSecurity) };
        }
        match response.success(ACTION)? {
            Value::Object(rule) => Ok(Some(rule)),
            _ => Err(Error::UnknownForm(ACTION)),
        }
    }

    /// Installs the dashboards, and replaces those that are there. Returns the IDs of those that were there.
    ///
    /// # Errors
    /// [`Error::Incomplete`] if Kibana did not accept all of them; otherwise [`Error`].
    pub async fn import_dashboards(&self) -> Result<Vec<String>, Error> {
        const ACTION: &str = "import the dashboards";
        let url = self.address.url("api/saved_objects/_import?overwrite=true");
        let response = self.upload(url, "lastpass-dashboards.ndjson", bundle::DASHBOARDS).await?;
        let response = response.success(ACTION)?;
        if response["success"] != Value::Bool(true) {
            return Err(Error::Incomplete { action: ACTION, reasons: reasons(&response["errors"]) });
        }
        let results = response["successResults"].as_array().ok_or(Error::UnknownForm(ACTION))?;
        let replaced = results.iter().filter(|result| result["overwrite"] == Value::Bool(true));
        Ok(replaced.filter_map(|result| result["id"].as_str()).map(str::to_owned).collect())
    }

    /// Installs rules that are not there.
    ///
    /// # Errors
    /// [`Error::Incomplete`] if Kibana did not accept all of them; otherwise [`Error`].
    pub async fn import_rules(&self, rules: &[&Map<String, Value>]) -> Result<(), Error> {
        const ACTION: &str = "import all detection rules";
        let lines: Vec<String> = rules.iter().map(|rule| format!("{}\n", Value::Object((*rule).clone()))).collect();
        let url = self.address.url("api/detection_engine/rules/_import");
        let response = self.upload(url, "lastpass-rules.ndjson", &lines.concat()).await?.success(ACTION)?;
        match response["success"].as_bool() {
            Some(true) => Ok(()),
            Some(false) => Err(Error::Incomplete { action: ACTION, reasons: reasons(&response["errors"]) }),
            None => Err(Error::UnknownForm(ACTION)),
        }
    }

    /// Changes some fields of a rule. Its actions and exceptions stay, and it stays enabled or disabled.
    pub async fn change_rule(&self, rule_id: &Value, fields: &Map<String, Value>) -> Result<(), Error> {
        let mut body = fields.clone();
        body.insert("rule_id".to_owned(), rule_id.clone());
        let request = self.request(Method::PATCH, self.address.url("api/detection_engine/rules"));
        let request = request.header(header::CONTENT_TYPE, "application/json").body(json!(body).to_string());
        self.send(request).await?.success("change detection rules").map(|_| ())
    }

    /// Uploads a file. Kibana requires the extension `.ndjson`.
    async fn upload(&self, url: String, name: &str, content: &str) -> Result<Response, Error> {
        let body = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/x-ndjson\r\n\r\n{content}\r\n--{BOUNDARY}--\r\n"
        );
        let form = format!("multipart/form-data; boundary={BOUNDARY}");
        self.send(self.request(Method::POST, url).header(header::CONTENT_TYPE, form).body(body)).await
    }

    fn request(&self, method: Method, url: String) -> RequestBuilder {
        let mut key = header::HeaderValue::from_str(&format!("ApiKey {}", self.key.expose_secret()))
            .unwrap_or_else(|_| header::HeaderValue::from_static(""));
        key.set_sensitive(true);
        self.client
            .request(method, url)
            .timeout(TIMEOUT)
            .header(header::AUTHORIZATION, key)
            // Kibana refuses other requests than GET without this header.
            .header("kbn-xsrf", "lastpass-elastic")
            .header("elastic-api-version", API_VERSION)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Error> {
        let unreachable = |error: reqwest::Error| {
            let url = self.address.base_url().to_owned();
            Error::Unreachable { url, reason: reason(&error) }
        };
        let response = request.send().await.map_err(unreachable)?;
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_redirection() {
            return Err(self.not_kibana(
                "it redirects to another address, such as a login page. Give the address at which Kibana itself answers",
            ));
        }
        if headers.contains_key("x-elastic-product") {
            return Err(self.not_kibana(self.describe_elasticsearch()));
        }
        let body = response.bytes().await.map_err(unreachable)?;
        Ok(Response { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
    }

    fn not_kibana(&self, found: impl Into<String>) -> Error {
        Error::NotKibana { url: self.address.base_url().to_owned(), found: found.into() }
    }

    fn describe_elasticsearch(&self) -> String {
        let host = self.address.base_url();
        // Source: https://www.elastic.co/docs/deploy-manage/deploy/elastic-cloud/connect-your-applications-to-elasticsearch
        let hint = if host.contains(".es.") {
            format!(", perhaps {}", host.replacen(".es.", ".kb.", 1))
        } else {
            String::new()
        };
        format!("Elasticsearch answers there. Give the address of Kibana{hint}")
    }
}

/// Returns whether Kibana, or a proxy in front of it, is temporarily unavailable.
fn is_unready(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

fn is_too_old(version: &str) -> bool {
    let mut parts = version.split('.').map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < OLDEST,
        // Serverless projects and later versions may spell it otherwise.
        _ => false,
    }
}

/// Lists the reasons of an import, one for each object or rule.
fn reasons(errors: &Value) -> String {
    let all = errors.as_array().map(Vec::as_slice).unwrap_or_default();
    let one = |entry: &Value| {
        let id = entry["rule_id"].as_str().or_else(|| entry["id"].as_str()).unwrap_or("unknown");
        let error = &entry["error"];
        let why = error["message"].as_str().or_else(|| error["reason"].as_str()).or_else(|| error["type"].as_str());
        format!("{id}: {}", why.unwrap_or("no reason given"))
    };
    let text = all.iter().map(one).collect::<Vec<_>>().join("; ");
    text.chars().take(LONGEST_MESSAGE).collect()
}

fn reason(error: &reqwest::Error) -> String {
    match TlsFault::of(error) {
        Some(TlsFault::UnknownAuthority) => {
            "its certificate was issued by an authority that is not trusted. Set SSL_CERT_FILE to a file with the certificate of that authority"
                .to_owned()
        }
        Some(fault) => fault.to_string(),
        None if error.is_timeout() => "it does not respond in time".to_owned(),
        None => "check the address, the network and a proxy (HTTPS_PROXY)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_before_8_19_are_too_old() {
        for (version, expected) in [
            ("8.18.9", true),
            ("7.17.0", true),
            ("8.19.0", false),
            ("9.0.0", false),
            ("10.1.0", false),
            ("serverless", false),
        ] {
            assert_eq!(is_too_old(version), expected, "{version}");
        }
    }

    #[test]
    fn every_reason_of_an_import_is_reported() {
        let errors = json!([{"rule_id": "r1", "error": {"status_code": 409, "message": "exists"}},
            {"id": "d1", "type": "dashboard", "error": {"type": "missing_references"}}, {}]);
        assert_eq!(reasons(&errors), "r1: exists; d1: missing_references; unknown: no reason given");
    }
}
