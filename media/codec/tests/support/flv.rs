//! Sources made by ffmpeg, in the shape in which RTMP brings them: FLV tags, times in milliseconds.

use std::time::Duration;

use bytes::Bytes;
use media_transcode::MediaFrame;

/// What a FLV file holds.
#[derive(Default)]
pub(crate) struct Flv {
    /// Raw AAC frames, and their `AudioSpecificConfig`.
    pub(crate) audio: Vec<MediaFrame>,
    pub(crate) audio_config: Bytes,
    /// H.264 access units, NAL units after their lengths, parameter sets before keyframes.
    pub(crate) video: Vec<MediaFrame>,
}

/// Has ffmpeg make one.
pub(crate) fn made_by(arguments: &str) -> Flv {
    parse(&super::ffmpeg(&format!("{arguments} -f flv -"), &[]))
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn parse(file: &[u8]) -> Flv {
    let mut flv = Flv::default();
    let mut parameters = Vec::new();
    let mut rest = &file[13..];
    while rest.len() > 11 {
        let size = usize::try_from(number(&rest[1..4])).expect("24 bits");
        let at = Duration::from_millis(number(&rest[4..7]) | u64::from(rest[7]) << 24);
        let body = &rest[11..11 + size];
        match (rest[0], body.get(1)) {
            (8, Some(0)) => flv.audio_config = Bytes::copy_from_slice(&body[2..]),
            (8, Some(1)) => {
                let data = Bytes::copy_from_slice(&body[2..]);
                flv.audio.push(MediaFrame::audio(at, data));
            }
            (9, Some(0)) => parameters = parameter_sets(&body[5..]),
            (9, Some(1)) => {
                let keyframe = body[0] >> 4 == 1;
                let mut data = if keyframe {
                    parameters.clone()
                } else {
                    Vec::new()
                };
                data.extend_from_slice(&body[5..]);
                flv.video.push(MediaFrame {
                    presented: at + Duration::from_millis(number(&body[2..5])),
                    decoded: at,
                    keyframe,
                    data: Bytes::from(data),
                });
            }
            _ => {}
        }
        rest = &rest[11 + size + 4..];
    }
    flv
}

/// SPS and PPS of an `AVCDecoderConfigurationRecord`, each after its length in four bytes.
fn parameter_sets(record: &[u8]) -> Vec<u8> {
    let mut found = Vec::new();
    let mut rest = &record[5..];
    for _ in 0..2 {
        let count = rest[0] & 0x1f;
        rest = &rest[1..];
        for _ in 0..count {
            let size = usize::try_from(number(&rest[..2])).expect("16 bits");
            found.extend([0, 0]);
            found.extend_from_slice(&rest[..2 + size]);
            rest = &rest[2 + size..];
        }
    }
    found
}
