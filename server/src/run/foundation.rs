//! What the tree of actors stands on: what it is told, how the shards' reports reach it, and the
//! worker's place in the store.

use std::sync::Arc;

use actix_rt::Arbiter;
use actors::{ActorsConfig, ClusterLink, Environment, System};
use control_plane::{Store, WorkerRecord};
use media_contract::{Event, Plane};
use media_types::{Clock, ShardId, WorkerId};
use tokio::sync::watch;

use super::{RunError, opening};
use crate::auth::Auth;
use crate::config::Config;
use crate::http::{AppState, Health, WhipSessions};
use crate::membership::{self, Member, Standing, Totals};
use crate::ops::{self, Ops, Parts};
use crate::plane::Rings;
use crate::rooms::{ActorRooms, Gatekeeper};
use crate::shard::EventSink;
use crate::shutdown::Fatal;
use crate::telemetry::Metrics;
use crate::tls;

/// What the tree stands on.
pub(super) struct Foundation {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) store: Arc<dyn Store>,
    pub(super) plane: Arc<dyn Plane>,
    pub(super) auth: Arc<Auth>,
    /// Where clients find this worker's signalling.
    pub(super) url: String,
    pub(super) id: WorkerId,
    /// What the cluster is operated by.
    pub(super) ops: Arc<Ops>,
}

impl Foundation {
    /// A worker with an id of its own.
    pub(super) fn new(
        config: &Arc<Config>,
        clock: Arc<dyn Clock>,
        store: Arc<dyn Store>,
        rings: &Rings,
        (auth, url): (Arc<Auth>, String),
    ) -> Result<Self, RunError> {
        let id = WorkerId::new(super::random());
        let own = ops::open_own(&config.admin.file, &clock).map_err(RunError::OwnStore)?;
        let admin = &config.admin;
        let client = tls::client(tls::CA_SETTING, admin.tls_ca.as_deref())?;
        let ops = Ops::new(Parts {
            config: Arc::clone(config),
            store: Arc::clone(&store),
            own,
            clock: Arc::clone(&clock),
            revoked: Arc::clone(&auth.revoked),
            worker: id.to_string(),
            url: admin.url(),
            client,
            poster: tls::machine_client()?,
        });
        Ok(Self {
            store,
            plane: Arc::new(rings.clone()),
            id,
            clock,
            auth,
            url,
            ops,
        })
    }

    /// Starts the thread that keeps what operators are told.
    pub(super) fn start_ops(
        &self,
        system: &System,
        spans: Option<super::Spans>,
    ) -> Result<(), RunError> {
        let plane = Arc::clone(&self.plane);
        let started = self.ops.start(system.clone(), plane, spans);
        started.map_err(opening("the thread of operations"))
    }

    /// Starts the tree on the control threads.
    pub(super) fn start_actors(
        &self,
        config: &Config,
        fatal: &Fatal,
        arbiters: &[Arbiter],
        cluster: Arc<dyn ClusterLink>,
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
            cluster,
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
            room_peers_per_worker: usize::try_from(room.peers_per_worker).unwrap_or(usize::MAX),
            balance: config.cluster.balance.policy(),
            move_deadline: config.cluster.move_deadline,
            debug_faults: config.debug.faults,
            id_seed: super::random(),
            hooks: self.ops.hooks(),
            ..ActorsConfig::default()
        }
    }

    /// What the listeners answer from, without what has yet to start.
    pub(super) fn app_state(
        &self,
        config: &Arc<Config>,
        system: &System,
        metrics: Metrics,
        health: &Arc<Health>,
    ) -> AppState {
        AppState {
            config: Arc::clone(config),
            auth: Arc::clone(&self.auth),
            rooms: Arc::new(ActorRooms::new(system.clone())),
            clock: Arc::clone(&self.clock),
            metrics,
            health: Arc::clone(health),
            whip: WhipSessions::new(),
            egress: None,
            recordings: None,
            transcoders: Arc::new(Vec::new()),
            ops: Arc::clone(&self.ops),
            quic: None,
        }
    }

    /// Writes this worker's record and keeps it; what is sent changes what it says.
    pub(super) fn enlist(
        &self,
        config: &Config,
        system: &System,
        relay: Vec<String>,
        arbiter: &Arbiter,
    ) -> watch::Sender<Standing> {
        let standing = watch::Sender::new(Standing::default());
        let (system, figures) = (system.clone(), system.clone());
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
                relay,
                ..WorkerRecord::default()
            },
            lease_ttl: config.cluster.lease_ttl,
            totals: Box::new(move || Box::pin(totals(figures.clone()))),
            rooms: Box::new(move || (system.population().0, system.is_draining())),
        };
        arbiter.spawn(membership::keep(member, standing.subscribe()));
        standing
    }
}

/// What the shards have taken and sent since their start.
async fn totals(system: System) -> Totals {
    let mut totals = Totals::default();
    for shard in system.shard_figures().await {
        let packets = shard.packets_in.values().chain(shard.packets_out.values());
        totals.packets = totals.packets.saturating_add(packets.sum());
        totals.bytes_out = totals.bytes_out.saturating_add(shard.bytes_out);
    }
    totals
}

/// The actors as the shards' reports reach them.
pub(super) fn sink(system: &System, fatal: &Fatal) -> Arc<dyn EventSink> {
    let (system, fatal) = (system.clone(), fatal.clone());
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
