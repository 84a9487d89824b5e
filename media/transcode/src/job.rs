//! Bookkeeping of one job: what waits for its codec process, and what a new one must see again.

use std::collections::VecDeque;
use std::time::Duration;

use media_types::MediaKind;

use crate::MediaFrame;
use crate::limits::{
    AUDIO_FRAMES_MAX, AUDIO_REPLAY_FRAMES, BACKLOG_BYTES_MAX, FRAME_BYTES_MAX, GROUPS_MAX,
    JUMP_MIN, PICTURES_MAX,
};

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It waits.
    Queued,
    /// It waits, and this many that waited before it never will again.
    Replaced(usize),
    /// It is dropped: too large, or of a group whose beginning was dropped.
    Refused,
}

/// What a backlog has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BacklogFigures {
    /// Frames given to the process, those shown again included.
    pub taken: u64,
    /// Frames dropped before it took them.
    pub dropped: u64,
    /// Frames that came back.
    pub delivered: u64,
}

/// Frames between a source and its codec process.
///
/// A process that falls behind is not waited for: at the third group of pictures it goes on with
/// the newest. Once a frame was dropped the rest of its group goes too, since nothing in it can be
/// decoded. Audio, where every frame stands for itself, loses the oldest.
///
/// What the process has taken since the last keyframe is kept, so that after a crash the next one
/// can decode from there; see [`Self::restart`].
#[derive(Debug)]
pub struct Backlog {
    kind: MediaKind,
    waiting: VecDeque<MediaFrame>,
    /// Given to the process, from the last keyframe on; of audio the last few.
    taken: VecDeque<MediaFrame>,
    bytes: usize,
    /// The rest of a group whose beginning was dropped is of no use.
    broken: bool,
    /// The end of what came back.
    delivered: Option<Duration>,
    figures: BacklogFigures,
    /// As many drops were told of.
    told: u64,
}

impl Backlog {
    /// An empty backlog. A decoder begins with a keyframe, and so does this.
    #[must_use]
    pub fn new(kind: MediaKind) -> Self {
        Self {
            kind,
            waiting: VecDeque::new(),
            taken: VecDeque::new(),
            bytes: 0,
            broken: kind == MediaKind::Video,
            delivered: None,
            figures: BacklogFigures::default(),
            told: 0,
        }
    }

    /// Takes a frame from the source, in order of decoding.
    pub fn push(&mut self, frame: MediaFrame) -> Pushed {
        if frame.data.is_empty() || frame.data.len() > FRAME_BYTES_MAX {
            self.broken |= self.kind == MediaKind::Video;
            return self.refuse();
        }
        let replaced = match self.kind {
            MediaKind::Audio => self.make_room_for_audio(frame.data.len()),
            MediaKind::Video => match self.make_room_for_picture(&frame) {
                Some(replaced) => replaced,
                None => return self.refuse(),
            },
        };
        self.bytes = self.bytes.saturating_add(frame.data.len());
        self.waiting.push_back(frame);
        match replaced {
            0 => Pushed::Queued,
            count => Pushed::Replaced(count),
        }
    }

    /// The next frame for the process.
    pub fn pop(&mut self) -> Option<MediaFrame> {
        let frame = self.waiting.pop_front()?;
        match self.kind {
            MediaKind::Audio if self.taken.len() >= AUDIO_REPLAY_FRAMES => {
                self.forget_oldest();
            }
            MediaKind::Video if frame.keyframe => self.forget_taken(),
            MediaKind::Audio | MediaKind::Video => {}
        }
        self.taken.push_back(frame.clone());
        self.figures.taken = self.figures.taken.saturating_add(1);
        Some(frame)
    }

    /// A frame came back from the process; `lasts` is until the next one, if that is known.
    pub fn handle_output(&mut self, frame: &MediaFrame, lasts: Duration) {
        let end = frame.presented.saturating_add(lasts);
        // Where the source's clock was set back, what came before says nothing of what is to come.
        let jumped = self
            .delivered
            .is_some_and(|last| end.saturating_add(JUMP_MIN) < last);
        self.delivered = if jumped {
            Some(end)
        } else {
            self.delivered.max(Some(end))
        };
        self.figures.delivered = self.figures.delivered.saturating_add(1);
    }

