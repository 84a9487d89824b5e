//! Which track each slot of a subscriber shall show: a pure choice, made again whenever somebody
//! publishes, speaks, is pinned or goes.
//!
//! Video: what is pinned, then screens, then whoever spoke last. Audio: the i-th audio and i-th
//! video
//! slot are a pair, and whoever is shown in a pair is preferably heard in it, so that browsers keep
//! lips and voice together. But the three loudest always hold an audio slot: where none is free the
//! longest-silent pair gives its audio up, and takes it back when its publisher speaks.
//!
//! The choice is stable: a track that stays chosen stays in its slot.

use std::collections::{BTreeMap, BTreeSet};

use media_contract::{MediaLine, MediaLineUse};
use media_types::{Identity, MediaKind, Mid, TrackId, TrackSource};

/// How many of the loudest are always heard.
pub(crate) const LOUDEST_HEARD: usize = 3;

/// A track that could be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Which.
    pub(crate) track: TrackId,
    /// Audio or video.
    pub(crate) kind: MediaKind,
    /// Who publishes it.
    pub(crate) publisher: Identity,
    /// What it shows.
    pub(crate) source: TrackSource,
    /// When its publisher was last heard, as a number that rises with every speech; 0 for never.
    pub(crate) heard: u64,
}

/// What the subscriber asked of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Nothing: it is filled by rank.
    Free,
    /// This track and no other; `None` keeps it empty.
    Pinned(Option<TrackId>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    mid: Mid,
    kind: MediaKind,
    hold: Hold,
    shows: Option<TrackId>,
    /// The other slot of its pair.
    partner: Option<Mid>,
}

/// A slot that shall show something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refill {
    /// Which slot.
    pub(crate) mid: Mid,
    /// What it shall show; `None` for nothing.
    pub(crate) track: Option<TrackId>,
}

/// The slots of one subscriber, in the order of its offer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SlotBook {
    slots: Vec<Slot>,
}

impl SlotBook {
    /// Takes the m-lines of an accepted offer. Slots that were there keep what they hold and show.
    /// `pairs` are (audio, video); empty pairs the i-th with the i-th.
    pub(crate) fn set_lines(&mut self, lines: &[MediaLine], pairs: &[(Mid, Mid)]) {
        let before: BTreeMap<Mid, Slot> =
            self.slots.drain(..).map(|slot| (slot.mid, slot)).collect();
        let receives =
            |line: &&MediaLine| matches!(line.usage, MediaLineUse::Slot | MediaLineUse::Both);
        self.slots = lines
            .iter()
            .filter(receives)
            .map(|line| {
                let earlier = before.get(&line.mid);
                Slot {
                    mid: line.mid,
                    kind: line.kind,
                    hold: earlier.map_or(Hold::Free, |slot| slot.hold),
                    shows: earlier.and_then(|slot| slot.shows),
                    partner: None,
                }
            })
            .collect();
        let of = |kind| {
            self.slots
                .iter()
                .filter(move |slot| slot.kind == kind)
                .map(|slot| slot.mid)
        };
        let by_order = || of(MediaKind::Audio).zip(of(MediaKind::Video)).collect();
        let pairs: Vec<(Mid, Mid)> = if pairs.is_empty() {
            by_order()
        } else {
            pairs.to_vec()
        };
        for (audio, video) in pairs {
            self.pair(audio, video);
            self.pair(video, audio);
        }
    }

