//! Parts and segments: what a live player can fetch of one track.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use media_types::MediaKind;

use crate::cmaf::{Durations, Run, Sample, fragment, init_segment};
use crate::frame::{duration, ticks};
use crate::limits::{
    FRAGMENT_BYTES_MAX, GAP_MAX, INITS_MAX, SEGMENT_MAX, SEGMENTS_MAX, WINDOW_BYTES_MAX,
};
use crate::{EgressError, Frame, TrackConfig};

/// How streams are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackagerSettings {
    /// The length of a part.
    pub part: Duration,
    /// The least length of a segment; the next keyframe after it starts the next one.
    pub segment: Duration,
    /// Complete segments kept.
    pub segments: usize,
}

impl Default for PackagerSettings {
    fn default() -> Self {
        Self {
            part: Duration::from_millis(200),
            segment: Duration::from_secs(2),
            segments: 7,
        }
    }
}

/// One CMAF chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// `moof` and `mdat`.
    pub bytes: Bytes,
    /// In ticks of the track.
    pub length: u64,
    /// Starts with a keyframe.
    pub independent: bool,
}

/// A run of parts under one number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The media sequence number.
    pub number: u64,
    /// When its first frame is decoded, in ticks.
    pub start: u64,
    /// The number of its initialisation segment.
    pub init: u64,
    /// Time or configuration steps before it.
    pub discontinuity: bool,
    /// No more parts will come.
    pub complete: bool,
    /// What it consists of.
    pub parts: Vec<Part>,
}

impl Segment {
    /// The length in ticks so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.parts.iter().map(|part| part.length).sum()
    }

    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.bytes.len()).sum()
    }
}

/// The window of one track, as players see it. A clone shares all bytes.
#[derive(Debug, Clone)]
pub struct Rendition {
    /// Sound or pictures; names the rendition in URLs.
    pub kind: MediaKind,
    /// The newest configuration.
    pub config: Arc<TrackConfig>,
    /// Oldest first; only the last can be incomplete.
    pub segments: VecDeque<Arc<Segment>>,
    /// Initialisation segments by their numbers, oldest first.
    pub inits: VecDeque<(u64, Bytes)>,
    /// Discontinuities that fell out of the window.
    pub discontinuities_gone: u64,
    /// The longest segment, in whole seconds; never falls.
    pub target_s: u64,
    /// The longest part; never falls.
    pub part_target: Duration,
    /// Bits a second at their highest over a segment.
    pub bandwidth: u64,
    /// Nothing more will come.
    pub ended: bool,
}

impl Rendition {
    /// `video` or `audio`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        name(self.kind)
    }

    /// A segment by its number.
    #[must_use]
    pub fn segment(&self, number: u64) -> Option<&Arc<Segment>> {
        let first = self.segments.front()?.number;
        let index = usize::try_from(number.checked_sub(first)?).ok()?;
        self.segments.get(index)
    }

    /// An initialisation segment by its number.
    #[must_use]
    pub fn init(&self, number: u64) -> Option<&Bytes> {
        let mut inits = self.inits.iter();
        inits.find(|(id, _)| *id == number).map(|(_, bytes)| bytes)
    }

    /// The last part that can be fetched: its segment, and its place in it.
    #[must_use]
    pub fn edge(&self) -> Option<(u64, usize)> {
        let newest = self.segments.iter().rev().find(|it| !it.parts.is_empty())?;
        Some((newest.number, newest.parts.len().checked_sub(1)?))
    }

    /// Whether a playlist would hold this segment whole, or this part of it. One past the last part
    /// of a complete segment is the first of the next (RFC 8216bis, section 6.2.5.2).
    #[must_use]
    pub fn holds(&self, number: u64, part: Option<usize>) -> bool {
        let Some(last) = self.segments.back() else {
            return false;
        };
        if number != last.number {
            return number < last.number;
        }
        last.complete || part.is_some_and(|part| part < last.parts.len())
    }
}

/// The name of a kind of rendition in URLs.
#[must_use]
pub const fn name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    }
}

/// Where the pictures are, for the sound beside them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lead {
    /// The number of their newest segment.
    number: u64,
    /// When that starts.
    start: Duration,
    /// Their newest frame.
    newest: Duration,
}

impl Lead {
    /// The segment beside sound of that time: pictures may be further on already.
    fn number_at(&self, at: Duration) -> u64 {
        let before = at.saturating_add(APART_MAX) <= self.start;
        self.number.saturating_sub(u64::from(before))
    }

    /// The segment that first pictures of that time begin, beside sound that was there before.
    pub(super) fn number_from(&self, at: Duration) -> u64 {
        let after = self.start.saturating_add(APART_MAX) <= at;
        self.number.saturating_add(u64::from(after))
    }
}

