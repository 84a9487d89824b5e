//! What shards are made with, and the tasks that take their reports to the actors.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use actix_rt::Arbiter;
use media_core::{Shard, ShardConfig};
use media_types::{Clock, ShardId};
use media_webrtc::{Certificate, TransportConfig};

use super::RunError;
use crate::config::Config;
use crate::net::Reach;
use crate::shard::{EventSink, Running, pump};

/// Makes shards, each with the candidates of its own port and fresh secrets.
pub(super) fn factory(
    config: &Config,
    clock: &dyn Clock,
    reach: &Reach,
    udp: &[u16],
    tcp: Option<u16>,
) -> Result<impl Fn(Instant, ShardId) -> Shard + Clone + Send + Sync + 'static, RunError> {
    let certificate = Certificate::generate()?;
    let (base, unix_base) = (clock.now(), clock.unix());
    let transport = |port: &u16| {
        let candidates = reach.candidates(*port, tcp);
        let mut transport =
            TransportConfig::new(base, unix_base, certificate.clone(), candidates);
        transport.codecs = config.webrtc.codecs.clone();
        transport
    };
    let transports: Arc<[TransportConfig]> = udp.iter().map(transport).collect();
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
