//! QUIC's congestion control, which leaves the decision to ours: the pacer of a hop decides what
//! leaves when, by an estimate of the path that knows of delay and not of loss alone.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use quinn::congestion::{Controller, ControllerFactory};

/// Bytes in flight that are always allowed: a handshake, feedback, and frames of control.
const WINDOW_MIN: u64 = 256 * 1_024;
/// What may be in flight besides what the estimate carries in a round trip: acknowledgements come
/// late, and a probe is twice the estimate.
const WINDOW_TIMES: u64 = 4;

/// The window that links tell their connections.
#[derive(Debug, Clone)]
pub(super) struct Window(Arc<AtomicU64>);

impl Default for Window {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(WINDOW_MIN)))
    }
}

impl Window {
    /// Follows the estimate: so many bytes fit into the path.
    pub(super) fn follow(&self, bytes_in_path: u64) {
        let window = bytes_in_path.saturating_mul(WINDOW_TIMES).max(WINDOW_MIN);
        self.0.store(window, Ordering::Relaxed);
    }
}

impl ControllerFactory for Window {
    fn build(self: Arc<Self>, _: Instant, _: u16) -> Box<dyn Controller> {
        Box::new(Follower(self.0.clone()))
    }
}

#[derive(Debug, Clone)]
struct Follower(Arc<AtomicU64>);

impl Controller for Follower {
    fn on_congestion_event(&mut self, _: Instant, _: Instant, _: bool, _: u64) {}

    fn on_mtu_update(&mut self, _: u16) {}

    fn window(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        WINDOW_MIN
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_follows_the_estimate_and_nothing_else() {
        let window = Window::default();
        #[allow(clippy::disallowed_methods, reason = "a test has no other clock")]
        let now = Instant::now();
        let mut controller = Arc::new(window.clone()).build(now, 1_200);
        assert_eq!(controller.window(), WINDOW_MIN);
        window.follow(1_000_000);
        controller.on_congestion_event(now, now, true, 50_000);
        assert_eq!(controller.window(), 4_000_000);
        assert_eq!(controller.clone_box().window(), 4_000_000);
        window.follow(0);
        assert_eq!(controller.window(), WINDOW_MIN);
    }
}
