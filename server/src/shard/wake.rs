//! Waking a thread that sleeps on its sockets.

use std::sync::atomic::{AtomicBool, Ordering};

/// Wakes a sleeping shard; many wakes between two looks cost one system call.
#[derive(Debug)]
pub(crate) struct Wake {
    waker: mio::Waker,
    raised: AtomicBool,
}

impl Wake {
    /// A wake for whoever polls `registry`; it appears there under `token`.
    pub(crate) fn new(registry: &mio::Registry, token: mio::Token) -> std::io::Result<Self> {
        Ok(Self {
            waker: mio::Waker::new(registry, token)?,
            raised: AtomicBool::new(false),
        })
    }

    /// Wakes the sleeper. Call it after the queue was written.
    pub(crate) fn raise(&self) {
        if !self.raised.swap(true, Ordering::AcqRel) {
            // It fails only when the event descriptor's counter is full, and then it is raised.
            let _raised = self.waker.wake();
        }
    }

    /// The sleeper is up. Call it before the queues are read: what is queued before this is then
    /// seen, and what is queued after it raises again.
    pub(crate) fn lower(&self) {
        self.raised.swap(false, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn woken(poll: &mut mio::Poll) -> bool {
        let mut events = mio::Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        !events.is_empty()
    }

    #[test]
    fn a_wake_is_seen_once_until_lowered() {
        let mut poll = mio::Poll::new().unwrap();
        let wake = Wake::new(poll.registry(), mio::Token(0)).unwrap();
        assert!(!woken(&mut poll));
        wake.raise();
        wake.raise();
        assert!(woken(&mut poll));
        wake.raise();
        assert!(!woken(&mut poll), "still raised, so nothing new");
        wake.lower();
        wake.raise();
        assert!(woken(&mut poll));
    }
}
