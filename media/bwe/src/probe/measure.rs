//! How quickly a probe cluster arrives.

use std::time::{Duration, Instant};

use media_types::{Bitrate, DataSize};

use super::{ProbeCluster, ProbeId, ProbeResult};
use crate::feedback::PacketResult;

/// The share of a cluster's packets and bytes that must arrive before it says anything.
const ARRIVED_PERCENT: u64 = 80;
/// Arrived this much slower than sent: the path is full, and that is its rate …
const SATURATED_PERCENT: u64 = 90;
/// … of which this much is used, so that the probe's own queue can drain.
const UTILISATION_PERCENT: u64 = 95;
/// An arrival this much quicker than the sending is a radio link that delivers in heaps.
const COMPRESSED_PERCENT: u64 = 200;
/// A cluster that spreads over more than this was held up somewhere.
const SPAN_MAX: Duration = Duration::from_secs(1);

/// First and last moment of some packets, and the bytes that lie between.
#[derive(Debug, Clone, Copy)]
struct Span<T> {
    first: (T, DataSize),
    last: (T, DataSize),
}

impl<T: Copy + Ord> Span<T> {
    fn extend(span: &mut Option<Self>, at: T, size: DataSize) {
        let span = span.get_or_insert(Self {
            first: (at, size),
            last: (at, size),
        });
        if at < span.first.0 {
            span.first = (at, size);
        }
        if at >= span.last.0 {
            span.last = (at, size);
        }
    }
}

/// Collects the fates of one cluster's packets.
#[derive(Debug)]
pub(super) struct Measure {
    id: ProbeId,
    rate: Bitrate,
    packets_min: u32,
    bytes_min: u64,
    packets: u32,
    bytes: DataSize,
    sent: Option<Span<Instant>>,
    arrived: Option<Span<Duration>>,
}

impl Measure {
    pub(super) fn new(cluster: &ProbeCluster) -> Self {
        let packets = u64::from(cluster.packets) * ARRIVED_PERCENT / 100;
        Self {
            id: cluster.id,
            rate: cluster.rate,
            packets_min: u32::try_from(packets).unwrap_or(u32::MAX),
            bytes_min: cluster.bytes.bytes().saturating_mul(ARRIVED_PERCENT) / 100,
            packets: 0,
            bytes: DataSize::ZERO,
            sent: None,
            arrived: None,
        }
    }

    /// The rate that was tried.
    pub(super) const fn rate(&self) -> Bitrate {
        self.rate
    }

    pub(super) fn on_result(&mut self, result: &PacketResult) {
        let Some(arrived) = result.arrived.filter(|_| result.probe == Some(self.id)) else {
            return;
        };
        self.packets = self.packets.saturating_add(1);
        self.bytes = self.bytes.saturating_add(result.size);
        Span::extend(&mut self.sent, result.sent, result.size);
        Span::extend(&mut self.arrived, arrived, result.size);
    }

    /// The rate that the path carried, once enough has arrived to tell.
    pub(super) fn result(&self) -> Option<ProbeResult> {
        let (sent, arrived) = (self.sent?, self.arrived?);
        if self.packets < self.packets_min || self.bytes.bytes() < self.bytes_min {
            return None;
        }
        let sending = sent.last.0.saturating_duration_since(sent.first.0);
        let arriving = arrived.last.0.saturating_sub(arrived.first.0);
        if sending.is_zero() || arriving.is_zero() || sending.max(arriving) > SPAN_MAX {
            return None;
        }
        // What left last was sent after the span, what arrived first had arrived before it.
        let sent_rate = Bitrate::of(self.bytes.saturating_sub(sent.last.1), sending);
        let arrived_rate = Bitrate::of(self.bytes.saturating_sub(arrived.first.1), arriving);
        let sent_rate = sent_rate.min(self.rate);
        if arrived_rate > sent_rate.percent(COMPRESSED_PERCENT) {
            return None;
        }
        let saturated = arrived_rate < sent_rate.percent(SATURATED_PERCENT);
        let carried = if saturated {
            arrived_rate.percent(UTILISATION_PERCENT)
        } else {
            sent_rate.min(arrived_rate)
        };
        Some(ProbeResult {
            carried,
            saturated,
            chained: false,
        })
    }
}
