//! The HTTP server of the API and its planned disconnections.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, State as Shared};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::routing::{get, post};
use tokio::net::TcpListener;

use crate::admin;
use crate::service::{Cut, Reply};
use crate::shared_state::SharedState;
use crate::wire::{CuttableListener, Scissors};

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, state: SharedState) {
    let router = Router::new()
        .route("/", post(api))
        .route("/enterpriseapi.php", post(api))
        .route("/_simulator/truth/events", get(admin::truth_events))
        .route("/_simulator/truth/users", get(admin::truth_users))
        .route("/_simulator/truth/folders", get(admin::truth_folders))
        .route("/_simulator/requests", get(admin::requests).delete(admin::forget_requests))
        .route("/_simulator/quirks", get(admin::quirks).post(admin::change_quirks))
        .route("/_simulator/faults", post(admin::add_faults).delete(admin::clear_faults))
        .route("/_simulator/events", post(admin::add_events))
        .route("/_simulator/users", post(admin::change_users))
        .route("/_simulator/folders", post(admin::change_folders))
        .route("/_simulator/clock", post(admin::set_clock))
        .route("/_simulator/provisioning-hash", post(admin::set_provisioning_hash))
        .layer(DefaultBodyLimit::disable())
        .with_state(state);
    let service = router.into_make_service_with_connect_info::<Scissors>();
    // `axum::serve` never returns an error: it accepts again after each failure.
    let _ = axum::serve(CuttableListener(listener), service).await;
}

async fn api(
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    Shared(state): Shared<SharedState>,
    body: Bytes,
) -> Response<Body> {
    let reply = state.lock().respond(&body);
    if reply.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(reply.delay_ms)).await;
    }
    match reply.cut {
        Cut::Nowhere => {}
        Cut::BeforeAnswer => scissors.cut_before_answer(),
        Cut::InsideBody => scissors.cut_inside_body(reply.body.len() / 2),
    }
    response(reply)
}

fn response(reply: Reply) -> Response<Body> {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let texts = [(header::CONTENT_TYPE, Some(reply.content_type)), (header::RETRY_AFTER, reply.retry_after)];
    for (name, text) in texts {
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
