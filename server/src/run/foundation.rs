//! What the tree of actors stands on: what it is told, how the shards' reports reach it, and the
//! worker's place in the store.

use std::sync::Arc;

use actix_rt::Arbiter;
use actors::{ActorsConfig, Environment, System};
use control_plane::{Store, WorkerRecord};
use media_contract::{Event, Plane};
use media_types::{Clock, ShardId, WorkerId};
use tokio::sync::watch;

use crate::auth::Auth;
use crate::config::Config;
use crate::membership::{self, Member, Standing};
use crate::plane::Rings;
use crate::rooms::Gatekeeper;
use crate::shard::EventSink;
use crate::shutdown::Fatal;

/// What the tree stands on.
pub(super) struct Foundation {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) store: Arc<dyn Store>,
    pub(super) plane: Arc<dyn Plane>,
    pub(super) auth: Arc<Auth>,
    /// Where clients find this worker's signalling.
    pub(super) url: String,
    pub(super) id: WorkerId,
}

impl Foundation {
    /// A worker with an id of its own.
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        store: Arc<dyn Store>,
        rings: &Rings,
        auth: Arc<Auth>,
        url: String,
    ) -> Self {
        Self {
            store,
            plane: Arc::new(rings.clone()),
            id: WorkerId::new(super::random()),
            clock,
            auth,
            url,
        }
    }

    /// Starts the tree on the control threads.
    pub(super) fn start_actors(
        &self,
        config: &Config,
        fatal: &Fatal,
        arbiters: &[Arbiter],
    ) -> System {
        let life = config.auth.join_max_ttl.saturating_add(config.auth.leeway);
        let gate = Gatekeeper::new(Arc::clone(&self.auth), Arc::clone(&self.clock), life);
        let gate = Arc::new(gate);
        let fatal = fatal.clone();
        let environment = Environment {
            plane: Arc::clone(&self.plane),
            clock: Arc::clone(&self.clock),
            store: Arc::clone(&self.store),
            tokens: Arc::clone(&gate) as Arc<dyn actors::TokenMinter>,
            admission: gate,
            fatal: Arc::new(move |why: &str| fatal.call(why)),
        };
        let handles: Vec<_> = arbiters.iter().map(Arbiter::handle).collect();
        System::start(self.settings(config), environment, &handles)
    }

    fn settings(&self, config: &Config) -> ActorsConfig {
        let (session, room) = (&config.session, &config.room);
        ActorsConfig {
            worker: self.id,
            url: self.url.clone(),
            endpoints: vec![self.url.clone()],
            // Listeners fill these in: TURN's credentials are made for one client.
            ice_servers: Vec::new(),
            heartbeat_interval: session.heartbeat_interval,
            heartbeat_missed: session.heartbeat_missed,
            resume_window: session.resume_window,
            talk_burst: session.talk_burst,
            talk_per_second: session.talk_per_second,
            rooms_max: usize::try_from(room.rooms_max).unwrap_or(usize::MAX),
            room_defaults: room.settings(),
            roster_limit: usize::try_from(room.roster_limit).unwrap_or(usize::MAX),
            debug_faults: config.debug.faults,
            id_seed: super::random(),
            ..ActorsConfig::default()
        }
    }

    /// Writes this worker's record and keeps it; what is sent changes what it says.
    pub(super) fn enlist(
        &self,
        config: &Config,
        system: &System,
        arbiter: &Arbiter,
    ) -> watch::Sender<Standing> {
        let standing = watch::Sender::new(Standing::default());
        let system = system.clone();
        let member = Member {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            plane: Arc::clone(&self.plane),
            record: WorkerRecord {
                id: self.id,
                url: self.url.clone(),
                region: config.cluster.region.clone(),
                ready: false,
                draining: false,
                rooms: 0,
                load_permille: 0,
                ..WorkerRecord::default()
            },
            lease_ttl: config.cluster.lease_ttl,
            rooms: Box::new(move || system.population().0),
        };
        arbiter.spawn(membership::keep(member, standing.subscribe()));
        standing
    }
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
