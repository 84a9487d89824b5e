//! A worker from start to end: settings, crypto, shards, store, actors, listeners, ready; then the
//! same backwards. What fails before it is ready ends the process with its reason and a code.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_rt::Arbiter;
use actix_web::dev::ServerHandle;
use actors::System;
use control_plane::Store;
use media_types::Clock;
use tokio::sync::watch;

use crate::auth::{Auth, KeyError};
use crate::banner::Banner;
use crate::clock::SystemClock;
use crate::config::{Config, ConfigError};
use crate::egress::record::Recordings;
use crate::http::{self, AppState, Health, Listeners, ListenersTls};
use crate::live::Live;
use crate::membership::Standing;
use crate::net::{Reach, ReachSettings, interfaces};
use crate::ops::Ops;
use crate::plane::Rings;
use crate::quic::QuicSocket;
use crate::shutdown::{self, Cause, Drained, Fatal, Signals};
use crate::store::{self, StoreError};
use crate::telemetry::{Metrics, start_logs, start_metrics, traces};
use crate::tls::{self, TlsError};
use crate::transcode::{self, Transcoding};

mod foundation;
mod inputs;
mod links;
mod media;
mod outputs;

use foundation::Foundation;
use links::Links;
use media::Media;

/// Settings that cannot be used (`EX_CONFIG` of sysexits).
pub const EXIT_SETTINGS: u8 = 78;
/// Something that we need is missing or taken (`EX_UNAVAILABLE`).
pub const EXIT_UNAVAILABLE: u8 = 69;
/// We failed too often (`EX_SOFTWARE`).
pub const EXIT_FAILED: u8 = 70;

/// Threads that run the actors, the stores and ICE over TCP.
const CONTROL_THREADS: usize = 2;
/// Between two folds of what histograms were told.
const UPKEEP_PERIOD: Duration = Duration::from_secs(5);
/// How long the actors, and then the shards, may take to stop.
const STOP_MAX: Duration = Duration::from_secs(2);
/// How long a recording of a room that has moved may take to begin where that is now, and both
/// record.
const ONWARD_MAX: Duration = Duration::from_secs(5);
/// How often that is looked at.
const STOP_TICK: Duration = Duration::from_millis(5);

