//! RTP: headers, descriptors, SRTP, the receive record.

use std::time::{Duration, Instant};

use media_rtp::descriptor::dependency::{DependencyState, rewrite_frame_number};
use media_rtp::descriptor::{inspect, resolution};
use media_rtp::extension::{ExtensionKind, ExtensionMap, Extensions};
use media_rtp::header::{PacketKind, RtpHeader};
use media_rtp::receive::{ReceiveStream, unwrap_rtx};
use media_rtp::srtp::{MasterKey, SrtpProfile, SrtpReceiver};
use media_types::Codec;

const PROFILES: [SrtpProfile; 3] = [
    SrtpProfile::AeadAes256Gcm,
    SrtpProfile::AeadAes128Gcm,
    SrtpProfile::AesCm128HmacSha1_80,
];

fn extension_map() -> ExtensionMap {
    let mut map = ExtensionMap::new();
    let kinds = [
        ExtensionKind::AudioLevel,
        ExtensionKind::AbsSendTime,
        ExtensionKind::TransportSequence,
        ExtensionKind::Mid,
        ExtensionKind::Rid,
        ExtensionKind::RepairedRid,
        ExtensionKind::DependencyDescriptor,
        ExtensionKind::PlayoutDelay,
        ExtensionKind::AbsCaptureTime,
        ExtensionKind::VideoOrientation,
    ];
    for (id, kind) in (1..).zip(kinds) {
        map.insert(kind, id).expect("ids from 1 to 10 are legal");
    }
    map
}

/// Headers and their extensions: ranges lie inside the packet, in order.
pub(crate) fn header(input: &[u8]) {
    let _ = PacketKind::of(input);
    let Ok(header) = RtpHeader::parse(input) else {
        return;
    };
    let payload = header.payload();
    assert!(header.extension_block().end <= payload.start);
    assert!(payload.start <= payload.end && payload.end <= input.len());
    let elements: usize = header
        .elements(input)
        .map(|element| element.data.len())
        .sum();
    assert!(elements <= input.len());
    let _ = Extensions::read(&header, input, &extension_map());
}

/// Payload descriptors of every codec: the first byte chooses, the rest is the payload.
pub(crate) fn payload_descriptor(input: &[u8]) {
    let Some((choice, payload)) = input.split_first() else {
        return;
    };
    let codec = Codec::ALL[usize::from(*choice) % Codec::ALL.len()];
    let _ = resolution(codec, payload);
    if let Some(frame) = inspect(codec, payload, false, None) {
        assert!(!payload.is_empty(), "{frame:?} of nothing");
    }
}

/// A stream of dependency descriptors: each is a length and that many bytes.
pub(crate) fn dependency_descriptor(mut input: &[u8]) {
    let mut state = DependencyState::default();
    while let Some((length, rest)) = input.split_first() {
        let (extension, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        if let Some(dependency) = state.read(extension) {
            let _ = inspect(Codec::Av1, &[0x10, 0], true, Some(&dependency));
            for target in 0..state.target_count() {
                let _ = (state.target_layer(target), state.chain_of(target));
            }
        }
        let mut copy = extension.to_vec();
        let rewritten = rewrite_frame_number(&mut copy, 0x1234);
        assert_eq!(copy.len(), extension.len());
        assert!(rewritten || copy == extension);
        input = rest;
    }
}

/// SRTP and SRTCP of every profile: nothing that chance makes is authentic.
pub(crate) fn srtp(input: &[u8]) {
    for profile in PROFILES {
        let key = vec![1; profile.key_length()];
        let salt = vec![2; profile.salt_length()];
        let master = MasterKey::new(profile, &key, &salt).expect("lengths fit the profile");
        let mut receiver = SrtpReceiver::new(profile, &master).expect("a receiver");
        let mut out = vec![0; 2_048];
        if let Ok(header) = RtpHeader::parse(input) {
            assert!(receiver.open_rtp(&header, input, &mut out).is_err());
        }
        assert!(receiver.open_rtcp(input, &mut out).is_err());
        assert!(out.is_empty(), "nothing unauthentic is left behind");
    }
}

/// The receive record: each three bytes are a sequence number and how long after it came.
pub(crate) fn receive(input: &[u8]) {
    let _ = unwrap_rtx(input);
    #[allow(clippy::disallowed_methods, reason = "any instant does as the start")]
    let mut now = Instant::now();
    let mut stream = ReceiveStream::new(90_000, true);
    for chunk in input.chunks_exact(3) {
        let sequence = u16::from_be_bytes([chunk[0], chunk[1]]);
        now += Duration::from_millis(chunk[2].into());
        stream.on_packet(now, sequence, u32::from(sequence) * 3_000, 1_000);
        let missing = stream.poll_nacks(now, Duration::from_millis(50));
        assert!(
            !missing.contains(&sequence),
            "what has come is not asked for"
        );
        let _ = stream.report(now);
    }
}
