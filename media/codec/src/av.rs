//! libav, as far as a job needs it: decoders and encoders behind types that cannot be misused.
//!
//! ffmpeg-next has safe calls for nearly everything; what it lacks is done here, each use of
//! `unsafe` with its reason.
#![allow(
    unsafe_code,
    reason = "fields of libav's structs that the binding has no call for"
)]

use std::ptr;

use ffmpeg_next as ff;
use ffmpeg_next::codec::context::Context;
use ffmpeg_next::codec::{Id, Parameters, encoder};
use ffmpeg_next::{Error, Packet, Rational, ffi, media};
use media_transcode::TranscodeError;

mod audio;
mod video;

pub(crate) use audio::{AudioDecoder, AudioEncoder, Resampler};
pub(crate) use video::{NOMINAL_FPS, Scaler, VideoDecoder, VideoEncoder, is_plain};

/// Times are nanoseconds throughout.
const TIME_BASE: Rational = Rational(1, 1_000_000_000);

/// Initialises the library. It says nothing on stderr: what it would say comes from hostile bytes.
pub(crate) fn init() -> Result<(), TranscodeError> {
    ff::init().map_err(failed)?;
    ff::log::set_level(ff::log::Level::Quiet);
    Ok(())
}

/// What it is, for the log.
pub(crate) fn version() -> String {
    let version = ff::codec::version();
    format!(
        "libavcodec {}.{}.{}",
        version >> 16,
        version >> 8 & 0xff,
        version & 0xff
    )
}

/// An error of the library in our words. What a decoder calls invalid may be better next time.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the library's errors are many, and all others are its own"
)]
fn failed(error: Error) -> TranscodeError {
    match error {
        Error::InvalidData | Error::PatchWelcome | Error::InputChanged => {
            TranscodeError::Input(error.to_string())
        }
        Error::Other {
            errno: ff::error::ENOMEM,
        } => TranscodeError::Memory,
        Error::DecoderNotFound | Error::EncoderNotFound | Error::OptionNotFound => {
            TranscodeError::Unsupported(error.to_string())
        }
        other => TranscodeError::Internal(other.to_string()),
    }
}

/// The same for a decoder or encoder that does not open: what it was given does not suit it, and
/// never will.
fn unsuited(error: Error) -> TranscodeError {
    match failed(error) {
        TranscodeError::Memory => TranscodeError::Memory,
        // What x264 says when it has no memory, among others.
        _ if error == Error::External => TranscodeError::Internal(error.to_string()),
        TranscodeError::Input(_) | TranscodeError::Unsupported(_) | _ => {
            TranscodeError::Unsupported(error.to_string())
        }
    }
}

/// Whether it only says that there is nothing to be had now.
fn is_dry(error: Error) -> bool {
    let again = Error::Other {
        errno: ff::error::EAGAIN,
    };
    error == again || error == Error::Eof
}

fn packet(data: &[u8], presented_ns: i64, decoded_ns: i64) -> Result<Packet, TranscodeError> {
    let mut packet = Packet::new(data.len());
    let place = packet.data_mut().ok_or(TranscodeError::Memory)?;
    place.copy_from_slice(data);
    packet.set_pts(Some(presented_ns));
    packet.set_dts(Some(decoded_ns));
    Ok(packet)
}

/// A context for a decoder, with what it must know beforehand.
fn decoder_context(id: Id, medium: media::Type, config: &[u8]) -> Result<Context, TranscodeError> {
    let mut parameters = Parameters::new();
    parameters.set_medium(medium);
    parameters.set_id(id);
    if !config.is_empty() {
        let padding = usize::try_from(ffi::AV_INPUT_BUFFER_PADDING_SIZE).unwrap_or(64);
        // SAFETY: the buffer is allocated with libav's own allocator and zeroed, is as long as
        // what is copied plus the padding that the API wants, and belongs to the parameters from
        // then on, which free it. `config` is at most some thousand bytes, so no cast truncates.
        unsafe {
            let buffer = ffi::av_mallocz(config.len() + padding).cast::<u8>();
            if buffer.is_null() {
                return Err(TranscodeError::Memory);
            }
            ptr::copy_nonoverlapping(config.as_ptr(), buffer, config.len());
            let raw = parameters.as_mut_ptr();
            (*raw).extradata = buffer;
            (*raw).extradata_size = i32::try_from(config.len()).unwrap_or(0);
        }
    }
    Context::from_parameters(parameters).map_err(failed)
}

fn received(encoder: &mut encoder::Encoder) -> Result<Option<Packet>, TranscodeError> {
    let mut packet = Packet::empty();
    match encoder.receive_packet(&mut packet) {
        Ok(()) => Ok(Some(packet)),
        Err(error) if is_dry(error) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn missing(what: &str, id: Id) -> TranscodeError {
    TranscodeError::Unsupported(format!("no {what} of {id:?}"))
}
