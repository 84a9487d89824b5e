//! Audio to audio: decode, put onto one line of samples, cut into frames, encode.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use ffmpeg_next::frame;
use media_transcode::{Format, MediaFrame, TranscodeError, Transcoder};
use media_types::Bitrate;

use crate::av::{AudioDecoder, AudioEncoder, Resampler};
use crate::limits::SAMPLES_MAX;
use crate::timeline::{DRIFT_SAMPLES, Placement, Timeline, duration_of};

/// How far behind the place where a former process stopped a source may be and still be the same
/// one; beyond that its clock was set back, and it begins anew.
const RESUME_MAX: Duration = Duration::from_secs(10);
/// Samples, left and right in turn, over which sound goes over into other sound where some was
/// left out: 5 ms. A step between the two would be heard as a click, of two frames' length in AAC.
const FADE_SAMPLES: usize = 2 * 240;

/// One audio job.
pub(crate) struct AudioJob {
    decoder: AudioDecoder,
    encoder: AudioEncoder,
    resampler: Option<Resampler>,
    line: Timeline,
    /// The time of the line's first packet, and how many samples of it are encoded.
    origin: Duration,
    encoded: u64,
    /// Samples for the next frames, left and right in turn.
    samples: Vec<f32>,
    /// What would have followed the last of them, had it not been left out.
    left_out: Vec<f32>,
    /// Pairs at the head of the line that are not encoded: a former process has done so, or the
    /// encoder's own delay stands in their place.
    skip: u64,
    begin: Duration,
    bitrate: Bitrate,
    format: Option<Format>,
    ready: VecDeque<MediaFrame>,
}

impl AudioJob {
    pub(crate) fn new(
        decoder: AudioDecoder,
        encoder: AudioEncoder,
        bitrate: Bitrate,
        begin: Duration,
    ) -> Self {
        Self {
            decoder,
            encoder,
            resampler: None,
            line: Timeline::default(),
            origin: Duration::ZERO,
            encoded: 0,
            samples: Vec::new(),
            left_out: Vec::new(),
            skip: 0,
            begin,
            bitrate,
            format: None,
            ready: VecDeque::new(),
        }
    }

    /// `AudioSpecificConfig` where the result is AAC. Opus says all in its packets.
    pub(crate) fn with_config(mut self) -> Self {
        let config = Bytes::from(self.encoder.config());
        self.format = Some(Format { config, size: None });
        self
    }

    pub(crate) fn without_config(mut self) -> Self {
        self.format = Some(Format::default());
        self
    }

    fn take_decoded(&mut self) -> Result<(), TranscodeError> {
        while let Some(frame) = self.decoder.poll()? {
            self.place(&frame)?;
            self.encode()?;
        }
        Ok(())
    }

    fn place(&mut self, frame: &frame::Audio) -> Result<(), TranscodeError> {
        if frame.samples() == 0 || frame.rate() == 0 {
            return Ok(());
        }
        let at = frame.timestamp().unwrap_or_default();
        let at = Duration::from_nanos(u64::try_from(at).unwrap_or(0));
        let placement = self.line.place(at, frame.samples(), frame.rate());
        match placement {
            Placement::Begin(origin) => self.begin_line(origin)?,
            Placement::After(silence) => {
                let pairs = silence.min(SAMPLES_MAX);
                self.samples.resize(self.samples.len() + 2 * pairs, 0.0);
                self.left_out = vec![0.0; FADE_SAMPLES];
            }
            Placement::Skip | Placement::Next | Placement::Drift(_) => {}
        }
        let first = self.samples.len();
        self.resample(frame, placement)?;
        if placement == Placement::Skip {
            let mut left_out = self.samples.split_off(first);
            if self.left_out.is_empty() {
                left_out.truncate(FADE_SAMPLES);
                self.left_out = left_out;
            }
        } else {
            self.fade(first);
        }
        Ok(())
    }

    fn resample(
        &mut self,
        frame: &frame::Audio,
        placement: Placement,
    ) -> Result<(), TranscodeError> {
        let mut resampler = match self.resampler.take() {
            Some(resampler) if resampler.fits(frame) => resampler,
            _ => Resampler::new(frame)?,
        };
        if let Placement::Drift(samples) = placement {
            resampler.compensate(samples, DRIFT_SAMPLES)?;
        }
        resampler.run(frame, &mut self.samples)?;
        self.resampler = Some(resampler);
        Ok(())
    }

