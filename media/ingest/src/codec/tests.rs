use super::*;
use proptest::prelude::*;

fn bytes(hex: &str) -> Bytes {
    let nibbles: Vec<u8> = hex.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    nibbles
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// 320 × 180 without B-frames, and 640 × 360 with two, by x264.
const PLAIN: &str = "0164000cffe100186764000cacb202833f3e0220000003002000000641e28549\
                     01000668ebc3cb22c0fdf8f800";
const WITH_B: &str = "0164001effe1001a6764001eacd940a02ff97011000003000100000300320f16\
                      2d9601000668ebe3cb22c0fdf8f800";
/// 640 × 360 without B-frames, by x265.
const HEVC: &str = "0101600000009000000000003ff000fcfdf8f800000f03200001001840010c01ffff\
                    01600000030090000003000003003f928090210001002a4201010160000003009000\
                    0003000003003fa0050201696592a4932bc05a020000030002000003003210220001\
                    00074401c172b46240";

const H264: FrameCodec = FrameCodec::Rtp(Codec::H264);
const H265: FrameCodec = FrameCodec::Rtp(Codec::H265);

#[test]
fn h264_tells_its_size_and_order() {
    let plain = TrackFormat::read(H264, bytes(PLAIN)).unwrap();
    assert_eq!((plain.format.width, plain.format.height), (320, 180));
    assert_eq!(plain.reordering, Reordering::Never);
    assert_eq!(plain.nal_length_bytes, 4);
    let kinds: Vec<u8> = plain.parameter_sets.iter().map(|set| set[0]).collect();
    assert_eq!(kinds, [0x67, 0x68]);
    assert_eq!(plain.format.config, bytes(PLAIN));
    let with_b = TrackFormat::read(H264, bytes(WITH_B)).unwrap();
    assert_eq!((with_b.format.width, with_b.format.height), (640, 360));
    assert_eq!(with_b.reordering, Reordering::Stated);
}

#[test]
fn h265_tells_its_size_and_order() {
    let track = TrackFormat::read(H265, bytes(HEVC)).unwrap();
    assert_eq!((track.format.width, track.format.height), (640, 360));
    assert_eq!(track.reordering, Reordering::Never);
    let kinds: Vec<u8> = track.parameter_sets.iter().map(|set| set[0] >> 1).collect();
    assert_eq!(kinds, [32, 33, 34]);
}

#[test]
fn aac_and_opus_tell_rate_and_channels() {
    let aac = TrackFormat::read(FrameCodec::Aac, bytes("1210")).unwrap();
    assert_eq!((aac.format.sample_rate, aac.format.channels), (44_100, 2));
    // An explicit rate of 44,100 Hz, mono.
    let odd = AudioSpecificConfig::read(&bytes("17805622080000")).unwrap();
    assert_eq!((odd.object, odd.rate, odd.channels), (2, 44_100, 1));
    assert!(AudioSpecificConfig::read(&bytes("17ffffff08")).is_err());
    let opus = FrameCodec::Rtp(Codec::Opus);
    let head = TrackFormat::read(opus, bytes("4f707573486561640101380180bb0000000000")).unwrap();
    assert_eq!((head.format.sample_rate, head.format.channels), (48_000, 1));
}

#[test]
fn opus_packets_tell_their_length() {
    // CELT of 20 ms; SILK of 60 ms; two frames of 2.5 ms; three of 10 ms; nothing.
    for (head, samples) in [
        (&[0xf8][..], 960),
        (&[0x18], 2_880),
        (&[0x80 | 1], 240),
        (&[0x93, 3], 1_440),
        (&[], 0),
    ] {
        assert_eq!(packet_samples(head), samples, "{head:?}");
    }
}

#[test]
fn short_lengths_become_four_bytes() {
    let mut record = bytes(PLAIN).to_vec();
    record[4] = 0xfd;
    let track = TrackFormat::read(H264, record.into()).unwrap();
    assert_eq!(track.nal_length_bytes, 2);
    assert_eq!(track.format.config, bytes(PLAIN));
    let frame = Bytes::from_static(b"\x00\x02ab\x00\x00\x00\x01c\x00\x09cut");
    let nals: Vec<&[u8]> = NalUnits::new(&frame, 2).collect();
    assert_eq!(nals, [&b"ab"[..], b"c"]);
    let long = with_four_byte_lengths(frame, 2);
    assert_eq!(&long[..], b"\x00\x00\x00\x02ab\x00\x00\x00\x01c");
}

#[test]
fn records_that_break_their_format_are_refused() {
    assert!(TrackFormat::read(H264, bytes(&PLAIN[..40])).is_err());
    assert!(TrackFormat::read(H264, bytes("0064000cffe100")).is_err());
    assert!(TrackFormat::read(H264, bytes("0164000cffe000")).is_err());
    assert!(TrackFormat::read(H265, bytes(&HEVC[..60])).is_err());
    assert!(TrackFormat::read(FrameCodec::Aac, Bytes::new()).is_err());
}

#[test]
fn names_go_both_ways() {
    for codec in Codec::ALL
        .map(FrameCodec::Rtp)
        .into_iter()
        .chain([FrameCodec::Aac])
    {
        assert_eq!(from_four_characters(four_characters(codec)), Some(codec));
    }
    assert_eq!(from_four_characters(*b"vvc1"), None);
}

proptest! {
    #[test]
    fn any_record_is_read_or_refused(
        record in prop::collection::vec(any::<u8>(), 0..120),
        at in 0_usize..45,
        byte: u8,
    ) {
        for codec in Codec::ALL.map(FrameCodec::Rtp).into_iter().chain([FrameCodec::Aac]) {
            let _either = TrackFormat::read(codec, record.clone().into());
        }
        let mut near = bytes(PLAIN).to_vec();
        near[at] = byte;
        let _either = TrackFormat::read(H264, near.into());
        let mut near = bytes(HEVC).to_vec();
        near[at * 2] = byte;
        let _either = TrackFormat::read(H265, near.into());
    }
}
