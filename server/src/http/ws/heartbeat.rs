//! How often clients ping. A ping costs tens of microseconds, most of them in the kernel and in
//! waking a thread; that a client has gone may be noticed later where there are many of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use signaling::server_message::Heartbeat;

/// Up to so many sessions of a worker ping at the interval of the settings, the next as many at
/// twice that, and so on up to the last step.
const SESSIONS_OF_STEP: usize = 500;
const STRETCH_MAX: u64 = 4;

static SESSIONS: AtomicUsize = AtomicUsize::new(0);

/// One open WebSocket, for as long as this lives.
pub(super) struct Counted(());

impl Counted {
    pub(super) fn new() -> Self {
        SESSIONS.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        SESSIONS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Has a client ping less often if there are many now. Returns how much longer than by the settings
/// it may be silent.
pub(super) fn relax(heartbeat: &mut Heartbeat) -> Duration {
    relax_among(SESSIONS.load(Ordering::Relaxed), heartbeat)
}

fn relax_among(sessions: usize, heartbeat: &mut Heartbeat) -> Duration {
    let steps = u64::try_from(sessions.div_ceil(SESSIONS_OF_STEP)).unwrap_or(STRETCH_MAX);
    let usual = heartbeat.interval_ms;
    let told = usual.saturating_mul(steps.clamp(1, STRETCH_MAX));
    heartbeat.interval_ms = told;
    // As many pings may be missed, and half an interval is for the network.
    let longer = told.saturating_sub(usual);
    let missed = longer.saturating_mul(heartbeat.missed.into());
    Duration::from_millis(missed.saturating_add(longer / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_clients_ping_less_often() {
        let among = |sessions| {
            let mut heartbeat = Heartbeat {
                interval_ms: 5_000,
                missed: 2,
            };
            let longer = relax_among(sessions, &mut heartbeat);
            (heartbeat.interval_ms, longer.as_millis())
        };
        assert_eq!([0, 1, 500].map(among), [(5_000, 0); 3]);
        assert_eq!(among(501), (10_000, 12_500));
        assert_eq!(
            [1_501, 10_000, usize::MAX].map(among),
            [(20_000, 37_500); 3]
        );
    }
}
