//! What fills a probe when no media waits.

use std::time::Instant;

use arrayvec::ArrayVec;
use media_bwe::ProbeId;
use media_types::{DataSize, MediaKind};

use super::write::Purpose;
use super::{Exit, Sender};
use crate::limits::{DATAGRAM_BYTES_MAX, PADDING_AGE_MAX, PADDING_BYTES_MIN, PADDING_PACKETS};
use crate::packet::{SendPacket, SlotIndex};

/// The last large packets of pictures. Sent once more by RTX they are padding that a receiver
/// accepts on any path, and may even miss.
#[derive(Debug, Default)]
pub(super) struct Recent {
    packets: ArrayVec<(Instant, SendPacket), PADDING_PACKETS>,
    /// The place that is filled, and the one that is used next.
    fill: usize,
    next: usize,
}

impl Recent {
    /// Takes a packet that has left.
    pub(super) fn keep(&mut self, now: Instant, mut packet: SendPacket) {
        let video = packet.codec.kind() == MediaKind::Video;
        let again = packet.retransmission_of.is_some();
        if !video || again || packet.payload.len() < PADDING_BYTES_MIN {
            return;
        }
        let [.., high, low] = packet.sequence.to_be_bytes();
        packet.retransmission_of = Some(u16::from_be_bytes([high, low]));
        if self.packets.is_full() {
            if let Some(place) = self.packets.get_mut(self.fill) {
                *place = (now, packet);
            }
            self.fill = (self.fill + 1) % PADDING_PACKETS;
        } else {
            self.packets.push((now, packet));
        }
    }

    /// Gives the buffers back.
    pub(super) fn clear(&mut self) {
        if !self.packets.is_empty() {
            *self = Self::default();
        }
    }

    /// The next one that is young enough, out of its place.
    fn take(&mut self, now: Instant) -> Option<(Instant, SendPacket)> {
        // Older numbers could be taken for future ones, and nobody needs the buffers any more.
        let young = |at: Instant| now.saturating_duration_since(at) < PADDING_AGE_MAX;
        self.packets.retain(|(at, _)| young(*at));
        if self.packets.is_empty() {
            self.fill = 0;
            return None;
        }
        self.next = (self.next + 1) % self.packets.len();
        Some(self.packets.swap_remove(self.next))
    }

    fn give_back(&mut self, entry: (Instant, SendPacket)) {
        // There is a place: it was just taken.
        let _ = self.packets.try_push(entry);
    }
}

impl Sender {
    /// Sends padding for the probe that is under way, as far as it is due. Without anything that
    /// may be sent the probe is given up.
    pub(super) fn fill_probe(&mut self, exit: &mut Exit<'_>) {
        while let Some((_, probe)) = self.pacer.poll_padding(exit.now) {
            if !exit.out.fits(DATAGRAM_BYTES_MAX) {
                exit.out.mark_full();
                return;
            }
            let Some(size) = self.pad(exit, probe) else {
                self.pacer.cancel_probe();
                return;
            };
            let size = DataSize::from_bytes(u64::try_from(size).unwrap_or(u64::MAX));
            self.pacer.on_padding(exit.now, size);
        }
    }

    /// Sends one packet of padding: a recent one once more, or one of nothing else. Both go on a
    /// source of retransmissions; numbers of media belong to who forwards it, so that a slot
    /// without RTX can carry no padding.
    fn pad(&mut self, exit: &mut Exit<'_>, probe: ProbeId) -> Option<usize> {
        if let Some(entry) = self.recent.take(exit.now) {
            let packet = &entry.1;
            let slot = exit.slots.get(packet.slot);
            let format = slot.and_then(|slot| slot.format_for(packet.codec));
            let purpose = Purpose {
                probe: Some(probe),
                padding: true,
            };
            let repairs = format.is_some_and(|format| format.rtx.is_some());
            let sent = repairs.then(|| self.seal(exit, packet, purpose)).flatten();
            self.recent.give_back(entry);
            if sent.is_some() {
                return sent;
            }
        }
        let index = self.filler_slot(exit)?;
        self.seal_filler(exit, index, probe)
    }

    /// A slot with RTX and feedback, one that has sent before others.
    fn filler_slot(&self, exit: &Exit<'_>) -> Option<SlotIndex> {
        let fits = |(index, slot): (SlotIndex, &crate::slots::Slot)| {
            let open = slot.is_open() && slot.has_rtx() && slot.line.feedback.transport;
            let state = self.slots.get(usize::from(index.0)).filter(|_| open)?;
            Some((state.packets == 0, index))
        };
        let best = exit.slots.iter().filter_map(fits).min();
        best.map(|(_, index)| index)
    }
}
