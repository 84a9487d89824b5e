//! Which room moves by itself, when, and where: for load, and for what its peers get.
//!
//! [`Balance::step`] is told once a second what a worker sees and names at most one move. It knows
//! no store and no clock; what it remembers is since when something has been amiss and what it
//! moved before, so that nothing moves for a moment's load and nothing moves back and forth.

use std::collections::BTreeMap;
use std::time::Duration;

use media_types::{RoomName, ShardId, WorkerId};

use crate::migration::MoveReason;
use crate::model::WorkerRecord;
use crate::placement::{self, Demand};

/// Rooms that are remembered as moved.
const MOVED_MAX: usize = 1_024;
/// Peers of a room that say something about its path: fewer may all sit in one café.
const PEERS_MIN: u32 = 3;
/// Of a hundred peers, those that have to be badly off.
const BAD_PERCENT: u32 = 60;
/// A target must be better than this worker by so much, in thousandths, so that the room does not
/// come back.
const BETTER: u64 = 200;
/// A round trip that has jumped: so many times what it was, and at least this much longer.
const JUMP_FACTOR: u32 = 2;
const JUMP_MIN_MS: u32 = 80;
/// How long a room is remembered that says nothing: one that is busy may miss a look.
const SILENT_MAX: Duration = Duration::from_secs(5);
/// The usual round trip follows the present one by one part in so many a second.
const USUAL_PARTS: u32 = 32;

/// When rooms move by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// A worker is overloaded from here on, in thousandths of its busiest shard.
    pub overload_permille: u16,
    /// How long it has to be, or how long peers have to be badly off.
    pub patience: Duration,
    /// Between two moves from one worker.
    pub cool_down: Duration,
    /// Until one room moves again.
    pub room_cool_down: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            overload_permille: 900,
            patience: Duration::from_secs(10),
            cool_down: Duration::from_secs(30),
            room_cool_down: Duration::from_secs(600),
        }
    }
}

/// Peers by how well their media arrives, and how far away they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Groups {
    /// Nothing to hear of: a score of 0.8 and more.
    pub good: u32,
    /// Between the two.
    pub fair: u32,
    /// Hard to follow: a score below 0.5.
    pub bad: u32,
    /// The median of their round trips, in milliseconds; 0 where none is known.
    pub rtt_ms: u32,
}

impl Groups {
    /// Puts a score, from 0 to 1, in its group.
    pub fn add(&mut self, score: f64) {
        if score >= 0.8 {
            self.good += 1;
        } else if score >= 0.5 {
            self.fair += 1;
        } else {
            self.bad += 1;
        }
    }

    const fn peers(&self) -> u32 {
        self.good.saturating_add(self.fair).saturating_add(self.bad)
    }

    fn is_bad(&self) -> bool {
        let bad = u64::from(self.bad) * 100;
        self.peers() >= PEERS_MIN && bad >= u64::from(self.peers()) * u64::from(BAD_PERCENT)
    }
}

/// A room that could move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Which.
    pub name: RoomName,
    /// What it costs, in any unit that is the same for all rooms of the worker.
    pub weight: u64,
    /// How its peers are.
    pub groups: Groups,
    /// The shard that it is on; `None` where it cannot go to another one.
    pub shard: Option<ShardId>,
    /// Other workers that have a part of it.
    pub parts: Vec<WorkerId>,
}

/// A shard of the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which.
    pub id: ShardId,
    /// How much of its time it works, in thousandths.
    pub load_permille: u16,
}

/// Why a room moves by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its worker is overloaded.
    Overload,
    /// Most of its peers get bad media.
    Quality,
    /// The way to its peers has become long.
    RoundTrip,
}

impl Cause {
    /// The word for metrics and events.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Overload => "overload",
            Self::Quality => "quality",
            Self::RoundTrip => "round_trip",
        }
    }

    /// As a move's record says it.
    #[must_use]
    pub const fn reason(self) -> MoveReason {
        MoveReason::Balance
    }
}

