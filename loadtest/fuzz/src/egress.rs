//! Egress: payloads put together to frames, and foreign decoder configurations.

use std::time::Duration;

use bytes::Bytes;
use media_egress::cmaf::init_segment;
use media_egress::depacketize::Depacketizer;
use media_egress::limits::FRAME_BYTES_MAX;
use media_egress::reorder::TapPacket;
use media_egress::{Format, TrackConfig};
use media_types::{Codec, Payload};

/// A stream of packets: the first byte chooses the codec; then each packet is a step of its
/// sequence number, a byte of flags (marker, another timestamp), a length, and that many bytes.
pub(crate) fn depacketize(input: &[u8]) {
    let Some((choice, mut rest)) = input.split_first() else {
        return;
    };
    let codec = Codec::ALL[usize::from(*choice) % Codec::ALL.len()];
    let mut depacketizer = Depacketizer::new(codec);
    let (mut sequence, mut timestamp) = (1_000_u64, 0_u32);
    let mut now = Duration::from_secs(1);
    while let [step, flags, length, tail @ ..] = rest {
        let (payload, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        sequence = sequence.saturating_add_signed(i64::from(step.cast_signed()));
        timestamp = timestamp.wrapping_add(u32::from(flags >> 1) * 1_000);
        now += Duration::from_millis(u64::from(*flags));
        let packet = TapPacket {
            sequence,
            timestamp,
            marker: flags & 1 != 0,
            payload: Payload::copy_of(payload).expect("at most 255 bytes"),
        };
        depacketizer.handle_packet(now, packet);
        rest = tail;
    }
    depacketizer.handle_timeout(now + Duration::from_secs(1));
    while let Some(frame) = depacketizer.poll_frame() {
        assert!(frame.data.len() <= FRAME_BYTES_MAX);
        assert_eq!(frame.config.format, Format::from(codec));
        let _ = init_segment(&[&frame.config]);
    }
}

/// Configuration records as ingests hand them on: the first byte chooses the codec.
pub(crate) fn record(input: &[u8]) {
    let Some((choice, record)) = input.split_first() else {
        return;
    };
    let record = Bytes::copy_from_slice(record);
    let config = match choice % 6 {
        0 => TrackConfig::from_avcc(record),
        1 => TrackConfig::from_hvcc(record),
        2 => TrackConfig::from_av1c(record),
        3 => TrackConfig::from_vpcc(Format::Vp9, record, (640, 360)),
        4 => TrackConfig::from_vpcc(Format::Vp8, record, (640, 360)),
        _ => TrackConfig::from_asc(record),
    };
    if let Ok(config) = config {
        let init = init_segment(&[&config]).expect("what was read can be written");
        assert!(init.starts_with(&[0, 0, 0]) && config.timescale > 0);
    }
}