    /// Pins a slot to a track, or to nothing. `false` if there is no such slot.
    pub(crate) fn pin(&mut self, mid: Mid, track: Option<TrackId>) -> bool {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.mid == mid) else {
            return false;
        };
        slot.hold = Hold::Pinned(track);
        true
    }

    /// Takes a pin away: the slot is filled by rank again. `false` if there is no such slot.
    pub(crate) fn release(&mut self, mid: Mid) -> bool {
        let slot = self.slots.iter_mut().find(|slot| slot.mid == mid);
        let found = slot.is_some();
        if let Some(slot) = slot {
            slot.hold = Hold::Free;
        }
        found
    }

    /// The tracks that slots are pinned to.
    pub(crate) fn pinned(&self) -> impl Iterator<Item = TrackId> + '_ {
        self.slots.iter().filter_map(|slot| match slot.hold {
            Hold::Pinned(track) => track,
            Hold::Free => None,
        })
    }

    /// What a slot shows; `None` if there is no such slot.
    #[must_use]
    pub(crate) fn shows(&self, mid: Mid) -> Option<Option<TrackId>> {
        self.slots
            .iter()
            .find(|slot| slot.mid == mid)
            .map(|slot| slot.shows)
    }

    /// Whether the subscriber pinned this slot.
    #[must_use]
    pub(crate) fn is_pinned(&self, mid: Mid) -> bool {
        let pinned = |slot: &&Slot| slot.mid == mid && slot.hold != Hold::Free;
        self.slots.iter().any(|slot| pinned(&slot))
    }

    /// Every slot with what it shows, in the order of the offer.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Mid, MediaKind, Option<TrackId>)> + '_ {
        self.slots
            .iter()
            .map(|slot| (slot.mid, slot.kind, slot.shows))
    }

    /// Takes over what a snapshot says that a slot shows.
    pub(crate) fn adopt(&mut self, mid: Mid, track: Option<TrackId>) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.mid == mid) {
            slot.shows = track;
        }
    }

    /// Chooses anew and tells what changed. `candidates` are the live tracks of others in the order
    /// in which they were published; `loudest` are audio tracks, loudest first.
    pub(crate) fn arrange(&mut self, candidates: &[Candidate], loudest: &[TrackId]) -> Vec<Refill> {
        let before: Vec<Option<TrackId>> = self.slots.iter().map(|slot| slot.shows).collect();
        let known: BTreeMap<TrackId, &Candidate> = candidates
            .iter()
            .map(|candidate| (candidate.track, candidate))
            .collect();
        for slot in &mut self.slots {
            slot.shows = match slot.hold {
                Hold::Pinned(track) => track.filter(|track| known.contains_key(track)),
                Hold::Free => slot.shows.filter(|track| known.contains_key(track)),
            };
        }
        self.drop_doubles();
        self.arrange_video(candidates);
        self.arrange_audio(candidates, &known, loudest);
        let changed = self
            .slots
            .iter()
            .zip(before)
            .filter(|(slot, before)| slot.shows != *before);
        changed
            .map(|(slot, _)| Refill {
                mid: slot.mid,
                track: slot.shows,
            })
            .collect()
    }

    fn pair(&mut self, mid: Mid, partner: Mid) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.mid == mid) {
            slot.partner = Some(partner);
        }
    }

    /// A pinned track leaves the slot that rank gave it.
    fn drop_doubles(&mut self) {
        let pinned: BTreeSet<TrackId> = self
            .slots
            .iter()
            .filter(|slot| slot.hold != Hold::Free)
            .filter_map(|slot| slot.shows)
            .collect();
        for slot in self.slots.iter_mut().filter(|slot| slot.hold == Hold::Free) {
            slot.shows = slot.shows.filter(|track| !pinned.contains(track));
        }
    }

    fn shown(&self) -> BTreeSet<TrackId> {
        self.slots.iter().filter_map(|slot| slot.shows).collect()
    }

    fn free(&self, kind: MediaKind) -> usize {
        let free = |slot: &&Slot| slot.kind == kind && slot.hold == Hold::Free;
        self.slots.iter().filter(|slot| free(slot)).count()
    }

    fn arrange_video(&mut self, candidates: &[Candidate]) {
        let pinned: BTreeSet<TrackId> = self
            .slots
            .iter()
            .filter(|slot| slot.hold != Hold::Free)
            .filter_map(|slot| slot.shows)
            .collect();
        let mut ranked: Vec<&Candidate> = candidates
            .iter()
            .filter(|c| c.kind == MediaKind::Video && !pinned.contains(&c.track))
            .collect();
        // Stable: among the never heard, the order of publication decides.
        ranked.sort_by_key(|c| (c.source != TrackSource::Screen, std::cmp::Reverse(c.heard)));
        let chosen: Vec<TrackId> = ranked
            .iter()
            .take(self.free(MediaKind::Video))
            .map(|c| c.track)
            .collect();
        self.settle(MediaKind::Video, &chosen);
    }

    /// Keeps the chosen where they are, empties what is no longer chosen, and puts the others into
    /// what is free.
    fn settle(&mut self, kind: MediaKind, chosen: &[TrackId]) {
        let free = |slot: &&mut Slot| slot.kind == kind && slot.hold == Hold::Free;
        for slot in self.slots.iter_mut().filter(|slot| free(slot)) {
            slot.shows = slot.shows.filter(|track| chosen.contains(track));
        }
        let shown = self.shown();
        let mut waiting = chosen.iter().filter(|track| !shown.contains(track));
        for slot in self
            .slots
            .iter_mut()
            .filter(|slot| free(slot) && slot.shows.is_none())
        {
            slot.shows = waiting.next().copied();
        }
    }

    /// For each audio slot of a pair, the voice of whoever its video slot shows.
    fn voices(&self, candidates: &[Candidate]) -> BTreeMap<Mid, TrackId> {
        let by_track = |track| candidates.iter().find(|c| Some(c.track) == track);
        let mut voices = BTreeMap::new();
        for video in self
            .slots
            .iter()
            .filter(|slot| slot.kind == MediaKind::Video)
        {
            let (Some(audio), Some(shown)) = (video.partner, by_track(video.shows)) else {
                continue;
            };
            let screen = shown.source == TrackSource::Screen;
            let belongs = |c: &&Candidate| {
                c.kind == MediaKind::Audio
                    && c.publisher == shown.publisher
                    && (c.source == TrackSource::ScreenAudio) == screen
            };
            if let Some(voice) = candidates.iter().find(belongs) {
                voices.insert(audio, voice.track);
            }
        }
        voices
    }

    fn arrange_audio(
        &mut self,
        candidates: &[Candidate],
        known: &BTreeMap<TrackId, &Candidate>,
        loudest: &[TrackId],
    ) {
        let voices = self.voices(candidates);
        let heard = |track: TrackId| known.get(&track).map_or(0, |c| c.heard);
        let loudest: Vec<TrackId> = loudest
            .iter()
            .copied()
            .filter(|track| known.get(track).is_some_and(|c| c.kind == MediaKind::Audio))
            .take(LOUDEST_HEARD)
            .collect();
        let mut ranked: Vec<&Candidate> = candidates
            .iter()
            .filter(|c| c.kind == MediaKind::Audio)
            .collect();
        // The loudest, then those who can be seen, then whoever spoke last.
        ranked.sort_by_key(|c| {
            let place = loudest
                .iter()
                .position(|track| *track == c.track)
                .unwrap_or(usize::MAX);
            let unseen = !voices.values().any(|voice| *voice == c.track);
            (place, unseen, std::cmp::Reverse(heard(c.track)))
        });
        let pinned: BTreeSet<TrackId> = self
            .slots
            .iter()
            .filter(|slot| slot.kind == MediaKind::Audio && slot.hold != Hold::Free)
            .filter_map(|slot| slot.shows)
            .collect();
        let chosen: Vec<TrackId> = ranked
            .iter()
            .map(|c| c.track)
            .filter(|track| !pinned.contains(track))
            .take(self.free(MediaKind::Audio))
            .collect();
        self.bring_home(&voices, &chosen);
        self.settle(MediaKind::Audio, &chosen);
    }

    /// Puts each chosen voice into the audio slot of its pair; who was there moves to a free one.
    fn bring_home(&mut self, voices: &BTreeMap<Mid, TrackId>, chosen: &[TrackId]) {
        for (home, voice) in voices.iter().filter(|(_, voice)| chosen.contains(voice)) {
            let free = |slot: &Slot| slot.mid == *home && slot.hold == Hold::Free;
            if !self.slots.iter().any(free) {
                continue;
            }
            for slot in self
                .slots
                .iter_mut()
                .filter(|slot| slot.kind == MediaKind::Audio)
            {
                if slot.mid == *home {
                    slot.shows = Some(*voice);
                } else if slot.shows == Some(*voice) && slot.hold == Hold::Free {
                    slot.shows = None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
