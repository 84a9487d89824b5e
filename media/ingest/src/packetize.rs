//! Frames to RTP payloads, each short enough for any path.
//!
//! One [`Packetizer`] a track. Payloads come from its pool, so that steady streams allocate
//! nothing but the list of a frame's payloads.

mod av1;
mod nal;
mod picture;

use bytes::Bytes;
use media_types::frame::LIVE_PAYLOAD_BYTES_MAX;
use media_types::{BufferPool, Codec, Payload};

use crate::error::IngestError;
use crate::limits::{PACKETS_MAX, POOL_BUFFERS};

/// What differs between codecs.
#[derive(Debug)]
enum Scheme {
    Nal(nal::Family),
    Av1,
    Picture(picture::Picture),
    Whole,
}

/// Cuts the frames of one track.
pub struct Packetizer {
    scheme: Scheme,
    pool: BufferPool,
    /// What a keyframe needs that does not bring it itself.
    parameter_sets: Vec<Bytes>,
}

impl Packetizer {
    /// For a track of that codec.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        let scheme = match codec {
            Codec::H264 => Scheme::Nal(nal::Family::H264),
            Codec::H265 => Scheme::Nal(nal::Family::H265),
            Codec::Av1 => Scheme::Av1,
            Codec::Vp8 => Scheme::Picture(picture::Picture::vp8()),
            Codec::Vp9 => Scheme::Picture(picture::Picture::vp9()),
            Codec::Opus => Scheme::Whole,
        };
        Self {
            scheme,
            pool: BufferPool::new(POOL_BUFFERS),
            parameter_sets: Vec::new(),
        }
    }

    /// What goes before keyframes that do not bring their own: NAL units of H.264 and H.265, the
    /// sequence header of AV1.
    pub fn set_parameter_sets(&mut self, sets: Vec<Bytes>) {
        self.parameter_sets = sets;
    }

    /// Cuts a frame, whose NAL units stand behind lengths of four bytes, whose OBUs have sizes.
    ///
    /// # Errors
    /// A frame that breaks its format, or of nothing that can be sent.
    pub fn packetize(&mut self, frame: &[u8], keyframe: bool) -> Result<Vec<Payload>, IngestError> {
        let mut out = Output {
            pool: &mut self.pool,
            payloads: Vec::with_capacity(frame.len() / LIVE_PAYLOAD_BYTES_MAX + 2),
        };
        match &mut self.scheme {
            Scheme::Nal(family) => {
                nal::packetize(*family, &self.parameter_sets, frame, keyframe, &mut out)?;
            }
            Scheme::Av1 => av1::packetize(&self.parameter_sets, frame, keyframe, &mut out)?,
            Scheme::Picture(picture) => picture.packetize(frame, keyframe, &mut out)?,
            Scheme::Whole => out.push(&[frame])?,
        }
        if out.payloads.is_empty() {
            return Err(IngestError::Media("empty frame"));
        }
        Ok(out.payloads)
    }
}

/// Where payloads go.
struct Output<'a> {
    pool: &'a mut BufferPool,
    payloads: Vec<Payload>,
}

impl Output<'_> {
    /// The longest payload.
    const MAX: usize = LIVE_PAYLOAD_BYTES_MAX;

    /// One payload of these parts.
    fn push(&mut self, parts: &[&[u8]]) -> Result<(), IngestError> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length == 0 || length > Self::MAX || self.payloads.len() >= PACKETS_MAX {
            return Err(IngestError::Media("frame size"));
        }
        let payload = self.pool.fill(|buffer| {
            let mut at = 0_usize;
            for part in parts {
                let end = at.saturating_add(part.len());
                let room = buffer.get_mut(at..end);
                room.ok_or(IngestError::Media("frame size"))?
                    .copy_from_slice(part);
                at = end;
            }
            Ok::<_, IngestError>(0..at)
        })?;
        self.payloads.push(payload);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
