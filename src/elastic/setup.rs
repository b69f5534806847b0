//! `setup`: installs the assets, and brings existing data streams up to date.
//!
//! `setup` can be repeated: it writes every asset again, keeps a retention that the user has set, and rolls over only data
//! streams whose write index was created by another version of the templates.

use std::borrow::Cow;

use elasticsearch::cluster::{ClusterGetComponentTemplateParts, ClusterPutComponentTemplateParts};
use elasticsearch::indices::{
    IndicesPutDataLifecycleParts, IndicesPutDataStreamOptionsParts, IndicesPutIndexTemplateParts, IndicesRolloverParts,
};
use elasticsearch::ingest::IngestPutPipelineParts;
use reqwest::Method;
use serde_json::{Value, json};

use super::assets::{GEOIP, LIFECYCLE, STREAMS, StreamAssets, VERSION, parsed, version};
use super::backing_indices::{data_streams, with_write_index};
use super::client::Client;
use super::error::Error;
use super::operation::Operation;
use super::owners::{self, Others};
use super::privileges::fetch_cluster_info;
use super::response::Response;
use super::templates::{DATA_STREAM_REMEDY, INSTALL_REMEDY, mapping_of};
use super::transport::Request;

const RETENTION_REMEDY: &str = "specify `retention` in Elasticsearch's format, such as 365d, and check whether the \
    cluster supports data stream lifecycles (8.13 or newer)";

/// Maximum number of characters of a reason in an error text. Chosen: longer than the longest that Elasticsearch has about
/// templates.
const MAX_REASON_CHARS: usize = 500;

/// The options of `setup` in a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetupOptions {
    /// How long documents are kept, as Elasticsearch writes it (`365d`). None keeps the current setting, which is at first
    /// forever.
    pub retention: Option<String>,
    /// Whether `setup` may take over data streams that others created.
    pub take_over: bool,
}

/// Installs the assets and brings existing data streams up to date. Returns the names of the installed assets.
///
/// # Errors
/// [`Error`]; `setup` can be repeated after any. [`Error::OthersWrite`], before anything is changed, if it would take over a
/// data stream that others created.
pub async fn setup(client: &Client, options: &SetupOptions) -> Result<Vec<String>, Error> {
    let cluster = fetch_cluster_info(client).await?;
    if !cluster.is_supported() {
        return Err(Error::TooOld { host: client.host(), version: cluster.version });
    }
    let Others { to_take_over, overriding } = owners::others(client).await?;
    if !options.take_over && !to_take_over.is_empty() {
        return Err(Error::OthersWrite { host: client.host(), data_streams: to_take_over });
    }
    if !to_take_over.is_empty() {
        tracing::warn!(data_streams = to_take_over.join("; "), "taking over data streams that others created");
    }
    let retention = options.retention.as_deref();
    let setup = Setup { client };
    let installed = setup.install(retention).await?;
    for stream in &STREAMS {
        let found = data_streams(client, stream.data_streams, Operation::UpdateDataStream).await?;
        for (name, indices) in found.iter().filter(|(name, _)| !overriding.contains(name)) {
            let update = async |write_index: Option<&String>| setup.update(name, write_index, retention).await;
            if with_write_index(client, name, indices.last(), update).await?.is_none() {
                tracing::info!(data_stream = name, "the data stream was deleted before it was updated");
            }
        }
    }
    Ok(installed)
}

/// One run of `setup`.
struct Setup<'a> {
    client: &'a Client,
}