/// Cuts one track into parts and segments.
#[derive(Debug)]
pub(super) struct Cutter {
    settings: PackagerSettings,
    durations: Durations,
    samples: Vec<Sample>,
    bytes: usize,
    sequence: u32,
    /// The number of the first segment, and of the first initialisation segment.
    pub(super) first: u64,
    inits: u64,
    discontinuity: bool,
    pub(super) rendition: Option<Rendition>,
}

impl Cutter {
    pub(super) const fn new(settings: PackagerSettings, first: u64) -> Self {
        Self {
            settings,
            first,
            durations: Durations::EMPTY,
            samples: Vec::new(),
            bytes: 0,
            sequence: 0,
            inits: first,
            discontinuity: false,
            rendition: None,
        }
    }

    /// Takes a frame; whether something new can be fetched.
    pub(super) fn push(&mut self, frame: Frame, lead: Option<Lead>) -> Result<bool, EgressError> {
        let mut changed = false;
        let rate = frame.config.timescale;
        if let Some(held) = self.durations.held() {
            let gap = frame.dts.saturating_sub(held.dts) > ticks(GAP_MAX, rate);
            if gap || held.config != frame.config {
                changed |= self.close()?;
                self.discontinuity = true;
            }
        }
        let start = frame.clone();
        if let Some((sample, _)) = self.durations.push(frame) {
            changed |= self.add(sample)?;
        }
        if self.starts_segment(&start, lead) {
            changed |= self.cut_part()?;
            changed |= self.open(&start, lead)?;
        }
        Ok(changed)
    }

    /// Ends everything that is open: a change of configuration, a gap, or the end.
    pub(super) fn close(&mut self) -> Result<bool, EgressError> {
        if let Some((sample, _)) = self.durations.flush() {
            self.add(sample)?;
        }
        self.cut_part()?;
        Ok(self.complete())
    }

    /// Where this track is, for another that is cut beside it.
    pub(super) fn lead(&self) -> Option<Lead> {
        let rendition = self.rendition.as_ref()?;
        let open = rendition.segments.back()?;
        let rate = rendition.config.timescale;
        let newest = self.durations.held()?.dts;
        Some(Lead {
            number: open.number,
            start: duration(open.start, rate),
            newest: duration(newest, rate),
        })
    }

    /// Whether the frame (whose predecessors have been added) starts a segment.
    fn starts_segment(&self, frame: &Frame, lead: Option<Lead>) -> bool {
        let open = self.rendition.as_ref().and_then(|it| it.segments.back());
        let Some(open) = open.filter(|segment| !segment.complete) else {
            return frame.keyframe;
        };
        let rate = frame.config.timescale;
        let length = frame.dts.saturating_sub(open.start);
        if length >= ticks(SEGMENT_MAX, rate) {
            return true;
        }
        let at = duration(frame.dts, rate);
        let beside = |lead: &Lead| at < lead.newest.saturating_add(LEAD_MAX);
        if let Some(lead) = lead.filter(beside) {
            let begun = duration(open.start, rate).saturating_add(APART_MAX);
            // Sound that came right before a cut has one short segment rather than other numbers
            // than the pictures for good: players take the same numbers for the same time.
            let is_first = self
                .rendition
                .as_ref()
                .is_some_and(|it| it.segments.len() == 1);
            let behind = is_first && lead.number == open.number + 1;
            return (behind || lead.start >= begun) && at >= lead.start;
        }
        // A keyframe a hair before its time is better than one twice as late.
        let early = match frame.config.kind() {
            MediaKind::Video => TOLERANCE,
            MediaKind::Audio => Duration::ZERO,
        };
        // Short ones at first: a player that came too slowly for the parts of the first waits for
        // the whole of the second.
        let whole = self.settings.segment;
        let least = match open.number.saturating_sub(self.first) {
            0 => whole.min(FIRST_SEGMENT),
            1 => whole / 2,
            _ => whole.saturating_sub(early),
        };
        frame.keyframe && length >= ticks(least, rate)
    }

    fn open(&mut self, frame: &Frame, lead: Option<Lead>) -> Result<bool, EgressError> {
        let changed = self.complete();
        let fresh = self.rendition.as_ref().map(|it| it.config != frame.config);
        if fresh != Some(false) {
            let init = init_segment(&[&frame.config])?;
            self.inits += 1;
            self.renew(frame, init);
        }
        let (inits, discontinuity) = (self.inits, std::mem::take(&mut self.discontinuity));
        let Some(rendition) = &mut self.rendition else {
            return Ok(changed);
        };
        let at = duration(frame.dts, frame.config.timescale);
        let first = lead.map_or(self.first, |lead| lead.number_at(at).max(self.first));
        let number = rendition
            .segments
            .back()
            .map_or(first, |last| last.number + 1);
        rendition.segments.push_back(Arc::new(Segment {
            number,
            start: frame.dts,
            init: inits,
            discontinuity,
            complete: false,
            parts: Vec::new(),
        }));
        trim(rendition, self.settings.segments);
        Ok(changed)
    }

