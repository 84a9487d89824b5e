//! What workers say to each other, as bytes.
//!
//! Big-endian, numbers of unknown size as QUIC writes them (RFC 9000, section 16). Packets carry a
//! label in the place of the ids of their track ([`super::hop`]); everything else is a frame of the
//! control stream, which names its room, epoch, track and both shards in full. Whatever cannot be
//! read is refused whole. [`VERSION`] is told when two workers meet; what it stands for never
//! changes.

mod bytes;
mod control;
mod packet;

use thiserror::Error;

pub(crate) use bytes::{Reader, Writer};
pub(crate) use control::Control;

/// The version of everything here.
pub const VERSION: u16 = 4;

/// Why bytes of another worker were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WireError {
    /// They end too soon.
    #[error("cut short")]
    Short,
    /// A value that has no meaning.
    #[error("bad {0}")]
    Bad(&'static str),
    /// Something follows the end.
    #[error("too long")]
    Trailing,
}

#[cfg(test)]
mod tests;