impl Setup<'_> {
    /// Installs every asset, and returns their names.
    async fn install(&self, retention: Option<&str>) -> Result<Vec<String>, Error> {
        let mut installed = Vec::new();
        let has_geoip = self.put_pipeline().await?;
        if has_geoip {
            installed.push(format!("pipeline {}", GEOIP.name));
        }
        self.put_lifecycle(retention).await?;
        installed.push(format!("component template {}", LIFECYCLE.name));
        for stream in &STREAMS {
            let mut body = parsed(stream.component_template);
            if !has_geoip && let Some(index) = body["template"]["settings"]["index"].as_object_mut() {
                // Elasticsearch refuses every document if the final pipeline does not exist.
                index.shift_remove("final_pipeline");
            }
            self.put_component_template(stream.name, &body, INSTALL_REMEDY).await?;
            installed.push(format!("component template {}", stream.name));
        }
        for stream in &STREAMS {
            self.put_index_template(stream).await?;
            installed.push(format!("index template {}", stream.name));
        }
        Ok(installed)
    }

    /// Installs the GeoIP pipeline. Returns false if the cluster does not have the processor.
    async fn put_pipeline(&self) -> Result<bool, Error> {
        let path = IngestPutPipelineParts::Id(GEOIP.name).url();
        let response = self.send(Operation::InstallPipeline, Method::PUT, path, &parsed(GEOIP.json)).await?;
        if let Some(error) = response.error()
            && error.error_type() == "parse_exception"
            && error.detail("processor_type") == Some("geoip")
        {
            tracing::warn!("this cluster has no geoip processor: events get no source.geo");
            return Ok(false);
        }
        self.accept(&response, INSTALL_REMEDY)?;
        Ok(true)
    }

    /// Installs the lifecycle with `retention`, or with the retention that the cluster has.
    async fn put_lifecycle(&self, retention: Option<&str>) -> Result<(), Error> {
        let mut body = parsed(LIFECYCLE.json);
        let path = ClusterGetComponentTemplateParts::Name(&[LIFECYCLE.name]).url();
        // Named like an installation in error texts, because the privilege to install includes reading.
        let request = Request::new(Operation::InstallTemplate, Method::GET, path);
        let response = self.client.send_with_retries(&request).await?;
        if response.status != 404 {
            self.accept(&response, INSTALL_REMEDY)?;
            let there: Value = self.client.parse(&response)?;
            let lifecycle = there.pointer("/component_templates/0/component_template/template/lifecycle");
            if let Some(lifecycle) = lifecycle {
                body["template"]["lifecycle"] = lifecycle.clone();
            }
        }
        if let Some(retention) = retention {
            body["template"]["lifecycle"]["data_retention"] = json!(retention);
        }
        let remedy = if retention.is_some() { RETENTION_REMEDY } else { INSTALL_REMEDY };
        self.put_component_template(LIFECYCLE.name, &body, remedy).await
    }

    /// Installs an index template. If the cluster does not know the failure store, the template does not mention it.
    async fn put_index_template(&self, stream: &StreamAssets) -> Result<(), Error> {
        let mut body = parsed(stream.index_template);
        let path = || IndicesPutIndexTemplateParts::Name(stream.name).url();
        let mut response = self.send(Operation::InstallTemplate, Method::PUT, path(), &body).await?;
        if response.status == 400
            && response.error_type() == "x_content_parse_exception"
            && let Some(template) = body.as_object_mut()
        {
            tracing::info!("this cluster has no failure stores to disable");
            template.remove("template");
            response = self.send(Operation::InstallTemplate, Method::PUT, path(), &body).await?;
        }
        self.accept(&response, INSTALL_REMEDY)
    }

    /// Brings an existing data stream up to date with its template.
    async fn update(&self, name: &str, write_index: Option<&String>, retention: Option<&str>) -> Result<(), Error> {
        let operation = Operation::UpdateDataStream;
        // A data stream keeps the options and the lifecycle that its template had when it was created.
        let options = json!({"failure_store": {"enabled": false}});
        let path = IndicesPutDataStreamOptionsParts::Name(&[name]).url();
        let response = self.send(operation, Method::PUT, path, &options).await?;
        // A version without this API has no failure stores.
        if response.status != 410 && !response.error().is_some_and(|error| error.is_text()) {
            self.accept(&response, DATA_STREAM_REMEDY)?;
        }
        if let Some(retention) = retention {
            let lifecycle = json!({"data_retention": retention});
            let path = IndicesPutDataLifecycleParts::Name(&[name]).url();
            let response = self.send(operation, Method::PUT, path, &lifecycle).await?;
            self.accept(&response, RETENTION_REMEDY)?;
        }
        self.roll_over_if_outdated(name, write_index.cloned()).await
    }

    /// Rolls a data stream over unless its write index has the mapping of this version. A request whose response was lost
    /// may have been performed, so the new write index is checked before it is sent again.
    async fn roll_over_if_outdated(&self, name: &str, mut write_index: Option<String>) -> Result<(), Error> {
        let operation = Operation::UpdateDataStream;
        let request =
            Request::new(operation, Method::POST, IndicesRolloverParts::Alias(name).url()).with_json(&json!({}));
        let mut pauses = self.client.pauses();
        loop {
            if let Some(index) = &write_index
                && version(&mapping_of(self.client, index, operation).await?) == Some(VERSION)
            {
                return Ok(());
            }
            match self.client.send_once(&request).await {
                Ok(response) => {
                    self.accept(&response, DATA_STREAM_REMEDY)?;
                    tracing::info!(data_stream = name, "rolled over to the mapping of this version");
                    return Ok(());
                }
                Err(error) => pauses.before_repeating(error).await?,
            }
            let found = data_streams(self.client, name, operation).await?.pop();
            write_index = found.and_then(|(_, mut indices)| indices.pop());
        }
    }

    async fn put_component_template(&self, name: &str, body: &Value, remedy: &'static str) -> Result<(), Error> {
        let path = ClusterPutComponentTemplateParts::Name(name).url();
        let response = self.send(Operation::InstallTemplate, Method::PUT, path, body).await?;
        self.accept(&response, remedy)
    }

    async fn send(
        &self,
        operation: Operation,
        method: Method,
        path: Cow<'static, str>,
        body: &Value,
    ) -> Result<Response, Error> {
        self.client.send_with_retries(&Request::new(operation, method, path).with_json(body)).await
    }

    /// Returns an error unless the response is a success. The error contains Elasticsearch's reason, because `setup` sends
    /// no records that it could repeat.
    fn accept(&self, response: &Response, remedy: &'static str) -> Result<(), Error> {
        if response.status.is_success() {
            return Ok(());
        }
        let mut error = self.client.refused(response, remedy);
        if let Error::Refused { reason, .. } = &mut error {
            let whole = response.error();
            let text = whole.as_ref().and_then(|error| error.reason());
            *reason = text.map(|text| text.chars().take(MAX_REASON_CHARS).collect());
        }
        Err(error)
    }
}
