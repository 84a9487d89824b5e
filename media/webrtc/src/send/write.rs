//! One packet: header, extensions, payload, seal.

use std::time::Instant;

use arrayvec::ArrayVec;
use media_rtp::extension::{ExtensionKind, ExtensionMap, abs_send_time_bytes, abs_send_time_of};
use media_rtp::header::{Element, HeaderFields, write_header};
use media_rtp::srtp::SrtpSender;
use media_types::DataSize;

use super::{OVERHEAD_BYTES, Sender, UNDERLAY_BYTES};
use crate::batch::TransmitBatch;
use crate::error::DropReason;
use crate::limits::DATAGRAM_BYTES_MAX;
use crate::packet::SendPacket;
use crate::path::Path;
use crate::red;
use crate::slots::{Slot, Slots};

/// Extensions that one packet may carry: all kinds that we write.
const ELEMENTS_MAX: usize = 8;

/// Under which numbers a packet leaves.
struct Numbers {
    fields: HeaderFields,
    index: u64,
    /// The original number, before the payload of a retransmission (RFC 4588, section 4).
    original: Option<u16>,
    /// What differs from one sending to the next is left out: the same number may be sealed again,
    /// which is only safe with the same bytes.
    stable: bool,
}

impl Sender {
    /// Seals one packet into the batch, which has room. What cannot be sent is dropped.
    pub(super) fn seal(
        &mut self,
        now: Instant,
        path: Path,
        slots: &Slots,
        srtp: &mut SrtpSender,
        packet: &SendPacket,
        out: &mut TransmitBatch,
    ) {
        let Some(slot) = slots.get(packet.slot) else {
            return;
        };
        let Some((packet_type_red, skip)) = payload_form(slot, packet) else {
            return;
        };
        let Some(numbers) = self.number(slot, packet, packet_type_red) else {
            return;
        };
        let extensions = slot.line.extensions;
        let transport =
            !numbers.stable && extensions.id(ExtensionKind::TransportSequence).is_some();
        let payload = packet.payload.as_slice().get(skip..).unwrap_or_default();
        let size = payload.len() + packet.prefix.len() + OVERHEAD_BYTES + UNDERLAY_BYTES;
        let transport = (transport && slot.line.feedback.transport).then(|| {
            let size = DataSize::from_bytes(u64::try_from(size).unwrap_or(u64::MAX));
            self.estimator.on_sent(now, size).to_be_bytes()
        });
        let since = now.saturating_duration_since(self.base);
        let values = Values {
            transport,
            send_time: (!numbers.stable).then(|| abs_send_time_bytes(abs_send_time_of(since))),
            level: packet.pass.audio_level.map(|level| [level.to_byte()]),
            orientation: packet.pass.video_orientation.map(|value| [value]),
        };
        let known = self
            .slots
            .get(usize::from(packet.slot.0))
            .is_some_and(|state| state.known);
        let with_mid = numbers.stable || !known;
        let elements = elements(&extensions, slot, packet, &values, with_mid);
        let sent = out.push_with(path, DATAGRAM_BYTES_MAX, |buffer| {
            let sealed = write(buffer, srtp, &numbers, &elements, packet, payload);
            sealed.map_err(|_| DropReason::Oversize)
        });
        if sent.is_ok() {
            self.count(now, packet, size);
        }
    }

    /// Source, payload type and number. `None` if there is none that may be used.
    fn number(&mut self, slot: &Slot, packet: &SendPacket, red: bool) -> Option<Numbers> {
        let format = *slot.format_for(packet.codec)?;
        let state = self.slots.get_mut(usize::from(packet.slot.0))?;
        let mut fields = HeaderFields {
            padding: packet.payload.is_empty() && packet.prefix.is_empty(),
            marker: packet.marker,
            payload_type: slot.line.red.filter(|_| red).unwrap_or(format.payload_type),
            sequence: 0,
            timestamp: packet.timestamp,
            ssrc: slot.ssrc,
        };
        if let (Some(original), Some(rtx)) = (packet.retransmission_of, format.rtx) {
            let index = state.rtx_sequence;
            state.rtx_sequence += 1;
            fields.payload_type = rtx;
            fields.ssrc = slot.rtx_ssrc;
            fields.sequence = low_bits(index);
            return Some(Numbers {
                fields,
                index,
                original: Some(original),
                stable: false,
            });
        }
        let stable = format.rtx.is_none() && slot.line.feedback.nack;
        let (index, fresh) = state.sealed.index(packet.sequence)?;
        let again = packet.retransmission_of.is_some() && stable;
        if !fresh && !again {
            return None;
        }
        fields.sequence = low_bits(index);
        Some(Numbers {
            fields,
            index,
            original: None,
            stable,
        })
    }

