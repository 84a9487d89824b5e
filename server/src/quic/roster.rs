//! Connections as operators see them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use dashmap::DashMap;
use quinn::Connection;
use serde::Serialize;

use super::path::PathState;

/// A connection, in the admin API. Its client's address stays out of it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuicConnection {
    /// Counts up from the start of this worker.
    pub id: u64,
    /// `rtmp`, `webtransport` or `moq`.
    pub protocol: &'static str,
    /// The state of its path.
    pub path: &'static str,
    /// Steps of its path so far.
    pub path_changes: u64,
    /// Since it was made.
    pub age_ms: u64,
    /// The round trip.
    pub rtt_ms: u64,
    /// Bytes that may be on their way to the client.
    pub window_bytes: u64,
    /// Packets to the client that were lost.
    pub lost_packets: u64,
    /// Bytes to the client, in datagrams.
    pub sent_bytes: u64,
    /// Bytes from the client, in datagrams.
    pub received_bytes: u64,
}

struct Row {
    protocol: &'static str,
    since: Instant,
    path: PathState,
    changes: u64,
    connection: Connection,
}

/// All connections of this worker.
#[derive(Default)]
pub struct Roster {
    rows: DashMap<u64, Row>,
    next: AtomicU64,
}

impl std::fmt::Debug for Roster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Roster")
            .field("rows", &self.rows.len())
            .finish()
    }
}

impl Roster {
    /// Lists a connection until the result is dropped.
    pub(super) fn enter(
        self: &Arc<Self>,
        connection: Connection,
        protocol: &'static str,
        now: Instant,
    ) -> Listed {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.rows.insert(
            id,
            Row {
                protocol,
                since: now,
                path: PathState::Active,
                changes: 0,
                connection,
            },
        );
        Listed {
            roster: Arc::clone(self),
            id,
        }
    }

    /// All of them, oldest first.
    #[must_use]
    pub fn list(&self, now: Instant) -> Vec<QuicConnection> {
        let rows = self.rows.iter();
        let mut all: Vec<_> = rows.map(|row| row.value().told(*row.key(), now)).collect();
        all.sort_by_key(|row| row.id);
        all
    }
}

impl Row {
    fn told(&self, id: u64, now: Instant) -> QuicConnection {
        let stats = self.connection.stats();
        let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        QuicConnection {
            id,
            protocol: self.protocol,
            path: self.path.word(),
            path_changes: self.changes,
            age_ms: ms(now.saturating_duration_since(self.since)),
            rtt_ms: ms(stats.path.rtt),
            window_bytes: stats.path.cwnd,
            lost_packets: stats.path.lost_packets,
            sent_bytes: stats.udp_tx.bytes,
            received_bytes: stats.udp_rx.bytes,
        }
    }
}

/// A connection's place in the list.
pub(super) struct Listed {
    roster: Arc<Roster>,
    id: u64,
}

impl Listed {
    /// Its path made a step.
    pub(super) fn changed(&self, path: PathState) {
        if let Some(mut row) = self.roster.rows.get_mut(&self.id) {
            row.path = path;
            row.changes += 1;
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.roster.rows.remove(&self.id);
    }
}
