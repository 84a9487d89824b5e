//! WHIP and WHEP sessions, found by their URLs.
//!
//! The last part of a session's URL is 128 random bits: who knows it may change and end the
//! session, so an encoder whose token has ended can still hang up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use signaling::view::CloseReason;
use signaling::{ErrorType, Outgoing};

use super::rooms::{Outbox, OutboxError, SessionHandle};

/// All sessions of this worker.
#[derive(Default)]
pub struct WhipSessions {
    sessions: Mutex<HashMap<String, Arc<WhipSession>>>,
}

/// One session.
pub(super) struct WhipSession {
    pub(super) session: SessionHandle,
    negotiated: Mutex<Negotiated>,
}

/// What was agreed last.
#[derive(Clone)]
pub(super) struct Negotiated {
    pub(super) offer: String,
    /// Rises with each ICE restart.
    pub(super) generation: u32,
}

impl WhipSession {
    pub(super) fn new(session: SessionHandle, offer: String) -> Arc<Self> {
        let negotiated = Mutex::new(Negotiated {
            offer,
            generation: 1,
        });
        Arc::new(Self {
            session,
            negotiated,
        })
    }

    pub(super) fn negotiated(&self) -> Negotiated {
        self.lock().clone()
    }

    /// A restart was carried out: the next entity tag's number.
    pub(super) fn restarted(&self, offer: String) -> u32 {
        let mut negotiated = self.lock();
        negotiated.offer = offer;
        negotiated.generation += 1;
        negotiated.generation
    }

    fn lock(&self) -> MutexGuard<'_, Negotiated> {
        self.negotiated
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl WhipSessions {
    /// No sessions.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn insert(&self, id: String, session: Arc<WhipSession>) {
        self.lock().insert(id, session);
    }

    pub(super) fn get(&self, id: &str) -> Result<Arc<WhipSession>, ErrorType> {
        self.lock().get(id).cloned().ok_or(ErrorType::NotFound)
    }

    pub(super) fn remove(&self, id: &str) -> Result<Arc<WhipSession>, ErrorType> {
        self.lock().remove(id).ok_or(ErrorType::NotFound)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<WhipSession>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a session's messages go: nowhere, since nobody reads them, but when the room ends the
/// session its URL goes.
pub(super) struct WhipOutbox {
    id: String,
    sessions: Weak<WhipSessions>,
    state: Mutex<bool>,
}

impl WhipOutbox {
    pub(super) fn new(id: String, sessions: &Arc<WhipSessions>) -> Arc<Self> {
        Arc::new(Self {
            id,
            sessions: Arc::downgrade(sessions),
            state: Mutex::new(false),
        })
    }

    /// Whether the room has ended the session already, even before its URL was there.
    pub(super) fn is_closed(&self) -> bool {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox for WhipOutbox {
    fn send(&self, _message: Outgoing) -> Result<(), OutboxError> {
        if self.is_closed() {
            return Err(OutboxError::Closed);
        }
        Ok(())
    }

    fn send_text(&self, _text: Bytes) -> Result<(), OutboxError> {
        if self.is_closed() {
            return Err(OutboxError::Closed);
        }
        Ok(())
    }

    fn close(&self, _reason: CloseReason) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = true;
        if let Some(sessions) = self.sessions.upgrade() {
            // The session is dropped after the lock on the map is released.
            let _ended = sessions.remove(&self.id);
        }
    }
}
