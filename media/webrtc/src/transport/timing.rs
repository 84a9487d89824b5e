//! When a transport wants to be called next.

use std::time::Instant;

use super::{Transport, TransportPhase};
use crate::packet::SlotIndex;

impl Transport {
    /// When [`Transport::handle_timeout`] and [`Transport::poll_transmit`] want to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if matches!(self.phase, TransportPhase::Ended) {
            return None;
        }
        let session = self.session.poll_timeout().into_iter();
        let base = session.chain(self.dies_at());
        let media = self.is_sending().then(|| self.media_timeout()).flatten();
        base.chain(media).min()
    }

    /// Reads a little of all that sending on a slot needs. Who serves many clients in turn calls
    /// this for the next one before it serves this one: what has left the cache comes back in one
    /// go, and not line after line.
    pub fn touch(&self, slot: SlotIndex) {
        let TransportPhase::Connected(srtp) = &self.phase else {
            return;
        };
        let line = self.slots.get(slot).map_or(0, |slot| {
            let format = slot.line.formats.first();
            let payload_type = format.map_or(0, |format| format.payload_type);
            u64::from(slot.ssrc ^ u32::from(payload_type))
        });
        let times = [
            self.alive_at,
            self.rtcp.reports_at(),
            self.session.poll_timeout(),
        ];
        let armed = times.iter().flatten().count();
        let path = self.paths.current().map_or(0, |path| path.remote.port());
        std::hint::black_box((
            line ^ self.sender.touch(slot),
            srtp.sender.touch(),
            armed ^ self.events.len(),
            path,
        ));
    }

    pub(super) const fn is_sending(&self) -> bool {
        self.is_connected() && self.paths.current().is_some()
    }

    pub(super) fn dies_at(&self) -> Option<Instant> {
        self.alive_at.map(|at| at + self.config.liveness)
    }

    fn media_timeout(&self) -> Option<Instant> {
        let pacer = self.sender.pacer.poll_timeout();
        let reports = self.rtcp.reports_at().into_iter();
        let sends = reports.chain(pacer).chain(self.sender.probe_at).min();
        if !self.is_publishing() {
            return sends;
        }
        let feedback = self.rtcp.feedback_at(&self.receiver);
        let nacks = self.receiver.nack_at();
        let grant = self.receiver.grant.next_at();
        sends
            .into_iter()
            .chain(feedback)
            .chain(nacks)
            .chain(grant)
            .min()
    }
}
