use bytes::Bytes;
use media_types::{Codec, FrameCodec, MediaKind};
use proptest::prelude::*;

use super::*;
use crate::error::IngestError;
use crate::flv::{Parcel, TrackKey};

fn rendition(codec: FrameCodec, codecs: &str, description: &'static [u8]) -> Rendition {
    let video = codec.kind() == MediaKind::Video;
    Rendition {
        track: if video { "video" } else { "audio" }.to_owned(),
        codec,
        codecs: codecs.to_owned(),
        container: Container::Legacy,
        description: Bytes::from_static(description),
        width: if video { 640 } else { 0 },
        height: if video { 360 } else { 0 },
        sample_rate: if video { 0 } else { 48_000 },
        channels: if video { 0 } else { 2 },
    }
}

#[test]
fn catalogs_are_what_players_read() {
    let catalog = Catalog {
        renditions: vec![
            rendition(Codec::H264.into(), "avc1.42c01f", b"\x01\x42"),
            rendition(Codec::Opus.into(), "opus", b""),
        ],
        unsupported: 0,
    };
    let video = concat!(
        r#""codec":"avc1.42c01f","container":{"kind":"legacy"},"#,
        r#""description":"0142","codedWidth":640,"codedHeight":360"#
    );
    let audio = concat!(
        r#""codec":"opus","container":{"kind":"legacy"},"#,
        r#""sampleRate":48000,"numberOfChannels":2"#
    );
    let section =
        |kind: &str, of: &str| format!(r#""{kind}":{{"renditions":{{"{kind}":{{{of}}}}}}}"#);
    let text = format!(
        "{{{},{}}}",
        section("video", video),
        section("audio", audio)
    );
    assert_eq!(catalog.write(), text.as_bytes());
    assert_eq!(Catalog::read(text.as_bytes()), Ok(catalog));
}

#[test]
fn what_is_not_taken_is_left_out() {
    let text = br#"{"scte35":1,"video":{"renditions":{
        "a":{"codec":"theora"},
        "b":{"codec":"avc1.42c01f","container":{"kind":"cmaf","init":"AAAA"}},
        "c":{"codec":"hev1.1.6.L93"},
        "d":{"codec":"vp8","container":{"kind":"loc"},"framerate":29.97}},"rotation":90},
        "audio":{"renditions":{"e":{"codec":"vp8"},"f":{"codec":"mp4a.40.2"}}}}"#;
    let catalog = Catalog::read(text).unwrap();
    assert_eq!(catalog.unsupported, 5);
    let [only] = &catalog.renditions[..] else {
        panic!("{catalog:?}");
    };
    assert_eq!((only.track.as_str(), only.container), ("d", Container::Loc));
}

#[test]
fn a_group_changes_its_catalog() {
    let mut reader = CatalogReader::default();
    let names = |catalog: Catalog| -> Vec<String> {
        catalog.renditions.into_iter().map(|it| it.track).collect()
    };
    let whole = br#"{"video":{"renditions":{"v":{"codec":"vp8"}}}}"#;
    assert_eq!(names(reader.frame(whole, true).unwrap()), ["v"]);
    let sound = br#"{"audio":{"renditions":{"a":{"codec":"opus"}}}}"#;
    assert_eq!(names(reader.frame(sound, false).unwrap()), ["v", "a"]);
    let gone = br#"{"video":{"renditions":{"v":null}}}"#;
    assert_eq!(names(reader.frame(gone, false).unwrap()), ["a"]);
    assert_eq!(names(reader.frame(whole, true).unwrap()), ["v"]);
    assert!(reader.frame(b"7", false).is_err());
}