/// Why a worker does not start, or ends badly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key of `auth.keys`.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A certificate.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// A certificate for other workers.
    #[error(transparent)]
    ClusterTls(#[from] crate::cluster::ClusterTlsError),
    /// The control plane's store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The worker's own store, of its log and its events.
    #[error("admin.file: {0}")]
    OwnStore(#[source] control_plane_embedded::OpenError),
    /// A socket, thread or signal handler that the system refuses.
    #[error("cannot open {what}: {source}")]
    Unavailable {
        /// What it is for.
        what: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The DTLS certificate cannot be made.
    #[error(transparent)]
    Dtls(#[from] media_webrtc::WebRtcError),
    /// A part failed more often than its policy allows.
    #[error("a part of the worker failed too often; see the log")]
    Failed,
}

impl RunError {
    /// The process's exit code.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Key(_) | Self::Tls(_) | Self::ClusterTls(_) => EXIT_SETTINGS,
            Self::Unavailable { .. } | Self::Store(_) | Self::OwnStore(_) | Self::Dtls(_) => {
                EXIT_UNAVAILABLE
            }
            Self::Failed => EXIT_FAILED,
        }
    }
}

/// Names what an operation of the system was for.
fn opening(what: &'static str) -> impl Fn(io::Error) -> RunError {
    move |source| RunError::Unavailable { what, source }
}

/// Runs a worker until it is told to end.
///
/// # Errors
/// See [`RunError`].
pub fn serve(config: Config) -> Result<(), RunError> {
    start_logs(&config.log)?;
    tls::install_provider();
    let metrics = start_metrics();
    crate::shard::metrics::describe();
    transcode::describe();
    crate::ingest::describe();
    crate::quic::describe();
    crate::cluster::metrics::describe();
    actix_rt::System::new().block_on(run(Arc::new(config), metrics))
}

async fn run(config: Arc<Config>, metrics: Metrics) -> Result<(), RunError> {
    let mut signals = Signals::new().map_err(opening("signal handlers"))?;
    let fatal = Fatal::new();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = store::open(&config.cluster, &clock).await?;
    let (store, spans) = start_traces(&config, store, &clock);
    let worker = Worker::start(&config, metrics, &fatal, clock, (store, spans))?;
    if config.dev {
        print!("{}", worker.banner);
    }
    let cause = shutdown::cause(&mut signals, &fatal).await;
    tracing::info!(?cause, "draining");
    let deadline = config.shutdown.drain_deadline;
    let drained = shutdown::drained(worker.drain(), deadline, signals.next()).await;
    tracing::info!(?drained, "stopping");
    if drained != Drained::Cut {
        worker.stop().await;
    }
    match cause {
        Cause::Signal if !fatal.is_called() => Ok(()),
        Cause::Signal | Cause::Failure => Err(RunError::Failed),
    }
}

/// What waits for the collector of traces.
type Spans = tokio::sync::mpsc::Receiver<serde_json::Value>;

/// Begins to make spans, where the settings name a collector.
fn start_traces(
    config: &Config,
    store: Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
) -> (Arc<dyn Store>, Option<Spans>) {
    if config.traces.endpoint.is_none() {
        return (store, None);
    }
    let spans = traces::start(clock, config.traces.percent);
    (traces::traced(store, Arc::clone(clock)), spans)
}

/// Everything that runs.
struct Worker {
    system: System,
    rings: Rings,
    health: Arc<Health>,
    standing: watch::Sender<Standing>,
    listeners: Vec<ServerHandle>,
    threads: Vec<JoinHandle<()>>,
    arbiters: Vec<Arbiter>,
    recordings: Arc<Recordings>,
    ops: Arc<Ops>,
    banner: String,
}

impl Worker {
    fn start(
        config: &Arc<Config>,
        metrics: Metrics,
        fatal: &Fatal,
        clock: Arc<dyn Clock>,
        (store, spans): (Arc<dyn Store>, Option<Spans>),
    ) -> Result<Self, RunError> {
        let auth = Arc::new(Auth::new(&config.auth)?);
        let reach = reach(config);
        let tls = tls_of(config, &reach)?;
        let mut media = Media::bind(config, &reach)?;
        let encoders = inputs::bind(config, tls.clients.as_ref())?;
        let quic = inputs::bind_quic(config, tls.clients.as_ref(), &reach, &*clock)?;
        let quic_reach = quic.as_ref().and_then(QuicSocket::reach);
        let (links, bound) = Links::bind(config, &mut media)?;
        let make = media::factory(config, &*clock, &reach, &media)?;
        let arbiters: Vec<Arbiter> = (0..CONTROL_THREADS).map(|_| Arbiter::new()).collect();
        let url = signalling_url(config, tls.clients.is_some(), &reach);
        let foundation = Foundation::new(config, clock, store, &media.rings, (auth, url))?;
        let system = foundation.start_actors(config, fatal, &arbiters, bound.letters.clone());
        let (rings, udp, tcp) = (media.rings.clone(), media.udp.clone(), media.tcp_port());
        media.serve_tcp(&reach, &arbiters[0]);
        let running = media.start(&foundation.clock, config.webrtc.pin, &make)?;
        let threads = media::pump(running, &foundation::sink(&system, fatal), &arbiters);
        let standing = foundation.enlist(config, &system, bound.advertised, &arbiters[0]);
        links::start(links, &foundation, &system, &arbiters[0])?;
        foundation.start_ops(&system, spans)?;
        arbiters[0].spawn(keep_figures(metrics.clone()));
        let transcoding = transcoding(config, &system)?;
        let live = Live::new(system.clone(), &rings);
        let (egress, recordings) = outputs::start(config, (&live, &transcoding), &foundation)?;
        let health = Arc::new(Health::default());
        let parts = (&live, &transcoding, &health);
        inputs::serve((encoders, quic), config, &foundation, parts, &egress)?;
        let secure = [&tls.clients, &tls.operators].map(Option::is_some);
        let state = AppState {
            egress: Some(egress),
            recordings: Some(Arc::clone(&recordings)),
            transcoders: Arc::new(transcoding),
            quic: quic_reach,
            ..foundation.app_state(config, &system, metrics, &health)
        };
        let listeners = http::run(actix_web::web::Data::new(state), tls)
            .map_err(opening("the HTTP listeners"))?;
        let banner = banner(&listeners, secure, &reach, (&udp, tcp));
        let listeners = serve_http(listeners, fatal);
        announce(&health, &standing, &foundation);
        Ok(Self {
            system,
            rings,
            health,
            standing,
            listeners,
            threads,
            arbiters,
            recordings,
            ops: foundation.ops,
            banner,
        })
    }

    /// Takes no joins any more and waits until everybody has gone.
    async fn drain(&self) {
        self.health.set_draining();
        self.standing.send_modify(|standing| {
            (standing.ready, standing.draining) = (false, true);
        });
        let settled = Arc::new(AtomicBool::new(false));
        let onward = {
            let (recordings, ops) = (Arc::clone(&self.recordings), Arc::clone(&self.ops));
            let settled = Arc::clone(&settled);
            actix_rt::spawn(async move { recordings.hand_over(&ops, &settled).await })
        };
        let moved = self.system.drain_by_moving().await;
        tracing::info!(moved, "rooms were moved to other workers");
        settled.store(true, Ordering::Release);
        if tokio::time::timeout(ONWARD_MAX, onward).await.is_err() {
            tracing::warn!("a recording does not go on at another worker");
        }
        self.system.drain().await;
    }

    /// Closes the listeners, stops the actors leaves first, lets the shards flush, and leaves.
    async fn stop(self) {
        for listener in &self.listeners {
            listener.stop(true).await;
        }
        // While the taps still bring what they hold.
        self.recordings.stop_all(STOP_MAX).await;
        self.system.stop();
        let actors = || self.system.is_stopped();
        if !within(STOP_MAX, actors).await {
            tracing::warn!("the actors did not stop in time");
        }
        self.rings.stop();
        let shards = || self.threads.iter().all(JoinHandle::is_finished);
        if !within(STOP_MAX, shards).await {
            tracing::warn!("the shards did not stop in time");
        }
        // While the lease runs those who have the rooms now wait for what happened here before;
        // what cannot be posted is on the disk first.
        if !within(STOP_MAX, || self.ops.has_posted()).await {
            tracing::warn!("events are not posted, or not kept for the next process to post");
        }
        self.standing.send_modify(|standing| standing.left = true);
        // The membership's task drops its receiver when the lease is revoked.
        if !within(STOP_MAX, || self.standing.is_closed()).await {
            tracing::warn!("the lease is left to end by itself");
        }
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
    }
}

/// The place for transcoding jobs.
fn transcoding(config: &Config, system: &System) -> Result<Transcoding, RunError> {
    let started = Transcoding::start(&config.transcode, Arc::new(system.clone()));
    started.map_err(opening("the thread of transcoding"))
}

/// From here on the worker takes joins.
fn announce(health: &Health, standing: &watch::Sender<Standing>, foundation: &Foundation) {
    health.set_ready(true);
    standing.send_modify(|standing| standing.ready = true);
    tracing::info!(id = %foundation.id, "ready");
}

/// What a developer reads at start.
fn banner(
    listeners: &Listeners,
    [tls, admin_tls]: [bool; 2],
    reach: &Reach,
    (udp, tcp): (&[u16], Option<u16>),
) -> String {
    let banner = Banner {
        clients: listeners.client_address,
        operators: listeners.operator_address,
        tls,
        admin_tls,
        reach,
        udp,
        tcp,
    };
    banner.text()
}

/// Keeps histograms small where nobody scrapes.
async fn keep_figures(metrics: Metrics) {
    loop {
        tokio::time::sleep(UPKEEP_PERIOD).await;
        metrics.upkeep();
    }
}

/// Whether something comes true in time.
async fn within(limit: Duration, done: impl Fn() -> bool) -> bool {
    let wait = async {
        while !done() {
            tokio::time::sleep(STOP_TICK).await;
        }
    };
    tokio::time::timeout(limit, wait).await.is_ok()
}

/// Runs both listeners; one that fails takes the worker with it.
fn serve_http(listeners: Listeners, fatal: &Fatal) -> Vec<ServerHandle> {
    let servers = [listeners.clients, listeners.operators];
    let run = |server: actix_web::dev::Server| {
        let (handle, fatal) = (server.handle(), fatal.clone());
        actix_rt::spawn(async move {
            if let Err(error) = server.await {
                fatal.call(&format!("a listener failed: {error}"));
            }
        });
        handle
    };
    servers.into_iter().map(run).collect()
}

fn reach(config: &Config) -> Reach {
    let settings = ReachSettings {
        public: config.webrtc.public_addresses.clone(),
        loopback: config.dev,
        only_this_machine: config.dev && !config.lan,
    };
    Reach::new(config.webrtc.address, &interfaces(), &settings)
}

fn tls_of(config: &Config, reach: &Reach) -> Result<ListenersTls, TlsError> {
    let mut tls = ListenersTls {
        clients: tls::of_clients(&config.http)?,
        operators: tls::of_operators(&config.admin)?,
    };
    if config.admin.is_open_and_plain() {
        let listen = config.admin.listen;
        tracing::warn!(%listen, "the admin listener speaks plain HTTP beyond this machine: whoever \
            reads along has operators' tokens; admin.tls_certificate and admin.tls_key secure it");
    }
    if config.lan && tls.clients.is_none() {
        let addresses = reach.announced().iter().map(ToString::to_string);
        let names = std::iter::once("localhost".to_owned()).chain(addresses);
        tls.clients = Some(tls::self_signed(names.collect())?);
    }
    Ok(tls)
}

/// Where clients find signalling, for `endpoints` and the record in the store.
fn signalling_url(config: &Config, tls: bool, reach: &Reach) -> String {
    let http = &config.http;
    let base = http.public_url.clone().unwrap_or_else(|| {
        let mut address = http.listen;
        if address.ip().is_unspecified()
            && let Some(&ip) = reach.announced().first()
        {
            address.set_ip(ip);
        }
        format!("{}://{address}", if tls { "https" } else { "http" })
    });
    // http → ws, https → wss.
    let socket = base.replacen("http", "ws", 1);
    format!("{}/v1/signal", socket.trim_end_matches('/'))
}

/// 64 bits that nobody can guess.
fn random() -> u64 {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests;
