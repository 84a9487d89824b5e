//! Chunks: messages cut into pieces and woven together (RTMP 1.0, section 5.3).

mod reader;
mod writer;

use bytes::Bytes;

pub use reader::ChunkReader;
pub use writer::{ChunkWriter, write_message};

/// What a message holds (RTMP 1.0, sections 5.4 and 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageType(pub u8);

impl MessageType {
    /// How long chunks are from here on.
    pub const SET_CHUNK_SIZE: Self = Self(1);
    /// The rest of a message will not come.
    pub const ABORT: Self = Self(2);
    /// Bytes received so far.
    pub const ACKNOWLEDGEMENT: Self = Self(3);
    /// Stream begin, ping and the like.
    pub const USER_CONTROL: Self = Self(4);
    /// After how many bytes an acknowledgement is wanted.
    pub const WINDOW_SIZE: Self = Self(5);
    /// How much may be under way unacknowledged.
    pub const PEER_BANDWIDTH: Self = Self(6);
    /// One audio tag.
    pub const AUDIO: Self = Self(8);
    /// One video tag.
    pub const VIDEO: Self = Self(9);
    /// Metadata in AMF3.
    pub const DATA_AMF3: Self = Self(15);
    /// A command in AMF3.
    pub const COMMAND_AMF3: Self = Self(17);
    /// Metadata in AMF0.
    pub const DATA_AMF0: Self = Self(18);
    /// A command in AMF0.
    pub const COMMAND_AMF0: Self = Self(20);
    /// Several messages in one.
    pub const AGGREGATE: Self = Self(22);

    /// Whether it may be as long as media is.
    const fn is_media(self) -> bool {
        matches!(self, Self::AUDIO | Self::VIDEO | Self::AGGREGATE)
    }
}

/// One whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it holds.
    pub kind: MessageType,
    /// The message stream that it belongs to; 0 for the connection itself.
    pub stream: u32,
    /// Milliseconds on the sender's clock; wraps.
    pub timestamp: u32,
    /// The bytes.
    pub payload: Bytes,
}

#[cfg(test)]
mod tests;
