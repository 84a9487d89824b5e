//! Frames with the sizes of a real encoder's, and filler inside.

use media_types::Codec;

use super::{Frame, Shape};

/// What an encoder made of ten seconds, see the file.
const CAMERA: &str = include_str!("../../patterns/camera.txt");
/// Frames smaller than this would not hold what makes them frames.
const FRAME_BYTES_MIN: u64 = 64;
const FILLER: u8 = 0x5a;
const OPUS_TOC: u8 = 0x78;

/// The frames, keyframe first.
pub(super) fn frames(shape: Shape) -> Vec<Frame> {
    if shape.codec == Codec::Opus {
        let size = bytes_a_frame(shape).max(FRAME_BYTES_MIN);
        let mut bytes = vec![FILLER; usize::try_from(size).unwrap_or(0)];
        bytes[0] = OPUS_TOC;
        let keyframe = true;
        return vec![Frame { keyframe, bytes }];
    }
    let sizes = camera();
    let total: u64 = sizes.iter().sum();
    let mean = total / u64::try_from(sizes.len()).unwrap_or(1);
    let wanted = bytes_a_frame(shape);
    let frame = |(place, size): (usize, &u64)| {
        let keyframe = place == 0;
        let size = (size * wanted / mean).max(FRAME_BYTES_MIN);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        Frame {
            keyframe,
            bytes: filled(shape, keyframe, size),
        }
    };
    sizes.iter().enumerate().map(frame).collect()
}

fn bytes_a_frame(shape: Shape) -> u64 {
    u64::from(shape.kbps) * 1_000 / 8 / u64::from(shape.fps.max(1))
}

fn camera() -> Vec<u64> {
    let lines = CAMERA.lines().filter(|line| !line.starts_with('#'));
    let words = lines.flat_map(str::split_ascii_whitespace);
    words.filter_map(|word| word.parse().ok()).collect()
}

fn filled(shape: Shape, keyframe: bool, size: usize) -> Vec<u8> {
    let mut bytes = match (shape.codec, keyframe) {
        (Codec::H264, true) => {
            let parameters = [
                0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0x8c, 0x68, 0, 0, 1, 0x68, 0xce,
            ];
            [&parameters[..], &[0x3c, 0x80, 0, 0, 1, 0x65, 0x88]].concat()
        }
        (Codec::H264, false) => vec![0, 0, 1, 0x41, 0x9a],
        // A sequence header and a frame that goes to the end.
        (Codec::Av1, true) => vec![0x0a, 4, 0x08, 0x00, 0x00, 0x00, 0x30, 0x10],
        (Codec::Av1, false) => vec![0x30, 0x30],
        // Frame marker and whether it is predicted; a keyframe's start code.
        (Codec::Vp9, true) => vec![0x82, 0x49, 0x83, 0x42],
        (Codec::Vp9, false) => vec![0x86, 0x00],
        (_, true) => {
            // RFC 6386, section 9.1: tag, start code, size.
            let [w0, w1] = shape.width.to_le_bytes();
            let [h0, h1] = shape.height.to_le_bytes();
            vec![0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, w0, w1, h0, h1]
        }
        (_, false) => vec![0x11, 0x02, 0x00],
    };
    bytes.resize(size.max(bytes.len()), FILLER);
    bytes
}
