//! A running simulator and its handle.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::clock::Clock;
use crate::command::Command;
use crate::event::Event;
use crate::faults::FaultRule;
use crate::quirks::Quirks;
use crate::requests::RequestRecord;
use crate::server::serve;
use crate::service::State;
use crate::shared_state::SharedState;
use crate::truth::{TruthEvent, truth_events};
use crate::users;
use crate::world::{ProvisioningHash, World};

/// The reason why the simulator could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken, or there is no loopback interface.
    #[error("the simulator cannot listen on {address}: choose another port, or 0 for a free one")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// No threads are available.
    #[error("the simulator cannot start its threads")]
    Threads(#[source] io::Error),
}

/// A running simulator. Clones are handles to the same simulator, usable from any thread. It stops when the last is
/// dropped.
///
/// It runs on its own threads, so that synchronous and asynchronous code can use it alike.
#[derive(Clone)]
pub struct Simulator {
    state: SharedState,
    running: Arc<Running>,
}

struct Running {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // In the background, because asynchronous code must not wait for a runtime.
            runtime.shutdown_background();
        }
    }
}

impl Simulator {
    /// Starts on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// [`StartError`] if no port or no thread is available.
    pub fn start(world: World, quirks: Quirks) -> Result<Self, StartError> {
        Self::start_on(0, world, quirks)
    }

    /// Starts on this port of 127.0.0.1. 0 selects a free one.
    ///
    /// # Errors
    /// [`StartError`] if the port is in use or no thread is available.
    pub fn start_on(port: u16, world: World, quirks: Quirks) -> Result<Self, StartError> {
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listening = |source| StartError::Listen { address: wanted, source };
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("lastpass-simulator")
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        let listener = TcpListener::bind(wanted).map_err(listening)?;
        listener.set_nonblocking(true).map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(listening)?
        };
        let state = SharedState::new(State::new(world, quirks));
        runtime.spawn(serve(listener, state.clone()));
        Ok(Self { state, running: Arc::new(Running { address, runtime: Some(runtime) }) })
    }

    /// Returns the URL of the API, `http://127.0.0.1:…/enterpriseapi.php`.
    pub fn url(&self) -> String {
        format!("http://{}/enterpriseapi.php", self.running.address)
    }

    /// Returns the address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// Returns the time on the simulator's clock.
    pub fn now(&self) -> Timestamp {
        self.state.lock().clock.now()
    }

    /// Sets the clock.
    pub fn set_clock(&self, clock: Clock) {
        self.state.lock().clock = clock;
    }

    /// Returns the current switches.
    pub fn quirks(&self) -> Quirks {
        self.state.lock().quirks.clone()
    }

    /// Replaces all switches.
    pub fn set_quirks(&self, quirks: Quirks) {
        self.state.lock().quirks = quirks;
    }

    /// Reads or changes the world. No request is answered meanwhile.
    pub fn with_world<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.state.lock().world)
    }

    /// Adds events, in any order.
    pub fn push_events(&self, events: impl IntoIterator<Item = Event>) {
        self.with_world(|world| world.events.extend(events));
    }

    /// Makes this the only valid provisioning hash.
    pub fn set_provisioning_hash(&self, hash: impl Into<String>) {
        let hash = ProvisioningHash::new(hash);
        self.with_world(|world| world.provisioning_hash = hash);
    }

    /// Adds a fault rule after the existing ones.
    pub fn add_fault(&self, rule: FaultRule) {
        self.state.lock().faults.add(rule);
    }

    /// Removes all fault rules.
    pub fn clear_faults(&self) {
        self.state.lock().faults.clear();
    }

    /// Changes the world after the n-th successful response to this command from now on.
    pub fn after_page(&self, command: Command, nth: u64, change: impl FnOnce(&mut World) + Send + 'static) {
        self.state.lock().after_page(command, nth, Box::new(change));
    }

    /// Returns the requests since the start or the last [`Simulator::forget_requests`].
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.state.lock().requests.clone()
    }

    /// Returns the number of the last answered request; 0 before the first.
    pub fn last_request(&self) -> u64 {
        self.state.lock().answered
    }

    /// Clears the recorded requests. The numbering continues.
    pub fn forget_requests(&self) {
        self.state.lock().requests.clear();
    }

    /// Returns every event that the API has begun to show, oldest first. Ignores retention.
    pub fn truth_events(&self) -> Vec<TruthEvent> {
        let state = self.state.lock();
        truth_events(&state.world.events, &state.quirks, state.clock.now())
    }

    /// Returns the current users. A snapshot has one document for each.
    pub fn truth_users(&self) -> Vec<(String, Value)> {
        let state = self.state.lock();
        users::truth(&state.world, &state.quirks)
    }

    /// Returns the current folders. [`World::folder_documents`] counts their documents.
    pub fn truth_folders(&self) -> Vec<(String, Value)> {
        let state = self.state.lock();
        state.world.folders.iter().map(|(key, folder)| (key.to_owned(), folder.clone())).collect()
    }

    /// Returns the number of documents in a snapshot of the current folders.
    pub fn folder_documents(&self) -> usize {
        self.state.lock().world.folder_documents()
    }
}
