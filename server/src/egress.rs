//! Media for those who watch by HTTP, and for disks.
//!
//! [`Egress`] keeps a [`Stream`] for each publisher that somebody watches: a task that reads the
//! publisher's frames (as they came, where it is an ingest; else from taps), and packages what
//! players want of them, once for all. When nobody has asked for a while the task ends and the taps
//! close: what nobody watches costs nothing. [`record`] hangs on the same sources.
//!
//! All of it runs on one thread of its own, so that packaging delays neither actors nor requests.

mod fanout;
mod hub;
mod line;
mod metrics;
pub mod record;
mod sound;
pub(crate) mod source;
mod streams;
pub(crate) mod tags;

pub use fanout::{Container, Joined};
pub use hub::Window;
pub(crate) use line::{Line, LineEvent};
pub use metrics::describe;
pub(crate) use metrics::{Player, bytes_out};
pub use streams::{Egress, Seat, Stream};

use std::io;
use std::sync::Arc;
use std::time::Duration;

use media_types::Clock;
use tokio::runtime::Handle;

/// The wall clock without its steps: read once, and moved by the monotonic clock.
#[derive(Clone)]
pub struct SteadyClock {
    clock: Arc<dyn Clock>,
    unix: Duration,
    started: std::time::Instant,
}

impl SteadyClock {
    /// Starts now.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            unix: clock.unix(),
            started: clock.now(),
            clock,
        }
    }

    /// Time since the Unix epoch.
    #[must_use]
    pub fn now(&self) -> Duration {
        let passed = self.clock.now().saturating_duration_since(self.started);
        self.unix.saturating_add(passed)
    }

    /// The clock that moves it.
    #[must_use]
    pub fn monotonic(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }
}

/// Starts the thread that packages and records; it runs until the process ends.
///
/// # Errors
/// A thread that the system refuses.
pub fn start_thread() -> io::Result<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("egress".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}
