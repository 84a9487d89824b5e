//! How well members' media arrives, and when that is worth telling.
//!
//! A score falls as soon as something is wrong and rises once nothing was for [`QUALITY_CALM`], so
//! that a path that wavers makes no flood of notices.
//!
//! A member hears of both its ways. Others hear of what a publisher sends, since that is what they
//! miss: what is new of all publishers of a room is gathered on a [`Board`] and handed to the peers
//! at most once a second, each of which tells its client what that has to do with.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use control_plane::balance::{Groups, Room as Weighed};
use media_types::{Identity, PeerId, Rid, TrackId, WorkerId};
use signaling::ServerMessage;
use signaling::server_message::QualityParams;
use signaling::view::QualityReason;

use super::message::Audience;
use super::state::{Effect, RoomPhase, RoomState};
use crate::limits::{QUALITIES_PERIOD, QUALITY_CALM, QUALITY_PERIOD, QUALITY_STEP, THIN_AFTER};
use crate::part::{FarQuality, PartBody};
use crate::session::Notice;

/// Tracks of a room of which each member costs something: it has no more slots.
const WEIGHED_TRACKS: u64 = 16;
/// What it costs that a layer which somebody watches has gone silent.
const THIN_COST: f64 = 0.3;
/// What the first silent track costs; the rest of the score goes with all of them.
const STALLED_COST: f64 = 0.5;

/// How well media arrives: 1 flawless, 0 unusable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Score {
    pub(crate) value: f64,
    /// What costs most of what is missing to 1.
    pub(crate) reason: QualityReason,
}

impl Score {
    /// The score with something more amiss.
    fn less(self, cost: f64, reason: QualityReason) -> Self {
        let is_worst = cost > 1.0 - self.value;
        Self {
            value: (self.value - cost).max(0.0),
            reason: if is_worst { reason } else { self.reason },
        }
    }
}

/// What a peer says of its last second.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    /// Of both ways, for itself.
    pub(crate) score: Score,
    /// Round trip to its client.
    pub(crate) rtt: Option<Duration>,
    /// Of what it sends, for others.
    pub(crate) uplink: Score,
    /// Layers that have flowed and do not now, of tracks of which another layer does.
    pub(crate) silent: Vec<(TrackId, Rid)>,
    /// Single encodings that the path has cut down.
    pub(crate) narrowed: Vec<TrackId>,
}

/// A publisher's quality, ready to be sent.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) score: Score,
    pub(crate) notice: Notice,
}

/// How well the publishers' media arrives, as it was told last.
pub(crate) type Board = BTreeMap<Identity, Arc<Told>>;

/// The board, and when what is new on it goes out.
#[derive(Debug, Default)]
pub(crate) struct Qualities {
    board: Board,
    due: Option<Instant>,
    flushed: Option<Instant>,
    /// Other parts have not heard of all that is known of members.
    untold: bool,
}

impl Qualities {
    /// When [`RoomState::flush_qualities`] is to be called.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// What a peer that begins a life is to know.
    pub(crate) fn board(&self) -> Option<Arc<Board>> {
        (!self.board.is_empty()).then(|| Arc::new(self.board.clone()))
    }

    /// Somebody publishes no more.
    pub(crate) fn forget(&mut self, identity: &Identity) {
        self.untold |= self.board.remove(identity).is_some();
    }

    fn note(&mut self, now: Instant, identity: Identity, score: Score) {
        let told = Told {
            score,
            notice: Notice::new(message(&identity, score)),
        };
        self.board.insert(identity, Arc::new(told));
        let earliest = self
            .flushed
            .map_or(now, |at| now.max(at + QUALITIES_PERIOD));
        self.due.get_or_insert(earliest);
    }
}

fn message(identity: &Identity, score: Score) -> ServerMessage {
    ServerMessage::Quality(QualityParams {
        peer_id: identity.clone(),
        score: score.value,
        reason: score.reason,
    })
}

/// What the room remembers of one member's quality.
#[derive(Debug, Default)]
pub(crate) struct Quality {
    /// Both ways, as the member itself hears of it.
    own: Pace,
    /// What it sends, as others hear of it.
    uplink: Pace,
    /// Since when a watched layer is silent.
    thin_since: Option<Instant>,
    /// Round trip, as last measured.
    rtt: Option<Duration>,
}

impl Quality {
    /// The score that the member was told last, of both its ways.
    pub(crate) fn told(&self) -> Option<Score> {
        self.own.told.map(|(score, _)| score)
    }
}

