//! The conversation between the server and a codec process.
//!
//! A message is its length (32 bits, of what follows), its kind (8 bits) and its fields; numbers
//! are big-endian, times are nanoseconds since the stream's origin, and the last field of a message
//! may be bytes without a length of their own. Both sides say [`VERSION`] first. What is longer
//! than [`MESSAGE_BYTES_MAX`], has an unknown kind, a number out of range or bytes left over is an
//! error, and the conversation is over: neither side trusts the other.

mod field;
mod framer;
mod message;

pub use framer::Framer;
pub use message::{Cause, FromCodec, Health, ToCodec};

use crate::limits::MESSAGE_BYTES_MAX;

/// The version of this conversation; both sides must have the same.
pub const VERSION: u16 = 1;
/// What both first messages begin with, so that a foreign program is told from an old one.
pub const MAGIC: [u8; 4] = *b"TRPC";

/// Why the other side is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// A message of no bytes, or of more than there may be.
    #[error("a message of {bytes} bytes")]
    Length {
        /// As it says.
        bytes: usize,
    },
    /// A message of no known kind.
    #[error("an unknown kind of message: {kind}")]
    Kind {
        /// As it says.
        kind: u8,
    },
    /// The other side speaks something else.
    #[error("not a codec process of Troupe")]
    Magic,
    /// A message ends before its fields do, or has more than them.
    #[error("a message is too short or too long for its kind")]
    Shape,
    /// A field has a value that it may not have.
    #[error("{field} is out of range")]
    Range {
        /// Its name.
        field: &'static str,
    },
}

/// The length before each message, in bytes.
const LENGTH_BYTES: usize = 4;

fn check_length(bytes: usize) -> Result<usize, WireError> {
    if bytes == 0 || bytes > MESSAGE_BYTES_MAX {
        return Err(WireError::Length { bytes });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
