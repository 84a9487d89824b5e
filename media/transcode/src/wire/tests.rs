use std::time::Duration;

use bytes::Bytes;
use media_types::Bitrate;
use proptest::prelude::*;

use super::*;
use crate::limits::{CONFIG_BYTES_MAX, TEXT_BYTES_MAX};
use crate::{Format, Job, MediaFrame, Size};

fn bytes(most: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..most).prop_map(Bytes::from)
}

fn time() -> impl Strategy<Value = Duration> {
    (0..i64::MAX).prop_map(|nanos| Duration::from_nanos(nanos.unsigned_abs()))
}

fn frame() -> impl Strategy<Value = MediaFrame> {
    let data = prop::collection::vec(any::<u8>(), 1..2_000).prop_map(Bytes::from);
    (time(), time(), any::<bool>(), data).prop_map(|(presented, decoded, keyframe, data)| {
        MediaFrame {
            presented,
            decoded,
            keyframe,
            data,
        }
    })
}

fn size() -> impl Strategy<Value = Size> {
    (16_u16..4_096, 16_u16..4_096).prop_map(|(w, h)| Size::new(w * 2, h * 2).unwrap())
}

fn audio() -> impl Strategy<Value = Bitrate> {
    (6_000_u64..=510_000).prop_map(Bitrate::from_bps)
}

fn video() -> impl Strategy<Value = Bitrate> {
    (50_000_u64..=100_000_000).prop_map(Bitrate::from_bps)
}

fn job() -> impl Strategy<Value = Job> {
    prop_oneof![
        (bytes(64), audio()).prop_map(|(config, bitrate)| Job::AacToOpus { config, bitrate }),
        audio().prop_map(|bitrate| Job::OpusToAac { bitrate }),
        (prop::option::of(video()), prop::option::of(size()))
            .prop_map(|(bitrate, size)| Job::H264 { bitrate, size }),
    ]
}

fn to_codec() -> impl Strategy<Value = ToCodec> {
    prop_oneof![
        any::<u16>().prop_map(|version| ToCodec::Hello { version }),
        (job(), time()).prop_map(|(job, begin)| ToCodec::Start { job, begin }),
        frame().prop_map(ToCodec::Frame),
        any::<u64>().prop_map(|bps| ToCodec::Bitrate(Bitrate::from_bps(bps))),
        Just(ToCodec::Keyframe),
        Just(ToCodec::Flush),
        any::<u64>().prop_map(|nonce| ToCodec::Ping { nonce }),
    ]
}

fn health() -> impl Strategy<Value = Health> {
    any::<[u64; 5]>().prop_map(|[nonce, taken, made, refused, bps]| Health {
        nonce,
        taken,
        made,
        refused,
        bitrate: Bitrate::from_bps(bps),
    })
}

fn from_codec() -> impl Strategy<Value = FromCodec> {
    let format = (bytes(64), prop::option::of(size()))
        .prop_map(|(config, size)| FromCodec::Format(Format { config, size }));
    prop_oneof![
        (any::<u16>(), "[a-z é]{0,40}")
            .prop_map(|(version, backend)| FromCodec::Hello { version, backend }),
        format,
        frame().prop_map(FromCodec::Frame),
        health().prop_map(FromCodec::Health),
        Just(FromCodec::Flushed),
        (prop::sample::select(&Cause::ALL), "[a-z é]{0,40}")
            .prop_map(|(cause, text)| FromCodec::Failed { cause, text }),
    ]
}

/// What a framer makes of bytes that come in pieces.
fn cut(bytes: &[u8], piece: usize) -> Vec<Bytes> {
    let mut framer = Framer::default();
    let mut found = Vec::new();
    for piece in bytes.chunks(piece) {
        framer.feed(piece);
        while let Some(body) = framer.next().unwrap() {
            found.push(body);
        }
    }
    found
}