    fn count(&mut self, now: Instant, packet: &SendPacket, size: usize) {
        self.meter.add(now, size);
        let Some(state) = self.slots.get_mut(usize::from(packet.slot.0)) else {
            return;
        };
        if packet.retransmission_of.is_some() {
            self.retransmitted += 1;
            return;
        }
        let octets = u32::try_from(packet.payload.len()).unwrap_or(0);
        state.report_due |= state.packets == 0;
        state.packets = state.packets.wrapping_add(1);
        state.octets = state.octets.wrapping_add(octets);
        state.meter.add(now, size);
    }
}

/// Whether the payload goes as redundancy, and how many of its first bytes are left out. `None` for
/// redundancy without a primary block.
fn payload_form(slot: &Slot, packet: &SendPacket) -> Option<(bool, usize)> {
    let replaced = usize::from(packet.prefix_replaces);
    if !packet.red || packet.payload.is_empty() {
        return Some((false, replaced));
    }
    if slot.line.red.is_some() {
        return Some((true, replaced));
    }
    red::primary_offset(packet.payload.as_slice()).map(|offset| (false, offset))
}

/// Values of extensions that are made for one packet.
struct Values {
    transport: Option<[u8; 2]>,
    send_time: Option<[u8; 3]>,
    level: Option<[u8; 1]>,
    orientation: Option<[u8; 1]>,
}

/// The extensions that the slot's m-line agreed to and the packet has.
fn elements<'a>(
    map: &ExtensionMap,
    slot: &'a Slot,
    packet: &'a SendPacket,
    values: &'a Values,
    with_mid: bool,
) -> ArrayVec<Element<'a>, ELEMENTS_MAX> {
    let pass = &packet.pass;
    let mid = with_mid.then(|| slot.mid.as_str().as_bytes());
    let all = [
        (ExtensionKind::Mid, mid),
        (
            ExtensionKind::TransportSequence,
            values.transport.as_ref().map(<[u8; 2]>::as_slice),
        ),
        (
            ExtensionKind::AbsSendTime,
            values.send_time.as_ref().map(<[u8; 3]>::as_slice),
        ),
        (
            ExtensionKind::AudioLevel,
            values.level.as_ref().map(<[u8; 1]>::as_slice),
        ),
        (
            ExtensionKind::PlayoutDelay,
            pass.playout_delay.as_ref().map(<[u8; 3]>::as_slice),
        ),
        (
            ExtensionKind::AbsCaptureTime,
            pass.abs_capture_time.as_deref(),
        ),
        (
            ExtensionKind::VideoOrientation,
            values.orientation.as_ref().map(<[u8; 1]>::as_slice),
        ),
        (
            ExtensionKind::DependencyDescriptor,
            pass.dependency_descriptor.as_deref(),
        ),
    ];
    let agreed = all.into_iter().filter_map(|(kind, data)| {
        let id = map.id(kind)?;
        data.map(|data| Element { id, data })
    });
    agreed.collect()
}

fn write(
    buffer: &mut [u8],
    srtp: &mut SrtpSender,
    numbers: &Numbers,
    elements: &[Element<'_>],
    packet: &SendPacket,
    payload: &[u8],
) -> Result<usize, DropReason> {
    let header = write_header(buffer, &numbers.fields, elements)?;
    let mut front: ArrayVec<u8, 20> = ArrayVec::new();
    if let Some(original) = numbers.original {
        front.extend(original.to_be_bytes());
    }
    front.extend(packet.prefix.iter().copied());
    if numbers.fields.padding {
        // Nothing but the count of itself.
        front.push(1);
    }
    let target = buffer.get_mut(header..header + front.len());
    target.ok_or(DropReason::Oversize)?.copy_from_slice(&front);
    let ssrc = numbers.fields.ssrc;
    let length = srtp.seal_rtp(buffer, header, ssrc, numbers.index, front.len(), payload)?;
    Ok(length)
}

const fn low_bits(index: u64) -> u16 {
    let [.., high, low] = index.to_be_bytes();
    u16::from_be_bytes([high, low])
}
