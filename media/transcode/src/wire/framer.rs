//! Bytes as they come, cut into messages.

use bytes::{Buf, Bytes, BytesMut};

use super::{LENGTH_BYTES, WireError, check_length};

/// Cuts a stream of bytes into messages. It holds one message and what came with its end.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
}

impl Framer {
    /// Takes bytes as they came.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The buffer to read into; what is appended to it is taken.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole message without its length, if it is here.
    ///
    /// # Errors
    /// [`WireError::Length`], after which nothing more can be made of the stream.
    #[allow(
        clippy::should_implement_trait,
        reason = "an iterator would hide that more may come after `None`"
    )]
    pub fn next(&mut self) -> Result<Option<Bytes>, WireError> {
        let Some(length) = self.buffer.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let length = check_length(length)?;
        let whole = length.saturating_add(LENGTH_BYTES);
        if self.buffer.len() < whole {
            self.buffer.reserve(whole - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(LENGTH_BYTES);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}
