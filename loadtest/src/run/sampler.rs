//! A reading each second, by a thread of its own, so that no member waits for it.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use tokio::sync::watch;

use super::server::{Probe, ServerFigures};
use super::tally::Tally;
use super::{Phase, Target};
use crate::clock::Clock;
use crate::light::{Engine, StreamFigures};

const PERIOD: Duration = Duration::from_secs(1);

/// One second of a run. Counts are totals since the start.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// Seconds since the start.
    pub at_s: f64,
    /// Where the run is.
    pub phase: Phase,
    /// Members that began to connect.
    pub began: u64,
    /// Members that got in.
    pub joined: u64,
    /// Members that went wrong.
    pub failed: u64,
    /// Clients with ICE and DTLS through, now.
    pub connected: u64,
    /// What was received.
    pub received: StreamFigures,
    /// Packets of media sent.
    pub sent: u64,
    /// Chat and data messages received.
    pub messages: u64,
    /// Microseconds that packets of this second took: half of them, and 99 %.
    pub latency_us: Option<(u64, u64)>,
    /// The server's own figures.
    pub server: Option<ServerFigures>,
}

/// The running thread.
pub(super) struct Sampler {
    stop: Sender<()>,
    thread: JoinHandle<Vec<Sample>>,
}

impl Sampler {
    /// Takes a last sample and ends.
    pub(super) fn finish(self) -> Vec<Sample> {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}

pub(super) fn start(
    engine: Arc<Engine>,
    tally: Arc<Tally>,
    target: &Target,
    clock: Clock,
    phase: watch::Receiver<Phase>,
    mut progress: impl FnMut(&Sample) + Send + 'static,
) -> Result<Sampler> {
    let probe = Probe {
        metrics: target.metrics.clone(),
        pid: target.pid,
    };
    let (stop, stopped) = channel::<()>();
    let thread = std::thread::Builder::new()
        .name("sampler".to_owned())
        .spawn(move || {
            let mut samples = Vec::new();
            let mut wait = Duration::ZERO;
            loop {
                let ending = stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout);
                let began = clock.now();
                let current = *phase.borrow();
                if let Some(sample) = sample(&engine, &tally, &probe, clock, current) {
                    progress(&sample);
                    samples.push(sample);
                }
                if ending {
                    return samples;
                }
                let took = clock.now().saturating_duration_since(began);
                wait = PERIOD.saturating_sub(took);
            }
        })?;
    Ok(Sampler { stop, thread })
}

fn sample(
    engine: &Engine,
    tally: &Tally,
    probe: &Probe,
    clock: Clock,
    phase: Phase,
) -> Option<Sample> {
    let figures = engine.figures().ok()?;
    let counts = tally.counts();
    let latency = &figures.latency_now;
    let quantiles = || (latency.quantile_micros(500), latency.quantile_micros(990));
    #[allow(clippy::cast_precision_loss, reason = "seconds for a report")]
    let at_s = clock.micros(clock.now()) as f64 / 1e6;
    Some(Sample {
        at_s,
        phase,
        began: counts.began,
        joined: counts.joined,
        failed: counts.failed,
        connected: figures.connected,
        received: figures.received,
        sent: figures.sent,
        messages: counts.chats_received + counts.data_received,
        latency_us: (latency.count() > 0).then(quantiles),
        server: probe.read(),
    })
}
