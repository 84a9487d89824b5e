//! The tree of actors: what it is told, and how the shards' reports reach it.

use std::sync::Arc;

use actix_rt::Arbiter;
use actors::{ActorsConfig, Environment, System};
use control_plane::Store;
use media_contract::{Event, Plane};
use media_types::{Clock, ShardId, WorkerId};

use crate::auth::Auth;
use crate::config::Config;
use crate::rooms::Gatekeeper;
use crate::shard::EventSink;
use crate::shutdown::Fatal;

/// What the tree stands on.
pub(super) struct Seeds {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) store: Arc<dyn Store>,
    pub(super) plane: Arc<dyn Plane>,
    pub(super) auth: Arc<Auth>,
    pub(super) url: String,
    pub(super) id: WorkerId,
}

/// Starts the tree on the control threads.
pub(super) fn start(config: &Config, seeds: Seeds, fatal: &Fatal, arbiters: &[Arbiter]) -> System {
    let settings = ActorsConfig {
        worker: seeds.id,
        endpoints: vec![seeds.url.clone()],
        url: seeds.url,
        // Listeners fill these in: TURN's credentials are made for one client.
        ice_servers: Vec::new(),
        heartbeat_interval: config.session.heartbeat_interval,
        heartbeat_missed: config.session.heartbeat_missed,
        resume_window: config.session.resume_window,
        rooms_max: usize::try_from(config.room.rooms_max).unwrap_or(usize::MAX),
        room_defaults: config.room.settings(),
        roster_limit: usize::try_from(config.room.roster_limit).unwrap_or(usize::MAX),
        debug_faults: config.debug.faults,
        id_seed: super::random(),
        ..ActorsConfig::default()
    };
    let life = config.auth.join_max_ttl.saturating_add(config.auth.leeway);
    let gate = Arc::new(Gatekeeper::new(seeds.auth, Arc::clone(&seeds.clock), life));
    let fatal = fatal.clone();
    let environment = Environment {
        plane: seeds.plane,
        clock: seeds.clock,
        store: seeds.store,
        tokens: Arc::clone(&gate) as Arc<dyn actors::TokenMinter>,
        admission: gate,
        fatal: Arc::new(move |why: &str| fatal.call(why)),
    };
    let handles: Vec<_> = arbiters.iter().map(Arbiter::handle).collect();
    System::start(settings, environment, &handles)
}

/// The actors as the shards' reports reach them.
pub(super) fn sink(system: System, fatal: Fatal) -> Arc<dyn EventSink> {
    Arc::new(Sink { system, fatal })
}

struct Sink {
    system: System,
    fatal: Fatal,
}

impl EventSink for Sink {
    fn deliver(&self, shard: ShardId, event: Event) {
        self.system.deliver(shard, event);
    }

    fn shard_restarted(&self, shard: ShardId) {
        self.system.shard_restarted(shard);
    }

    fn shard_spent(&self, shard: ShardId) {
        // Those who were on it are told as after a restart; the drain then tells everybody.
        self.system.shard_restarted(shard);
        self.fatal.call(&format!("shard {shard} failed too often"));
    }
}
