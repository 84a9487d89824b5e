//! Messages to chunks.

use super::MessageType;
use crate::bytes::{length32, low24};
use crate::limits::CHUNK_SIZE_START;

/// A timestamp field that says: look behind the header.
const EXTENDED: u32 = 0x00ff_ffff;

/// Writes one message as chunks with a full header, so that it can be read whatever came before:
/// what one player gets, every other may get as well. `parts` are joined; `id` is from 2 to 63.
pub fn write_message(
    out: &mut Vec<u8>,
    chunk_size: u32,
    id: u8,
    (kind, stream, timestamp): (MessageType, u32, u32),
    parts: &[&[u8]],
) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let id = id & 0x3f;
    let extended = timestamp >= EXTENDED;
    out.push(id);
    out.extend_from_slice(&low24(timestamp.min(EXTENDED)));
    out.extend_from_slice(&low24(length32(length)));
    out.push(kind.0);
    out.extend_from_slice(&stream.to_le_bytes());
    if extended {
        out.extend_from_slice(&timestamp.to_be_bytes());
    }
    let size = usize::try_from(chunk_size.max(1)).unwrap_or(usize::MAX);
    let mut room = size;
    for part in parts {
        let mut rest = *part;
        while !rest.is_empty() {
            if room == 0 {
                out.push(0xc0 | id);
                if extended {
                    out.extend_from_slice(&timestamp.to_be_bytes());
                }
                room = size;
            }
            let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            out.extend_from_slice(now);
            room = room.saturating_sub(now.len());
            rest = later;
        }
    }
}

/// What waits to be sent, and how long our chunks are.
#[derive(Debug)]
pub struct ChunkWriter {
    chunk_size: u32,
    out: Vec<u8>,
}

impl Default for ChunkWriter {
    fn default() -> Self {
        Self {
            chunk_size: CHUNK_SIZE_START,
            out: Vec::new(),
        }
    }
}

impl ChunkWriter {
    /// Appends one message.
    pub fn write(&mut self, id: u8, head: (MessageType, u32, u32), parts: &[&[u8]]) {
        write_message(&mut self.out, self.chunk_size, id, head, parts);
    }

    /// Announces and uses another chunk size.
    pub fn set_chunk_size(&mut self, size: u32) {
        let head = (MessageType::SET_CHUNK_SIZE, 0, 0);
        self.write(
            super::super::CONTROL_CHUNK_STREAM,
            head,
            &[&size.to_be_bytes()],
        );
        self.chunk_size = size;
    }

    /// The bytes that wait, for the handshake to be written before them and for taking.
    pub const fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// How many bytes wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.out.is_empty()
    }
}