/// A move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Which room.
    pub room: RoomName,
    /// Where.
    pub to: WorkerId,
    /// To which shard, where it stays with its worker.
    pub shard: Option<ShardId>,
    /// Why.
    pub cause: Cause,
}

/// What a room's path was like.
#[derive(Debug, Clone, Copy, Default)]
struct Trend {
    /// The usual round trip, in milliseconds times [`USUAL_PARTS`].
    usual: u32,
    bad_since: Option<Duration>,
    far_since: Option<Duration>,
    /// When the room was last looked at.
    seen: Duration,
}

impl Trend {
    fn take(&mut self, now: Duration, groups: &Groups) {
        self.seen = now;
        let since = |is: bool, before: Option<Duration>| is.then(|| before.unwrap_or(now));
        self.bad_since = since(groups.is_bad(), self.bad_since);
        let rtt = groups.rtt_ms;
        if rtt == 0 || groups.peers() < PEERS_MIN {
            self.far_since = None;
            return;
        }
        if self.usual == 0 {
            self.usual = rtt.saturating_mul(USUAL_PARTS);
        }
        let usual = self.usual / USUAL_PARTS;
        let jumped = rtt >= usual.saturating_mul(JUMP_FACTOR) && rtt >= usual + JUMP_MIN_MS;
        self.far_since = since(jumped, self.far_since);
        if !jumped {
            self.usual = self.usual.saturating_sub(usual).saturating_add(rtt);
        }
    }

    fn cause(&self, now: Duration, patience: Duration) -> Option<Cause> {
        let long = |since: Option<Duration>| since.is_some_and(|at| now >= at + patience);
        if long(self.bad_since) {
            Some(Cause::Quality)
        } else if long(self.far_since) {
            Some(Cause::RoundTrip)
        } else {
            None
        }
    }
}

/// What one worker remembers to decide by.
#[derive(Debug, Clone, Default)]
pub struct Balance {
    policy: Policy,
    overloaded_since: Option<Duration>,
    trends: BTreeMap<RoomName, Trend>,
    moved: BTreeMap<RoomName, Duration>,
    last: Option<Duration>,
}

impl Balance {
    /// Decides by this policy.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// Looks at the worker `me` among `workers`, at its shards and its rooms; the move to begin
    /// now, if one is. `now` is any time that rises.
    pub fn step(
        &mut self,
        now: Duration,
        me: WorkerId,
        workers: &[WorkerRecord],
        shards: &[Shard],
        rooms: &[Room],
    ) -> Option<Decision> {
        let own = workers.iter().find(|worker| worker.id == me)?;
        self.follow(now, own, rooms);
        let cools = |at: &Duration, time: Duration| now < *at + time;
        if self
            .last
            .is_some_and(|at| cools(&at, self.policy.cool_down))
        {
            return None;
        }
        let free: Vec<&Room> = rooms
            .iter()
            .filter(|room| !self.moved.contains_key(&room.name))
            .collect();
        let elsewhere = |(room, cause)| {
            let to = target(own, workers, room, rooms, cause)?;
            Some((room, cause, to, None))
        };
        let worse = self.quality(now, &free).and_then(elsewhere);
        let (room, cause, to, shard) = worse.or_else(|| {
            if !self.sheds(now, own) {
                return None;
            }
            // To another shard is the shorter way: no other worker has to take anything.
            let (room, shard) = match aside(shards, &free, rooms) {
                Some(found) => found,
                None => return elsewhere((sheddable(&free)?, Cause::Overload)),
            };
            Some((room, Cause::Overload, me, Some(shard)))
        })?;
        if self.moved.len() < MOVED_MAX {
            self.moved.insert(room.name.clone(), now);
        }
        self.last = Some(now);
        self.overloaded_since = None;
        Some(Decision {
            room: room.name.clone(),
            to,
            shard,
            cause,
        })
    }

    /// A move that was decided did not begin: the room may be tried again after the worker's pause.
    pub fn refused(&mut self, room: &RoomName) {
        self.moved.remove(room);
    }

