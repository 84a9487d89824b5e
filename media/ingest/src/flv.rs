//! FLV: the container whose tags RTMP carries (Adobe FLV 10.1, annex E; E-RTMP v2 for newer
//! codecs and several tracks).

mod enhanced;
mod legacy;
mod write;

use arrayvec::ArrayVec;
use bytes::{Buf, Bytes};
use media_types::{FrameCodec, MediaKind};

use crate::bytes::Reader;
use crate::error::IngestError;
use crate::limits::{CONFIG_BYTES_MAX, TRACKS_MAX};

pub use write::{FILE_HEADER, config_tag, file_tag, frame_tag, metadata_tag};

/// What a tag holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// Metadata.
    Script,
}

/// One tag: the body of an RTMP message, or of a tag of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// What it holds.
    pub kind: TagKind,
    /// Milliseconds on the source's clock, in the order of decoding; wraps.
    pub timestamp: u32,
    /// The bytes, from the first header byte.
    pub data: Bytes,
}

/// One track of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackKey {
    /// Audio or video.
    pub kind: MediaKind,
    /// Which of several (E-RTMP v2, multitrack); 0 for the only one.
    pub id: u8,
}

/// What a tag says of one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parcel {
    /// How to decode what follows.
    Config {
        /// Which track.
        track: TrackKey,
        /// The codec.
        codec: FrameCodec,
        /// Its configuration record, as the container of ISO files holds it.
        record: Bytes,
    },
    /// One picture or one packet of sound.
    Frame {
        /// Which track.
        track: TrackKey,
        /// The codec.
        codec: FrameCodec,
        /// Whether a decoder can start here.
        keyframe: bool,
        /// How much later than it is decoded it is shown, in milliseconds.
        offset_ms: i32,
        /// What to add to the timestamp, in nanoseconds, below a million.
        nanos: u32,
        /// The codec's bytes.
        data: Bytes,
    },
    /// The track ends.
    End {
        /// Which track.
        track: TrackKey,
    },
    /// A codec that is not taken.
    Unsupported {
        /// Which track.
        track: TrackKey,
    },
}

/// All that one tag says; nothing for tags without media.
pub type Parcels = ArrayVec<Parcel, TRACKS_MAX>;

/// Reads one tag of audio or video.
///
/// # Errors
/// Bytes that break the format. Others may follow: a single bad tag is not the end of a stream.
pub fn read_tag(tag: &Tag) -> Result<Parcels, IngestError> {
    let mut parcels = Parcels::new();
    let mut reader = Reader::new(&tag.data);
    let first = reader.u8()?;
    match tag.kind {
        TagKind::Video if first & 0x80 != 0 => enhanced::video(tag, first, reader, &mut parcels)?,
        TagKind::Audio if first >> 4 == 9 => enhanced::audio(tag, first, reader, &mut parcels)?,
        TagKind::Video => legacy::video(tag, first, reader, &mut parcels)?,
        TagKind::Audio => legacy::audio(tag, first, reader, &mut parcels)?,
        TagKind::Script => {}
    }
    Ok(parcels)
}

fn push(parcels: &mut Parcels, parcel: Parcel) -> Result<(), IngestError> {
    if let Parcel::Config { record, .. } = &parcel
        && record.len() > CONFIG_BYTES_MAX
    {
        return Err(IngestError::Media("configuration"));
    }
    let full = |_| IngestError::Media("tracks");
    parcels.try_push(parcel).map_err(full)
}

/// Takes one tag of a file, or of an aggregate message, with the size that follows it: its type,
/// its time and its body. Nothing when all are taken.
///
/// # Errors
/// A tag that ends before its length.
pub fn take_tag(rest: &mut Bytes) -> Result<Option<(u8, u32, Bytes)>, IngestError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let mut reader = Reader::new(rest);
    let kind = reader.u8()? & 0x1f;
    let length = usize::try_from(reader.u24()?).unwrap_or(usize::MAX);
    let low = reader.u24()?;
    let timestamp = low | u32::from(reader.u8()?) << 24;
    reader.u24()?;
    reader.take(length)?;
    let body = rest.slice(11..length.saturating_add(11));
    rest.advance(length.saturating_add(11).saturating_add(4).min(rest.len()));
    Ok(Some((kind, timestamp, body)))
}

#[cfg(test)]
mod tests;
