//! The state that the endpoint and the handles share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::service::State;

/// The state shared by the endpoint and the handles.
#[derive(Clone)]
pub(crate) struct SharedState(Arc<Mutex<State>>);

impl SharedState {
    pub(crate) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    /// Locks the state. A panic of another test while it held the lock is ignored.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
