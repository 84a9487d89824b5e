//! One packet: header, extensions, payload, seal.

use std::time::Instant;

use arrayvec::ArrayVec;
use media_bwe::ProbeId;
use media_rtp::descriptor::dependency;
use media_rtp::extension::{DescriptorBytes, ExtensionKind, abs_send_time_bytes, abs_send_time_of};
use media_rtp::header::{Element, HeaderFields, write_header};
use media_rtp::srtp::SrtpSender;
use media_types::DataSize;

use super::{Exit, OVERHEAD_BYTES, Sender, UNDERLAY_BYTES};
use crate::error::DropReason;
use crate::limits::{DATAGRAM_BYTES_MAX, RED_PERCENT};
use crate::packet::{PassedExtensions, SendPacket, SlotIndex};
use crate::red;
use crate::sealed::FirstForm;
use crate::slots::Slot;

/// Extensions that one packet may carry: all kinds that we write.
const ELEMENTS_MAX: usize = 8;
/// Padding of a packet that has nothing else: as much as its one byte of length can say.
const FILLER_BYTES: usize = 255;

/// Under which numbers a packet leaves.
struct Numbers {
    fields: HeaderFields,
    index: u64,
    /// How it was sealed before, if it was.
    again: Option<FirstForm>,
    /// The original number, before the payload of a retransmission (RFC 4588, section 4).
    original: Option<u16>,
    /// It may have to be sealed again under its number, with the same bytes.
    repeats: bool,
}

/// What a packet is sent for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purpose {
    /// The probe cluster that it belongs to.
    pub(super) probe: Option<ProbeId>,
    /// It repeats what has come, only to fill.
    pub(super) padding: bool,
}

impl Sender {
    /// Seals one packet into the batch, which has room, and returns its size on the wire. What
    /// cannot be sent is dropped.
    pub(super) fn seal(
        &mut self,
        exit: &mut Exit<'_>,
        packet: &SendPacket,
        purpose: Purpose,
    ) -> Option<usize> {
        let slot = exit.slots.get(packet.slot)?;
        let mut numbers = self.number(slot, packet)?;
        let (red, skip) = self.choose_form(exit.now, slot, packet, &numbers)?;
        numbers.fields.payload_type = red.unwrap_or(numbers.fields.payload_type);
        let payload = packet.payload.as_slice().get(skip..).unwrap_or_default();
        let size = payload.len() + packet.prefix.len() + OVERHEAD_BYTES + UNDERLAY_BYTES;
        let values = self.values(exit.now, slot, &numbers, size, purpose.probe);
        if numbers.repeats && numbers.again.is_none() {
            let state = self.slots.get_mut(usize::from(packet.slot.0))?;
            state.forms.set(FirstForm {
                index: numbers.index,
                transport: values.transport,
                send_time: values.send_time,
                wrapped: red.is_some(),
            });
        }
        let pass = &packet.pass;
        let values = Values {
            level: pass.audio_level.map(|level| [level.to_byte()]),
            orientation: pass.video_orientation.map(|value| [value]),
            ..values
        };
        let known = self.slots.get(usize::from(packet.slot.0));
        let with_mid = numbers.repeats || !known.is_some_and(|state| state.known);
        let descriptor = numbered_descriptor(pass);
        let descriptor = descriptor.as_deref();
        let elements = elements(slot, pass, descriptor, &values, with_mid);
        let srtp = &mut *exit.srtp;
        let sent = exit.out.push_with(exit.path, DATAGRAM_BYTES_MAX, |buffer| {
            let sealed = write(buffer, srtp, &numbers, &elements, packet, payload);
            sealed.map_err(|_| DropReason::Oversize)
        });
        sent.is_ok().then(|| {
            self.count(exit.now, packet, size, purpose);
            size
        })
    }

