use super::*;

const RECORD: [u8; 8] = [0, 10, 0x82, 2, 2, 2, 0, 0];

fn frame(config: TrackConfig, dts: u64, composition: i32) -> Frame {
    Frame {
        dts,
        composition,
        keyframe: true,
        config: Arc::new(config),
        data: Bytes::from_static(b"data"),
    }
}

/// The tags in these bytes: type, time, body. Nothing else is in them.
fn tags(bytes: &[u8]) -> Vec<(u8, u32, Vec<u8>)> {
    let all = super::tags(bytes);
    let tags: Vec<_> = all
        .map(|(kind, at, body)| (kind, at, body.to_vec()))
        .collect();
    let length: usize = tags.iter().map(|(_, _, body)| body.len() + 15).sum();
    assert_eq!(length, bytes.len());
    let last = tags.last().map_or(0, |(_, _, body)| body.len() + 11);
    assert!(bytes.ends_with(&u32::try_from(last).unwrap().to_be_bytes()));
    tags
}

#[test]
fn aac_and_h264_are_classic() {
    let mut muxer = FlvMuxer::default();
    let aac = TrackConfig::from_asc(Bytes::from_static(&[0x11, 0x90])).unwrap();
    let chunk = muxer.push(&frame(aac, 96_000, 0)).unwrap();
    let expected = [
        (8, 2_000, vec![0xaf, 0, 0x11, 0x90]),
        (8, 2_000, vec![0xaf, 1, b'd', b'a', b't', b'a']),
    ];
    assert_eq!(tags(&chunk.bytes), expected);
    let h264 = crate::cmaf::tests::h264();
    let chunk = muxer
        .push(&frame(h264.clone(), 90_000 << 16, 7_200))
        .unwrap();
    let tags = tags(&chunk.bytes);
    assert_eq!(tags[0].2[..5], [0x17, 0, 0, 0, 0]);
    assert_eq!(tags[0].2[5..], h264.record[..]);
    assert_eq!(tags[1].1, 65_536_000, "times use the extended byte");
    assert_eq!(tags[1].2, [0x17, 1, 0, 0, 80, b'd', b'a', b't', b'a']);
    assert!(chunk.start);
}

#[test]
fn the_others_are_enhanced() {
    let mut muxer = FlvMuxer::default();
    let record = Bytes::from_static(&RECORD);
    let vp9 = TrackConfig::from_vpcc(Format::Vp9, record.clone(), (64, 64)).unwrap();
    let chunk = muxer.push(&frame(vp9, 0, 0)).unwrap();
    let [config, data] = &tags(&chunk.bytes)[..] else {
        panic!("a configuration and a frame");
    };
    assert_eq!(config.2[..5], *b"\x90vp09");
    assert_eq!(data.2, b"\x91vp09data");
    let chunk = muxer.push(&frame(TrackConfig::opus(2), 0, 0)).unwrap();
    assert!(!chunk.start, "players start with pictures");
    let [config, data] = &tags(&chunk.bytes)[..] else {
        panic!("a configuration and a frame");
    };
    assert_eq!(config.2[..14], *b"\x90OpusOpusHead\x01");
    assert_eq!(data.2, b"\x91Opusdata");
    let vp8 = TrackConfig::from_vpcc(Format::Vp8, record, (64, 64)).unwrap();
    let chunk = muxer.push(&frame(vp8, 0, 0)).unwrap();
    assert_eq!(tags(&chunk.bytes)[1].2, b"\x91vp08data");
}

#[test]
fn who_joins_late_gets_the_configurations_first() {
    let mut muxer = FlvMuxer::default();
    muxer.push(&frame(TrackConfig::opus(2), 0, 0)).unwrap();
    let kinds = Kinds {
        video: false,
        audio: true,
    };
    assert_eq!(header(kinds)[..], *b"FLV\x01\x04\0\0\0\x09\0\0\0\0");
    let prelude = muxer.prelude(Duration::from_millis(70_000)).unwrap();
    let [config] = &tags(&prelude)[..] else {
        panic!("one configuration");
    };
    assert_eq!(
        (config.0, config.1),
        (8, 70_000),
        "no time passes before the first frame"
    );
}