#[test]
fn bounds_are_kept() {
    let broken = |text: &str| Catalog::read(text.as_bytes()).is_err();
    assert!(broken("[]"));
    assert!(broken(
        r#"{"video":{"renditions":{"v":{"codec":"vp8","description":"0g"}}}}"#
    ));
    assert!(broken(
        r#"{"video":{"renditions":{"v":{"codec":"vp8","description":"012"}}}}"#
    ));
    let entries: Vec<_> = (0..9)
        .map(|id| format!(r#""{id}":{{"codec":"vp8"}}"#))
        .collect();
    let many = format!(r#"{{"video":{{"renditions":{{{}}}}}}}"#, entries.join(","));
    assert!(broken(&many));
    assert!(broken(&" ".repeat(crate::limits::CATALOG_BYTES_MAX + 1)));
    assert_eq!(Catalog::read(b"{}"), Ok(Catalog::default()));
}

#[test]
fn loc_has_its_time_among_properties() {
    let read = |bytes: &'static [u8]| Container::Loc.unpack(&Bytes::from_static(bytes));
    // Type 0x10, 50 ms in microseconds; then the payload.
    let frame = b"\x05\x10\x80\x00\xc3\x50xy";
    assert_eq!(read(frame), Ok((50_000, Bytes::from_static(b"xy"))));
    // Timescale 1,000; an odd type with its bytes; the timestamp after both.
    let frame = b"\x09\x08\x43\xe8\x01\x01z\x07\x40\x32p";
    assert_eq!(read(frame), Ok((50_000, Bytes::from_static(b"p"))));
    assert_eq!(
        read(b"\x02\x08\x00p"),
        Err(IngestError::Media("no timestamp"))
    );
    assert_eq!(
        read(b"\x04\x08\x00\x08\x01p"),
        Err(IngestError::Media("timescale"))
    );
    assert_eq!(read(b"\x09\x10\x01"), Err(IngestError::Truncated));
    assert_eq!(read(b"\x04\x10\x80\x00\x01"), Err(IngestError::Truncated));
}

#[test]
fn start_codes_become_lengths_and_a_record() {
    let unpacker = Unpacker::new(rendition(Codec::H264.into(), "avc3.42c01f", b""), 0);
    assert_eq!(unpacker.config(), None);
    let key = TrackKey {
        kind: MediaKind::Video,
        id: 0,
    };
    let annex_b = b"\0\0\0\x01\x67\x42\xc0\x1f\x01\0\0\x01\x68\xce\0\0\0\x01\x65\x88\x80";
    let (micros, config, frame) = unpacker.frame(&pack(7, annex_b), true).unwrap();
    assert_eq!(micros, 7);
    let record = b"\x01\x42\xc0\x1f\xff\xe1\0\x05\x67\x42\xc0\x1f\x01\x01\0\x02\x68\xce";
    let expected = Parcel::Config {
        track: key,
        codec: Codec::H264.into(),
        record: Bytes::from_static(record),
    };
    assert_eq!(config, Some(expected));
    let data = b"\0\0\0\x05\x67\x42\xc0\x1f\x01\0\0\0\x02\x68\xce\0\0\0\x03\x65\x88\x80";
    let expected = Parcel::Frame {
        track: key,
        codec: Codec::H264.into(),
        keyframe: true,
        offset_ms: 0,
        nanos: 0,
        data: Bytes::from_static(data),
    };
    assert_eq!(frame, expected);
}

#[test]
fn sound_can_start_anywhere_and_pictures_at_their_group() {
    let keyframe = |codec: Codec, first| {
        let unpacker = Unpacker::new(rendition(codec.into(), "opus", b""), 1);
        let parcel = unpacker.frame(&pack(0, b"x"), first).unwrap().2;
        let Parcel::Frame { keyframe, .. } = parcel else {
            panic!("{parcel:?}");
        };
        keyframe
    };
    assert!(keyframe(Codec::Opus, false));
    assert!(keyframe(Codec::Vp8, true));
    assert!(!keyframe(Codec::Vp8, false));
}

proptest! {
    #[test]
    fn frames_come_back_as_they_were(micros in 0_u64..1 << 62, data: Vec<u8>) {
        let packed = pack(micros, &data);
        prop_assert_eq!(Container::Legacy.unpack(&packed), Ok((micros, Bytes::from(data))));
    }

    #[test]
    fn foreign_bytes_never_panic(bytes: Vec<u8>, first: bool) {
        let bytes = Bytes::from(bytes);
        let _loc = Container::Loc.unpack(&bytes);
        let _catalog = Catalog::read(&bytes);
        let unpacker = Unpacker::new(rendition(Codec::H264.into(), "avc3", b""), 0);
        let _frame = unpacker.frame(&bytes, first);
    }
}