/// When a score is worth telling.
#[derive(Debug, Default)]
struct Pace {
    recent: VecDeque<(Instant, Score)>,
    told: Option<(Score, Instant)>,
}

impl Pace {
    /// Takes a score; gives back what is to be told.
    fn take(&mut self, now: Instant, score: Score) -> Option<Score> {
        self.recent.push_back((now, score));
        self.recent
            .retain(|(at, _)| now.duration_since(*at) < QUALITY_CALM);
        let recent = self.recent.iter().map(|(_, score)| *score);
        let worst = recent.min_by(|a, b| a.value.total_cmp(&b.value))?;
        let worth = self.told.is_none_or(|(told, at)| {
            let differs = (told.value - worst.value).abs() >= QUALITY_STEP;
            let otherwise = told.reason != worst.reason && worst.value <= 1.0 - QUALITY_STEP;
            (differs || otherwise) && now.duration_since(at) >= QUALITY_PERIOD
        });
        if !worth {
            return None;
        }
        self.told = Some((worst, now));
        Some(worst)
    }
}

impl RoomState {
    /// A peer says how its media arrived in the last second.
    pub(crate) fn quality(&mut self, now: Instant, peer: PeerId, report: &Report) {
        let thin = self.is_thin(report);
        let stalled = self.stalled_share(peer);
        let Some(member) = self.members.get_mut(&peer) else {
            return;
        };
        let quality = &mut member.quality;
        quality.rtt = report.rtt;
        let since = quality.thin_since.take().unwrap_or(now);
        quality.thin_since = thin.then_some(since);
        let is_thin = thin && now.duration_since(since) >= THIN_AFTER;
        let with_sent = |score: Score| sent_less(score, is_thin, stalled);
        let own = quality.own.take(now, with_sent(report.score));
        let uplink = quality.uplink.take(now, with_sent(report.uplink));
        let identity = member.record.identity.clone();
        let publishes = !member.record.tracks.is_empty();
        if let Some(score) = own {
            self.notify(Audience::One(peer), message(&identity, score));
        }
        if !publishes {
            self.qualities.forget(&identity);
        } else if let Some(score) = uplink {
            self.qualities.note(now, identity, score);
            self.qualities.untold = true;
            self.flush_qualities(now);
        }
    }

    /// Another part says how well its publishers' media arrives: that replaces what it said before.
    pub(crate) fn take_qualities(&mut self, now: Instant, from: WorkerId, told: Vec<FarQuality>) {
        let mut told: BTreeMap<_, _> = told
            .into_iter()
            .map(|far| (far.identity.clone(), far))
            .collect();
        let far = self.parts.peers.iter();
        let there = far.filter(|(_, (worker, _))| *worker == from);
        for identity in there.map(|(identity, _)| identity) {
            let Some(far) = told.remove(identity) else {
                self.qualities.board.remove(identity);
                continue;
            };
            let score = Score {
                value: far.score.clamp(0.0, 1.0),
                reason: far.reason,
            };
            let before = self.qualities.board.get(identity);
            if before.is_none_or(|before| before.score != score) {
                self.qualities.note(now, far.identity, score);
            }
        }
        self.flush_qualities(now);
    }

    /// Tells the other parts of this one's publishers.
    pub(crate) fn tell_qualities_far(&mut self) {
        let own = self.qualities.board.iter();
        let own = own.filter(|(identity, _)| self.identities.contains_key(identity));
        let own: Vec<_> = own
            .map(|(identity, told)| FarQuality {
                identity: identity.clone(),
                score: told.score.value,
                reason: told.score.reason,
            })
            .collect();
        let untold = std::mem::take(&mut self.qualities.untold);
        if untold || !own.is_empty() {
            self.tell_parts(&PartBody::Qualities(own));
        }
    }

    /// What the room costs, and how its peers are; `None` where it is not this worker's to move.
    pub(crate) fn weigh(&self) -> Option<Weighed> {
        let moves = self.phase != RoomPhase::Active || !self.stage.expected.is_empty();
        if moves || self.parts.is_branch() || self.members.is_empty() {
            return None;
        }
        let mut groups = Groups::default();
        let qualities = || self.members.values().map(|member| &member.quality);
        for (score, _) in qualities().filter_map(|quality| quality.own.told) {
            groups.add(score.value);
        }
        let mut trips: Vec<Duration> = qualities().filter_map(|quality| quality.rtt).collect();
        trips.sort_unstable();
        // Zero says that none is known: peers that are very near count as a millisecond away.
        let median = trips.get(trips.len() / 2).map(|it| it.as_millis().max(1));
        groups.rtt_ms = u32::try_from(median.unwrap_or(0)).unwrap_or(u32::MAX);
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        // What each member is shown, and what each sends.
        let shown = count(self.tracks.len()).min(WEIGHED_TRACKS);
        Some(Weighed {
            name: self.name.clone(),
            weight: count(self.members.len()).saturating_mul(shown + 1),
            groups,
            shard: self.shards.first().copied(),
            parts: self.parts.workers(),
        })
    }

