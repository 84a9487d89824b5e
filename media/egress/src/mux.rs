//! Sound and pictures in one fragmented MP4: for progressive players and for the recorder.
//!
//! A [`Muxer`] waits until every track that is expected has shown its configuration, but no longer
//! than a second of media; the initialisation segment then holds the tracks that did. What changes
//! later cannot be told to who already has that segment: a changed configuration makes the muxer
//! [`Muxer::is_stale`], a track that comes late makes it [`Muxer::is_short`], and the caller begins
//! another.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use media_types::MediaKind;

use crate::cmaf::{Durations, Run, Sample, fragment, init_segment};
use crate::frame::{duration, ticks};
use crate::limits::{FRAGMENT_BYTES_MAX, RUN_FRAMES_MAX};
use crate::{EgressError, Frame, TrackConfig};

/// How much media is waited through for a track that is expected, and for the first keyframe of
/// pictures that come already: the longest group of pictures of encoders in use. A tap brings its
/// group from its beginning on at once, and sound from now on.
const START_WAIT: Duration = Duration::from_secs(12);

/// Which kinds of tracks there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Pictures.
    pub video: bool,
    /// Sound.
    pub audio: bool,
}

/// Bytes that go to every player as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The bytes.
    pub bytes: Bytes,
    /// A player can begin with it.
    pub start: bool,
    /// When its first frame is decoded, on the stream's clock.
    pub at: Duration,
    /// How long it lasts.
    pub length: Duration,
}

#[derive(Debug)]
struct Lane {
    config: Arc<TrackConfig>,
    durations: Durations,
    samples: Vec<Sample>,
    /// What is taken off its times, so that the file starts near zero.
    origin: u64,
}

/// Joins the tracks of one stream.
#[derive(Debug)]
pub struct Muxer {
    wants: Kinds,
    fragment: Duration,
    rebase: bool,
    waiting: Vec<Frame>,
    init: Option<Bytes>,
    lanes: Vec<Lane>,
    sequence: u32,
    stale: bool,
    short: bool,
    sound_leads: bool,
    from: Duration,
}

impl Muxer {
    /// Expects these kinds of tracks, and writes fragments of this length. With `rebase` times
    /// start at zero; without, they are the stream's.
    #[must_use]
    pub const fn new(wants: Kinds, fragment: Duration, rebase: bool) -> Self {
        Self {
            wants,
            fragment,
            rebase,
            waiting: Vec::new(),
            init: None,
            lanes: Vec::new(),
            sequence: 0,
            stale: false,
            short: false,
            sound_leads: false,
            from: Duration::ZERO,
        }
    }

    /// Expects these kinds of tracks; changes nothing once they are fixed.
    pub const fn expect(&mut self, wants: Kinds) {
        self.wants = wants;
    }

    /// Sound from before the first keyframe is kept.
    pub const fn lead_with_sound(&mut self) {
        self.sound_leads = true;
    }

    /// The initialisation segment, once the tracks are known.
    #[must_use]
    pub const fn init(&self) -> Option<&Bytes> {
        self.init.as_ref()
    }

    /// When the first frame of all is decoded, once the tracks are known.
    #[must_use]
    pub const fn start(&self) -> Duration {
        self.from
    }

    /// What the tracks are encoded with, pictures first.
    pub fn configs(&self) -> impl Iterator<Item = &Arc<TrackConfig>> {
        self.lanes.iter().map(|lane| &lane.config)
    }