    /// The process is gone and another will come: what the old one took is shown again.
    pub fn restart(&mut self) {
        while let Some(frame) = self.taken.pop_back() {
            self.waiting.push_front(frame);
        }
        // Without the beginning of its group, which may have had to go, a picture is of no use.
        let start = self.waiting.iter().position(|frame| frame.keyframe);
        self.broken |= start.is_none() && self.kind == MediaKind::Video;
        let useless = start.unwrap_or(self.waiting.len());
        let freed: usize = self
            .waiting
            .drain(..useless)
            .map(|frame| frame.data.len())
            .sum();
        self.bytes = self.bytes.saturating_sub(freed);
        self.count_dropped(useless);
    }

    /// Nothing that is presented before this is wanted again: where a new process begins.
    #[must_use]
    pub fn begin(&self) -> Duration {
        self.delivered.unwrap_or(Duration::ZERO)
    }

    /// Frames that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Frames dropped since this was last asked.
    pub fn take_dropped(&mut self) -> u64 {
        let fresh = self.figures.dropped.saturating_sub(self.told);
        self.told = self.figures.dropped;
        fresh
    }

    /// What it has seen.
    #[must_use]
    pub const fn figures(&self) -> BacklogFigures {
        self.figures
    }

    fn refuse(&mut self) -> Pushed {
        self.figures.dropped = self.figures.dropped.saturating_add(1);
        Pushed::Refused
    }

    fn make_room_for_audio(&mut self, bytes: usize) -> usize {
        let mut replaced = 0;
        while self.waiting.len() >= AUDIO_FRAMES_MAX
            || self.bytes.saturating_add(bytes) > BACKLOG_BYTES_MAX
        {
            let Some(oldest) = self.waiting.pop_front() else {
                self.forget_taken();
                break;
            };
            self.bytes = self.bytes.saturating_sub(oldest.data.len());
            replaced += 1;
        }
        self.count_dropped(replaced)
    }

    /// Frames dropped in favour of this one; `None` where this one is dropped.
    fn make_room_for_picture(&mut self, frame: &MediaFrame) -> Option<usize> {
        let bytes = self.bytes.saturating_add(frame.data.len());
        if bytes > BACKLOG_BYTES_MAX && !self.taken.is_empty() {
            // Rather no second chance after a crash than a gap now.
            self.forget_taken();
        }
        let bytes = self.bytes.saturating_add(frame.data.len());
        let full = self.waiting.len() >= PICTURES_MAX || bytes > BACKLOG_BYTES_MAX;
        let groups = self.waiting.iter().filter(|old| old.keyframe).count();
        if frame.keyframe {
            self.broken = false;
            let clear = full || groups >= GROUPS_MAX;
            return Some(if clear { self.clear_waiting() } else { 0 });
        }
        if full {
            // What waits is decodable up to here; the rest of the group is not worth its place.
            self.broken = true;
        }
        (!self.broken).then_some(0)
    }

    fn clear_waiting(&mut self) -> usize {
        let count = self.waiting.len();
        let freed: usize = self.waiting.drain(..).map(|frame| frame.data.len()).sum();
        self.bytes = self.bytes.saturating_sub(freed);
        self.count_dropped(count)
    }

    fn count_dropped(&mut self, count: usize) -> usize {
        let dropped = u64::try_from(count).unwrap_or(u64::MAX);
        self.figures.dropped = self.figures.dropped.saturating_add(dropped);
        count
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.taken.pop_front() {
            self.bytes = self.bytes.saturating_sub(oldest.data.len());
        }
    }

    fn forget_taken(&mut self) {
        while !self.taken.is_empty() {
            self.forget_oldest();
        }
    }
}

#[cfg(test)]
mod tests;
