//! Which encodings of a simulcast track somebody watches, and what its publisher was told of it.
//!
//! An encoding that nobody watches costs its publisher's uplink and processor for nothing. A wish
//! is told at once, since somebody waits for it; that a wish has ended is told a while later, since
//! layers that are left are often wanted again a moment after.

use std::time::Instant;

use arrayvec::ArrayVec;
use media_types::{Layer, Rid};

use crate::limits::UNWANTED_AFTER;

const STREAMS: usize = Layer::SPATIAL_MAX as usize;

/// A set of a track's encodings, by their place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Streams(u8);

impl Streams {
    /// None.
    pub(crate) const EMPTY: Self = Self(0);
    /// All that there can be.
    pub(crate) const ALL: Self = Self((1 << Layer::SPATIAL_MAX) - 1);

    /// From a bit for each, the lowest encoding's first.
    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// A bit for each, the lowest encoding's first.
    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    /// The lowest ones.
    pub(crate) fn lowest(count: usize) -> Self {
        (0..Layer::SPATIAL_MAX).take(count).collect()
    }

    pub(crate) const fn insert(&mut self, stream: u8) {
        if stream < Layer::SPATIAL_MAX {
            self.0 |= 1 << stream;
        }
    }

    pub(crate) const fn contains(self, stream: u8) -> bool {
        stream < Layer::SPATIAL_MAX && self.0 & (1 << stream) != 0
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The places, lowest first.
    pub(crate) fn iter(self) -> impl Iterator<Item = u8> {
        (0..Layer::SPATIAL_MAX).filter(move |&stream| self.contains(stream))
    }
}

impl FromIterator<u8> for Streams {
    fn from_iter<I: IntoIterator<Item = u8>>(streams: I) -> Self {
        let mut set = Self::EMPTY;
        streams.into_iter().for_each(|stream| set.insert(stream));
        set
    }
}

/// What a publisher is to be told anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Encodings that are to be sent again.
    pub(crate) resumed: Streams,
    /// Encodings that may pause.
    pub(crate) paused: Streams,
}

/// The book of one track.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// The published encodings, lowest first; fewer than two: no simulcast.
    rids: ArrayVec<Rid, STREAMS>,
    /// What the publisher was told to send; nothing was told yet: it sends all.
    told: Option<Streams>,
    /// Since when each encoding is sent and nobody wants it.
    idle_since: [Option<Instant>; STREAMS],
    /// When the first look was taken.
    known_since: Option<Instant>,
}

impl Wanted {
    /// Takes note of the encodings that the publisher offers; whether these are others.
    pub(crate) fn set_rids(&mut self, rids: &[Rid]) -> bool {
        if self.rids.as_slice() == rids.get(..rids.len().min(STREAMS)).unwrap_or_default() {
            return false;
        }
        *self = Self {
            rids: rids.iter().copied().take(STREAMS).collect(),
            ..Self::default()
        };
        true
    }

    /// Whether the track has encodings that could pause.
    pub(crate) const fn is_simulcast(&self) -> bool {
        self.rids.len() > 1
    }

    /// How many encodings there are.
    pub(crate) const fn published(&self) -> usize {
        self.rids.len()
    }

    /// Whether the publisher was told to send nothing.
    pub(crate) fn is_silenced(&self) -> bool {
        self.told == Some(Streams::EMPTY)
    }

    /// The published encodings with their places, lowest first.
    pub(crate) fn named(&self) -> impl Iterator<Item = (u8, Rid)> {
        (0..).zip(self.rids.iter().copied())
    }

    /// The layers to send as the publisher was last told; `None` before it was told anything.
    pub(crate) fn active(&self) -> Option<Vec<Rid>> {
        let told = self.told?;
        let named = (0..).zip(&self.rids);
        let active = named.filter(|&(stream, _)| told.contains(stream));
        Some(active.map(|(_, &rid)| rid).collect())
    }

