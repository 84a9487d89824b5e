//! How a worker ends: asked once it drains, asked twice it exits at once.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Why the worker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// SIGTERM or Ctrl-C.
    Signal,
    /// A shard, or the actor tree, failed too often.
    Failure,
}

/// How the drain went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Nobody is connected any more.
    Empty,
    /// `shutdown.drain_deadline` passed; the rest was cut.
    Late,
    /// A second signal came.
    Cut,
}

/// SIGTERM and SIGINT, as one.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes over both signals of the process.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next one of either.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Lets any part of the worker say that it cannot go on. Clones speak to the same listener.
#[derive(Debug, Clone)]
pub struct Fatal(watch::Sender<bool>);

impl Fatal {
    /// One that nobody has called yet.
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// The worker must drain and end with code 70.
    pub fn call(&self, why: &str) {
        tracing::error!(why, "the worker cannot go on");
        self.0.send_replace(true);
    }

    /// Whether it was called.
    #[must_use]
    pub fn is_called(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is called.
    pub async fn called(&self) {
        let mut watching = self.0.subscribe();
        // It ends only with the sender, which `self` holds.
        let _called = watching.wait_for(|called| *called).await;
    }
}

impl Default for Fatal {
    fn default() -> Self {
        Self::new()
    }
}

/// Waits until the worker is to end.
pub async fn cause(signals: &mut Signals, fatal: &Fatal) -> Cause {
    tokio::select! {
        () = signals.next() => Cause::Signal,
        () = fatal.called() => Cause::Failure,
    }
}

/// Runs `drain` until it is done, the deadline passes or `again` asks a second time.
pub async fn drained(
    drain: impl Future<Output = ()>,
    deadline: Duration,
    again: impl Future<Output = ()>,
) -> Drained {
    tokio::select! {
        biased;
        () = drain => Drained::Empty,
        () = again => Drained::Cut,
        () = tokio::time::sleep(deadline) => Drained::Late,
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const MINUTES: Duration = Duration::from_secs(120);

    #[tokio::test(start_paused = true)]
    async fn a_drain_ends_by_itself_by_the_deadline_or_by_a_second_signal() {
        let began = tokio::time::Instant::now();
        assert_eq!(drained(ready(()), MINUTES, pending()).await, Drained::Empty);
        assert_eq!(drained(pending(), MINUTES, ready(())).await, Drained::Cut);
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(drained(pending(), MINUTES, pending()).await, Drained::Late);
        assert_eq!(began.elapsed(), MINUTES);
    }

    #[tokio::test]
    async fn a_fatal_call_is_heard_before_and_after() {
        let fatal = Fatal::new();
        let waiting = fatal.clone();
        let heard = tokio::spawn(async move { waiting.called().await });
        assert!(!fatal.is_called());
        fatal.call("the test asked");
        heard.await.unwrap();
        fatal.called().await;
        assert!(fatal.is_called());
    }
}
