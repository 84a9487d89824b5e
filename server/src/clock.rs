//! The one clock that reads the machine's time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use media_types::Clock;

/// The operating system's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "this is where everybody's `now` comes from"
    )]
    fn now(&self) -> Instant {
        Instant::now()
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "this is where everybody's wall clock comes from"
    )]
    fn unix(&self) -> Duration {
        // A clock before 1970 is a broken machine; zero makes every token invalid, which is right.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    }
}