    /// Follows what is wanted; what to tell the publisher, if anything. What has not `started` is
    /// wanted whole: a track of which nothing ever came is unknown to those who could want it.
    ///
    /// A publisher is told once even if it is to send all: it may have been told otherwise of what
    /// it sent before.
    pub(crate) fn update(
        &mut self,
        now: Instant,
        wanted: Streams,
        started: bool,
    ) -> Option<Change> {
        if !self.is_simulcast() {
            return None;
        }
        let all = Streams::lowest(self.rids.len());
        let wanted = if started {
            wanted.intersection(all)
        } else {
            all
        };
        let known_since = *self.known_since.get_or_insert(now);
        let sent = self.told.unwrap_or(all);
        let mut paused = Streams::EMPTY;
        for stream in 0..Layer::SPATIAL_MAX {
            let Some(since) = self.idle_since.get_mut(usize::from(stream)) else {
                continue;
            };
            if wanted.contains(stream) || !sent.contains(stream) {
                *since = None;
                continue;
            }
            let since = *since.get_or_insert(now);
            if now.saturating_duration_since(since) >= UNWANTED_AFTER {
                paused.insert(stream);
            }
        }
        let resumed = wanted.without(sent);
        let silent =
            self.told.is_none() && now.saturating_duration_since(known_since) >= UNWANTED_AFTER;
        if resumed.is_empty() && paused.is_empty() && !silent {
            return None;
        }
        self.told = Some(sent.union(resumed).without(paused));
        Some(Change { resumed, paused })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[allow(clippy::disallowed_methods, reason = "a base for virtual time")]
    fn arrange() -> (Wanted, Instant) {
        let mut wanted = Wanted::default();
        let rids = ["q", "h", "f"].map(|rid| rid.parse().unwrap());
        assert!(wanted.set_rids(&rids));
        assert!(!wanted.set_rids(&rids));
        (wanted, Instant::now())
    }

    fn set(streams: &[u8]) -> Streams {
        streams.iter().copied().collect()
    }

    fn names(wanted: &Wanted) -> Option<Vec<String>> {
        let active = wanted.active()?;
        Some(active.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_wish_is_told_at_once_and_its_end_after_a_second() {
        let (mut wanted, base) = arrange();
        assert_eq!(wanted.update(base, set(&[0, 2]), true), None);
        assert_eq!(wanted.update(base + ms(999), set(&[0, 2]), true), None);
        let change = wanted.update(base + ms(1_000), set(&[0, 2]), true);
        let paused = set(&[1]);
        let resumed = Streams::EMPTY;
        assert_eq!(change, Some(Change { resumed, paused }));
        assert_eq!(names(&wanted).unwrap(), ["q", "f"]);
        assert_eq!(wanted.update(base + ms(1_100), set(&[0]), true), None);
        assert_eq!(wanted.update(base + ms(2_000), set(&[0, 2]), true), None);
        let change = wanted.update(base + ms(2_050), set(&[1]), true).unwrap();
        assert_eq!((change.resumed, change.paused), (set(&[1]), resumed));
        assert_eq!(names(&wanted).unwrap(), ["q", "h", "f"]);
        let change = wanted.update(base + ms(3_050), resumed, true).unwrap();
        assert_eq!(
            change.paused,
            set(&[0, 2]),
            "the third is idle for no time yet"
        );
        let change = wanted.update(base + ms(4_050), resumed, true).unwrap();
        assert_eq!(change.paused, set(&[1]));
        assert!(wanted.is_silenced());
        assert_eq!(names(&wanted).unwrap(), [""; 0]);
    }

    #[test]
    fn what_never_started_is_asked_for_whole() {
        let (mut wanted, base) = arrange();
        assert_eq!(wanted.update(base, Streams::EMPTY, false), None);
        assert!(
            wanted
                .update(base + ms(1_000), Streams::EMPTY, false)
                .is_some()
        );
        assert_eq!(names(&wanted).unwrap(), ["q", "h", "f"]);
        assert_eq!(wanted.update(base + ms(9_000), Streams::EMPTY, false), None);
        assert_eq!(wanted.update(base + ms(9_100), Streams::EMPTY, true), None);
        assert!(
            wanted
                .update(base + ms(10_100), Streams::EMPTY, true)
                .is_some()
        );
        assert!(wanted.is_silenced());
    }

    #[test]
    fn without_simulcast_nothing_is_told() {
        let (_, base) = arrange();
        let mut wanted = Wanted::default();
        wanted.set_rids(&["a".parse().unwrap()]);
        assert_eq!(wanted.update(base, Streams::EMPTY, true), None);
        assert_eq!(wanted.update(base + ms(5_000), Streams::EMPTY, true), None);
        assert_eq!(wanted.active(), None);
    }
}