    /// Hands the board to all peers, if something is new and the last time is a while ago.
    pub(crate) fn flush_qualities(&mut self, now: Instant) {
        if self.qualities.due.is_none_or(|due| now < due) {
            return;
        }
        self.qualities.due = None;
        self.qualities.flushed = Some(now);
        let board = Arc::new(self.qualities.board.clone());
        self.effects.push(Effect::Qualities(board));
        if self.qualities.untold {
            self.tell_qualities_far();
        }
    }

    /// Whether the publisher's path has dropped a layer that somebody watches, or cut down a lone
    /// encoding.
    fn is_thin(&self, report: &Report) -> bool {
        let watched = |(track, rid): &(TrackId, Rid)| {
            let wanted = self.tracks.wanted(*track);
            wanted.is_some_and(|wanted| wanted.active.contains(rid))
        };
        report.silent.iter().any(watched) || !report.narrowed.is_empty()
    }

    /// How many of a peer's tracks that should flow do not; `None` if all do.
    fn stalled_share(&self, peer: PeerId) -> Option<f64> {
        let own = || self.tracks.iter().filter(|entry| entry.owner == peer);
        let flowing = own().filter(|entry| entry.view.live && !entry.view.muted);
        let (mut all, mut stalled) = (0_u32, 0_u32);
        for entry in flowing {
            all = all.saturating_add(1);
            stalled += u32::from(self.tracks.is_stalled(entry.view.track_id));
        }
        (stalled > 0).then(|| f64::from(stalled) / f64::from(all))
    }
}

/// A score with what is amiss with the member's tracks.
fn sent_less(mut score: Score, is_thin: bool, stalled: Option<f64>) -> Score {
    if is_thin {
        score = score.less(THIN_COST, QualityReason::Bandwidth);
    }
    if let Some(share) = stalled {
        let cost = STALLED_COST + (1.0 - STALLED_COST) * share;
        score = score.less(cost, QualityReason::NoMedia);
    }
    score
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const fn score(value: f64, reason: QualityReason) -> Score {
        Score { value, reason }
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base to count from")]
    fn it_falls_at_once_and_rises_when_it_has_been_calm() {
        let start = Instant::now();
        let mut quality = Pace::default();
        let mut told = |seconds, value| {
            let reason = if value < 1.0 {
                QualityReason::Loss
            } else {
                QualityReason::None
            };
            let at = start + Duration::from_secs(seconds);
            quality.take(at, score(value, reason)).map(|s| s.value)
        };
        assert_eq!(told(0, 1.0), Some(1.0));
        assert_eq!(told(10, 0.4), Some(0.4));
        // Better for a moment is no news, nor is a second bad moment.
        assert_eq!(told(11, 1.0), None);
        assert_eq!(told(12, 1.0), None);
        assert_eq!(told(13, 0.4), None);
        assert_eq!(told(14, 1.0), None);
        assert_eq!(told(15, 1.0), None);
        assert_eq!(told(16, 1.0), Some(1.0));
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base to count from")]
    fn another_reason_is_news_and_not_more_often_than_every_two_seconds() {
        let start = Instant::now();
        let mut quality = Pace::default();
        let mut told = |ms, reason| {
            let at = start + Duration::from_millis(ms);
            quality.take(at, score(0.5, reason)).is_some()
        };
        assert!(told(0, QualityReason::Loss));
        assert!(!told(1_000, QualityReason::NoMedia));
        assert!(told(4_500, QualityReason::NoMedia));
        assert!(!told(5_500, QualityReason::NoMedia));
    }

    #[test]
    fn the_largest_cost_names_the_reason() {
        let good = score(1.0, QualityReason::None);
        let thin = good.less(THIN_COST, QualityReason::Bandwidth);
        assert_eq!(thin.reason, QualityReason::Bandwidth);
        let stalled = thin.less(1.0, QualityReason::NoMedia);
        assert_eq!(stalled, score(0.0, QualityReason::NoMedia));
        let lossy = score(0.2, QualityReason::Loss).less(THIN_COST, QualityReason::Bandwidth);
        assert_eq!(lossy.reason, QualityReason::Loss);
    }
}
