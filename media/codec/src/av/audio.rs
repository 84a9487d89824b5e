//! Audio: AAC and Opus, and what is between them.

use ffmpeg_next as ff;
use ffmpeg_next::codec::context::Context;
use ffmpeg_next::codec::{Flags, Id, decoder, encoder};
use ffmpeg_next::format::Sample;
use ffmpeg_next::format::sample::Type as Layout;
use ffmpeg_next::{ChannelLayout, Dictionary, Error, Packet, Rational, ffi, frame, media};
use media_transcode::TranscodeError;
use media_types::Bitrate;

use super::{TIME_BASE, decoder_context, failed, is_dry, missing, packet, received, unsuited};
use crate::limits::SAMPLES_MAX;
use crate::timeline::RATE;

/// Room for what rounding and drift bring beside a frame's own samples.
const ROOM_SAMPLES: usize = 256;

/// Decodes AAC or Opus.
pub(crate) struct AudioDecoder(decoder::Audio);

impl AudioDecoder {
    pub(crate) fn aac(config: &[u8]) -> Result<Self, TranscodeError> {
        Self::open(Id::AAC, config)
    }

    pub(crate) fn opus() -> Result<Self, TranscodeError> {
        Self::open(Id::OPUS, &[])
    }

    fn open(id: Id, config: &[u8]) -> Result<Self, TranscodeError> {
        let codec = decoder::find(id).ok_or_else(|| missing("decoder", id))?;
        let mut decoder = decoder_context(id, media::Type::Audio, config)?.decoder();
        decoder.set_packet_time_base(TIME_BASE);
        let opened = decoder.open_as(codec).map_err(unsuited)?;
        opened.audio().map(Self).map_err(failed)
    }

    pub(crate) fn push(&mut self, data: &[u8], presented_ns: i64) -> Result<(), TranscodeError> {
        let packet = packet(data, presented_ns, presented_ns)?;
        self.0.send_packet(&packet).map_err(failed)
    }

