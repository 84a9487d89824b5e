//! What tests of this crate and of other stores need: a clock that is set by hand, and an executor
//! for futures that are ready at once.

use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use media_types::Clock;

/// A clock that stands until it is moved.
pub struct ManualClock {
    base: Instant,
    passed: Mutex<Duration>,
}

impl ManualClock {
    /// A clock that stands at its beginning.
    #[must_use]
    #[allow(
        clippy::new_without_default,
        clippy::disallowed_methods,
        reason = "an Instant can only be made from a real one; this is the base"
    )]
    pub fn new() -> Self {
        Self {
            base: Instant::now(),
            passed: Mutex::default(),
        }
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        *self.passed.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }

    fn passed(&self) -> Duration {
        *self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.base + self.passed()
    }

    fn unix(&self) -> Duration {
        Duration::from_secs(1_700_000_000) + self.passed()
    }
}

/// Runs a future that never waits for anything outside.
///
/// # Panics
/// Where it does wait.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the future waits for something that cannot come"),
    }
}