    /// Seals a packet of nothing but padding on the slot's source of retransmissions (RFC 3550,
    /// section 5.1), whose numbers nobody else gives out; returns its size on the wire.
    pub(super) fn seal_filler(
        &mut self,
        exit: &mut Exit<'_>,
        index: SlotIndex,
        probe: ProbeId,
    ) -> Option<usize> {
        let slot = exit.slots.get(index).filter(|slot| slot.is_open())?;
        let payload_type = slot.line.formats.iter().find_map(|format| format.rtx)?;
        let numbers = self.repair_numbers(index, slot, payload_type)?;
        let size = FILLER_BYTES + OVERHEAD_BYTES + UNDERLAY_BYTES;
        let values = self.values(exit.now, slot, &numbers, size, Some(probe));
        let known = self.slots.get(usize::from(index.0));
        let with_mid = !known.is_some_and(|state| state.known);
        let nothing = PassedExtensions::default();
        let elements = elements(slot, &nothing, None, &values, with_mid);
        let srtp = &mut *exit.srtp;
        let sent = exit.out.push_with(exit.path, DATAGRAM_BYTES_MAX, |buffer| {
            write_filler(buffer, srtp, &numbers, &elements)
        });
        self.padded += 1;
        sent.is_ok().then_some(size)
    }

    /// Source, payload type and number. `None` if there is none that may be used.
    fn number(&mut self, slot: &Slot, packet: &SendPacket) -> Option<Numbers> {
        let format = *slot.format_for(packet.codec)?;
        if let (Some(original), Some(rtx)) = (packet.retransmission_of, format.rtx) {
            let mut numbers = self.repair_numbers(packet.slot, slot, rtx)?;
            numbers.fields.padding = false;
            numbers.fields.marker = packet.marker;
            numbers.fields.timestamp = packet.timestamp;
            numbers.original = Some(original);
            return Some(numbers);
        }
        let state = self.slots.get_mut(usize::from(packet.slot.0))?;
        let repeats = format.rtx.is_none() && slot.line.feedback.nack;
        let (index, fresh) = state.sealed.index(packet.sequence)?;
        let asked_for = packet.retransmission_of.is_some() && repeats;
        let again = match fresh {
            true => None,
            false => Some(state.forms.get(index).filter(|_| asked_for)?),
        };
        Some(Numbers {
            fields: HeaderFields {
                padding: packet.payload.is_empty() && packet.prefix.is_empty(),
                marker: packet.marker,
                payload_type: format.payload_type,
                sequence: low_bits(index),
                timestamp: packet.timestamp,
                ssrc: slot.ssrc,
            },
            index,
            again,
            original: None,
            repeats,
        })
    }

    /// The next number of a slot's source of retransmissions.
    fn repair_numbers(
        &mut self,
        index: SlotIndex,
        slot: &Slot,
        payload_type: u8,
    ) -> Option<Numbers> {
        let state = self.slots.get_mut(usize::from(index.0))?;
        let number = state.rtx_sequence;
        state.rtx_sequence += 1;
        let fields = HeaderFields {
            padding: true,
            marker: false,
            payload_type,
            sequence: low_bits(number),
            timestamp: state.clock.latest().unwrap_or(0),
            ssrc: slot.rtx_ssrc,
        };
        Some(Numbers {
            fields,
            index: number,
            again: None,
            original: None,
            repeats: false,
        })
    }

    /// The payload type of redundancy, if the packet leaves with it, and how many of the payload's
    /// first bytes are left out. Sound that came with redundancy keeps it where the slot knows it,
    /// the path loses packets and has room for it; else its newest block goes alone. What is sealed
    /// again has the form of its first time. `None` for redundancy without a newest block.
    fn choose_form(
        &mut self,
        now: Instant,
        slot: &Slot,
        packet: &SendPacket,
        numbers: &Numbers,
    ) -> Option<(Option<u8>, usize)> {
        let replaced = usize::from(packet.prefix_replaces);
        if !packet.red || packet.payload.is_empty() {
            return Some((None, replaced));
        }
        let older = red::primary_offset(packet.payload.as_slice());
        // A repair format belongs to plain Opus, so redundancy cannot pass in it.
        let red = slot.line.red.filter(|_| numbers.original.is_none());
        let Some(payload_type) = red else {
            return older.map(|older| (None, older));
        };
        let wrapped = numbers.again.map_or_else(
            || self.wants_redundancy(now, older.unwrap_or(0)),
            |form| form.wrapped,
        );
        match wrapped {
            true => Some((Some(payload_type), replaced)),
            false => older.map(|older| (None, older)),
        }
    }

