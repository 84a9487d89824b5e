//! NAL units behind lengths, as files and RTMP hold them (ISO 14496-15).

use bytes::Bytes;

use crate::bytes::length32;

/// The NAL units of a frame; ends early where a length does not fit.
#[derive(Debug, Clone)]
pub struct NalUnits<'a> {
    rest: &'a [u8],
    length_bytes: u8,
}

impl<'a> NalUnits<'a> {
    /// Over a frame whose NAL units stand behind lengths of that many bytes, 1 to 4.
    #[must_use]
    pub const fn new(frame: &'a [u8], length_bytes: u8) -> Self {
        Self {
            rest: frame,
            length_bytes,
        }
    }
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let (length, rest) = self.rest.split_at_checked(self.length_bytes.into())?;
            let length = length.iter().fold(0_usize, |sum, byte| {
                sum.saturating_mul(256).saturating_add(usize::from(*byte))
            });
            let Some((nal, rest)) = rest.split_at_checked(length) else {
                self.rest = &[];
                return None;
            };
            self.rest = rest;
            if !nal.is_empty() {
                return Some(nal);
            }
        }
    }
}

/// The same frame with lengths of four bytes; shared where it has them already.
#[must_use]
pub fn with_four_byte_lengths(frame: Bytes, length_bytes: u8) -> Bytes {
    if length_bytes == 4 {
        return frame;
    }
    let mut out = Vec::with_capacity(frame.len().saturating_add(64));
    for nal in NalUnits::new(&frame, length_bytes) {
        out.extend_from_slice(&length32(nal.len()).to_be_bytes());
        out.extend_from_slice(nal);
    }
    out.into()
}
