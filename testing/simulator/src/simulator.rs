//! A running simulator and the handle to it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::clock::Clock;
use crate::event::Event;
use crate::faults::FaultRule;
use crate::live::{Live, LiveEvents};
use crate::quirks::Quirks;
use crate::requests::{Command, Counters, RequestRecord};
use crate::server::{SharedState, serve};
use crate::service::State;
use crate::truth::{TruthEvent, truth_events};
use crate::users;
use crate::world::{ProvisioningHash, World};

/// How often live events join the world.
const LIVE_TICK: Duration = Duration::from_millis(100);

/// Why the simulator could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken, or there is no loopback interface.
    #[error("the simulator cannot listen on {address}: choose another port, or 0 for a free one")]
    Listen {
        /// Where it should have listened.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No threads to serve with.
    #[error("the simulator cannot start its threads")]
    Threads(#[source] io::Error),
}

/// A running simulator. Clones are handles to the same one, usable from any thread; it stops when the last is dropped.
///
/// It serves from threads of its own, so it may be started and asked inside and outside asynchronous code alike.
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
            // In the background: a runtime may not be waited for inside asynchronous code.
            runtime.shutdown_background();
        }
    }
}

impl Simulator {
    /// Starts on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// [`StartError`] where there is no port or no thread to be had.
    pub fn start(world: World, quirks: Quirks) -> Result<Self, StartError> {
        Self::start_on(0, world, quirks)
    }

    /// Starts on this port of 127.0.0.1; 0 means a free one.
    ///
    /// # Errors
    /// [`StartError`] where the port is taken or there is no thread to be had.
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

    /// The API's endpoint, `http://127.0.0.1:…/enterpriseapi.php`.
    pub fn url(&self) -> String {
        format!("http://{}/enterpriseapi.php", self.running.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// The present by the simulator's clock.
    pub fn now(&self) -> Timestamp {
        self.state.lock().clock.now()
    }

    /// Sets the clock.
    pub fn set_clock(&self, clock: Clock) {
        self.state.lock().clock = clock;
    }

    /// The switches as they are.
    pub fn quirks(&self) -> Quirks {
        self.state.lock().quirks.clone()
    }

    /// Replaces all switches.
    pub fn set_quirks(&self, quirks: Quirks) {
        self.state.lock().quirks = quirks;
    }

    /// Reads or changes the world; no request is answered meanwhile.
    pub fn with_world<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.state.lock().world)
    }

    /// Adds events, in any order.
    pub fn push_events(&self, events: impl IntoIterator<Item = Event>) {
        self.with_world(|world| world.events.extend(events));
    }

    /// Makes this the one valid provisioning hash.
    pub fn set_provisioning_hash(&self, hash: impl Into<String>) {
        let hash = ProvisioningHash::new(hash);
        self.with_world(|world| world.provisioning_hash = hash);
    }

    /// Adds a fault rule behind those that are there.
    pub fn add_fault(&self, rule: FaultRule) {
        self.state.lock().faults.add(rule);
    }

    /// Adds fault rules in this order.
    pub fn add_faults(&self, rules: impl IntoIterator<Item = FaultRule>) {
        let mut state = self.state.lock();
        rules.into_iter().for_each(|rule| state.faults.add(rule));
    }

    /// Drops all fault rules.
    pub fn clear_faults(&self) {
        self.state.lock().faults.clear();
    }

    /// Faults that are certain and still to come; 0 once every rule with an end has been used up.
    pub fn faults_waiting(&self) -> u64 {
        self.state.lock().faults.waiting()
    }

    /// Changes the world once the n-th good answer to this command, counted from now, has been made.
    pub fn after_page(&self, command: Command, nth: u64, change: impl FnOnce(&mut World) + Send + 'static) {
        self.state.lock().after_page(command, nth, Box::new(change));
    }

    /// The requests since the start or the last [`Simulator::forget_requests`].
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.state.lock().requests.clone()
    }

    /// Sums over [`Simulator::requests`].
    pub fn counters(&self) -> Counters {
        Counters::of(self.state.lock().requests.iter())
    }

    /// The number of the request that was answered last; 0 before the first.
    pub fn last_request(&self) -> u64 {
        self.state.lock().answered
    }

    /// Forgets the records of requests; their numbering goes on.
    pub fn forget_requests(&self) {
        self.state.lock().requests.clear();
    }

    /// Every event the API shows by now, oldest first, retention left aside.
    pub fn truth_events(&self) -> Vec<TruthEvent> {
        let state = self.state.lock();
        truth_events(&state.world.events, &state.quirks, state.clock.now())
    }

    /// The users held now: as many documents make a snapshot.
    pub fn truth_users(&self) -> Vec<(String, Value)> {
        let state = self.state.lock();
        users::truth(&state.world, &state.quirks)
    }

    /// The folders held now; [`World::folder_documents`] counts their documents.
    pub fn truth_folders(&self) -> Vec<(String, Value)> {
        let state = self.state.lock();
        state.world.folders.iter().map(|(key, folder)| (key.to_owned(), folder.clone())).collect()
    }

    /// The documents that a snapshot of the folders held now has.
    pub fn folder_documents(&self) -> usize {
        self.state.lock().world.folder_documents()
    }

    /// Lets events happen from now on, as the simulator's clock goes on, until the simulator stops.
    pub fn go_live(&self, live: &Live) {
        let Some(runtime) = &self.running.runtime else {
            return;
        };
        let state = self.state.clone();
        let mut events = LiveEvents::new(live, self.now());
        runtime.spawn(async move {
            let mut tick = tokio::time::interval(LIVE_TICK);
            loop {
                tick.tick().await;
                let mut state = state.lock();
                let due = events.until(state.clock.now());
                state.world.events.extend(due);
            }
        });
    }
}
