//! AV1 (RTP payload format 1.0): OBUs without sizes, each an element of a payload or spread over
//! several.

use arrayvec::ArrayVec;
use bytes::Bytes;

use super::Output;
use crate::bytes::Reader;
use crate::error::IngestError;

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const TILE_LIST: u8 = 8;
const PADDING: u8 = 15;
/// Elements shorter than this are not begun at the end of a payload.
const PIECE_MIN: usize = 16;
/// The first element of a payload goes on from the one before.
const GOES_ON: u8 = 0x80;
/// The last element goes on in the next payload.
const WILL_GO_ON: u8 = 0x40;
/// A new coded video sequence begins.
const SEQUENCE_BEGINS: u8 = 0x08;

/// One OBU without its size.
struct Obu<'a> {
    kind: u8,
    /// One byte, and the extension where there is one.
    header: ArrayVec<u8, 2>,
    body: &'a [u8],
}

fn next<'a>(reader: &mut Reader<'a>) -> Result<Obu<'a>, IngestError> {
    let first = reader.u8()?;
    let mut header = ArrayVec::new();
    // Everything but the bit that says that a size follows.
    header.push(first & 0xfd);
    if first & 0x04 != 0 {
        header.push(reader.u8()?);
    }
    let length = if first & 0x02 != 0 {
        leb128(reader)?
    } else {
        reader.rest().len()
    };
    Ok(Obu {
        kind: (first >> 3) & 0x0f,
        header,
        body: reader.take(length)?,
    })
}

/// A number of seven bits a byte, the lowest first (AV1, section 4.10.5).
fn leb128(reader: &mut Reader<'_>) -> Result<usize, IngestError> {
    let mut value = 0_u64;
    for at in 0..8_u32 {
        let byte = reader.u8()?;
        value |= u64::from(byte & 0x7f) << at.saturating_mul(7);
        if byte & 0x80 == 0 {
            return usize::try_from(value).map_err(|_| IngestError::Media("OBU size"));
        }
    }
    Err(IngestError::Media("OBU size"))
}

pub(super) fn packetize(
    sequence_header: &[Bytes],
    frame: &[u8],
    keyframe: bool,
    out: &mut Output<'_>,
) -> Result<(), IngestError> {
    let mut packet = Packet {
        flags: if keyframe { SEQUENCE_BEGINS } else { 0 },
        bytes: ArrayVec::new(),
    };
    if keyframe && !has_sequence_header(frame) {
        for obus in sequence_header {
            packet.add_all(obus, out)?;
        }
    }
    packet.add_all(frame, out)?;
    packet.flush(out)
}

fn has_sequence_header(frame: &[u8]) -> bool {
    let mut reader = Reader::new(frame);
    while !reader.is_empty() {
        match next(&mut reader) {
            Ok(obu) if obu.kind == SEQUENCE_HEADER => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    false
}

/// The payload under way: its flags, and its elements behind their sizes.
struct Packet {
    flags: u8,
    bytes: ArrayVec<u8, { Output::MAX }>,
}

impl Packet {
    fn add_all(&mut self, obus: &[u8], out: &mut Output<'_>) -> Result<(), IngestError> {
        let mut reader = Reader::new(obus);
        while !reader.is_empty() {
            let obu = next(&mut reader)?;
            if matches!(obu.kind, TEMPORAL_DELIMITER | TILE_LIST | PADDING) {
                continue;
            }
            self.add(&obu, out)?;
        }
        Ok(())
    }

    fn add(&mut self, obu: &Obu<'_>, out: &mut Output<'_>) -> Result<(), IngestError> {
        let (mut header, mut body) = (&obu.header[..], obu.body);
        loop {
            // One byte of the payload's header, two of the element's size.
            let room = self.bytes.remaining_capacity().saturating_sub(3);
            let whole = header.len().saturating_add(body.len());
            if room < whole && room < PIECE_MIN {
                self.flush(out)?;
                continue;
            }
            let length = whole.min(room);
            let (piece, later) = body
                .split_at_checked(length.saturating_sub(header.len()))
                .unwrap_or((body, &[]));
            self.element(header, piece)?;
            if later.is_empty() {
                return Ok(());
            }
            self.flags |= WILL_GO_ON;
            self.flush(out)?;
            self.flags = GOES_ON;
            (header, body) = (&[], later);
        }
    }

    fn element(&mut self, header: &[u8], piece: &[u8]) -> Result<(), IngestError> {
        let length = header.len().saturating_add(piece.len());
        let [.., high, low] = length.to_be_bytes();
        let length = u16::from_be_bytes([high, low]);
        let [low, high] = [length & 0x7f, length >> 7].map(|bits| bits.to_be_bytes()[1]);
        let full = |_| IngestError::Media("frame size");
        self.bytes
            .try_extend_from_slice(&[low | 0x80, high])
            .map_err(full)?;
        self.bytes.try_extend_from_slice(header).map_err(full)?;
        self.bytes.try_extend_from_slice(piece).map_err(full)
    }

    fn flush(&mut self, out: &mut Output<'_>) -> Result<(), IngestError> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        // No count of elements: each has its size.
        out.push(&[&[self.flags], &self.bytes])?;
        self.bytes.clear();
        self.flags = 0;
        Ok(())
    }
}
