//! Names of the metrics of the actors, and the observer that counts them.

use supervision::{Exit, Observer};

/// Behaviours that failed and were replaced, by actor.
pub const ACTOR_RESTARTS: &str = "troupe_actor_restarts_total";
/// Actors that were given up, by actor.
pub const ACTOR_FAILURES: &str = "troupe_actor_failures_total";
/// Letters that a taken letter found in its box, by actor.
pub const ACTOR_MAILBOX_DEPTH: &str = "troupe_actor_mailbox_depth";
/// Events of a shard that found a full box and will be reconciled.
pub const ACTOR_EVENTS_REFUSED: &str = "troupe_actor_events_refused_total";
/// Rooms that are open.
pub const ROOMS: &str = "troupe_actor_rooms";
/// Peers that are in a room.
pub const PEERS: &str = "troupe_actor_peers";
/// Live sources that are in a room.
pub const INGESTS: &str = "troupe_ingest_streams";
/// Packagers, recorders and players that take something out of rooms.
pub const EGRESSES: &str = "troupe_egress_consumers";
/// What a limit turned away, by limit; described by the server, which has more of them.
pub const RATELIMIT_REJECTED: &str = "troupe_ratelimit_rejected_total";
/// Joins, by outcome.
pub const JOINS: &str = "troupe_signaling_joins_total";

/// Joins of rooms with parts on other workers that were not let in here, by outcome.
pub const PART_JOINS: &str = "troupe_part_joins_total";
/// Times that the clients of a part here went to another part.
pub const PART_HANDS: &str = "troupe_part_hands_total";
/// Rooms that were taken from workers whose lease had ended, by what those said.
pub const TAKEOVERS: &str = "troupe_room_takeovers_total";
/// Rooms that were opened here for other workers: as parts of theirs, or for a move to here.
pub const BRANCHES: &str = "troupe_part_branches";

/// Moves from this worker that are over, by outcome.
pub const MIGRATIONS: &str = "troupe_migrations_total";
/// Moves that a worker began by itself, by cause.
pub const MIGRATIONS_OWN: &str = "troupe_migrations_automatic_total";
/// Rooms that were to go from one shard of this worker to another, by outcome.
pub const SHARD_MOVES: &str = "troupe_shard_moves_total";
/// Moves that this worker has a part in.
pub const MIGRATIONS_ACTIVE: &str = "troupe_migrations_active";
/// How long moves from this worker took, from the plan to the last client.
pub const MIGRATION_SECONDS: &str = "troupe_migration_duration_seconds";

/// Every name with its help text.
pub const DESCRIPTIONS: &[(&str, &str)] = &[
    (ACTOR_RESTARTS, "Behaviours that failed and were replaced"),
    (ACTOR_FAILURES, "Actors whose restart policy was spent"),
    (ACTOR_MAILBOX_DEPTH, "Letters found in a mailbox"),
    (
        ACTOR_EVENTS_REFUSED,
        "Shard events that found a full mailbox",
    ),
    (ROOMS, "Open rooms"),
    (PEERS, "Peers in rooms"),
    (INGESTS, "Live sources in rooms"),
    (EGRESSES, "Consumers of rooms' media outside of them"),
    (JOINS, "Joins by outcome"),
    (PART_JOINS, "Joins that another part of the room takes"),
    (PART_HANDS, "Parts whose clients went to another part"),
    (TAKEOVERS, "Rooms taken from workers whose lease had ended"),
    (BRANCHES, "Rooms opened here for other workers"),
    (MIGRATIONS, "Moves of rooms from this worker by outcome"),
    (MIGRATIONS_OWN, "Moves that workers began by themselves"),
    (SHARD_MOVES, "Moves of rooms between shards by outcome"),
    (MIGRATIONS_ACTIVE, "Moves of rooms from or to this worker"),
    (
        MIGRATION_SECONDS,
        "Duration of moves of rooms from this worker",
    ),
];

/// Counts what hosts report.
pub(crate) struct Counting;

impl Observer for Counting {
    fn restarted(&self, actor: &'static str) {
        metrics::counter!(ACTOR_RESTARTS, "actor" => actor).increment(1);
    }

    fn exited(&self, actor: &'static str, exit: &Exit) {
        if exit.is_failure() {
            metrics::counter!(ACTOR_FAILURES, "actor" => actor).increment(1);
        }
    }

    fn depth(&self, actor: &'static str, letters: usize) {
        // A gauge that keeps its peak would need a reset; a histogram needs none.
        let letters = u32::try_from(letters).unwrap_or(u32::MAX);
        metrics::histogram!(ACTOR_MAILBOX_DEPTH, "actor" => actor).record(f64::from(letters));
    }
}
