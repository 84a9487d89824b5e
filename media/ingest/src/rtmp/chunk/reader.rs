//! Chunks to messages.

use std::collections::BTreeMap;

use arrayvec::ArrayVec;
use bytes::BytesMut;

use super::{Message, MessageType};
use crate::bytes::Reader;
use crate::error::IngestError;
use crate::limits::{
    CHUNK_SIZE_MAX, CHUNK_SIZE_START, CHUNK_STREAMS_MAX, CONTROL_BYTES_MAX, MESSAGE_RESERVE,
};

/// Basic header of three bytes, message header of eleven, extended timestamp of four.
const HEADER_MAX: usize = 18;
/// A timestamp field that says: look behind the header.
const EXTENDED: u32 = 0x00ff_ffff;

/// What one chunk stream remembers for headers that leave fields out.
#[derive(Debug, Default)]
struct ChunkStream {
    timestamp: u32,
    /// The last timestamp field: a time in full headers, a step in others.
    field: u32,
    /// Whether that field stood behind the header.
    extended: bool,
    length: u32,
    kind: u8,
    stream: u32,
    partial: BytesMut,
    /// Whether a message has begun and not ended.
    open: bool,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Header,
    /// So many bytes of this chunk are missing.
    Payload {
        id: u32,
        left: usize,
    },
}

/// Puts messages together from chunks, whatever pieces the bytes come in. Keeps no more than the
/// messages that have begun, and of those no more than what has arrived.
#[derive(Debug)]
pub struct ChunkReader {
    chunk_size: u32,
    message_max: u32,
    streams: BTreeMap<u32, ChunkStream>,
    phase: Phase,
    header: ArrayVec<u8, HEADER_MAX>,
    /// Bytes of all partial messages.
    pub(super) held: usize,
}

impl ChunkReader {
    /// A reader that refuses messages beyond `message_max` bytes.
    #[must_use]
    pub fn new(message_max: u32) -> Self {
        Self {
            chunk_size: CHUNK_SIZE_START,
            message_max,
            streams: BTreeMap::new(),
            phase: Phase::Header,
            header: ArrayVec::new(),
            held: 0,
        }
    }

    /// The sender's chunks are so long from here on.
    ///
    /// # Errors
    /// A size of zero or beyond what a chunk can be.
    pub const fn set_chunk_size(&mut self, size: u32) -> Result<(), IngestError> {
        if size == 0 || size > CHUNK_SIZE_MAX {
            return Err(IngestError::ChunkSize(size));
        }
        self.chunk_size = size;
        Ok(())
    }

    /// The rest of the message on that chunk stream will not come.
    pub fn abort(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id) {
            self.held = self.held.saturating_sub(stream.partial.len());
            stream.partial.clear();
            stream.open = false;
        }
    }

    /// Takes bytes until a message is whole or the input is used up; says how many it took.
    ///
    /// # Errors
    /// Bytes that are no chunks, or beyond the limits; the connection is at its end.
    pub fn read(&mut self, input: &[u8]) -> Result<(usize, Option<Message>), IngestError> {
        let mut rest = input;
        loop {
            let before = rest.len();
            let message = match self.phase {
                Phase::Header => self.read_header(&mut rest)?,
                Phase::Payload { id, left } => self.read_payload(id, left, &mut rest),
            };
            let used = input.len().saturating_sub(rest.len());
            if message.is_some() || (rest.is_empty() && self.waits()) {
                return Ok((used, message));
            }
            debug_assert!(
                rest.len() < before || !self.waits(),
                "each step takes a byte"
            );
        }
    }

    /// Whether the next step takes bytes.
    const fn waits(&self) -> bool {
        !matches!(self.phase, Phase::Payload { left: 0, .. })
    }

    fn read_header(&mut self, rest: &mut &[u8]) -> Result<Option<Message>, IngestError> {
        while let Some(wanted) = self.header_wants() {
            let Some((taken, left)) = rest.split_at_checked(wanted) else {
                // What is there fits: the wanted length never passes the longest header.
                let _room = self.header.try_extend_from_slice(rest);
                *rest = &[];
                return Ok(None);
            };
            let _room = self.header.try_extend_from_slice(taken);
            *rest = left;
        }
        self.take_header()
    }

    /// How many more bytes the header has, as far as can be told.
    fn header_wants(&self) -> Option<usize> {
        let Some(first) = self.header.first() else {
            return Some(1);
        };
        let basic = basic_length(*first);
        let format = first >> 6;
        let fixed = basic.saturating_add(message_header_length(format));
        let have = self.header.len();
        if have < fixed {
            return Some(fixed.saturating_sub(have));
        }
        let extended = if format == 3 {
            self.streams
                .get(&chunk_stream_id(&self.header))
                .is_some_and(|stream| stream.extended)
        } else {
            let field = self.header.get(basic..).unwrap_or_default();
            Reader::new(field).u24() == Ok(EXTENDED)
        };
        let whole = fixed.saturating_add(if extended { 4 } else { 0 });
        (have < whole).then(|| whole.saturating_sub(have))
    }

    fn take_header(&mut self) -> Result<Option<Message>, IngestError> {
        let header = std::mem::take(&mut self.header);
        let first = header.first().copied().ok_or(IngestError::Truncated)?;
        let id = chunk_stream_id(&header);
        let format = first >> 6;
        if !self.streams.contains_key(&id) {
            if format == 3 {
                return Err(IngestError::NoMessage(id));
            }
            if self.streams.len() >= CHUNK_STREAMS_MAX {
                return Err(IngestError::ChunkStreams);
            }
        }
        let stream = self.streams.entry(id).or_default();
        let fields = header.get(basic_length(first)..).unwrap_or_default();
        let surplus = stream.apply(format, fields, &mut self.held)?;
        stream.check(self.message_max)?;
        if let Some(bytes) = surplus {
            stream.partial.extend_from_slice(&bytes);
            self.held = self.held.saturating_add(bytes.len());
        }
        let allowed = usize::try_from(self.message_max).unwrap_or(usize::MAX);
        if self.held > allowed.saturating_add(CONTROL_BYTES_MAX) {
            return Err(IngestError::MessageLength(stream.length));
        }
        let missing = stream.missing();
        let chunk = usize::try_from(self.chunk_size).unwrap_or(usize::MAX);
        let chunk = chunk.saturating_sub(surplus.map_or(0, |bytes| bytes.len()));
        self.phase = Phase::Payload {
            id,
            left: chunk.min(missing),
        };
        Ok(None)
    }

    fn read_payload(&mut self, id: u32, left: usize, rest: &mut &[u8]) -> Option<Message> {
        let stream = self.streams.get_mut(&id)?;
        let (taken, after) = rest.split_at_checked(left).unwrap_or((rest, &[]));
        stream.partial.extend_from_slice(taken);
        self.held = self.held.saturating_add(taken.len());
        *rest = after;
        let left = left.saturating_sub(taken.len());
        if left > 0 {
            self.phase = Phase::Payload { id, left };
            return None;
        }
        self.phase = Phase::Header;
        if stream.missing() > 0 {
            return None;
        }
        stream.open = false;
        self.held = self.held.saturating_sub(stream.partial.len());
        Some(Message {
            kind: MessageType(stream.kind),
            stream: stream.stream,
            timestamp: stream.timestamp,
            payload: std::mem::take(&mut stream.partial).freeze(),
        })
    }
}

