//! What a backend inside the codec process offers.

use media_types::Bitrate;

use crate::{Format, MediaFrame};

/// Why a frame, or a whole job, cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TranscodeError {
    /// This frame cannot be decoded; the next may be.
    #[error("a frame cannot be decoded: {0}")]
    Input(String),
    /// There is no such decoder or encoder, or it does not take what it was given.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// The process may have no more memory.
    #[error("out of memory")]
    Memory,
    /// The backend failed.
    #[error("the backend failed: {0}")]
    Internal(String),
}

impl TranscodeError {
    /// Whether the job can go on after it.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Input(_))
    }
}

/// A running job: frames in, frames out. Software and hardware backends look alike from here.
pub trait Transcoder {
    /// Takes a frame, in order of decoding.
    ///
    /// # Errors
    /// See [`TranscodeError`]; after [`TranscodeError::Input`] the job goes on.
    fn push(&mut self, frame: &MediaFrame) -> Result<(), TranscodeError>;

    /// A frame that is ready, in order of presentation.
    fn poll(&mut self) -> Option<MediaFrame>;

    /// What the frames are, once known and whenever it has changed.
    fn poll_format(&mut self) -> Option<Format>;

    /// Has everything that was pushed come out of [`Self::poll`]; further frames begin anew.
    ///
    /// # Errors
    /// See [`TranscodeError`].
    fn flush(&mut self) -> Result<(), TranscodeError>;

    /// Makes the next picture a keyframe. Audio has nothing else.
    fn keyframe(&mut self);

    /// The bitrate from here on, in place of the one in the job or of the source's.
    fn set_bitrate(&mut self, bitrate: Bitrate);

    /// The bitrate that is aimed at now.
    fn bitrate(&self) -> Bitrate;
}
