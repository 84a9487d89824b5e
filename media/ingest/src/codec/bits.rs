//! A cursor over the bits of a parameter set.

use crate::error::IngestError;

/// Reads bits, most significant first, past the bytes that only keep start codes away
/// (ISO 14496-10, section 7.4.1).
pub(super) struct BitReader<'a> {
    rest: &'a [u8],
    zeroes: u8,
    current: u8,
    left: u8,
}

impl<'a> BitReader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            zeroes: 0,
            current: 0,
            left: 0,
        }
    }

    fn next_byte(&mut self) -> Result<(), IngestError> {
        loop {
            let (byte, rest) = self.rest.split_first().ok_or(IngestError::Truncated)?;
            self.rest = rest;
            if self.zeroes >= 2 && *byte == 3 {
                self.zeroes = 0;
                continue;
            }
            self.zeroes = if *byte == 0 {
                self.zeroes.saturating_add(1)
            } else {
                0
            };
            self.current = *byte;
            self.left = 8;
            return Ok(());
        }
    }

    pub(super) fn bit(&mut self) -> Result<bool, IngestError> {
        if self.left == 0 {
            self.next_byte()?;
        }
        self.left = self.left.saturating_sub(1);
        Ok((self.current >> self.left) & 1 == 1)
    }

    /// Up to 32 bits.
    pub(super) fn bits(&mut self, count: u8) -> Result<u32, IngestError> {
        let mut value = 0;
        for _ in 0..count {
            value = (value << 1) | u32::from(self.bit()?);
        }
        Ok(value)
    }

    pub(super) fn skip(&mut self, count: u16) -> Result<(), IngestError> {
        for _ in 0..count {
            self.bit()?;
        }
        Ok(())
    }

    /// An unsigned Exp-Golomb number (ISO 14496-10, section 9.1).
    pub(super) fn golomb(&mut self) -> Result<u32, IngestError> {
        let mut zeroes = 0_u8;
        while !self.bit()? {
            zeroes = zeroes.saturating_add(1);
            if zeroes > 31 {
                return Err(IngestError::Media("number"));
            }
        }
        let rest = self.bits(zeroes)?;
        Ok((1_u32 << zeroes).wrapping_sub(1).wrapping_add(rest))
    }

    /// A signed one, of which only the length matters here.
    pub(super) fn skip_golomb(&mut self) -> Result<(), IngestError> {
        self.golomb().map(|_| ())
    }
}
