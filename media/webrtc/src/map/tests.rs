//! Binding of sources, by each way there is.

use super::*;
use crate::line::{LineFeedback, LineFormat};
use crate::sdp::{DeclaredSource, Direction};

fn line(mid: &str, kind: MediaKind, rids: &[&str]) -> Line {
    let (payload_type, codec, rtx) = match kind {
        MediaKind::Audio => (111, Codec::Opus, None),
        MediaKind::Video => (96, Codec::Vp8, Some(97)),
    };
    Line {
        mid: mid.parse().unwrap(),
        kind,
        client: Direction::of("sendonly").unwrap(),
        formats: vec![LineFormat {
            payload_type,
            codec,
            rtx,
        }],
        red: (kind == MediaKind::Audio).then_some(63),
        extensions: ExtensionMap::new(),
        rids: rids.iter().map(|rid| rid.parse().unwrap()).collect(),
        sources: Vec::new(),
        feedback: LineFeedback::default(),
    }
}

fn map(lines: &[Line]) -> StreamMap {
    let mut map = StreamMap::default();
    map.update(lines);
    map
}

fn named(mid: Option<&str>, rid: Option<&str>, repaired: Option<&str>) -> Extensions {
    Extensions {
        mid: mid.map(|mid| mid.parse().unwrap()),
        rid: rid.map(|rid| rid.parse().unwrap()),
        repaired_rid: repaired.map(|rid| rid.parse().unwrap()),
        ..Extensions::default()
    }
}

const VP8: PayloadUse = PayloadUse::Media(Codec::Vp8);
const VP8_RTX: PayloadUse = PayloadUse::Rtx(Codec::Vp8);
const OPUS: PayloadUse = PayloadUse::Media(Codec::Opus);

fn bound(stream: u16, repair: bool) -> Result<Binding, DropReason> {
    let stream = StreamIndex(stream);
    Ok(Binding { stream, repair })
}

#[test]
fn mid_and_rid_name_a_layer_and_its_repairs() {
    let mut map = map(&[
        line("0", MediaKind::Audio, &[]),
        line("1", MediaKind::Video, &["q", "h", "f"]),
    ]);
    assert_eq!(map.payload_use(97), VP8_RTX);
    assert_eq!(map.payload_use(63), PayloadUse::Red);
    assert_eq!(
        map.bind(10, OPUS, &named(Some("0"), None, None)),
        bound(0, false)
    );
    assert_eq!(
        map.bind(11, VP8, &named(Some("1"), Some("h"), None)),
        bound(2, false)
    );
    assert_eq!(
        map.bind(12, VP8_RTX, &named(Some("1"), None, Some("h"))),
        bound(2, true)
    );
    assert_eq!(map.name(StreamIndex(2)).unwrap().spatial, 1);
    assert_eq!(map.binding(12), bound(2, true).ok());
    let unknown = Err(DropReason::UnknownStream);
    assert_eq!(map.bind(13, VP8, &named(Some("1"), None, None)), unknown);
    assert_eq!(
        map.bind(13, VP8, &named(Some("1"), Some("x"), None)),
        unknown
    );
    assert_eq!(map.bind(13, VP8, &named(Some("9"), None, None)), unknown);
    assert_eq!(map.binding(13), None);
}

#[test]
fn without_names_the_only_line_that_fits_is_it() {
    let mut map = map(&[
        line("a", MediaKind::Audio, &[]),
        line("v", MediaKind::Video, &[]),
    ]);
    let nothing = named(None, None, None);
    assert_eq!(map.bind(1, OPUS, &nothing), bound(0, false));
    assert_eq!(map.bind(2, VP8, &nothing), bound(1, false));
    assert_eq!(map.bind(3, VP8_RTX, &nothing), bound(1, true));
    assert_eq!(map.bind(4, PayloadUse::Red, &nothing), bound(0, false));
    assert_eq!(
        map.bind(5, PayloadUse::Unknown, &nothing),
        Err(DropReason::UnknownStream)
    );
}

#[test]
fn of_several_lines_the_only_one_without_a_source_is_it() {
    let mut first = line("v", MediaKind::Video, &[]);
    first.sources = vec![DeclaredSource {
        ssrc: 7,
        rtx: Some(8),
    }];
    let mut map = map(&[first, line("w", MediaKind::Video, &[])]);
    assert_eq!(map.binding(7), bound(0, false).ok());
    assert_eq!(map.binding(8), bound(0, true).ok());
    let nothing = named(None, None, None);
    assert_eq!(map.bind(9, VP8, &nothing), bound(1, false));
    assert_eq!(map.bind(10, VP8, &nothing), Err(DropReason::UnknownStream));
    assert_eq!(map.bind(10, VP8_RTX, &nothing), bound(1, true));
}

#[test]
fn streams_keep_their_index_over_renegotiation() {
    let mut map = map(&[line("v", MediaKind::Video, &["q", "h"])]);
    map.update(&[
        line("v", MediaKind::Video, &["q", "h"]),
        line("w", MediaKind::Video, &[]),
    ]);
    assert_eq!(map.len(), 3);
    assert_eq!(map.name(StreamIndex(1)).unwrap().rid, "h".parse().ok());
    let mut stopped = line("v", MediaKind::Video, &["q", "h"]);
    stopped.client = Direction::of("inactive").unwrap();
    map.update(&[stopped]);
    assert_eq!(map.len(), 3);
    assert!(map.publishing_line("v".parse().unwrap()).is_none());
}

#[test]
fn sources_are_bounded() {
    let mut map = map(&[line("v", MediaKind::Video, &[])]);
    let video = named(Some("v"), None, None);
    for ssrc in 0..u32::try_from(SOURCES_MAX).unwrap() {
        assert_eq!(map.bind(ssrc, VP8, &video), bound(0, false));
    }
    assert_eq!(map.bind(99_999, VP8, &video), Err(DropReason::Sources));
}
