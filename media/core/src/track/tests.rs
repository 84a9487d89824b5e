use media_rtp::extension::Extensions;
use media_rtp::level::AudioLevel;
use media_types::Payload;

use super::*;

#[allow(clippy::disallowed_methods, reason = "a base for virtual time")]
fn base() -> Instant {
    Instant::now()
}

const LOCAL: Publisher = Publisher::Relay {
    from: media_contract::RelayPeer::Shard(media_types::ShardId(1)),
    since: media_types::Epoch::FIRST,
    told: None,
};

fn track(kind: MediaKind) -> Track {
    let source = TrackSource::default_for(kind);
    Track::new(TrackId::new(1), kind, source, "a".parse().unwrap(), LOCAL)
}

fn arrival(codec: Codec, stream: u8, sequence: u64, payload: &[u8]) -> Arrival {
    Arrival {
        stream,
        simulcast: stream > 0,
        index: None,
        ssrc: 1 + u32::from(stream),
        codec,
        red: false,
        sequence,
        timestamp: 0,
        marker: true,
        extensions: Extensions::default(),
        payload: Payload::copy_of(payload).unwrap(),
        fed: None,
    }
}

const VP8_KEY: [u8; 12] = [
    0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01, 0,
];

#[test]
fn a_packet_is_kept_shared_and_counted() {
    let (now, mut source) = (base(), 0);
    let mut track = track(MediaKind::Video);
    let packet = arrival(Codec::Vp8, 0, 9, &VP8_KEY);
    let taken = track.take(now, &packet, &mut source).unwrap();
    assert!(taken.started && taken.reallocate && taken.keyframe);
    let stored = track.stream(0).unwrap().history.get(9).unwrap();
    assert!(stored.payload.same_buffer(&packet.payload));
    assert_eq!(track.codec, Some(Codec::Vp8));
    let step = track.layers.steps().next().unwrap();
    assert_eq!((step.layer, step.size), (Layer::BASE, Some((640, 360))));
    let next = arrival(Codec::Vp8, 0, 10, &VP8_KEY);
    let taken = track.take(now, &next, &mut source).unwrap();
    assert!(!taken.started && !taken.reallocate);
}

#[test]
fn what_is_muted_or_makes_no_sense_is_dropped() {
    let (now, mut source) = (base(), 0);
    let mut track = track(MediaKind::Video);
    let mut take = |track: &mut Track, codec, stream, payload: &[u8]| {
        let packet = arrival(codec, stream, 9, payload);
        track.take(now, &packet, &mut source).err()
    };
    assert!(track.set_muted(now, true) && !track.set_muted(now, true));
    assert_eq!(
        take(&mut track, Codec::Vp8, 0, &VP8_KEY),
        Some(DropReason::Muted)
    );
    track.set_muted(now, false);
    let bad = Some(DropReason::BadPayload);
    assert_eq!(take(&mut track, Codec::Opus, 0, &VP8_KEY), bad);
    assert_eq!(take(&mut track, Codec::Vp8, 3, &VP8_KEY), bad);
    assert_eq!(take(&mut track, Codec::Vp8, 0, &[0x80]), bad);
    assert_eq!(take(&mut track, Codec::Vp8, 0, &VP8_KEY), None);
}

#[test]
fn another_ssrc_or_codec_is_another_source() {
    let (now, mut source) = (base(), 0);
    let mut track = track(MediaKind::Video);
    let mut packet = arrival(Codec::Vp8, 0, 9, &VP8_KEY);
    track.take(now, &packet, &mut source).unwrap();
    assert_eq!(track.stream(0).unwrap().source, 1);
    packet.ssrc = 77;
    track.take(now, &packet, &mut source).unwrap();
    assert_eq!(track.stream(0).unwrap().source, 2);
    // H.264: a sequence parameter set.
    let packet = arrival(Codec::H264, 0, 10, &[0x67, 1, 2, 3]);
    let taken = track.take(now, &packet, &mut source).unwrap();
    assert!(taken.reallocate && taken.keyframe);
    assert_eq!(track.stream(0).unwrap().source, 3);
    assert_eq!(track.codec, Some(Codec::H264));
}

#[test]
fn padding_counts_and_is_no_picture() {
    let (now, mut source) = (base(), 0);
    let mut track = track(MediaKind::Video);
    let packet = arrival(Codec::Vp8, 0, 9, &[]);
    let taken = track.take(now, &packet, &mut source).unwrap();
    assert!(!taken.started && !taken.keyframe);
    assert!(track.layers.known().is_empty());
    assert!(
        track
            .stream(0)
            .unwrap()
            .history
            .get(9)
            .unwrap()
            .payload
            .is_empty()
    );
}

#[test]
fn a_keyframe_is_asked_of_the_nearest_encoding_that_flows() {
    let (now, mut source) = (base(), 0);
    let mut track = track(MediaKind::Video);
    assert_eq!(
        track.keyframe_stream(2),
        Some(2),
        "a relay asks for what it wants"
    );
    track.publisher = Publisher::Local {
        link: 0,
        mid: "0".parse().unwrap(),
    };
    assert_eq!(track.keyframe_stream(2), None, "nobody can be asked yet");
    for stream in [1, 0] {
        let mut packet = arrival(Codec::Vp8, stream, 9, &VP8_KEY);
        packet.simulcast = true;
        track.take(now, &packet, &mut source).unwrap();
    }
    assert_eq!(track.keyframe_stream(2), Some(1));
    assert_eq!(track.keyframe_stream(0), Some(0));
}

#[test]
fn audio_is_heard() {
    let (now, mut source) = (base(), 0);
    let mut track = track(MediaKind::Audio);
    for sequence in 0..20 {
        let mut packet = arrival(Codec::Opus, 0, sequence, &[7; 60]);
        packet.extensions.audio_level = Some(AudioLevel {
            level_dbov: 20,
            voice: true,
        });
        track.take(now, &packet, &mut source).unwrap();
    }
    assert!(track.loudness.poll(now).is_some_and(|level| level < 30));
    track.set_muted(now, true);
    assert_eq!(track.loudness.poll(now), None);
}