impl ChunkStream {
    /// Takes a header's fields. Gives back four bytes that were read as an extended timestamp and
    /// are payload: some senders leave it out where a chunk continues a message.
    fn apply(
        &mut self,
        format: u8,
        fields: &[u8],
        held: &mut usize,
    ) -> Result<Option<[u8; 4]>, IngestError> {
        if format == 3 {
            return self.apply_short(fields);
        }
        // A new header ends whatever was under way.
        *held = held.saturating_sub(self.partial.len());
        self.partial.clear();
        let mut reader = Reader::new(fields);
        let mut field = reader.u24()?;
        if format < 2 {
            self.length = reader.u24()?;
            self.kind = reader.u8()?;
        }
        if format == 0 {
            // The one number of the protocol that is little-endian.
            self.stream = u32::from_le_bytes(reader.four()?);
        }
        self.extended = field == EXTENDED;
        if self.extended {
            field = reader.u32()?;
        }
        self.field = field;
        self.timestamp = match format {
            0 => field,
            _ => self.timestamp.wrapping_add(field),
        };
        self.begin();
        Ok(None)
    }

    fn apply_short(&mut self, fields: &[u8]) -> Result<Option<[u8; 4]>, IngestError> {
        let mut surplus = None;
        if self.extended {
            let field = Reader::new(fields).four()?;
            let repeated = u32::from_be_bytes(field) == self.field;
            if !repeated && self.open && self.missing() >= field.len() {
                surplus = Some(field);
            }
        }
        if !self.open {
            self.timestamp = self.timestamp.wrapping_add(self.field);
            self.begin();
        }
        Ok(surplus)
    }

    fn begin(&mut self) {
        self.open = true;
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        self.partial.reserve(length.min(MESSAGE_RESERVE));
    }

    fn check(&self, message_max: u32) -> Result<(), IngestError> {
        let control = u32::try_from(CONTROL_BYTES_MAX).unwrap_or(u32::MAX);
        let media = MessageType(self.kind).is_media();
        let allowed = if media {
            message_max
        } else {
            control.min(message_max)
        };
        if self.length > allowed {
            return Err(IngestError::MessageLength(self.length));
        }
        Ok(())
    }

    fn missing(&self) -> usize {
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        length.saturating_sub(self.partial.len())
    }
}

const fn basic_length(first: u8) -> usize {
    match first & 0x3f {
        0 => 2,
        1 => 3,
        _ => 1,
    }
}

const fn message_header_length(format: u8) -> usize {
    match format {
        0 => 11,
        1 => 7,
        2 => 3,
        _ => 0,
    }
}

/// Of a header whose basic part is whole (RTMP 1.0, section 5.3.1.1).
fn chunk_stream_id(header: &[u8]) -> u32 {
    let byte = |at: usize| u32::from(header.get(at).copied().unwrap_or_default());
    match byte(0) & 0x3f {
        0 => byte(1).saturating_add(64),
        1 => byte(2)
            .saturating_mul(256)
            .saturating_add(byte(1))
            .saturating_add(64),
        id => id,
    }
}
