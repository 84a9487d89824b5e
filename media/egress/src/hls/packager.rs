//! The tracks of one stream, cut side by side.

use std::time::Duration;

use bytes::Bytes;
use media_types::MediaKind;

use super::parts::{Cutter, PackagerSettings, Rendition};
use crate::frame::{duration, ticks};
use crate::{EgressError, Format, Frame};

/// How long sound waits for the first picture.
const EARLY_MAX: Duration = Duration::from_millis(500);
/// Sound that comes no later than this after the first picture has silence before it.
const LATE_MAX: Duration = Duration::from_secs(2);
/// Nothing to be heard, as Opus: one CELT frame of the full band, silent (RFC 6716, sections 3.1
/// and 4.3).
const OPUS_SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];
/// Its length.
const OPUS_SILENCE_LENGTH: Duration = Duration::from_millis(20);

/// Cuts the tracks of one stream: at most one of pictures and one of sound.
#[derive(Debug)]
pub struct Packager {
    video: Cutter,
    audio: Cutter,
    /// The first sound, while there is no picture.
    early: Vec<Frame>,
}

impl Packager {
    /// With these lengths, counting from `first`: a number that no earlier packager of the same
    /// stream can have reached, such as the seconds since the Unix epoch, lets addresses be cached.
    #[must_use]
    pub const fn new(settings: PackagerSettings, first: u64) -> Self {
        Self {
            video: Cutter::new(settings, first),
            audio: Cutter::new(settings, first),
            early: Vec::new(),
        }
    }

    /// Takes a frame; whether something new can be fetched.
    ///
    /// # Errors
    /// A codec that browsers do not play from MP4, or a configuration that cannot be read.
    pub fn push(&mut self, frame: Frame) -> Result<bool, EgressError> {
        let format = frame.config.format;
        if !format.plays_in_cmaf() {
            return Err(EgressError::Unsupported(format));
        }
        match frame.config.kind() {
            MediaKind::Video => self.picture(frame),
            MediaKind::Audio if self.is_early(&frame) => {
                self.early.push(frame);
                Ok(false)
            }
            MediaKind::Audio => {
                let changed = self.settle()?;
                Ok(changed | self.sound(frame)?)
            }
        }
    }

    fn picture(&mut self, frame: Frame) -> Result<bool, EgressError> {
        if self.video.rendition.is_some() {
            return self.video.push(frame, None);
        }
        let begun = start(&frame);
        if let Some(sound) = self.audio.lead() {
            self.video.first = sound.number_from(begun);
        }
        let changed = self.video.push(frame, None)?;
        if self.video.rendition.is_none() {
            return Ok(changed);
        }
        // Both begin together.
        self.early.retain(|sound| start(sound) >= begun);
        Ok(changed | self.settle()?)
    }

    /// Sound is cut where the pictures are: players that count segments from the end find both at
    /// the same time.
    fn sound(&mut self, frame: Frame) -> Result<bool, EgressError> {
        let mut changed = false;
        for silence in self.silence_before(&frame) {
            changed |= self.audio.push(silence, self.video.lead())?;
        }
        Ok(changed | self.audio.push(frame, self.video.lead())?)
    }

    /// Whether pictures may still come that it is to begin with.
    fn is_early(&self, sound: &Frame) -> bool {
        let begun = self.video.rendition.is_some() || self.audio.rendition.is_some();
        let since = self.early.first().map_or_else(|| start(sound), start);
        !begun && start(sound).saturating_sub(since) < EARLY_MAX
    }

    /// Takes the sound that has waited.
    fn settle(&mut self) -> Result<bool, EgressError> {
        let mut changed = false;
        for sound in std::mem::take(&mut self.early) {
            changed |= self.sound(sound)?;
        }
        Ok(changed)
    }

    /// What fills the time from the first picture to the first sound. Players stand still for
    /// seconds where a first segment has pictures and next to no sound.
    fn silence_before(&self, first: &Frame) -> Vec<Frame> {
        let opus = first.config.format == Format::Opus;
        let pictures = self.video.rendition.as_ref();
        let begun = pictures.and_then(|it| Some((it.segments.front()?, it.config.timescale)));
        let Some((segment, rate)) = begun.filter(|_| opus && self.audio.rendition.is_none()) else {
            return Vec::new();
        };
        let (begun, sound) = (duration(segment.start, rate), first.config.timescale);
        let late = start(first).saturating_sub(begun);
        if segment.number != self.video.first || late > LATE_MAX {
            return Vec::new();
        }
        let each = ticks(OPUS_SILENCE_LENGTH, sound);
        let count = ticks(late, sound).checked_div(each).unwrap_or(0);
        let frames = (1..=count).rev().map(|before| Frame {
            dts: first.dts.saturating_sub(before * each),
            data: Bytes::from_static(&OPUS_SILENCE),
            ..first.clone()
        });
        frames.collect()
    }

    /// Ends what is open: the publisher left.
    ///
    /// # Errors
    /// What was pending cannot be written.
    pub fn end(&mut self) -> Result<(), EgressError> {
        self.settle()?;
        for cutter in [&mut self.video, &mut self.audio] {
            cutter.close()?;
            if let Some(rendition) = &mut cutter.rendition {
                rendition.ended = true;
            }
        }
        Ok(())
    }

    /// The windows so far, pictures first.
    #[must_use]
    pub fn renditions(&self) -> Vec<Rendition> {
        let both = [&self.video, &self.audio];
        both.into_iter()
            .filter_map(|it| it.rendition.clone())
            .collect()
    }
}

fn start(frame: &Frame) -> Duration {
    duration(frame.dts, frame.config.timescale)
}
