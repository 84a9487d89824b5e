//! Who is heard: smoothed audio levels of a room's tracks, loudest first.
//!
//! Levels come from the audio-level header extension (RFC 6464). A client that did not negotiate it
//! is judged by its packets: speech makes Opus packets larger than silence does, and DTX makes
//! silence nearly nothing. A stream of constant size tells nothing and counts as quiet speech, so
//! that it is heard rather than forgotten.

use std::time::{Duration, Instant};

use media_rtp::level::AudioLevel;

/// Smoothed levels of at most this many −dBov are speech; a quiet room is −60 and below.
const SPEECH_DBOV_MAX: u8 = 52;
/// One who is already listed stays until below this, so that a pause for breath does not flap.
const SPEECH_DBOV_KEEP: u8 = 60;
/// The level that stands for speech of unknown loudness; the quietest that is still listed.
const ASSUMED_DBOV: u8 = 50;
const SILENT_DBOV: u8 = 127;
/// Opus packets up to this size are DTX or comfort noise.
const DTX_BYTES_MAX: usize = 10;
/// No packet for this long is silence: DTX sends one every 400 ms.
const SILENT_AFTER: Duration = Duration::from_millis(700);
/// Steps of level that are worth telling anew, in dB.
const NOTICE_DB: u8 = 6;

/// Levels are kept in 1/16 dB so that slow smoothing still moves.
const FINE: i32 = 16;

/// The loudness of one audio track.
#[derive(Debug, Clone)]
pub(crate) struct Loudness {
    level: i32,
    sizes: SizeRange,
    last: Option<Instant>,
    speaking: bool,
}

/// The smallest and largest recent packet, each drifting towards the other.
#[derive(Debug, Clone, Copy, Default)]
struct SizeRange {
    low: i32,
    high: i32,
}

impl SizeRange {
    /// The level that a packet of this size suggests.
    fn judge(&mut self, bytes: usize) -> u8 {
        if bytes <= DTX_BYTES_MAX {
            return SILENT_DBOV;
        }
        let size = i32::try_from(bytes).unwrap_or(i32::MAX / FINE).min(2_000) * FINE;
        if self.high == 0 {
            (self.low, self.high) = (size, size);
        }
        self.low = (self.low + self.low / 500 + 1).min(size);
        self.high = (self.high - self.high / 500).max(size);
        let steady = self.high < self.low.saturating_mul(3) / 2;
        if steady || size.saturating_mul(4) >= self.low.saturating_mul(6) {
            ASSUMED_DBOV
        } else {
            SILENT_DBOV
        }
    }
}

impl Default for Loudness {
    fn default() -> Self {
        Self {
            level: i32::from(SILENT_DBOV) * FINE,
            sizes: SizeRange::default(),
            last: None,
            speaking: false,
        }
    }
}

impl Loudness {
    /// Takes one packet: its level if it carries one, and its payload's length.
    pub(crate) fn on_packet(&mut self, now: Instant, level: Option<AudioLevel>, bytes: usize) {
        let heard = match level {
            Some(level) => level.level_dbov,
            None => self.sizes.judge(bytes),
        };
        let heard = i32::from(heard.min(SILENT_DBOV)) * FINE;
        // Louder counts quickly (about 3 packets), quieter slowly (about 25: half a second).
        let share = if heard < self.level { 3 } else { 25 };
        self.level += (heard - self.level) / share;
        self.last = Some(now);
    }

    /// Forgets what was heard: the track is muted or gone.
    pub(crate) fn silence(&mut self) {
        self.level = i32::from(SILENT_DBOV) * FINE;
        self.last = None;
        self.speaking = false;
    }

    /// The smoothed level in −dBov, if it is clearly speech now.
    pub(crate) fn level(&self, now: Instant) -> Option<u8> {
        let last = self.last?;
        let level = u8::try_from(self.level / FINE).ok()?;
        let recent = now.saturating_duration_since(last) < SILENT_AFTER;
        (recent && level <= SPEECH_DBOV_MAX).then_some(level)
    }