    /// Whether sound should leave with its `older` bytes of redundancy.
    fn wants_redundancy(&mut self, now: Instant, older: usize) -> bool {
        self.redundancy.add(now, older);
        let room = self.estimator.estimate(now).percent(RED_PERCENT);
        self.loss.wants_redundancy(now) && self.redundancy.rate(now) <= room
    }

    /// The transport-wide number and the time of sending, where the slot's m-line agreed to them.
    fn values(
        &mut self,
        now: Instant,
        slot: &Slot,
        numbers: &Numbers,
        size: usize,
        probe: Option<ProbeId>,
    ) -> Values {
        if let Some(form) = numbers.again {
            return Values {
                transport: form.transport,
                send_time: form.send_time,
                level: None,
                orientation: None,
            };
        }
        let numbered = slot.line.extensions.id(ExtensionKind::TransportSequence);
        let numbered = numbered.is_some() && slot.line.feedback.transport;
        let size = DataSize::from_bytes(u64::try_from(size).unwrap_or(u64::MAX));
        let transport = numbered.then(|| match probe {
            Some(probe) => self.estimator.on_probe_sent(now, size, probe),
            None => self.estimator.on_sent(now, size),
        });
        if transport.is_some() {
            self.unheard_since.get_or_insert(now);
        }
        let since = now.saturating_duration_since(self.base);
        Values {
            transport: transport.map(u16::to_be_bytes),
            send_time: Some(abs_send_time_bytes(abs_send_time_of(since))),
            level: None,
            orientation: None,
        }
    }

    fn count(&mut self, now: Instant, packet: &SendPacket, size: usize, purpose: Purpose) {
        if purpose.padding {
            self.padded += 1;
            return;
        }
        self.meter.add(now, size);
        let Some(state) = self.slots.get_mut(usize::from(packet.slot.0)) else {
            return;
        };
        if packet.retransmission_of.is_some() {
            self.retransmitted += 1;
            return;
        }
        let octets = u32::try_from(packet.payload.len()).unwrap_or(0);
        if state.packets == 0 {
            state.report_due = true;
            self.reports_due = true;
        }
        state.packets = state.packets.wrapping_add(1);
        state.octets = state.octets.wrapping_add(octets);
        state.meter.add(now, size);
    }
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
    slot: &'a Slot,
    pass: &'a PassedExtensions,
    descriptor: Option<&'a [u8]>,
    values: &'a Values,
    with_mid: bool,
) -> ArrayVec<Element<'a>, ELEMENTS_MAX> {
    let map = &slot.line.extensions;
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
        (ExtensionKind::DependencyDescriptor, descriptor),
    ];
    let agreed = all.into_iter().filter_map(|(kind, data)| {
        let id = map.id(kind)?;
        data.map(|data| Element { id, data })
    });
    agreed.collect()
}

/// The dependency descriptor with the subscriber's frame number in it.
fn numbered_descriptor(pass: &PassedExtensions) -> Option<DescriptorBytes> {
    let (descriptor, number) = pass.dependency_descriptor.as_ref()?;
    let mut bytes = DescriptorBytes::try_from(descriptor.as_slice()).ok()?;
    dependency::rewrite_frame_number(&mut bytes, *number).then_some(bytes)
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

fn write_filler(
    buffer: &mut [u8],
    srtp: &mut SrtpSender,
    numbers: &Numbers,
    elements: &[Element<'_>],
) -> Result<usize, DropReason> {
    let header = write_header(buffer, &numbers.fields, elements)?;
    let target = buffer.get_mut(header..header + FILLER_BYTES);
    let target = target.ok_or(DropReason::Oversize)?;
    target.fill(0);
    if let Some(count) = target.last_mut() {
        *count = u8::try_from(FILLER_BYTES).unwrap_or(u8::MAX);
    }
    let (ssrc, index) = (numbers.fields.ssrc, numbers.index);
    Ok(srtp.seal_rtp(buffer, header, ssrc, index, FILLER_BYTES, &[])?)
}

const fn low_bits(index: u64) -> u16 {
    let [.., high, low] = index.to_be_bytes();
    u16::from_be_bytes([high, low])
}