proptest! {
    #[test]
    fn what_the_server_says_is_understood(
        said in prop::collection::vec(to_codec(), 1..8), piece in 1_usize..500,
    ) {
        let mut bytes = Vec::new();
        said.iter().for_each(|message| message.write(&mut bytes));
        let heard = cut(&bytes, piece).into_iter().map(|body| ToCodec::parse(body).unwrap());
        prop_assert_eq!(heard.collect::<Vec<_>>(), said);
    }

    #[test]
    fn what_the_process_says_is_understood(
        said in prop::collection::vec(from_codec(), 1..8), piece in 1_usize..500,
    ) {
        let mut bytes = Vec::new();
        said.iter().for_each(|message| message.write(&mut bytes));
        let heard = cut(&bytes, piece).into_iter().map(|body| FromCodec::parse(body).unwrap());
        prop_assert_eq!(heard.collect::<Vec<_>>(), said);
    }

    #[test]
    fn a_message_cut_short_is_refused(message in to_codec(), keep in 0.0..1.0) {
        let mut bytes = Vec::new();
        message.write(&mut bytes);
        let body = Bytes::from(bytes).slice(4..);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share")]
        let keep = (body.len() as f64 * keep) as usize;
        if let Ok(other) = ToCodec::parse(body.slice(..keep)) {
            // Only the bytes at a message's end may be fewer.
            let mut again = Vec::new();
            other.write(&mut again);
            prop_assert_eq!(&again[4..], &body[..keep]);
        }
    }
}

fn body(kind: u8, fields: &[&[u8]]) -> Bytes {
    let mut body = vec![kind];
    fields
        .iter()
        .for_each(|field| body.extend_from_slice(field));
    Bytes::from(body)
}

#[test]
fn a_frame_on_the_wire() {
    let mut bytes = Vec::new();
    let frame = MediaFrame {
        presented: Duration::from_millis(40),
        decoded: Duration::from_nanos(1),
        keyframe: true,
        data: Bytes::from_static(&[0xaa, 0xbb]),
    };
    ToCodec::Frame(frame).write(&mut bytes);
    let at = [0, 0, 0, 0, 0x02, 0x62, 0x5a, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let mut expected = vec![0, 0, 0, 20, 3, 1];
    expected.extend(at);
    expected.extend([0xaa, 0xbb]);
    assert_eq!(bytes, expected);
}

#[test]
fn lengths_are_bounded() {
    let mut framer = Framer::default();
    framer.feed(&[0, 0, 0, 0, 1]);
    assert_eq!(framer.next(), Err(WireError::Length { bytes: 0 }));
    let mut framer = Framer::default();
    framer.feed(&[0xff; 4]);
    let bytes = usize::try_from(u32::MAX).unwrap();
    assert_eq!(framer.next(), Err(WireError::Length { bytes }));
}

#[test]
fn nonsense_is_refused() {
    let range = |field| Err(WireError::Range { field });
    let said = |body| FromCodec::parse(body).unwrap_err();
    assert_eq!(
        ToCodec::parse(body(99, &[])),
        Err(WireError::Kind { kind: 99 })
    );
    assert_eq!(ToCodec::parse(body(5, &[&[0]])), Err(WireError::Shape));
    assert_eq!(
        ToCodec::parse(body(1, &[b"RTSP\0\x01"])),
        Err(WireError::Magic)
    );
    assert_eq!(ToCodec::parse(body(3, &[&[2]])), range("a flag"));
    assert_eq!(
        ToCodec::parse(body(3, &[&[1], &[0xff; 8]])),
        range("a time")
    );
    assert_eq!(
        ToCodec::parse(body(3, &[&[1], &[0; 16]])),
        range("a frame's data")
    );
    let start = |fields: &[&[u8]]| ToCodec::parse(body(2, &[&[0; 8], &fields.concat()]));
    assert_eq!(start(&[&[9]]), range("a job"));
    assert_eq!(start(&[&[2], &[0; 8]]), range("a bitrate"));
    assert_eq!(start(&[&[3, 0, 1], &[0; 4]]), range("a size"));
    let config = vec![0; CONFIG_BYTES_MAX + 1];
    let opus = 64_000_u64.to_be_bytes();
    assert_eq!(start(&[&[1], &opus, &config]), range("a configuration"));
    let cause = WireError::Range { field: "a cause" };
    assert_eq!(said(body(134, &[&[6]])), cause);
    let text = WireError::Range { field: "a text" };
    assert_eq!(said(body(134, &[&[0, 0xff]])), text);
}

#[test]
fn a_long_text_is_cut() {
    let mut bytes = Vec::new();
    let text = "é".repeat(TEXT_BYTES_MAX);
    let cause = Cause::Internal;
    FromCodec::Failed { cause, text }.write(&mut bytes);
    let Ok(FromCodec::Failed { text, .. }) = FromCodec::parse(Bytes::from(bytes).slice(4..)) else {
        panic!("it is read");
    };
    assert_eq!(text, "é".repeat(TEXT_BYTES_MAX / 2));
}