    fn renew(&mut self, frame: &Frame, init: Bytes) {
        let rendition = self.rendition.get_or_insert_with(|| Rendition {
            kind: frame.config.kind(),
            config: Arc::clone(&frame.config),
            segments: VecDeque::new(),
            inits: VecDeque::new(),
            discontinuities_gone: 0,
            target_s: self.settings.segment.as_secs().max(1),
            part_target: self.settings.part,
            bandwidth: 0,
            ended: false,
        });
        rendition.config = Arc::clone(&frame.config);
        rendition.inits.push_back((self.inits, init));
        if rendition.inits.len() > INITS_MAX {
            rendition.inits.pop_front();
        }
    }

    fn add(&mut self, sample: Sample) -> Result<bool, EgressError> {
        let open = self.rendition.as_ref().and_then(|it| it.segments.back());
        if open.is_none_or(|segment| segment.complete) {
            // Nothing to decode it with.
            return Ok(false);
        }
        let rate = self.rendition.as_ref().map_or(1, |it| it.config.timescale);
        let length = u64::from(sample.duration);
        self.bytes = self.bytes.saturating_add(sample.data.len());
        self.samples.push(sample);
        let so_far = run_length(&self.samples);
        // The next frame is taken to be as long as this one: cut where that comes nearest.
        let full = so_far.saturating_add(length / 2) >= ticks(self.settings.part, rate);
        if full || self.bytes > FRAGMENT_BYTES_MAX {
            return self.cut_part();
        }
        Ok(false)
    }

    fn cut_part(&mut self) -> Result<bool, EgressError> {
        let samples = std::mem::take(&mut self.samples);
        self.bytes = 0;
        let Some(first) = samples.first() else {
            return Ok(false);
        };
        self.sequence = self.sequence.wrapping_add(1);
        let run = Run {
            track: 1,
            base: first.dts,
            samples: &samples,
        };
        let bytes = fragment(self.sequence, &[run])?;
        let part = Part {
            bytes,
            length: run_length(&samples),
            independent: first.keyframe,
        };
        let Some(rendition) = &mut self.rendition else {
            return Ok(false);
        };
        let length = duration(part.length, rendition.config.timescale);
        rendition.part_target = rendition.part_target.max(length);
        if let Some(open) = rendition.segments.back_mut() {
            Arc::make_mut(open).parts.push(part);
        }
        Ok(true)
    }

    /// Marks the open segment complete; whether there was one.
    fn complete(&mut self) -> bool {
        let Some(rendition) = &mut self.rendition else {
            return false;
        };
        let rate = rendition.config.timescale;
        let Some(open) = rendition.segments.back_mut().filter(|it| !it.complete) else {
            return false;
        };
        if open.parts.is_empty() {
            rendition.segments.pop_back();
            return false;
        }
        let open = Arc::make_mut(open);
        open.complete = true;
        let length = duration(open.length(), rate);
        let rounded = length.saturating_add(Duration::from_millis(500)).as_secs();
        rendition.target_s = rendition.target_s.max(rounded);
        let bits = u128::try_from(open.bytes()).unwrap_or(0) * 8_000_000;
        let rate = bits.checked_div(length.as_micros()).unwrap_or(0);
        rendition.bandwidth = rendition.bandwidth.max(u64::try_from(rate).unwrap_or(0));
        true
    }
}

/// How much shorter than wanted a segment may be for a keyframe's sake.
const TOLERANCE: Duration = Duration::from_millis(100);
/// The least length of the first segment: players begin once one is complete.
const FIRST_SEGMENT: Duration = Duration::from_millis(400);
/// Segments of sound and pictures that start within this start together.
const APART_MAX: Duration = Duration::from_millis(250);
/// Sound that is further ahead of the newest picture is cut by itself: the camera is off.
const LEAD_MAX: Duration = Duration::from_secs(1);

fn run_length(samples: &[Sample]) -> u64 {
    samples
        .iter()
        .map(|sample| u64::from(sample.duration))
        .sum()
}

/// Lets the oldest segments go: beyond their number, or while they hold too many bytes.
fn trim(rendition: &mut Rendition, keep: usize) {
    let keep = keep.clamp(1, SEGMENTS_MAX);
    let bytes = |it: &Rendition| it.segments.iter().map(|it| it.bytes()).sum::<usize>();
    while rendition.segments.len() > keep + 1
        || rendition.segments.len() > 2 && bytes(rendition) > WINDOW_BYTES_MAX
    {
        let gone = rendition.segments.pop_front();
        let stepped = gone.is_some_and(|segment| segment.discontinuity);
        rendition.discontinuities_gone += u64::from(stepped);
    }
}
