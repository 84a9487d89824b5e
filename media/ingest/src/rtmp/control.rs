//! Protocol control and user control (RTMP 1.0, sections 5.4 and 7.1.7), and acknowledgements.

use super::CONTROL_CHUNK_STREAM;
use super::chunk::{ChunkReader, ChunkWriter, Message, MessageType};
use crate::bytes::Reader;
use crate::error::IngestError;
use crate::limits::WINDOW_BYTES;

/// User control: a stream begins.
pub(super) const STREAM_BEGIN: u16 = 0;
/// User control: a stream ends.
pub(super) const STREAM_END: u16 = 1;
const PING: u16 = 6;
const PONG: u16 = 7;

/// How much the client sent and what we told it about that.
#[derive(Debug)]
pub(super) struct Window {
    size: u64,
    received: u64,
    told: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            size: WINDOW_BYTES.into(),
            received: 0,
            told: 0,
        }
    }
}

impl Window {
    /// Counts bytes, and acknowledges at half a window, so that a client which waits for it does
    /// not have to.
    pub(super) fn received(&mut self, bytes: usize, writer: &mut ChunkWriter) {
        self.received = self
            .received
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if self.received.saturating_sub(self.told) < self.size / 2 {
            return;
        }
        self.told = self.received;
        // The count is of 32 bits and wraps.
        let [_, _, _, _, a, b, c, d] = self.received.to_be_bytes();
        let head = (MessageType::ACKNOWLEDGEMENT, 0, 0);
        writer.write(CONTROL_CHUNK_STREAM, head, &[&[a, b, c, d]]);
    }
}

pub(super) fn handle(
    message: &Message,
    reader: &mut ChunkReader,
    window: &mut Window,
    writer: &mut ChunkWriter,
) -> Result<(), IngestError> {
    let mut payload = Reader::new(&message.payload);
    match message.kind {
        MessageType::SET_CHUNK_SIZE => reader.set_chunk_size(payload.u32()?),
        MessageType::ABORT => {
            reader.abort(payload.u32()?);
            Ok(())
        }
        MessageType::WINDOW_SIZE => {
            // A tiny window would make us answer every byte.
            window.size = u64::from(payload.u32()?).max(u64::from(WINDOW_BYTES / 64));
            Ok(())
        }
        MessageType::USER_CONTROL if payload.u16()? == PING => {
            let [a, b, c, d] = payload.four()?;
            user_control(writer, PONG, u32::from_be_bytes([a, b, c, d]));
            Ok(())
        }
        // What the client acknowledges is TCP's business; the rest changes nothing here.
        _ => Ok(()),
    }
}

pub(super) fn user_control(writer: &mut ChunkWriter, event: u16, value: u32) {
    let head = (MessageType::USER_CONTROL, 0, 0);
    let parts: [&[u8]; 2] = [&event.to_be_bytes(), &value.to_be_bytes()];
    writer.write(CONTROL_CHUNK_STREAM, head, &parts);
}