    fn follow(&mut self, now: Duration, own: &WorkerRecord, rooms: &[Room]) {
        let overloaded = own.load_permille > self.policy.overload_permille;
        self.overloaded_since = overloaded.then(|| self.overloaded_since.unwrap_or(now));
        let time = self.policy.room_cool_down;
        self.moved.retain(|_, at| now < *at + time);
        self.trends
            .retain(|_, trend| now < trend.seen.saturating_add(SILENT_MAX));
        for room in rooms {
            let trend = self.trends.entry(room.name.clone()).or_default();
            trend.take(now, &room.groups);
        }
    }

    /// The room whose peers are worst off.
    fn quality<'a>(&self, now: Duration, rooms: &[&'a Room]) -> Option<(&'a Room, Cause)> {
        let worse = rooms.iter().filter_map(|room| {
            let trend = self.trends.get(&room.name)?;
            Some((*room, trend.cause(now, self.policy.patience)?))
        });
        worse.max_by_key(|(room, _)| (room.groups.bad, room.groups.rtt_ms, &room.name))
    }

    /// Whether the worker has been overloaded for long enough.
    fn sheds(&self, now: Duration, own: &WorkerRecord) -> bool {
        let since = self.overloaded_since;
        since.is_some_and(|since| now >= since + self.policy.patience) && !own.draining
    }
}

/// The lightest room that is a tenth of the load, or the heaviest of those that are less: what
/// moves disturbs as few as will do.
fn sheddable<'a>(rooms: &[&'a Room]) -> Option<&'a Room> {
    let all: u64 = rooms.iter().map(|room| room.weight).sum();
    let enough = rooms
        .iter()
        .filter(|room| room.weight.saturating_mul(10) >= all);
    let lightest = enough.min_by_key(|room| (room.weight, &room.name));
    let heaviest = || rooms.iter().max_by_key(|room| (room.weight, &room.name));
    lightest.or_else(heaviest).copied()
}

/// A room of the busiest shard and the calmest shard, if that remains the calmer one with it.
fn aside<'a>(shards: &[Shard], free: &[&'a Room], rooms: &[Room]) -> Option<(&'a Room, ShardId)> {
    let busiest = shards.iter().max_by_key(|it| (it.load_permille, it.id))?;
    let calmest = shards.iter().min_by_key(|it| (it.load_permille, it.id))?;
    let there = |room: &&Room| room.shard == Some(busiest.id);
    let candidates: Vec<&Room> = free.iter().copied().filter(there).collect();
    let room = sheddable(&candidates)?;
    // Rooms that cannot move weigh on some shard, and it may be this one.
    let weighs = |room: &&Room| room.shard.is_none() || there(room);
    let all: u64 = rooms.iter().filter(weighs).map(|room| room.weight).sum();
    let load = u64::from(busiest.load_permille);
    let brings = load.saturating_mul(room.weight) / all.max(1);
    let after = u64::from(calmest.load_permille).saturating_add(brings);
    (after.saturating_add(BETTER) <= load).then_some((room, calmest.id))
}

/// The worker that suits the room best, if the room is better off there.
fn target(
    own: &WorkerRecord,
    workers: &[WorkerRecord],
    room: &Room,
    rooms: &[Room],
    cause: Cause,
) -> Option<WorkerId> {
    let demand = Demand {
        region: &own.region,
        holders: &room.parts,
        except: Some(own.id),
    };
    let chosen = placement::choose(workers, &demand)?;
    let all: u64 = rooms.iter().map(|room| room.weight).sum::<u64>().max(1);
    let pressure = placement::pressure(own);
    let brings = pressure.saturating_mul(room.weight) / all;
    let there = placement::pressure(chosen).saturating_add(brings);
    let fits = match cause {
        // It must not be overloaded there, nor here the next moment by what comes back.
        Cause::Overload => there.saturating_add(BETTER) <= pressure,
        Cause::Quality | Cause::RoundTrip => there.saturating_add(BETTER) <= 1_000,
    };
    fits.then_some(chosen.id)
}

#[cfg(test)]
mod tests;
