//! The media ports, what shards are made with, and the tasks that take their reports to the actors.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use actix_rt::Arbiter;
use media_core::{Shard, ShardConfig};
use media_types::{Clock, ShardId};
use media_webrtc::{Certificate, TransportConfig};

use super::{RunError, opening};
use crate::config::Config;
use crate::ice_tcp::{self, IceTcp};
use crate::net::Reach;
use crate::plane::Rings;
use crate::shard::far::FarEnds;
use crate::shard::{EventSink, Running, Shards, pump};

/// The media ports, bound.
pub(super) struct Media {
    shards: Shards,
    pub(super) rings: Rings,
    /// The shards' UDP ports.
    pub(super) udp: Vec<u16>,
    /// ICE over TCP and its port.
    tcp: Option<(TcpListener, u16)>,
}

impl Media {
    /// Binds them as the settings say.
    pub(super) fn bind(config: &Config, reach: &Reach) -> Result<Self, RunError> {
        let webrtc = &config.webrtc;
        let first = SocketAddr::new(webrtc.address, webrtc.port);
        let shards = Shards::bind(shard_count(webrtc.shards), first, reach)
            .map_err(opening("the media ports"))?;
        let tcp = bind_tcp(config).map_err(opening("the port of ICE over TCP"))?;
        Ok(Self {
            rings: Rings::new(&shards),
            udp: shards.ports(),
            shards,
            tcp,
        })
    }

    /// Queues from the shards to other workers and back.
    pub(super) fn open_far(&mut self) -> FarEnds<media_core::RelayMessage> {
        self.shards.open_far()
    }

    /// The port of ICE over TCP.
    pub(super) fn tcp_port(&self) -> Option<u16> {
        self.tcp.as_ref().map(|(_, port)| *port)
    }

    /// Starts the shards' threads.
    pub(super) fn start<M>(
        self,
        clock: &Arc<dyn Clock>,
        pin: bool,
        make: &M,
    ) -> Result<Vec<Running>, RunError>
    where
        M: Fn(Instant, ShardId) -> Shard + Clone + Send + Sync + 'static,
    {
        let started = self.shards.start(clock, pin, make);
        started.map_err(opening("shard threads"))
    }

    /// Accepts ICE over TCP on a control thread.
    pub(super) fn serve_tcp(&mut self, reach: &Reach, arbiter: &Arbiter) {
        let Some((listener, port)) = self.tcp.take() else {
            return;
        };
        let serving = IceTcp::new(&self.rings, reach.clone(), port).serve(listener);
        arbiter.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "ICE over TCP is not served");
            }
        });
    }
}

fn bind_tcp(config: &Config) -> io::Result<Option<(TcpListener, u16)>> {
    let webrtc = &config.webrtc;
    if !webrtc.tcp {
        return Ok(None);
    }
    let listener = ice_tcp::bind(SocketAddr::new(webrtc.address, webrtc.tcp_port))?;
    let port = listener.local_addr()?.port();
    Ok(Some((listener, port)))
}

/// Shards where the settings leave it to us: one a core up to four cores, then two fewer than
/// cores, for actors and HTTP.
pub(super) fn shard_count(wanted: u16) -> u16 {
    if wanted > 0 {
        return wanted;
    }
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let count = if cores <= 4 {
        cores
    } else {
        (cores - 2).max(4)
    };
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// Makes shards, each with the candidates of its own port and fresh secrets.
pub(super) fn factory(
    config: &Config,
    clock: &dyn Clock,
    reach: &Reach,
    media: &Media,
) -> Result<impl Fn(Instant, ShardId) -> Shard + Clone + Send + Sync + 'static, RunError> {
    let certificate = Certificate::generate()?;
    let (base, unix_base) = (clock.now(), clock.unix());
    let transport = |port: &u16| {
        let candidates = reach.candidates(*port, media.tcp_port());
        let mut transport = TransportConfig::new(base, unix_base, certificate.clone(), candidates);
        transport.codecs = config.webrtc.codecs.clone();
        transport
    };
    let transports: Arc<[TransportConfig]> = media.udp.iter().map(transport).collect();
    let faults = config.debug.faults;
    Ok(move |now, id: ShardId| {
        let transport = transports[usize::from(id.0)].clone();
        let mut seed = [0; 32];
        aws_lc_rs::rand::fill(&mut seed).expect("the system has randomness");
        let mut config = ShardConfig::new(id, transport, seed);
        config.allow_faults = faults;
        Shard::new(now, config)
    })
}

/// Drains each shard's reports on a control thread; gives the threads to wait for at the end.
pub(super) fn pump(
    running: Vec<Running>,
    sink: &Arc<dyn EventSink>,
    arbiters: &[Arbiter],
) -> Vec<JoinHandle<()>> {
    let mut threads = Vec::new();
    for (index, shard) in running.into_iter().enumerate() {
        let sink = Arc::clone(sink);
        arbiters[index % arbiters.len()].spawn(async move {
            pump::pump(shard.id, shard.reports, &*sink).await;
        });
        threads.push(shard.thread);
    }
    threads
}