    /// The smoothed level in −dBov, if it is speech now.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<u8> {
        let recent = self
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < SILENT_AFTER);
        if !recent {
            self.silence();
            return None;
        }
        let level = u8::try_from(self.level / FINE).unwrap_or(SILENT_DBOV);
        let bound = if self.speaking {
            SPEECH_DBOV_KEEP
        } else {
            SPEECH_DBOV_MAX
        };
        self.speaking = level <= bound;
        self.speaking.then_some(level)
    }
}

/// One entry of the list: a track, and how loud it is in −dBov.
pub(crate) type Heard<K> = (K, u8);

/// Who is heard now, and the list that was last told.
#[derive(Debug, Clone)]
pub(crate) struct Speakers<K> {
    heard: Vec<Heard<K>>,
    told: Vec<Heard<K>>,
    told_at: Option<Instant>,
}

impl<K> Default for Speakers<K> {
    fn default() -> Self {
        Self {
            heard: Vec::new(),
            told: Vec::new(),
            told_at: None,
        }
    }
}

impl<K: Copy + Ord> Speakers<K> {
    /// Whether a list may be told: not too soon after the last one.
    pub(crate) fn is_due(&self, now: Instant, period: Duration) -> bool {
        let rested = |at| now.saturating_duration_since(at) >= period;
        self.told_at.is_none_or(rested)
    }

    /// Takes one who is heard now, in any order.
    pub(crate) fn hear(&mut self, track: K, level: u8) {
        self.heard.push((track, level));
    }

    /// The list of those heard since the last call, loudest first, if it changed in who, in order,
    /// or clearly in loudness.
    pub(crate) fn update(&mut self, now: Instant, heard_max: usize) -> Option<&[Heard<K>]> {
        let Self {
            heard,
            told,
            told_at,
        } = self;
        heard.sort_unstable_by_key(|&(track, level)| (level / NOTICE_DB, track));
        heard.truncate(heard_max);
        let same = told.len() == heard.len()
            && told
                .iter()
                .zip(heard.iter())
                .all(|(old, new)| old.0 == new.0 && old.1.abs_diff(new.1) < NOTICE_DB);
        if same {
            heard.clear();
            return None;
        }
        std::mem::swap(told, heard);
        heard.clear();
        *told_at = Some(now);
        Some(told)
    }
}

/// Who is heard most, for a while: layers must not follow every word.
#[derive(Debug, Clone)]
pub(crate) struct Dominant<K> {
    speaker: Option<K>,
    since: Option<Instant>,
}

impl<K> Default for Dominant<K> {
    fn default() -> Self {
        Self {
            speaker: None,
            since: None,
        }
    }
}

impl<K: Clone + PartialEq> Dominant<K> {
    /// Who it is; after all fell silent, who it was last.
    pub(crate) const fn speaker(&self) -> Option<&K> {
        self.speaker.as_ref()
    }

    /// Follows those who are heard now, with their levels in −dBov; whether it is another one.
    /// Another one must be clearly louder than who it was, and that for some time.
    pub(crate) fn update<'a>(
        &mut self,
        now: Instant,
        period: Duration,
        heard: impl Iterator<Item = Heard<&'a K>> + Clone,
    ) -> bool
    where
        K: 'a,
    {
        let settled = |at| now.saturating_duration_since(at) >= period;
        if self.speaker.is_some() && !self.since.is_none_or(settled) {
            return false;
        }
        let Some((loudest, level)) = heard.clone().min_by_key(|&(_, level)| level) else {
            return false;
        };
        let mut known = heard.filter(|&(speaker, _)| Some(speaker) == self.speaker.as_ref());
        if known.any(|(_, known)| known < level.saturating_add(NOTICE_DB)) {
            return false;
        }
        self.speaker = Some(loudest.clone());
        self.since = Some(now);
        true
    }
}

#[cfg(test)]
mod tests;
