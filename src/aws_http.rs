//! Sends the requests of the AWS SDK through a client of [`http`](crate::http). The SDK's own client would read the
//! system's certificate authorities a second time, which took a third of a sandbox's start.

use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;

/// Returns the client for the configuration of the SDK.
pub(crate) fn shared(client: reqwest::Client) -> SharedHttpClient {
    SharedHttpClient::new(Connector(client))
}

#[derive(Debug, Clone)]
struct Connector(reqwest::Client);

impl HttpClient for Connector {
    /// The settings are not used: the client has its own timeout for connecting, and the SDK limits each attempt.
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let request = request.map(reqwest::Body::wrap);
            let request = request.try_into().map_err(|error: reqwest::Error| ConnectorError::user(error.into()))?;
            let response = client.execute(request).await.map_err(|error| ConnectorError::io(error.into()))?;
            let response =
                ::http::Response::from(response).map(SdkBody::from_body_1_x::<reqwest::Body, reqwest::Error>);
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}
