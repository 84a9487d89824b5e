//! A cursor over foreign bytes: every read may find too few.

use crate::error::IngestError;

/// Reads big-endian values from the front of a slice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is left.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], IngestError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(IngestError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], IngestError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(IngestError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, IngestError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, IngestError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u24(&mut self) -> Result<u32, IngestError> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_be_bytes([0, a, b, c]))
    }

    /// A signed number of 24 bits.
    pub(crate) fn i24(&mut self) -> Result<i32, IngestError> {
        let [a, b, c] = self.array()?;
        Ok(i32::from_be_bytes([a, b, c, 0]) >> 8)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, IngestError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn f64(&mut self) -> Result<f64, IngestError> {
        self.array().map(f64::from_be_bytes)
    }

    pub(crate) fn four(&mut self) -> Result<[u8; 4], IngestError> {
        self.array()
    }
}

/// The lowest 24 bits, as RTMP and FLV write them.
pub(crate) const fn low24(value: u32) -> [u8; 3] {
    let [_, a, b, c] = value.to_be_bytes();
    [a, b, c]
}

/// A length as the wire writes it; lengths beyond 32 bits do not occur here.
pub(crate) fn length32(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_big_endian_and_signed_where_they_are() {
        let bytes = [1, 2, 3, 0xff, 0xff, 0xfe, 9];
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.u24(), Ok(0x01_0203));
        assert_eq!(reader.i24(), Ok(-2));
        assert_eq!(reader.u16(), Err(IngestError::Truncated));
        assert_eq!(reader.u8(), Ok(9));
        assert!(reader.is_empty());
        assert_eq!(low24(0xaabb_ccdd), [0xbb, 0xcc, 0xdd]);
    }
}
