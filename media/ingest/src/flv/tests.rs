use super::*;
use crate::codec::TrackFormat;
use media_types::{Codec, EncodedFrame, MediaTime};
use proptest::prelude::*;

const H264: FrameCodec = FrameCodec::Rtp(Codec::H264);
const VIDEO: TrackKey = TrackKey {
    kind: MediaKind::Video,
    id: 0,
};
const AUDIO: TrackKey = TrackKey {
    kind: MediaKind::Audio,
    id: 0,
};

fn read(kind: TagKind, bytes: &[u8]) -> Result<Vec<Parcel>, IngestError> {
    let tag = Tag {
        kind,
        timestamp: 0,
        data: Bytes::copy_from_slice(bytes),
    };
    read_tag(&tag).map(|parcels| parcels.into_iter().collect())
}

fn frame(track: TrackKey, codec: FrameCodec, keyframe: bool, data: &'static [u8]) -> Parcel {
    Parcel::Frame {
        track,
        codec,
        keyframe,
        offset_ms: 0,
        nanos: 0,
        data: Bytes::from_static(data),
    }
}

#[test]
fn numbered_video() {
    let config = Parcel::Config {
        track: VIDEO,
        codec: H264,
        record: Bytes::from_static(b"cc"),
    };
    assert_eq!(
        read(TagKind::Video, b"\x17\x00\x00\x00\x00cc").unwrap(),
        [config]
    );
    let mut expected = frame(VIDEO, H264, false, b"nn");
    if let Parcel::Frame { offset_ms, .. } = &mut expected {
        *offset_ms = -2;
    }
    assert_eq!(
        read(TagKind::Video, b"\x27\x01\xff\xff\xfenn").unwrap(),
        [expected]
    );
    let end = Parcel::End { track: VIDEO };
    assert_eq!(
        read(TagKind::Video, b"\x17\x02\x00\x00\x00").unwrap(),
        [end]
    );
    assert_eq!(read(TagKind::Video, b"\x57\x01\x00\x00\x00").unwrap(), []);
    let unsupported = Parcel::Unsupported { track: VIDEO };
    assert_eq!(read(TagKind::Video, b"\x12abc").unwrap(), [unsupported]);
    assert_eq!(
        read(TagKind::Video, b"\x17\x01\x00"),
        Err(IngestError::Truncated)
    );
}

#[test]
fn numbered_audio() {
    let config = Parcel::Config {
        track: AUDIO,
        codec: FrameCodec::Aac,
        record: Bytes::from_static(b"\x12\x10"),
    };
    assert_eq!(read(TagKind::Audio, b"\xaf\x00\x12\x10").unwrap(), [config]);
    let expected = frame(AUDIO, FrameCodec::Aac, true, b"s");
    assert_eq!(read(TagKind::Audio, b"\xaf\x01s").unwrap(), [expected]);
    // MP3.
    let unsupported = Parcel::Unsupported { track: AUDIO };
    assert_eq!(read(TagKind::Audio, b"\x2fabc").unwrap(), [unsupported]);
}

#[test]
fn enhanced_video_with_and_without_offset() {
    let hevc = FrameCodec::Rtp(Codec::H265);
    let mut expected = frame(VIDEO, hevc, true, b"n");
    assert_eq!(
        read(TagKind::Video, b"\x93hvc1n").unwrap(),
        [expected.clone()]
    );
    if let Parcel::Frame { offset_ms, .. } = &mut expected {
        *offset_ms = 66;
    }
    assert_eq!(
        read(TagKind::Video, b"\x91hvc1\x00\x00\x42n").unwrap(),
        [expected]
    );
    let av1 = frame(VIDEO, FrameCodec::Rtp(Codec::Av1), false, b"obu");
    assert_eq!(read(TagKind::Video, b"\xa1av01obu").unwrap(), [av1]);
    // Colours, a command, and a codec of sound.
    assert_eq!(read(TagKind::Video, b"\x94hvc1abc").unwrap(), []);
    assert_eq!(read(TagKind::Video, b"\xd1\x00").unwrap(), []);
    let unsupported = Parcel::Unsupported { track: VIDEO };
    assert_eq!(read(TagKind::Video, b"\x91Opusn").unwrap(), [unsupported]);
}

#[test]
fn enhanced_audio() {
    let opus = FrameCodec::Rtp(Codec::Opus);
    let config = Parcel::Config {
        track: AUDIO,
        codec: opus,
        record: Bytes::from_static(b"OpusHead"),
    };
    assert_eq!(read(TagKind::Audio, b"\x90OpusOpusHead").unwrap(), [config]);
    let expected = frame(AUDIO, opus, true, b"p");
    assert_eq!(read(TagKind::Audio, b"\x91Opusp").unwrap(), [expected]);
}

#[test]
fn nanoseconds_stand_before_the_payload() {
    let mut expected = frame(VIDEO, FrameCodec::Rtp(Codec::Av1), true, b"o");
    if let Parcel::Frame { nanos, .. } = &mut expected {
        *nanos = 500_000;
    }
    // ModEx of three bytes, type 0; then coded frames.
    let bytes = b"\x97\x02\x07\xa1\x20\x01av01o";
    assert_eq!(read(TagKind::Video, bytes).unwrap(), [expected]);
    let endless = [&b"\x97"[..], &b"\x00\x00\x17".repeat(9), b"av01"].concat();
    assert_eq!(
        read(TagKind::Video, &endless),
        Err(IngestError::Media("extensions"))
    );
}

