//! The RTP header (RFC 3550, section 5.1): parsed into numbers and ranges, written into a buffer.

use std::ops::Range;

use crate::extension::Elements;
use crate::{RtpError, bytes};

/// The fixed part of a header.
pub const HEADER_BYTES_MIN: usize = 12;
/// Marks a header extension with one-byte element headers (RFC 8285, section 4.2).
pub(crate) const PROFILE_ONE_BYTE: u16 = 0xBEDE;
/// Marks one with two-byte element headers; the low four bits are free (RFC 8285, section 4.3).
pub(crate) const PROFILE_TWO_BYTE: u16 = 0x1000;

/// What kind of packet a datagram holds, by its first bytes (RFC 7983, RFC 5761).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketKind {
    /// Connectivity checks.
    Stun,
    /// The handshake, and data channels.
    Dtls,
    /// Media.
    Rtp,
    /// Control of media.
    Rtcp,
    /// Nothing that this server speaks.
    Unknown,
}

impl PacketKind {
    /// Tells the kinds apart without looking any deeper.
    #[must_use]
    pub fn of(datagram: &[u8]) -> Self {
        match (datagram.first(), datagram.get(1)) {
            (Some(0..=3), _) => Self::Stun,
            (Some(20..=63), _) => Self::Dtls,
            (Some(128..=191), Some(192..=223)) => Self::Rtcp,
            (Some(128..=191), Some(_)) => Self::Rtp,
            _ => Self::Unknown,
        }
    }
}

/// A parsed header: its numbers, and where things lie in the packet it was parsed from.
///
/// It holds no reference, so it can be kept beside the packet's buffer. Methods that take the
/// packet again answer with empty slices if they get another, shorter one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpHeader {
    /// Whether the payload ends in padding; see [`RtpHeader::unpadded`].
    pub padding: bool,
    /// The marker bit: with video, the last packet of a picture.
    pub marker: bool,
    /// The payload type, 7 bits.
    pub payload_type: u8,
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp in ticks of the media clock.
    pub timestamp: u32,
    /// The source.
    pub ssrc: u32,
    /// How many contributing sources the header lists.
    pub csrc_count: u8,
    /// The "defined by profile" field of the header extension, if there is one.
    pub extension_profile: Option<u16>,
    extension_start: u16,
    header_length: u16,
    packet_length: u16,
}

impl RtpHeader {
    /// Parses the header of a packet, sealed or in clear.
    ///
    /// The padding count is not looked at, since it lies in the encrypted part.
    ///
    /// # Errors
    /// [`RtpError`] if the bytes are no RTP packet of version 2 or end within the header.
    pub fn parse(packet: &[u8]) -> Result<Self, RtpError> {
        let packet_length =
            u16::try_from(packet.len()).map_err(|_| RtpError::Oversize(packet.len()))?;
        let truncated = |needed: usize| RtpError::Truncated {
            needed,
            length: packet.len(),
        };
        let Some(fixed) = packet.first_chunk::<HEADER_BYTES_MIN>() else {
            return Err(truncated(HEADER_BYTES_MIN));
        };
        let [b0, b1, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
        if b0 >> 6 != 2 {
            return Err(RtpError::Version(b0 >> 6));
        }
        let csrc_count = b0 & 0x0f;
        let mut end = 12 + 4 * u16::from(csrc_count);
        let mut extension_profile = None;
        let mut extension_start = end;
        if b0 & 0x10 != 0 {
            let at = usize::from(end);
            let Some([p0, p1, w0, w1]) = bytes::chunk::<4>(packet, at) else {
                return Err(truncated(at + 4));
            };
            extension_profile = Some(u16::from_be_bytes([p0, p1]));
            extension_start = end + 4;
            let words = usize::from(u16::from_be_bytes([w0, w1]));
            let needed = at + 4 + 4 * words;
            end = u16::try_from(needed).map_err(|_| truncated(needed))?;
        }
        if end > packet_length {
            return Err(truncated(end.into()));
        }
        Ok(Self {
            padding: b0 & 0x20 != 0,
            marker: b1 & 0x80 != 0,
            payload_type: b1 & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
            csrc_count,
            extension_profile,
            extension_start,
            header_length: end,
            packet_length,
        })
    }

    /// The length of the header in bytes, with contributing sources and extensions.
    #[must_use]
    pub const fn header_length(&self) -> usize {
        self.header_length as usize
    }

    /// Where the payload lies: everything after the header. In a sealed packet that is ciphertext
    /// and tag; in clear it may end in padding.
    #[must_use]
    pub const fn payload(&self) -> Range<usize> {
        self.header_length as usize..self.packet_length as usize
    }

    /// Where the data of the header extension lies, without its four-byte header; empty if none.
    #[must_use]
    pub const fn extension_block(&self) -> Range<usize> {
        self.extension_start as usize..self.header_length as usize
    }

    /// The elements of the header extension (RFC 8285).
    #[must_use]
    pub fn elements<'a>(&self, packet: &'a [u8]) -> Elements<'a> {
        let block = packet.get(self.extension_block()).unwrap_or_default();
        Elements::new(self.extension_profile.unwrap_or_default(), block)
    }

    /// A payload in clear without its padding, which is empty for a packet of padding alone.
    ///
    /// # Errors
    /// [`RtpError::Padding`] if the header promises padding and the count in the last byte is zero
    /// or larger than the payload.
    pub fn unpadded<'a>(&self, payload: &'a [u8]) -> Result<&'a [u8], RtpError> {
        if !self.padding {
            return Ok(payload);
        }
        let count = payload.last().copied().unwrap_or(0);
        let kept = payload.len().checked_sub(count.into());
        match kept.and_then(|kept| payload.get(..kept)) {
            Some(rest) if count > 0 => Ok(rest),
            _ => Err(RtpError::Padding(count)),
        }
    }
}

