//! The subscriber's copy of a packet: new numbers, shared payload.

use arrayvec::ArrayVec;
use media_rtp::descriptor::{self, PicturePatch, dependency};
use media_rtp::history::{PassThrough, StoredPacket};
use media_rtp::sequence::SequenceNumber;
use media_types::MediaKind;
use media_webrtc::{PassedExtensions, Priority, SendPacket, SlotIndex};

use super::Origin;

/// The numbers with which a subscriber gets a packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub(super) sequence: u64,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) patch: PicturePatch,
}

/// A packet that goes for the first time.
pub(super) fn write(
    slot: SlotIndex,
    origin: Origin,
    packet: &StoredPacket,
    numbers: Numbers,
) -> SendPacket {
    let prefix = descriptor::prefix(origin.codec, packet.payload.as_slice(), numbers.patch);
    SendPacket {
        slot,
        codec: origin.codec,
        red: origin.red,
        sequence: numbers.sequence,
        timestamp: numbers.timestamp,
        marker: numbers.marker,
        prefix_replaces: u8::try_from(prefix.len()).unwrap_or(0),
        prefix,
        payload: packet.payload.clone(),
        pass: pass(&packet.extensions, numbers.patch),
        priority: match origin.codec.kind() {
            MediaKind::Audio => Priority::Audio,
            MediaKind::Video => Priority::Video,
        },
        retransmission_of: None,
    }
}

/// A packet that goes once more.
pub(super) fn again(
    slot: SlotIndex,
    origin: Origin,
    packet: &StoredPacket,
    numbers: Numbers,
) -> SendPacket {
    SendPacket {
        priority: Priority::Retransmission,
        retransmission_of: Some(SequenceNumber::of(numbers.sequence).0),
        ..write(slot, origin, packet, numbers)
    }
}

/// A packet without a payload in the place of one that is left out.
pub(super) fn padding(
    slot: SlotIndex,
    origin: Origin,
    packet: &StoredPacket,
    numbers: Numbers,
) -> SendPacket {
    SendPacket {
        slot,
        codec: origin.codec,
        red: false,
        sequence: numbers.sequence,
        timestamp: numbers.timestamp,
        marker: false,
        prefix: ArrayVec::new(),
        prefix_replaces: 0,
        payload: packet.payload.skip(packet.payload.len()),
        pass: PassedExtensions::default(),
        priority: Priority::Padding,
        retransmission_of: None,
    }
}

/// Header extensions that pass; AV1's frame number follows the subscriber's pictures.
fn pass(extensions: &PassThrough, patch: PicturePatch) -> PassedExtensions {
    let descriptor = &extensions.dependency_descriptor;
    let numbered = dependency::has_frame_number(descriptor.as_slice());
    PassedExtensions {
        audio_level: extensions.audio_level,
        dependency_descriptor: numbered.then(|| (descriptor.clone(), patch.picture_id)),
        playout_delay: extensions.playout_delay,
        abs_capture_time: extensions.abs_capture_time.clone(),
        video_orientation: extensions.video_orientation,
    }
}
