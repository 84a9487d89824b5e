//! One audio slot of a light client: which frames came in time to be played.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use media_rtp::sequence::{SequenceNumber, SequenceUnwrapper};

use super::offer::RED;
use super::repair::Missing;

const FRAME_TIME: Duration = Duration::from_millis(20);
/// The jitter buffer: sound that comes later than this after the fastest is not played.
const BUFFER: Duration = Duration::from_millis(200);

/// An audio slot.
pub(super) struct Ear {
    unwrapper: SequenceUnwrapper,
    pub(super) missing: Missing,
    /// The first arrival of each frame of each publisher.
    arrived: BTreeMap<u32, BTreeMap<u32, Instant>>,
}

impl Ear {
    pub(super) fn new(rtt: Duration) -> Self {
        Self {
            unwrapper: SequenceUnwrapper::default(),
            missing: Missing::new(rtt),
            arrived: BTreeMap::new(),
        }
    }

    pub(super) fn on_packet(&mut self, now: Instant, kind: u8, sequence: u16, payload: &[u8]) {
        let index = self.unwrapper.unwrap(SequenceNumber(sequence));
        self.missing.on_packet(now, index);
        // Ten frames later nothing is of use.
        self.missing.forget_to(index.saturating_sub(10));
        let blocks = if kind == RED {
            blocks(payload)
        } else {
            vec![payload]
        };
        for block in blocks {
            if let (Some(frame), Some(publisher)) = (word(block, 0), word(block, 4)) {
                let frames = self.arrived.entry(publisher).or_default();
                frames.entry(frame).or_insert(now);
            }
        }
    }

    /// Of the frames of a publisher that were due within `from..to`: how many there were, and how
    /// many were there in time.
    pub(super) fn played(&self, publisher: u32, from: Instant, to: Instant) -> (u64, u64) {
        let Some(frames) = self.arrived.get(&publisher) else {
            return (0, 0);
        };
        let origin = |(frame, at): (&u32, &Instant)| at.checked_sub(FRAME_TIME * *frame);
        let Some(origin) = frames.iter().filter_map(origin).min() else {
            return (0, 0);
        };
        let mut counted = (0, 0);
        let step = FRAME_TIME.as_micros();
        let first = from.saturating_duration_since(origin).as_micros() / step;
        let last = to.saturating_duration_since(origin).as_micros() / step;
        for frame in first..last {
            let Ok(frame) = u32::try_from(frame) else {
                break;
            };
            let due = origin + FRAME_TIME * frame + BUFFER;
            let in_time = frames.get(&frame).is_some_and(|at| *at <= due);
            counted.0 += 1;
            counted.1 += u64::from(in_time);
        }
        counted
    }
}

/// The blocks of redundant audio (RFC 2198), newest last.
fn blocks(payload: &[u8]) -> Vec<&[u8]> {
    let mut lengths = Vec::new();
    let mut at = 0;
    while let Some(word) = word(payload, at).filter(|_| payload[at] & 0x80 != 0) {
        lengths.push(usize::try_from(word & 0x3ff).unwrap_or(0));
        at += 4;
    }
    at += 1;
    let mut blocks = Vec::new();
    for length in lengths {
        blocks.push(payload.get(at..at + length).unwrap_or_default());
        at += length;
    }
    blocks.push(payload.get(at..).unwrap_or_default());
    blocks
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redundant_audio_is_taken_apart() {
        let two = [0x80 | 111, 0, 4, 2, 111, b'o', b'l', b'n', b'e', b'w'];
        assert_eq!(blocks(&two), [b"ol".as_slice(), b"new"]);
        assert_eq!(blocks(&[111, 1, 2, 3, 4, 5]), [[1, 2, 3, 4, 5]]);
    }

    #[test]
    fn a_frame_is_played_if_it_or_its_copy_comes_in_time() {
        #[allow(clippy::disallowed_methods, reason = "any instant does as the start")]
        let start = Instant::now() + Duration::from_secs(10);
        let mut ear = Ear::new(Duration::from_millis(40));
        let packet = |frame: u32| [&frame.to_be_bytes()[..], &[0, 0, 0, 9]].concat();
        for frame in 0..10_u32 {
            let late = Duration::from_millis(if frame == 7 { 250 } else { 30 });
            if frame != 3 {
                let at = start + FRAME_TIME * frame + late;
                ear.on_packet(at, 111, u16::try_from(frame).unwrap(), &packet(frame));
            }
        }
        let played = ear.played(9, start, start + FRAME_TIME * 10);
        // The origin lies 30 ms after the start, so eight frames and a part are due by then.
        assert_eq!(played, (8, 6));
    }
}
