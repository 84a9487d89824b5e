//! Media to send in tests.

use std::time::Duration;

use arrayvec::ArrayVec;
use media_types::{Codec, Payload};
use media_webrtc::{PassedExtensions, Priority, SendPacket, SlotIndex};
use str0m::media::{Mid, Pt};
use str0m::rtp::RtpWrite;

use crate::support::Pair;

/// A payload that no other sequence number has.
pub(crate) fn payload(sequence: u64, length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0_u8..=255).cycle().take(length).collect();
    bytes[..8].copy_from_slice(&sequence.to_be_bytes());
    bytes
}

/// The payload type with which the client sends this codec.
pub(crate) fn client_pt(pair: &Pair, codec: str0m::format::Codec) -> Pt {
    let mut params = pair.client.codec_config().params().iter();
    params
        .find(|params| params.spec().codec == codec)
        .unwrap()
        .pt()
}

/// The client sends one packet on an m-line.
pub(crate) fn client_sends(pair: &mut Pair, mid: Mid, pt: Pt, sequence: u64) {
    let now = pair.now;
    let bytes = payload(sequence, 900);
    let time = u32::try_from(sequence * 3_000 % (1 << 32)).unwrap();
    let write = RtpWrite::new(pt, sequence.into(), time, now, bytes)
        .marker(true)
        .nackable(true);
    let mut api = pair.client.direct_api();
    api.stream_tx_by_mid(mid, None).unwrap().write_rtp(write);
    pair.drain_client();
}

pub(crate) fn packet(slot: SlotIndex, codec: Codec, sequence: u64) -> SendPacket {
    SendPacket {
        slot,
        codec,
        red: false,
        sequence,
        timestamp: u32::try_from(sequence * 3_000 % (1 << 32)).unwrap(),
        marker: true,
        prefix: ArrayVec::new(),
        prefix_replaces: 0,
        payload: Payload::copy_of(&payload(sequence, 1_000)).unwrap(),
        pass: PassedExtensions::default(),
        priority: Priority::Video,
        retransmission_of: None,
    }
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