    /// What was left out goes over into the samples from this one on.
    fn fade(&mut self, first: usize) {
        let left_out = std::mem::take(&mut self.left_out);
        let steps = left_out.chunks_exact(2).count();
        let fresh = self.samples.get_mut(first..).unwrap_or_default();
        for (step, (pair, old)) in fresh
            .chunks_exact_mut(2)
            .zip(left_out.chunks_exact(2))
            .enumerate()
        {
            let share = ratio(step, steps);
            for (sample, old) in pair.iter_mut().zip(old) {
                *sample = *sample * share + old * (1.0 - share);
            }
        }
    }

    /// What is left of the line before is shorter than a frame and is forgotten.
    fn begin_line(&mut self, origin: Duration) -> Result<(), TranscodeError> {
        if self.encoded > 0 {
            // The old one holds the end of the line before.
            self.encoder = self.encoder.with_bitrate(self.bitrate)?;
        }
        self.samples.clear();
        self.left_out.clear();
        self.encoded = 0;
        self.resampler = None;
        let early = self.begin.saturating_sub(origin);
        let early = if early > RESUME_MAX {
            Duration::ZERO
        } else {
            early
        };
        // What was done is done: a line after this one starts where it says.
        self.begin = Duration::ZERO;
        self.origin = origin + early;
        let samples = early.as_nanos() * 48_000 / 1_000_000_000;
        let samples = u64::try_from(samples).unwrap_or(0);
        self.skip = samples.saturating_add(self.encoder.padding());
        Ok(())
    }

    fn encode(&mut self) -> Result<(), TranscodeError> {
        self.skip_done();
        let length = 2 * self.encoder.frame_samples();
        let mut taken = 0;
        while length > 0
            && let Some(samples) = self.samples.get(taken..taken + length)
        {
            let first = i64::try_from(self.encoded).unwrap_or(i64::MAX);
            self.encoder.push(samples, first)?;
            taken += length;
            self.encoded += u64::try_from(length / 2).unwrap_or(0);
            self.take_encoded()?;
        }
        self.samples.drain(..taken);
        Ok(())
    }

    fn skip_done(&mut self) {
        let pairs = u64::try_from(self.samples.len() / 2)
            .unwrap_or(u64::MAX)
            .min(self.skip);
        self.skip -= pairs;
        self.samples
            .drain(..2 * usize::try_from(pairs).unwrap_or(0));
    }

    /// An encoder gives its samples back late, 6.5 ms with Opus and 21.3 ms with AAC. A packet's
    /// time is that of the sound that a decoder makes of it, so that lips and voice stay together.
    fn take_encoded(&mut self) -> Result<(), TranscodeError> {
        let padding = i64::try_from(self.encoder.padding()).unwrap_or(0);
        while let Some(packet) = self.encoder.poll()? {
            if let Some(data) = packet.data() {
                let first = packet.pts().unwrap_or_default().saturating_add(padding);
                let at = self.origin + duration_of(u64::try_from(first).unwrap_or(0));
                self.ready
                    .push_back(MediaFrame::audio(at, Bytes::copy_from_slice(data)));
            }
        }
        Ok(())
    }
}

impl Transcoder for AudioJob {
    fn push(&mut self, frame: &MediaFrame) -> Result<(), TranscodeError> {
        let at = i64::try_from(frame.presented.as_nanos()).unwrap_or(i64::MAX);
        self.decoder.push(&frame.data, at)?;
        self.take_decoded()
    }

    fn poll(&mut self) -> Option<MediaFrame> {
        self.ready.pop_front()
    }

    fn poll_format(&mut self) -> Option<Format> {
        self.format.take()
    }

    fn flush(&mut self) -> Result<(), TranscodeError> {
        self.decoder.drain()?;
        self.take_decoded()?;
        let length = 2 * self.encoder.frame_samples();
        if !self.samples.is_empty() && length > 0 {
            // The rest of the last frame is silence.
            self.samples
                .resize(self.samples.len().next_multiple_of(length), 0.0);
            self.encode()?;
        }
        self.decoder.reset();
        self.line.clear();
        Ok(())
    }

    fn keyframe(&mut self) {}

    fn set_bitrate(&mut self, bitrate: Bitrate) {
        // One that cannot be had leaves things as they are.
        if let Ok(encoder) = self.encoder.with_bitrate(bitrate) {
            self.bitrate = bitrate;
            self.encoder = encoder;
        }
    }

    fn bitrate(&self) -> Bitrate {
        self.bitrate
    }
}

/// How much of the way is gone, from 0 to 1.
fn ratio(step: usize, steps: usize) -> f32 {
    let of = |count: usize| f32::from(u16::try_from(count).unwrap_or(u16::MAX));
    of(step) / of(steps.max(1))
}
