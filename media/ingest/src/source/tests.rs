use super::*;
use crate::flv::TagKind;

const VIDEO: TrackKey = TrackKey {
    kind: MediaKind::Video,
    id: 0,
};
const AUDIO: TrackKey = TrackKey {
    kind: MediaKind::Audio,
    id: 0,
};
const UNIX: Duration = Duration::from_secs(1_700_000_000);

/// Baseline of 16 × 16, so that nothing is said of reordering; 42 is the profile.
const BASELINE: &[u8] =
    b"\x01\x42\x00\x0a\xff\xe1\x00\x06\x67\x42\x00\x0a\xf8\x41\x01\x00\x02\x68\xce";
/// Main profile, cut short before it says anything of the order of pictures.
const MAIN: &[u8] = b"\x01\x4d\x00\x0a\xff\xe1\x00\x05\x67\x4d\x00\x0a\xf8\x01\x00\x02\x68\xce";

struct Bench {
    start: Instant,
    source: Source,
}

impl Bench {
    fn new() -> Self {
        #[allow(clippy::disallowed_methods, reason = "any instant does as the start")]
        let start = Instant::now();
        let source = Source::default();
        Self { start, source }
    }

    fn tag(&mut self, kind: TagKind, at: u64, timestamp: u32, data: &[u8]) -> Vec<SourceEvent> {
        let tag = Tag {
            kind,
            timestamp,
            data: Bytes::copy_from_slice(data),
        };
        let after = Duration::from_millis(at);
        self.source
            .handle_tag(self.start + after, UNIX + after, &tag)
            .unwrap();
        std::iter::from_fn(|| self.source.poll_event()).collect()
    }

    fn video(&mut self, at: u64, keyframe: bool, offset: u8) -> Vec<SourceEvent> {
        let first = if keyframe { 0x17 } else { 0x27 };
        let data = [first, 1, 0, 0, offset, 0, 0, 0, 2, 0x65, 9];
        let timestamp = u32::try_from(at).unwrap();
        self.tag(TagKind::Video, at, timestamp, &data)
    }
}

fn config(record: &[u8]) -> Vec<u8> {
    [&[0x17, 0, 0, 0, 0][..], record].concat()
}

#[test]
fn a_format_and_then_frames() {
    let mut bench = Bench::new();
    let events = bench.tag(TagKind::Video, 0, 0, &config(BASELINE));
    let [
        SourceEvent::Format {
            track,
            format,
            parameter_sets,
        },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(
        (*track, format.codec),
        (VIDEO, FrameCodec::Rtp(Codec::H264))
    );
    assert_eq!(&format.config[..], BASELINE);
    assert_eq!(parameter_sets.len(), 2);
    assert_eq!(bench.tag(TagKind::Video, 0, 0, &config(BASELINE)), []);
    let events = bench.video(40, true, 0);
    let time = |ticks| MediaTime {
        ticks,
        rate: 1_000_000,
    };
    let frame = EncodedFrame {
        codec: FrameCodec::Rtp(Codec::H264),
        presented: time(0),
        decoded: time(0),
        keyframe: true,
        captured: Some(NtpTime::from_unix(UNIX + Duration::from_millis(40))),
        data: Bytes::from_static(&[0, 0, 0, 2, 0x65, 9]),
    };
    assert_eq!(
        events,
        [SourceEvent::Frame {
            track: VIDEO,
            frame
        }]
    );
    // Another configuration of the same track.
    assert_eq!(bench.tag(TagKind::Video, 50, 50, &config(MAIN)).len(), 1);
}

#[test]
fn frames_without_a_configuration_are_dropped() {
    let mut bench = Bench::new();
    assert_eq!(bench.video(0, true, 0), []);
    assert_eq!(bench.tag(TagKind::Audio, 0, 0, &[0xaf, 1, 5]), []);
    // A codec that describes itself needs none.
    let opus = bench.tag(TagKind::Audio, 20, 20, b"\x91Opus\xf8x");
    let SourceEvent::Format { track, format, .. } = &opus[0] else {
        panic!("{opus:?}");
    };
    assert_eq!(
        (*track, format.codec),
        (AUDIO, FrameCodec::Rtp(Codec::Opus))
    );
    assert_eq!(opus.len(), 2);
}

#[test]
fn pictures_out_of_order_are_told_once() {
    let mut bench = Bench::new();
    bench.tag(TagKind::Video, 0, 0, &config(MAIN));
    assert_eq!(bench.video(0, true, 40).len(), 1);
    assert_eq!(bench.video(40, false, 120).len(), 1);
    let events = bench.video(80, false, 0);
    let SourceEvent::Reordered {
        track: VIDEO,
        format,
        ..
    } = &events[0]
    else {
        panic!("{events:?}");
    };
    assert_eq!(&format.config[..], MAIN);
    assert_eq!(events.len(), 2);
    assert_eq!(bench.video(120, false, 0).len(), 1);
    // A constant offset is no other order.
    let mut even = Bench::new();
    even.tag(TagKind::Video, 0, 0, &config(MAIN));
    assert!((0..9).all(|frame| even.video(frame * 40, frame == 0, 80).len() == 1));
}

#[test]
fn sound_is_evened_out_and_snaps_where_it_breaks() {
    let mut bench = Bench::new();
    bench.tag(TagKind::Audio, 0, 0, &[0xaf, 0, 0x12, 0x10]);
    let mut times = Vec::new();
    for frame in 0..100_u64 {
        // 1,024 samples at 44.1 kHz, cut to milliseconds.
        let at = frame * 1_024 * 1_000 / 44_100;
        let timestamp = u32::try_from(at).unwrap();
        for event in bench.tag(TagKind::Audio, at, timestamp, &[0xaf, 1, 5]) {
            let SourceEvent::Frame { track, frame } = event else {
                panic!("a frame")
            };
            assert_eq!(track, AUDIO);
            times.push(frame.decoded.ticks);
        }
    }
    let exact: Vec<u64> = (0..100)
        .map(|frame| frame * 1_024 * 1_000_000 / 44_100)
        .collect();
    assert_eq!(times, exact);
    let events = bench.tag(TagKind::Audio, 2_500, 2_500, &[0xaf, 1, 5]);
    let SourceEvent::Frame { frame, .. } = &events[0] else {
        panic!("a frame")
    };
    assert_eq!(frame.decoded.ticks, 2_500_000);
}

#[test]
fn what_is_not_taken_is_told_once() {
    let mut bench = Bench::new();
    let unsupported = SourceEvent::Unsupported { track: AUDIO };
    assert_eq!(bench.tag(TagKind::Audio, 0, 0, &[0x2f, 1]), [unsupported]);
    assert_eq!(bench.tag(TagKind::Audio, 0, 0, &[0x2f, 1]), []);
}

#[test]
fn the_delimiter_of_av1_is_left_out() {
    let mut bench = Bench::new();
    let events = bench.tag(TagKind::Video, 0, 0, b"\x91av01\x12\x00\x32\x01f");
    let SourceEvent::Frame { frame, .. } = &events[1] else {
        panic!("{events:?}")
    };
    assert_eq!(&frame.data[..], b"\x32\x01f");
}

#[test]
fn a_track_ends() {
    let mut bench = Bench::new();
    bench.tag(TagKind::Video, 0, 0, &config(BASELINE));
    let end = [0x17, 2, 0, 0, 0];
    let ended = SourceEvent::Ended { track: VIDEO };
    assert_eq!(bench.tag(TagKind::Video, 9, 9, &end), [ended]);
    assert_eq!(bench.tag(TagKind::Video, 9, 9, &end), []);
}
