//! Which backend does a job.
//!
//! There is one: libav, on the processor. The seat of another, such as NVIDIA's, is here: a module
//! of its own that implements [`Transcoder`], loaded at run time, chosen where it says that it can
//! do the job, and left for libav where it cannot. Nothing outside this process would change.

use std::time::Duration;

use media_transcode::{Job, TranscodeError, Transcoder};

use crate::audio::AudioJob;
use crate::av::{self, AudioDecoder, AudioEncoder};
use crate::video::VideoJob;

/// Makes what does this job, from this moment of the source on.
///
/// # Errors
/// [`TranscodeError`], such as when libav was built without the codec.
pub(crate) fn open(job: &Job, begin: Duration) -> Result<Box<dyn Transcoder>, TranscodeError> {
    if !job.is_valid() {
        return Err(TranscodeError::Unsupported(
            "a number is out of range".to_owned(),
        ));
    }
    av::init()?;
    Ok(match job {
        Job::AacToOpus { config, bitrate } => {
            let decoder = AudioDecoder::aac(config)?;
            let encoder = AudioEncoder::opus(*bitrate)?;
            Box::new(AudioJob::new(decoder, encoder, *bitrate, begin).without_config())
        }
        Job::OpusToAac { bitrate } => {
            let encoder = AudioEncoder::aac(*bitrate)?;
            let decoder = AudioDecoder::opus()?;
            Box::new(AudioJob::new(decoder, encoder, *bitrate, begin).with_config())
        }
        Job::H264 { bitrate, size } => Box::new(VideoJob::new(*bitrate, *size, begin)?),
    })
}
