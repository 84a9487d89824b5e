//! Bytes in order, and numbers in them.

use super::WireError;

/// What a two-bit prefix says of a number's length (RFC 9000, section 16).
const TWO: u64 = 1 << 6;
const FOUR: u64 = 1 << 14;
const EIGHT: u64 = 1 << 30;
const MOST: u64 = (1 << 62) - 1;

/// Appends to a buffer.
pub(crate) struct Writer<'a>(pub(crate) &'a mut Vec<u8>);

impl Writer<'_> {
    pub(crate) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn flag(&mut self, value: bool) {
        self.0.push(u8::from(value));
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn short(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn word(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn long(&mut self, value: u64) {
        self.raw(&value.to_be_bytes());
    }

    /// A number of unknown size; above 2^62 − 1 that.
    pub(crate) fn number(&mut self, value: u64) {
        let value = value.min(MOST);
        if value < TWO {
            self.raw(value.to_be_bytes().get(7..).unwrap_or_default());
        } else if value < FOUR {
            let prefixed = value | (1 << 14);
            self.raw(prefixed.to_be_bytes().get(6..).unwrap_or_default());
        } else if value < EIGHT {
            let prefixed = value | (2 << 30);
            self.raw(prefixed.to_be_bytes().get(4..).unwrap_or_default());
        } else {
            self.long(value | (3 << 62));
        }
    }

    /// Bytes with their length before them.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(u64::try_from(bytes.len()).unwrap_or(MOST));
        self.raw(bytes);
    }
}

/// Takes from the front of bytes.
#[derive(Clone)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn raw(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(WireError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let taken = self.raw(N)?;
        taken.try_into().map_err(|_size| WireError::Short)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, WireError> {
        let [value] = self.array()?;
        Ok(value)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, WireError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::Bad("flag")),
        }
    }

    pub(crate) fn short(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn word(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn long(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn number(&mut self) -> Result<u64, WireError> {
        let first = self.byte()?;
        let more = match first >> 6 {
            0 => 0,
            1 => 1,
            2 => 3,
            _ => 7,
        };
        let rest = self.raw(more)?;
        let start = u64::from(first & 0x3f);
        let add = |value: u64, byte: &u8| (value << 8) | u64::from(*byte);
        Ok(rest.iter().fold(start, add))
    }

    /// Bytes with their length before them, at most `max`.
    pub(crate) fn bytes(&mut self, max: usize) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if length > max {
            return Err(WireError::Bad("length"));
        }
        self.raw(length)
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn end(self) -> Result<(), WireError> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(WireError::Trailing),
        }
    }
}
