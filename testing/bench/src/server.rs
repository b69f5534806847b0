//! A server on a free port of 127.0.0.1.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{self, Next},
};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::Error;

/// A running server. Dropping it stops it.
pub(crate) struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts a server that answers each request after `delay`.
    pub(crate) async fn start(router: Router, delay: Duration) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(Error::Listen)?;
        let address = listener.local_addr().map_err(Error::Listen)?;
        let wait = move |request: Request, next: Next| async move {
            // A sleep of no time may still last until the timer's next millisecond.
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            next.run(request).await
        };
        let router = router.layer(DefaultBodyLimit::disable()).layer(middleware::from_fn(wait));
        let task = tokio::spawn(async move {
            // It never returns an error.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, task })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
