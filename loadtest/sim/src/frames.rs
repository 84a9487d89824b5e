//! Synthetic frames that say who made them, so that a receiver can tell foreign, damaged and
//! missing ones apart.

use std::time::Duration;

const MAGIC: u32 = 0x7472_6f75;
/// A keyframe's header (RFC 6386, section 9.1): shown, start code, 320 × 180.
const VP8_KEY: [u8; 10] = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00];
const VP8_DELTA: [u8; 10] = [0x11, 0x02, 0x00, 0, 0, 0, 0, 0, 0, 0];
const HEADER_BYTES: usize = 13;
const AUDIO_BYTES: usize = 80;
/// Without a request a keyframe comes every 10 s at 25 frames a second.
const KEYFRAME_INTERVAL: u32 = 250;

/// Who made a frame, and which of theirs it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Content {
    /// The publisher's number.
    pub publisher: u32,
    /// The frame's number, from 0.
    pub number: u32,
    /// Whether it is a picture, not sound.
    pub video: bool,
    /// Whether a decoder could start here.
    pub keyframe: bool,
}

impl Content {
    /// Reads a frame; `None` if any of its bytes is not what its maker wrote.
    #[must_use]
    pub fn read(data: &[u8], video: bool) -> Option<Self> {
        let body = if video {
            data.get(VP8_KEY.len()..)?
        } else {
            data
        };
        let word = |at: usize| {
            let bytes = body.get(at..at + 4)?;
            Some(u32::from_be_bytes(bytes.try_into().ok()?))
        };
        let content = Self {
            publisher: word(4)?,
            number: word(8)?,
            video,
            keyframe: body.get(12) == Some(&1),
        };
        let filler = body.get(HEADER_BYTES..)?;
        let intact = filler.iter().all(|byte| *byte == content.filler());
        (word(0)? == MAGIC && intact).then_some(content)
    }

    fn filler(self) -> u8 {
        self.publisher
            .wrapping_mul(31)
            .wrapping_add(self.number)
            .to_le_bytes()[0]
    }

    fn write(self, size: usize) -> Vec<u8> {
        let header: &[u8] = match (self.video, self.keyframe) {
            (false, _) => &[],
            (true, true) => &VP8_KEY,
            (true, false) => &VP8_DELTA,
        };
        let mut data = header.to_vec();
        data.extend(MAGIC.to_be_bytes());
        data.extend(self.publisher.to_be_bytes());
        data.extend(self.number.to_be_bytes());
        data.push(u8::from(self.keyframe));
        data.resize(size.max(data.len()), self.filler());
        data
    }
}

/// The frames of one source.
pub(crate) struct Frame {
    publisher: u32,
    video: bool,
    size: usize,
    number: u32,
    keyframe: bool,
}

impl Frame {
    pub(crate) fn new(publisher: u32, video: bool, video_bytes: usize) -> Self {
        let size = if video { video_bytes } else { AUDIO_BYTES };
        Self {
            publisher,
            video,
            size,
            number: 0,
            keyframe: true,
        }
    }

    pub(crate) fn is_video(&self) -> bool {
        self.video
    }

    pub(crate) fn interval(&self) -> Duration {
        Duration::from_millis(if self.video { 40 } else { 20 })
    }

    /// The next frame shall be one that a decoder can start from.
    pub(crate) fn make_keyframe(&mut self) {
        self.keyframe = true;
    }

    pub(crate) fn next(&mut self) -> Vec<u8> {
        let due = self.number.is_multiple_of(KEYFRAME_INTERVAL);
        let keyframe = self.video && (std::mem::take(&mut self.keyframe) || due);
        let content = Content {
            publisher: self.publisher,
            number: self.number,
            video: self.video,
            keyframe,
        };
        self.number += 1;
        // As encoders do, a keyframe takes three times the room.
        content.write(if keyframe { self.size * 3 } else { self.size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_tells_who_made_it_and_that_it_is_whole() {
        let mut frames = Frame::new(7, true, 1_000);
        let first = frames.next();
        let content = Content {
            publisher: 7,
            number: 0,
            video: true,
            keyframe: true,
        };
        assert_eq!(Content::read(&first, true), Some(content));
        let mut second = frames.next();
        assert!(!Content::read(&second, true).unwrap().keyframe);
        second[500] ^= 1;
        assert_eq!(Content::read(&second, true), None);
    }
}