/// The numbers of a header to write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeaderFields {
    /// Whether the payload ends in padding whose last byte is its count.
    pub padding: bool,
    /// The marker bit.
    pub marker: bool,
    /// The payload type; only the low 7 bits are written.
    pub payload_type: u8,
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp in ticks of the media clock.
    pub timestamp: u32,
    /// The source.
    pub ssrc: u32,
}

/// One header extension to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// The negotiated id.
    pub id: u8,
    /// The value's bytes.
    pub data: &'a [u8],
}

/// Writes a header and its extensions to the front of `out` and returns its length.
///
/// Elements get one-byte headers, or two-byte headers if one of them has an id above 14, no data,
/// or more than 16 bytes of it (RFC 8285, section 4.1.2).
///
/// # Errors
/// [`RtpError::Buffer`] if `out` is too small, [`RtpError::ExtensionId`] and
/// [`RtpError::ExtensionLength`] for elements that no form can carry.
pub fn write_header(
    out: &mut [u8],
    fields: &HeaderFields,
    extensions: &[Element<'_>],
) -> Result<usize, RtpError> {
    let layout = Layout::of(extensions)?;
    let length = out.len();
    let Some(header) = out.get_mut(..layout.header_length) else {
        return Err(RtpError::Buffer {
            needed: layout.header_length,
            length,
        });
    };
    let Some((fixed, block)) = header.split_first_chunk_mut::<HEADER_BYTES_MIN>() else {
        return Err(RtpError::Buffer {
            needed: layout.header_length,
            length,
        });
    };
    let [s0, s1] = fields.sequence.to_be_bytes();
    let [t0, t1, t2, t3] = fields.timestamp.to_be_bytes();
    let [c0, c1, c2, c3] = fields.ssrc.to_be_bytes();
    let extended = u8::from(!extensions.is_empty()) << 4;
    let b0 = 0x80 | u8::from(fields.padding) << 5 | extended;
    let b1 = u8::from(fields.marker) << 7 | fields.payload_type & 0x7f;
    *fixed = [b0, b1, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3];
    if !extensions.is_empty() {
        layout.write(block, extensions);
    }
    Ok(layout.header_length)
}

/// The form and the lengths of a header extension.
struct Layout {
    two_byte: bool,
    words: u16,
    header_length: usize,
}

impl Layout {
    fn of(extensions: &[Element<'_>]) -> Result<Self, RtpError> {
        let mut two_byte = false;
        let mut data_length = 0;
        for element in extensions {
            let (id, length) = (element.id, element.data.len());
            if id == 0 || id == 15 {
                return Err(RtpError::ExtensionId(id));
            }
            if length > 255 {
                return Err(RtpError::ExtensionLength { id, length });
            }
            two_byte |= id > 14 || length == 0 || length > 16;
            data_length += length;
        }
        let heads = extensions.len() * if two_byte { 2 } else { 1 };
        let words = (heads + data_length).div_ceil(4);
        let block = if extensions.is_empty() {
            0
        } else {
            4 + 4 * words
        };
        Ok(Self {
            two_byte,
            words: u16::try_from(words).map_err(|_| RtpError::Entries(extensions.len()))?,
            header_length: HEADER_BYTES_MIN + block,
        })
    }

    /// `block` has exactly the length that `of` computed, so that nothing here runs out of it.
    fn write(&self, block: &mut [u8], extensions: &[Element<'_>]) {
        let profile = if self.two_byte {
            PROFILE_TWO_BYTE
        } else {
            PROFILE_ONE_BYTE
        };
        let mut rest = bytes::put(block, &profile.to_be_bytes());
        rest = bytes::put(rest, &self.words.to_be_bytes());
        for element in extensions {
            let length = u8::try_from(element.data.len()).unwrap_or(u8::MAX);
            rest = if self.two_byte {
                bytes::put(rest, &[element.id, length])
            } else {
                bytes::put(rest, &[element.id << 4 | length.wrapping_sub(1) & 0x0f])
            };
            rest = bytes::put(rest, element.data);
        }
        rest.fill(0);
    }
}

#[cfg(test)]
mod tests;
