//! Looks at a connection's path until the connection ends.

use std::time::Duration;

use media_types::Clock;
use quinn::Connection;

use super::metrics::{self, One};
use super::path::{PathMachine, PathSample};
use super::roster::Listed;

/// How often: a challenge is answered within a round trip, and a step that was missed is told from
/// the counts.
const EVERY: Duration = Duration::from_millis(100);

pub(super) async fn watch(connection: Connection, listed: Listed, clock: &dyn Clock) {
    let mut machine = PathMachine::new(sample(&connection));
    let mut shown = One::path(machine.state());
    while connection.close_reason().is_none() {
        tokio::time::sleep(EVERY).await;
        machine.handle_sample(clock.now(), sample(&connection));
        while let Some(change) = machine.poll_change() {
            metrics::path_changed(change.to);
            shown = One::path(change.to);
            listed.changed(change.to);
            tracing::info!(
                connection = connection.stable_id(),
                from = change.from.word(),
                to = change.to.word(),
                rtt_ms = connection.rtt().as_millis(),
                "path"
            );
        }
    }
    drop((shown, listed));
}

fn sample(connection: &Connection) -> PathSample {
    let stats = connection.stats();
    PathSample {
        remote: connection.remote_address(),
        challenged: stats.frame_tx.path_challenge,
        answered: stats.frame_rx.path_response,
        probed: stats.frame_rx.path_challenge,
    }
}
