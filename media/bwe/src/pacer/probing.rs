//! A probe cluster on its way out.

use std::time::Instant;

use media_types::DataSize;

use super::{PROBE_TICK, Pacer, ProbeCluster, ProbeId};
use crate::limits::PADDING_BYTES_MAX;

/// How much of a cluster has left.
#[derive(Debug)]
pub(super) struct Probing {
    cluster: ProbeCluster,
    /// When its first packet left.
    started: Option<Instant>,
    sent: DataSize,
    packets: u32,
}

impl Probing {
    const fn new(cluster: ProbeCluster) -> Self {
        Self {
            cluster,
            started: None,
            sent: DataSize::ZERO,
            packets: 0,
        }
    }

    /// Whether what has left so far was due by now.
    pub(super) fn may_send(&self, now: Instant) -> bool {
        self.resumes_at().is_none_or(|at| at <= now)
    }

    /// When the next packet is due; `None` for the first.
    pub(super) fn resumes_at(&self) -> Option<Instant> {
        let started = self.started?;
        let due = started + self.cluster.rate.time_for(self.sent);
        // A timer is not finer than this, so what is due within it may leave together.
        Some(
            due.checked_sub(PROBE_TICK)
                .map_or(due, |at| at.max(started)),
        )
    }

    fn is_over(&self) -> bool {
        self.sent >= self.cluster.bytes && self.packets >= self.cluster.packets
    }

    /// About what a packet of padding should carry: enough packets, and none larger than a path
    /// takes.
    fn padding(&self) -> DataSize {
        let packets = u64::from(self.cluster.packets.max(1));
        let share = self.cluster.bytes.bytes().div_ceil(packets);
        DataSize::from_bytes(share.min(PADDING_BYTES_MAX))
    }
}

impl<T> Pacer<T> {
    /// From now on packets leave at the cluster's rate, until its bytes have left or its time is
    /// over. A cluster that is under way is given up.
    pub fn start_probe(&mut self, now: Instant, cluster: ProbeCluster) {
        self.probing = (cluster.until > now).then(|| Probing::new(cluster));
    }

    /// Whether a probe is under way.
    #[must_use]
    pub const fn is_probing(&self) -> bool {
        self.probing.is_some()
    }

    /// Gives up the probe that is under way, for want of anything to fill it with.
    pub fn cancel_probe(&mut self) {
        self.probing = None;
    }

    /// What to fill the probe with when nothing waits: about so many bytes, sent now as part of
    /// that cluster. Tell with [`on_padding`](Self::on_padding) what was sent.
    pub fn poll_padding(&mut self, now: Instant) -> Option<(DataSize, ProbeId)> {
        self.expire_probe(now);
        if self.items > 0 {
            return None;
        }
        let probing = self.probing.as_ref()?;
        let due = probing.may_send(now);
        due.then(|| (probing.padding(), probing.cluster.id))
    }

    /// A packet of padding has left.
    pub fn on_padding(&mut self, now: Instant, size: DataSize) {
        self.count(now, size);
    }

    pub(super) fn count_probe(&mut self, now: Instant, size: DataSize) -> Option<ProbeId> {
        let probing = self.probing.as_mut()?;
        let id = probing.cluster.id;
        probing.started.get_or_insert(now);
        probing.sent = probing.sent.saturating_add(size);
        probing.packets = probing.packets.saturating_add(1);
        if probing.is_over() {
            self.probing = None;
        }
        Some(id)
    }

    pub(super) fn expire_probe(&mut self, now: Instant) {
        let over = |probing: &Probing| now >= probing.cluster.until;
        if self.probing.as_ref().is_some_and(over) {
            self.probing = None;
        }
    }
}
