//! Frames out of a byte stream: a length of 16 bits, then the datagram (RFC 4571, section 2).

use crate::limits::FRAME_BYTES_MAX;

/// Why a byte stream is not one of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A frame is longer than any datagram that we take.
    #[error("a frame of {0} bytes")]
    Oversize(usize),
}

/// Bytes in, frames out. Holds one frame at most.
#[derive(Debug)]
pub struct Deframer {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Default for Deframer {
    fn default() -> Self {
        Self {
            buffer: vec![0; 2 * (FRAME_BYTES_MAX + 2)].into(),
            start: 0,
            end: 0,
        }
    }
}

impl Deframer {
    /// Where the next bytes go; never empty once [`Deframer::next_frame`] has returned `None`. Say
    /// how many were written with [`Deframer::filled`].
    pub fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.buffer.len() - self.end < FRAME_BYTES_MAX + 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        &mut self.buffer[self.end..]
    }

    /// So many bytes were written to [`Deframer::space`].
    pub fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.buffer.len());
    }

    /// The next whole frame. Empty frames are legal and mean nothing, so they are passed over.
    ///
    /// # Errors
    /// [`FrameError::Oversize`]; the stream is of no use after that.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, FrameError> {
        loop {
            let waiting = &self.buffer[self.start..self.end];
            let &[high, low, ref rest @ ..] = waiting else {
                return Ok(None);
            };
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length > FRAME_BYTES_MAX {
                return Err(FrameError::Oversize(length));
            }
            if rest.len() < length {
                return Ok(None);
            }
            let from = self.start + 2;
            self.start = from + length;
            if length > 0 {
                return Ok(Some(&self.buffer[from..from + length]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut stream = Vec::new();
        for frame in frames {
            stream.extend(u16::try_from(frame.len()).unwrap().to_be_bytes());
            stream.extend(frame);
        }
        stream
    }

    /// Feeds `stream` in pieces of at most `piece` bytes and collects what comes out.
    fn deframed(stream: &[u8], piece: usize) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut deframer = Deframer::default();
        let mut frames = Vec::new();
        let mut rest = stream;
        while !rest.is_empty() {
            let space = deframer.space();
            assert!(!space.is_empty());
            let count = rest.len().min(piece).min(space.len());
            space[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            deframer.filled(count);
            while let Some(frame) = deframer.next_frame()? {
                frames.push(frame.to_vec());
            }
        }
        Ok(frames)
    }

    #[test]
    fn a_stream_may_be_cut_anywhere() {
        let frames = vec![vec![1], vec![2; 300], vec![3; FRAME_BYTES_MAX], vec![4; 20]];
        let stream = framed(&frames);
        for piece in 1..=stream.len() {
            assert_eq!(deframed(&stream, piece), Ok(frames.clone()), "{piece}");
        }
        for cut in 0..=stream.len() {
            let mut deframer = Deframer::default();
            let mut seen = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                for byte in part.chunks(700) {
                    deframer.space()[..byte.len()].copy_from_slice(byte);
                    deframer.filled(byte.len());
                    while let Some(frame) = deframer.next_frame().unwrap() {
                        seen.push(frame.to_vec());
                    }
                }
            }
            assert_eq!(seen, frames, "cut at {cut}");
        }
    }

    #[test]
    fn empty_frames_are_passed_over() {
        let stream = framed(&[vec![], vec![], vec![5], vec![]]);
        assert_eq!(deframed(&stream, 1), Ok(vec![vec![5]]));
    }

    #[test]
    fn an_oversize_frame_ends_the_stream_at_its_length() {
        let length = u16::try_from(FRAME_BYTES_MAX + 1).unwrap();
        let stream = length.to_be_bytes();
        let refused = Err(FrameError::Oversize(FRAME_BYTES_MAX + 1));
        assert_eq!(deframed(&stream, 1), refused);
        // A client that speaks TLS or HTTP instead is told apart by its first two bytes.
        assert_eq!(
            deframed(b"GET / HTTP/1.1", 64),
            Err(FrameError::Oversize(0x4745))
        );
    }

    proptest! {
        #[test]
        fn frames_survive_the_stream(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..400), 0..20),
            piece in 1_usize..900,
        ) {
            prop_assert_eq!(deframed(&framed(&frames), piece), Ok(frames));
        }

        #[test]
        fn garbage_ends_or_yields_bounded_frames(
            stream in prop::collection::vec(any::<u8>(), 0..20_000),
            piece in 1_usize..5_000,
        ) {
            if let Ok(frames) = deframed(&stream, piece) {
                prop_assert!(frames.iter().all(|f| !f.is_empty() && f.len() <= FRAME_BYTES_MAX));
            }
        }
    }
}
