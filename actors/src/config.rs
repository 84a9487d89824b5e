//! What the actors are told at start.

use std::sync::Arc;
use std::time::Duration;

use control_plane::Store;
use control_plane::balance::Policy;
use media_contract::Plane;
use media_types::{Clock, Identity, PeerId, RoomName, WorkerId};
use signaling::rest::RoomSettings;
use signaling::view::IceServer;
use signaling::{Grants, Secret};

use crate::hooks::Hooks;
use crate::part::ClusterLink;

/// Settings of the actors; passed by value, never changed.
#[derive(Debug, Clone)]
pub struct ActorsConfig {
    /// This process.
    pub worker: WorkerId,
    /// The URL of this worker's signalling.
    pub url: String,
    /// URLs for clients to reconnect to, this worker's first; empty: this worker's alone.
    pub endpoints: Vec<String>,
    /// For the clients' `RTCPeerConnection`.
    pub ice_servers: Vec<IceServer>,
    /// How often clients ping.
    pub heartbeat_interval: Duration,
    /// Pings missed until a session counts as lost.
    pub heartbeat_missed: u32,
    /// How long a lost session keeps its resources.
    pub resume_window: Duration,
    /// Chat messages, reactions and sends of one client at once: everybody gets each of them.
    pub talk_burst: u32,
    /// The same, a second, once the burst is used.
    pub talk_per_second: u32,
    /// How long the connection of a live source may bring nothing.
    pub ingest_silence: Duration,
    /// Rooms that this worker opens.
    pub rooms_max: usize,
    /// Settings of a room that nobody has described.
    pub room_defaults: RoomSettings,
    /// Peers in a room up to which everybody is named to everybody.
    pub roster_limit: usize,
    /// Peers of one room on one shard, before the room opens on another one.
    pub room_peers_per_shard: usize,
    /// Peers of one room on this worker, before another one takes more of them; 0 for any number.
    pub room_peers_per_worker: usize,
    /// When rooms move by themselves; `None`: never.
    pub balance: Option<Policy>,
    /// How long clients of a room that moved may take to follow.
    pub move_deadline: Duration,
    /// Whether faults may be injected. For tests alone.
    pub debug_faults: bool,
    /// Where the ids of rooms, sessions and tracks begin; random outside tests.
    pub id_seed: u64,
    /// What the world outside decides and hears while rooms run.
    pub hooks: Hooks,
}

impl Default for ActorsConfig {
    fn default() -> Self {
        Self {
            worker: WorkerId::new(1),
            url: String::new(),
            endpoints: Vec::new(),
            ice_servers: Vec::new(),
            heartbeat_interval: Duration::from_secs(5),
            heartbeat_missed: 2,
            resume_window: Duration::from_secs(20),
            talk_burst: 50,
            talk_per_second: 20,
            ingest_silence: Duration::from_secs(15),
            rooms_max: 10_000,
            room_defaults: RoomSettings::default(),
            roster_limit: 100,
            room_peers_per_shard: 500,
            room_peers_per_worker: 0,
            balance: None,
            move_deadline: Duration::from_secs(30),
            debug_faults: false,
            id_seed: 0,
            hooks: Hooks::default(),
        }
    }
}

/// What a resume token says. Made and checked by whoever holds the cluster's key.
#[derive(Debug, Clone, PartialEq)]
pub struct ResumeClaims {
    /// The room.
    pub room: RoomName,
    /// Whose session.
    pub identity: Identity,
    /// Which session.
    pub session: PeerId,
    /// What the join token granted.
    pub grants: Grants,
}

/// Makes resume tokens.
pub trait TokenMinter: Send + Sync {
    /// Signs these claims. Called once a join; must not block.
    fn resume_token(&self, claims: &ResumeClaims) -> Secret;
}

/// What the replay guard says of a token that is for one use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consumed {
    /// Its first use.
    First,
    /// The same `jti`, `sub` and `nonce` within the window: the first answer is repeated.
    Repeated,
    /// Used before, by somebody else or too long ago.
    Replayed,
}

/// The replay guard (SPEC 3): consumes a `jti` when a room admits, never before.
pub trait Admission: Send + Sync {
    /// Marks the token as used. Must not block.
    fn consume(&self, jti: &str, sub: &Identity, nonce: Option<&str>) -> Consumed;
}

/// The world around the actors.
#[derive(Clone)]
pub struct Environment {
    /// The way to the shards.
    pub plane: Arc<dyn Plane>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Who owns which room.
    pub store: Arc<dyn Store>,
    /// Makes resume tokens.
    pub tokens: Arc<dyn TokenMinter>,
    /// The replay guard.
    pub admission: Arc<dyn Admission>,
    /// The way to the other workers.
    pub cluster: Arc<dyn ClusterLink>,
    /// Called when the tree cannot go on: the worker must exit.
    pub fatal: Arc<dyn Fn(&str) + Send + Sync>,
}