    /// Whether a track changed its configuration: frames of it are refused from then on.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        self.stale
    }

    /// Whether a track came that the initialisation segment does not know.
    #[must_use]
    pub const fn is_short(&self) -> bool {
        self.short
    }

    /// Whether this frame would make it stale.
    #[must_use]
    pub fn would_change(&self, frame: &Frame) -> bool {
        let lane = self
            .lanes
            .iter()
            .find(|it| it.config.kind() == frame.config.kind());
        lane.is_some_and(|lane| lane.config != frame.config)
    }

    /// Takes a frame and gives the chunks that it completes.
    ///
    /// # Errors
    /// A configuration that cannot be written.
    pub fn push(&mut self, frame: Frame) -> Result<Vec<Chunk>, EgressError> {
        let mut chunks = Vec::new();
        if self.init.is_some() {
            self.feed(frame, &mut chunks)?;
            return Ok(chunks);
        }
        self.waiting.push(frame);
        if !self.is_ready() {
            return Ok(chunks);
        }
        self.begin()?;
        for frame in std::mem::take(&mut self.waiting) {
            self.feed(frame, &mut chunks)?;
        }
        Ok(chunks)
    }

    /// The rest: what had to wait for a next frame.
    ///
    /// # Errors
    /// A fragment that cannot be written.
    pub fn finish(&mut self) -> Result<Option<Chunk>, EgressError> {
        for lane in &mut self.lanes {
            lane.samples
                .extend(lane.durations.flush().map(|(sample, _)| sample));
        }
        self.flush()
    }

    fn first_of(&self, kind: MediaKind) -> Option<&Frame> {
        self.waiting
            .iter()
            .find(|frame| frame.config.kind() == kind && frame.keyframe)
    }

    fn is_ready(&self) -> bool {
        let missing = |wanted, kind| wanted && self.first_of(kind).is_none();
        let waits = missing(self.wants.video, MediaKind::Video)
            || missing(self.wants.audio, MediaKind::Audio);
        let times = self
            .waiting
            .iter()
            .map(|it| duration(it.dts, it.config.timescale));
        let span = times.clone().max().unwrap_or_default();
        let span = span.saturating_sub(times.min().unwrap_or_default());
        let any = self.waiting.iter().any(|frame| frame.keyframe);
        any && (!waits || span >= START_WAIT || self.waiting.len() >= RUN_FRAMES_MAX)
    }

    /// Fixes the tracks. Pictures start with their first keyframe, and sound with them, unless it
    /// leads.
    fn begin(&mut self) -> Result<(), EgressError> {
        let video = self.first_of(MediaKind::Video).cloned();
        let audio = self.first_of(MediaKind::Audio).cloned();
        let starts = |frame: &Frame| duration(frame.dts, frame.config.timescale);
        let shown = video.as_ref().map(starts);
        let heard = audio.as_ref().map(starts);
        let from = match (shown, heard) {
            (Some(shown), Some(heard)) if self.sound_leads => shown.min(heard),
            _ => shown.or(heard).unwrap_or_default(),
        };
        self.from = from;
        let is_video = |frame: &Frame| frame.config.kind() == MediaKind::Video;
        self.waiting.retain(|frame| {
            let first = if is_video(frame) { shown } else { None };
            starts(frame) >= first.unwrap_or(from)
        });
        self.lanes = [video, audio]
            .into_iter()
            .flatten()
            .map(|frame| Lane {
                origin: if self.rebase {
                    ticks(from, frame.config.timescale)
                } else {
                    0
                },
                config: frame.config,
                durations: Durations::EMPTY,
                samples: Vec::new(),
            })
            .collect();
        let configs: Vec<&TrackConfig> = self.lanes.iter().map(|lane| &*lane.config).collect();
        self.init = Some(init_segment(&configs)?);
        Ok(())
    }

    fn feed(&mut self, frame: Frame, chunks: &mut Vec<Chunk>) -> Result<(), EgressError> {
        let kind = frame.config.kind();
        let found = self
            .lanes
            .iter_mut()
            .position(|it| it.config.kind() == kind);
        let Some((index, lane)) = found.and_then(|at| Some((at, self.lanes.get_mut(at)?))) else {
            self.short = true;
            return Ok(());
        };
        if lane.config != frame.config {
            self.stale = true;
            return Ok(());
        }
        let cuts = kind == MediaKind::Video && frame.keyframe;
        if let Some((sample, _)) = lane.durations.push(frame) {
            lane.samples.push(sample);
        }
        let run: u64 = lane
            .samples
            .iter()
            .map(|sample| u64::from(sample.duration))
            .sum();
        let bytes: usize = lane.samples.iter().map(|sample| sample.data.len()).sum();
        // The first lane sets the pace; the other one only where the first has stopped.
        let pace = self.fragment.saturating_mul(if index == 0 { 1 } else { 4 });
        let full = duration(run, lane.config.timescale) >= pace
            || lane.samples.len() >= RUN_FRAMES_MAX
            || bytes >= FRAGMENT_BYTES_MAX;
        if cuts || full {
            chunks.extend(self.flush()?);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<Option<Chunk>, EgressError> {
        let runs: Vec<Run<'_>> = (1..)
            .zip(&self.lanes)
            .filter_map(|(track, lane)| {
                let first = lane.samples.first()?;
                Some(Run {
                    track,
                    base: first.dts.saturating_sub(lane.origin),
                    samples: &lane.samples,
                })
            })
            .collect();
        let Some(lead) = self.lanes.iter().find(|lane| !lane.samples.is_empty()) else {
            return Ok(None);
        };
        self.sequence = self.sequence.wrapping_add(1);
        let rate = lead.config.timescale;
        let length = lead
            .samples
            .iter()
            .map(|sample| u64::from(sample.duration))
            .sum();
        let first = lead.samples.first();
        let leads = self.lanes.first().map(|lane| lane.config.kind());
        let chunk = Chunk {
            bytes: fragment(self.sequence, &runs)?,
            start: first.is_some_and(|sample| sample.keyframe) && leads == Some(lead.config.kind()),
            at: duration(first.map_or(0, |sample| sample.dts), rate),
            length: duration(length, rate),
        };
        for lane in &mut self.lanes {
            lane.samples.clear();
        }
        Ok(Some(chunk))
    }
}

#[cfg(test)]
pub(crate) mod tests;