    pub(crate) fn poll(&mut self) -> Result<Option<frame::Audio>, TranscodeError> {
        let mut frame = frame::Audio::empty();
        match self.0.receive_frame(&mut frame) {
            Ok(()) => {
                if frame.channel_layout().is_empty() {
                    let channels = i32::from(frame.channels());
                    frame.set_channel_layout(ChannelLayout::default(channels));
                }
                Ok(Some(frame))
            }
            Err(error) if is_dry(error) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Has the frames inside come out; afterwards [`Self::reset`] before the next packet.
    pub(crate) fn drain(&mut self) -> Result<(), TranscodeError> {
        self.0.send_eof().map_err(failed)
    }

    pub(crate) fn reset(&mut self) {
        self.0.flush();
    }
}

/// Makes 48 kHz stereo of whatever a decoder gives.
pub(crate) struct Resampler {
    context: ff::software::resampling::Context,
    source: (Sample, ChannelLayout, u32),
}

impl Resampler {
    pub(crate) fn new(frame: &frame::Audio) -> Result<Self, TranscodeError> {
        let (format, layout, rate) = (frame.format(), frame.channel_layout(), frame.rate());
        let context = ff::software::resampling::Context::get(
            format,
            layout,
            rate,
            Sample::F32(Layout::Packed),
            ChannelLayout::STEREO,
            RATE,
        )
        .map_err(failed)?;
        Ok(Self {
            context,
            source: (format, layout, rate),
        })
    }

    /// Whether it was made for frames like this.
    pub(crate) fn fits(&self, frame: &frame::Audio) -> bool {
        self.source == (frame.format(), frame.channel_layout(), frame.rate())
    }

    /// Appends the frame's samples, left and right in turn.
    pub(crate) fn run(
        &mut self,
        frame: &frame::Audio,
        out: &mut Vec<f32>,
    ) -> Result<(), TranscodeError> {
        // The call would make room for as many samples as go in, whatever the rates are.
        let inside = self.context.delay().map_or(0, |delay| delay.output);
        let inside = usize::try_from(inside).unwrap_or(0).min(SAMPLES_MAX);
        let (from, to) = (self.source.2.max(1), u64::from(RATE));
        let more = u64::try_from(frame.samples()).unwrap_or(0) * to / u64::from(from);
        let room = inside + usize::try_from(more).unwrap_or(0) + ROOM_SAMPLES;
        let format = Sample::F32(Layout::Packed);
        let mut made = frame::Audio::new(format, room, ChannelLayout::STEREO);
        self.context.run(frame, &mut made).map_err(failed)?;
        if made.samples() > 0 {
            out.extend(
                made.plane::<(f32, f32)>(0)
                    .iter()
                    .flat_map(|(left, right)| [left, right]),
            );
        }
        Ok(())
    }

    /// Has that many samples more, or fewer, come out over the next `distance`.
    pub(crate) fn compensate(&mut self, samples: i32, distance: i32) -> Result<(), TranscodeError> {
        // SAFETY: the context is open and ours alone, and the call has no other precondition.
        let done =
            unsafe { ffi::swr_set_compensation(self.context.as_mut_ptr(), samples, distance) };
        if done < 0 {
            Err(failed(Error::from(done)))
        } else {
            Ok(())
        }
    }
}

/// Encodes 48 kHz stereo.
pub(crate) struct AudioEncoder {
    encoder: encoder::audio::Encoder,
    planar: bool,
}

impl AudioEncoder {
    /// Opus of 20 ms a packet.
    pub(crate) fn opus(bitrate: Bitrate) -> Result<Self, TranscodeError> {
        let mut options = Dictionary::new();
        options.set("application", "audio");
        options.set("frame_duration", "20");
        options.set("vbr", "on");
        // Half of the most that it could do; nobody hears the other half.
        options.set("compression_level", "5");
        Self::open("libopus", Sample::F32(Layout::Packed), bitrate, options)
    }

    /// AAC-LC of 1,024 samples a frame.
    pub(crate) fn aac(bitrate: Bitrate) -> Result<Self, TranscodeError> {
        Self::open(
            "aac",
            Sample::F32(Layout::Planar),
            bitrate,
            Dictionary::new(),
        )
    }

    fn open(
        name: &str,
        format: Sample,
        bitrate: Bitrate,
        options: Dictionary<'_>,
    ) -> Result<Self, TranscodeError> {
        let missing = || TranscodeError::Unsupported(format!("no encoder {name}"));
        let codec = encoder::find_by_name(name).ok_or_else(missing)?;
        let context = Context::new_with_codec(codec);
        let mut audio = context.encoder().audio().map_err(failed)?;
        audio.set_rate(RATE.cast_signed());
        audio.set_format(format);
        audio.set_channel_layout(ChannelLayout::STEREO);
        audio.set_channels(2);
        audio.set_time_base(Rational(1, RATE.cast_signed()));
        audio.set_bit_rate(usize::try_from(bitrate.bps()).unwrap_or(usize::MAX));
        // What a decoder must know goes beside the frames, not into each of them.
        audio.set_flags(Flags::GLOBAL_HEADER);
        let encoder = audio.open_as_with(codec, options).map_err(unsuited)?;
        Ok(Self {
            encoder,
            planar: format == Sample::F32(Layout::Planar),
        })
    }

    /// Samples a frame.
    pub(crate) fn frame_samples(&self) -> usize {
        usize::try_from(self.encoder.frame_size()).unwrap_or(0)
    }

    /// Samples that decoders of its packets give before those that were put in.
    pub(crate) fn padding(&self) -> u64 {
        // SAFETY: the context is open, and the field does not change while it is borrowed.
        let padding = unsafe { (*self.encoder.as_ptr()).initial_padding };
        u64::try_from(padding).unwrap_or(0)
    }

    /// What a decoder must know.
    pub(crate) fn config(&self) -> Vec<u8> {
        // SAFETY: the context is open; libav keeps the pointer and the size beside it in step, and
        // neither changes while it is borrowed.
        unsafe {
            let context = self.encoder.as_ptr();
            let size = usize::try_from((*context).extradata_size).unwrap_or(0);
            if (*context).extradata.is_null() || size == 0 {
                return Vec::new();
            }
            std::slice::from_raw_parts((*context).extradata, size).to_vec()
        }
    }

    /// Takes exactly one frame of samples, left and right in turn.
    pub(crate) fn push(&mut self, samples: &[f32], first: i64) -> Result<(), TranscodeError> {
        let format = Sample::F32(if self.planar {
            Layout::Planar
        } else {
            Layout::Packed
        });
        let count = samples.len() / 2;
        let mut frame = frame::Audio::new(format, count, ChannelLayout::STEREO);
        frame.set_rate(RATE);
        frame.set_pts(Some(first));
        if frame.planes() == 0 {
            return Err(TranscodeError::Memory);
        }
        if self.planar {
            for (channel, odd) in [false, true].into_iter().enumerate() {
                let picked = samples.chunks_exact(2).map(|pair| pair[usize::from(odd)]);
                let plane = frame.plane_mut::<f32>(channel);
                plane
                    .iter_mut()
                    .zip(picked)
                    .for_each(|(place, sample)| *place = sample);
            }
        } else {
            let pairs = samples.chunks_exact(2).map(|pair| (pair[0], pair[1]));
            let plane = frame.plane_mut::<(f32, f32)>(0);
            plane
                .iter_mut()
                .zip(pairs)
                .for_each(|(place, pair)| *place = pair);
        }
        self.encoder.send_frame(&frame).map_err(failed)
    }

    pub(crate) fn poll(&mut self) -> Result<Option<Packet>, TranscodeError> {
        received(&mut self.encoder)
    }

    /// Another like it. These encoders take their bitrate when they are opened and not again.
    pub(crate) fn with_bitrate(&self, bitrate: Bitrate) -> Result<Self, TranscodeError> {
        if self.planar {
            Self::aac(bitrate)
        } else {
            Self::opus(bitrate)
        }
    }
}