#[test]
fn several_tracks_in_one_tag() {
    let key = |id| TrackKey {
        kind: MediaKind::Video,
        id,
    };
    let av1 = FrameCodec::Rtp(Codec::Av1);
    let expected = [
        frame(key(0), av1, true, b"aa"),
        frame(key(1), av1, true, b"b"),
    ];
    let bytes = b"\x96\x11av01\x00\x00\x00\x02aa\x01\x00\x00\x01b";
    assert_eq!(read(TagKind::Video, bytes).unwrap(), expected);
    let one = frame(key(3), av1, true, b"ccc");
    assert_eq!(read(TagKind::Video, b"\x96\x01av01\x03ccc").unwrap(), [one]);
    let vp9 = FrameCodec::Rtp(Codec::Vp9);
    let mixed = [
        frame(key(0), av1, true, b"a"),
        frame(key(1), vp9, true, b"b"),
    ];
    let bytes = b"\x96\x21av01\x00\x00\x00\x01avp09\x01\x00\x00\x01b";
    assert_eq!(read(TagKind::Video, bytes).unwrap(), mixed);
    let lies = b"\x96\x11av01\x00\x00\x00\x09aa";
    assert_eq!(read(TagKind::Video, lies), Err(IngestError::Truncated));
    let many = [&b"\x96\x11av01"[..], &b"\x00\x00\x00\x01a".repeat(9)].concat();
    assert_eq!(
        read(TagKind::Video, &many),
        Err(IngestError::Media("tracks"))
    );
}

#[test]
fn a_file_is_its_tags() {
    let tag = Tag {
        kind: TagKind::Video,
        timestamp: 0x0102_0304,
        data: Bytes::from_static(b"body"),
    };
    let bytes = file_tag(&tag);
    let head = [9, 0, 0, 4, 2, 3, 4, 1, 0, 0, 0];
    assert_eq!(&bytes[..], [&head[..], b"body", &[0, 0, 0, 15]].concat());
    let mut rest = Bytes::from([&bytes[..], &bytes[..]].concat());
    for _ in 0..2 {
        let taken = take_tag(&mut rest).unwrap();
        assert_eq!(taken, Some((9, 0x0102_0304, tag.data.clone())));
    }
    assert_eq!(take_tag(&mut rest), Ok(None));
    assert_eq!(
        take_tag(&mut bytes.slice(..13)),
        Err(IngestError::Truncated)
    );
}

fn encoded(codec: FrameCodec, keyframe: bool, millis: u64, offset: u64) -> EncodedFrame {
    let time = |millis: u64| MediaTime {
        ticks: millis * 1_000,
        rate: 1_000_000,
    };
    EncodedFrame {
        codec,
        presented: time(millis + offset),
        decoded: time(millis),
        keyframe,
        captured: None,
        data: Bytes::from_static(b"data"),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        at in 0_usize..7,
        id in 0_u8..4,
        keyframe: bool,
        millis in 0_u64..10_000_000_000,
        offset in 0_u64..500,
    ) {
        let codecs = [
            FrameCodec::Aac, FrameCodec::Rtp(Codec::Opus), H264, FrameCodec::Rtp(Codec::H265),
            FrameCodec::Rtp(Codec::Vp8), FrameCodec::Rtp(Codec::Vp9), FrameCodec::Rtp(Codec::Av1),
        ];
        let codec = codecs[at];
        let keyframe = keyframe || codec.kind() == MediaKind::Audio;
        let has_offset = matches!(codec, FrameCodec::Rtp(Codec::H264 | Codec::H265));
        let offset = if has_offset { offset } else { 0 };
        let track = TrackKey { kind: codec.kind(), id };
        let tag = frame_tag(id, &encoded(codec, keyframe, millis, offset));
        prop_assert_eq!(u64::from(tag.timestamp), millis & 0xffff_ffff);
        let offset_ms = i32::try_from(offset).unwrap();
        let data = Bytes::from_static(b"data");
        let expected = Parcel::Frame { track, codec, keyframe, offset_ms, nanos: 0, data };
        prop_assert_eq!(&read_tag(&tag).unwrap()[..], &[expected]);
        let mut format = TrackFormat::bare(codec).format;
        prop_assert_eq!(config_tag(id, &format, 5), None);
        format.config = Bytes::from_static(b"record");
        let tag = config_tag(id, &format, 5).unwrap();
        let expected = Parcel::Config { track, codec, record: format.config };
        prop_assert_eq!(&read_tag(&tag).unwrap()[..], &[expected]);
    }

    #[test]
    fn any_tag_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for kind in [TagKind::Audio, TagKind::Video, TagKind::Script] {
            let _either = read(kind, &bytes);
        }
    }
}

#[test]
fn metadata_names_codecs_and_sizes() {
    let mut video = TrackFormat::bare(H264).format;
    (video.width, video.height) = (1_280, 720);
    let audio = TrackFormat::bare(FrameCodec::Rtp(Codec::Opus)).format;
    let tag = metadata_tag([&video, &audio]);
    let values = crate::rtmp::amf::read(&tag.data).unwrap();
    assert_eq!(values[0].as_str(), Some("onMetaData"));
    let number = |name: &str| values[1].get(name).and_then(|value| value.as_number());
    assert_eq!(number("videocodecid"), Some(7.0));
    assert_eq!(number("width"), Some(1_280.0));
    assert_eq!(number("audiosamplerate"), Some(48_000.0));
    assert_eq!(
        number("audiocodecid"),
        Some(f64::from(u32::from_be_bytes(*b"Opus")))
    );
}
