//! Fields of messages: read with bounds, written without copies of what is large.

use std::time::Duration;

use bytes::{Buf, Bytes};
use media_types::{Bitrate, MediaKind};

use super::{LENGTH_BYTES, WireError};
use crate::description::bitrate_fits;
use crate::limits::{CONFIG_BYTES_MAX, FRAME_BYTES_MAX, TEXT_BYTES_MAX};
use crate::{MediaFrame, Size};

/// Reads fields off the front of a message.
pub(super) struct Reader(pub(super) Bytes);

impl Reader {
    pub(super) fn u8(&mut self) -> Result<u8, WireError> {
        self.0.try_get_u8().map_err(|_| WireError::Shape)
    }

    pub(super) fn u16(&mut self) -> Result<u16, WireError> {
        self.0.try_get_u16().map_err(|_| WireError::Shape)
    }

    pub(super) fn u64(&mut self) -> Result<u64, WireError> {
        self.0.try_get_u64().map_err(|_| WireError::Shape)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let array = *self.0.first_chunk().ok_or(WireError::Shape)?;
        self.0.advance(N);
        Ok(array)
    }

    pub(super) fn flag(&mut self) -> Result<bool, WireError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::Range { field: "a flag" }),
        }
    }

    pub(super) fn time(&mut self) -> Result<Duration, WireError> {
        let nanos = self.u64()?;
        // libav's times are signed.
        if i64::try_from(nanos).is_err() {
            return Err(WireError::Range { field: "a time" });
        }
        Ok(Duration::from_nanos(nanos))
    }

    pub(super) fn bitrate(&mut self, kind: MediaKind) -> Result<Bitrate, WireError> {
        let bitrate = Bitrate::from_bps(self.u64()?);
        let range = WireError::Range { field: "a bitrate" };
        bitrate_fits(kind, bitrate).then_some(bitrate).ok_or(range)
    }

    pub(super) fn size(&mut self) -> Result<Size, WireError> {
        let (width, height) = (self.u16()?, self.u16()?);
        Size::new(width, height).ok_or(WireError::Range { field: "a size" })
    }

    pub(super) fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, WireError>,
    ) -> Result<Option<T>, WireError> {
        self.flag()?.then(|| read(self)).transpose()
    }

    pub(super) fn frame(&mut self) -> Result<MediaFrame, WireError> {
        let keyframe = self.flag()?;
        let (presented, decoded) = (self.time()?, self.time()?);
        let data = self.rest("a frame's data", FRAME_BYTES_MAX)?;
        if data.is_empty() {
            return Err(WireError::Range {
                field: "a frame's data",
            });
        }
        Ok(MediaFrame {
            presented,
            decoded,
            keyframe,
            data,
        })
    }

    pub(super) fn config(&mut self) -> Result<Bytes, WireError> {
        self.rest("a configuration", CONFIG_BYTES_MAX)
    }

    pub(super) fn text(&mut self) -> Result<String, WireError> {
        let text = self.rest("a text", TEXT_BYTES_MAX)?;
        let range = WireError::Range { field: "a text" };
        String::from_utf8(text.into()).map_err(|_| range)
    }

    /// Everything that is left.
    fn rest(&mut self, field: &'static str, bytes_max: usize) -> Result<Bytes, WireError> {
        if self.0.len() > bytes_max {
            return Err(WireError::Range { field });
        }
        Ok(std::mem::take(&mut self.0))
    }

    /// Nothing may be left.
    pub(super) fn end<T>(self, value: T) -> Result<T, WireError> {
        self.0.is_empty().then_some(value).ok_or(WireError::Shape)
    }
}

/// Writes fields to the end of a buffer; the length is filled in when it is dropped.
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, kind: u8) -> Self {
        let start = out.len();
        out.extend([0; LENGTH_BYTES]);
        out.push(kind);
        Self { out, start }
    }

    pub(super) fn u8(self, value: u8) -> Self {
        self.bytes(&[value])
    }

    pub(super) fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        self.out.extend_from_slice(bytes);
        self
    }

    pub(super) fn time(self, time: Duration) -> Self {
        let nanos = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        self.u64(nanos.unsigned_abs())
    }

    pub(super) fn bitrate(self, bitrate: Bitrate) -> Self {
        self.u64(bitrate.bps())
    }

    pub(super) fn size(self, size: Size) -> Self {
        self.u16(size.width()).u16(size.height())
    }

    pub(super) fn optional<T>(self, value: Option<T>, write: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            Some(value) => write(self.u8(1), value),
            None => self.u8(0),
        }
    }

    pub(super) fn frame(self, frame: &MediaFrame) -> Self {
        self.u8(u8::from(frame.keyframe))
            .time(frame.presented)
            .time(frame.decoded)
            .bytes(&frame.data)
    }

    /// As much of a text as may be said.
    pub(super) fn text(self, text: &str) -> Self {
        let longest = text.len().min(TEXT_BYTES_MAX);
        let end = (0..=longest)
            .rev()
            .find(|end| text.is_char_boundary(*end))
            .unwrap_or(0);
        self.bytes(text.get(..end).unwrap_or_default().as_bytes())
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        let length = self.out.len().saturating_sub(self.start + LENGTH_BYTES);
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        let place = self.out.get_mut(self.start..self.start + LENGTH_BYTES);
        if let Some(place) = place {
            place.copy_from_slice(&length);
        }
    }
}
