//! What the header extensions of one packet say.

use std::time::Duration;

use arrayvec::ArrayVec;
use media_types::{Mid, Rid};

use super::{ExtensionKind, ExtensionMap};
use crate::bytes;
use crate::header::RtpHeader;
use crate::level::AudioLevel;

/// The bytes of a dependency descriptor, passed on and parsed elsewhere.
pub type DescriptorBytes = ArrayVec<u8, 255>;
/// The bytes of an absolute capture time: 8, or 16 with the offset of the clock.
pub type AbsCaptureTime = ArrayVec<u8, 16>;

/// The values of a packet's header extensions. What is absent or malformed is `None`, as RFC 8285
/// asks: a bad extension is ignored, not the packet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    /// The m-line.
    pub mid: Option<Mid>,
    /// The simulcast layer.
    pub rid: Option<Rid>,
    /// The simulcast layer that this retransmission repairs.
    pub repaired_rid: Option<Rid>,
    /// How loud it is.
    pub audio_level: Option<AudioLevel>,
    /// The sender's clock in units of 2^-18 s, modulo 64 s; 24 bits.
    pub abs_send_time: Option<u32>,
    /// The transport-wide number.
    pub transport_sequence: Option<u16>,
    /// Least and greatest playout delay, 12 bits each in units of 10 ms.
    pub playout_delay: Option<[u8; 3]>,
    /// When the frame was captured.
    pub abs_capture_time: Option<AbsCaptureTime>,
    /// Camera, flip and rotation bits.
    pub video_orientation: Option<u8>,
    /// Layers and dependencies of the picture.
    pub dependency_descriptor: Option<DescriptorBytes>,
}

impl Extensions {
    /// Reads those extensions of a packet that `map` knows.
    #[must_use]
    pub fn read(header: &RtpHeader, packet: &[u8], map: &ExtensionMap) -> Self {
        let mut values = Self::default();
        for element in header.elements(packet) {
            if let Some(kind) = map.kind(element.id) {
                values.set(kind, element.data);
            }
        }
        values
    }

    fn set(&mut self, kind: ExtensionKind, data: &[u8]) {
        let first = data.first().copied();
        match kind {
            ExtensionKind::Mid => self.mid = Mid::from_bytes(data).ok(),
            ExtensionKind::Rid => self.rid = Rid::from_bytes(data).ok(),
            ExtensionKind::RepairedRid => self.repaired_rid = Rid::from_bytes(data).ok(),
            ExtensionKind::AudioLevel => self.audio_level = first.map(AudioLevel::from_byte),
            ExtensionKind::AbsSendTime => {
                let value = bytes::chunk(data, 0);
                self.abs_send_time = value.map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]));
            }
            ExtensionKind::TransportSequence => self.transport_sequence = bytes::u16_at(data, 0),
            ExtensionKind::DependencyDescriptor => {
                self.dependency_descriptor = DescriptorBytes::try_from(data).ok();
            }
            ExtensionKind::PlayoutDelay => self.playout_delay = bytes::chunk(data, 0),
            ExtensionKind::AbsCaptureTime => {
                let legal = matches!(data.len(), 8 | 16);
                let value = AbsCaptureTime::try_from(data).ok();
                self.abs_capture_time = value.filter(|_| legal);
            }
            ExtensionKind::VideoOrientation => self.video_orientation = first,
            // Told anew with every change; whoever needs it reads the element.
            ExtensionKind::VideoLayersAllocation => {}
        }
    }
}

/// Ticks of the absolute send time a second.
const ABS_SEND_TICKS: u128 = 1 << 18;

/// The absolute send time of a moment, given as the time since an origin of the sender's choice.
#[must_use]
pub fn abs_send_time_of(since_origin: Duration) -> u32 {
    let ticks = since_origin.as_nanos() * ABS_SEND_TICKS / 1_000_000_000;
    u32::try_from(ticks & 0xff_ffff).unwrap_or(0)
}

/// The three bytes of the header extension.
#[must_use]
pub const fn abs_send_time_bytes(abs_send_time: u32) -> [u8; 3] {
    let [_, a, b, c] = abs_send_time.to_be_bytes();
    [a, b, c]
}

/// How much later `later` is than `earlier`, over at most one wrap of 64 seconds.
#[must_use]
pub fn abs_send_time_since(earlier: u32, later: u32) -> Duration {
    let ticks = later.wrapping_sub(earlier) & 0xff_ffff;
    Duration::from_nanos((u64::from(ticks) * 1_000_000_000) >> 18)
}
