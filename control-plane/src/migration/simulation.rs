//! Three workers, one room, one store, and whatever may go wrong between them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use media_types::{Clock, Epoch, RoomId, RoomName, WorkerId};

use super::*;
use crate::membership::{LEASE_TTL, Membership};
use crate::memory::{Fault, MemoryStore};
use crate::model::{RoomSpec, WorkerRecord};
use crate::ownership::{Claim, Ownership};
use crate::testing::{ManualClock, block_on};

pub(super) const WORKERS: usize = 3;
/// How long clients may take to follow, in the simulation.
const MOVE_MS: u64 = 20_000;

/// A worker as far as a move concerns it.
pub(super) struct Worker {
    id: WorkerId,
    membership: Membership,
    moves: Moves,
    ownership: Ownership,
    pub(super) local: Local,
    /// It neither reads nor writes the store; its room goes on.
    pub(super) cut: bool,
    looked: Option<Look>,
}

/// The little world.
pub(super) struct World {
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: Arc<MemoryStore>,
    pub(super) workers: Vec<Worker>,
    room: RoomName,
    next_id: u64,
    /// Who acted in which epoch.
    acted: BTreeMap<Epoch, WorkerId>,
    /// Steps that were carried out, for tests that stop at each of them.
    pub(super) steps: Vec<(usize, Step)>,
}

impl World {
    pub(super) fn new() -> Self {
        let clock = Arc::new(ManualClock::new());
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let mut world = Self {
            clock,
            store,
            workers: Vec::new(),
            room: "lobby".parse().unwrap(),
            next_id: 1,
            acted: BTreeMap::new(),
            steps: Vec::new(),
        };
        for _ in 0..WORKERS {
            let worker = world.worker();
            world.workers.push(worker);
        }
        world
    }

    fn worker(&mut self) -> Worker {
        let id = WorkerId::new(self.next_id);
        self.next_id += 1;
        let record = WorkerRecord {
            id,
            ready: true,
            ..WorkerRecord::default()
        };
        let mut membership = Membership::new(self.store.clone(), record, LEASE_TTL);
        let _ = block_on(membership.renew(self.clock.now()));
        Worker {
            id,
            membership,
            moves: Moves::new(self.store.clone(), id),
            ownership: Ownership::new(self.store.clone(), id),
            local: Local::Absent,
            cut: false,
            looked: None,
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.unix().as_millis()).unwrap()
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
        self.store.expire();
        let now = self.clock.now();
        for worker in &mut self.workers {
            if !worker.cut && worker.membership.next_renewal(now) <= now {
                let _ = block_on(worker.membership.renew(now));
            }
        }
    }

    /// The process dies; another one starts in its place. Its lease runs on.
    pub(super) fn kill(&mut self, index: usize) {
        let fresh = self.worker();
        self.workers[index] = fresh;
    }

    /// A client comes: opens the room, or is sent elsewhere. Whether it is in.
    pub(super) fn join(&mut self, index: usize) -> bool {
        let worker = &mut self.workers[index];
        match worker.local {
            Local::Active(_) => return true,
            Local::Standby | Local::Handover { .. } => return false,
            Local::Absent if worker.cut => return false,
            Local::Absent => {}
        }
        let mut claim = block_on(worker.ownership.claim(&self.room));
        if let Ok(Claim::Elsewhere {
            epoch,
            alive: false,
            ..
        }) = claim
        {
            claim = block_on(worker.ownership.take_over(&self.room, epoch));
        }
        if let Ok(Claim::Owned(owned)) = claim {
            worker.local = Local::Active(owned.record.epoch);
            self.note();
        }
        matches!(self.workers[index].local, Local::Active(_))
    }

    pub(super) fn plan(&self, from: usize, to: usize) {
        let (now, to) = (self.now_ms(), self.workers[to].id);
        if !self.workers[from].cut && self.workers[from].id != to {
            let moves = &self.workers[from].moves;
            let times = (now, now + MOVE_MS);
            let _ = block_on(moves.plan(
                (&self.room, RoomId::new(1)),
                to,
                MoveReason::Operator,
                times,
            ));
        }
    }

    pub(super) fn settle(&mut self, index: usize) {
        if let Local::Handover { settled } = &mut self.workers[index].local {
            *settled = true;
        }
    }

    pub(super) fn look(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        if !worker.cut {
            worker.looked = block_on(worker.moves.look(&self.room)).ok();
        }
    }

    /// Carries out what the last look, which may be an old one, leads to.
    pub(super) fn act(&mut self, index: usize) -> Step {
        let now_ms = self.now_ms();
        let worker = &mut self.workers[index];
        let Some(look) = worker.looked.take().filter(|_| !worker.cut) else {
            return Step::Wait;
        };
        let step = decide(&look.view(worker.id, now_ms, worker.local));
        let (room, moves) = (&self.room, &worker.moves);
        match step {
            Step::Wait => {}
            Step::Prepare => worker.local = Local::Standby,
            Step::Note(phase) => drop(block_on(moves.note(room, &look, phase))),
            Step::Commit => {
                let handover = Handover {
                    parts: Vec::new(),
                    epoch: look.owner.epoch,
                    settings: RoomSpec::default(),
                    peers: Vec::new(),
                    used: Vec::new(),
                };
                drop(block_on(moves.commit(room, &look, &handover)));
            }
            Step::Take => drop(block_on(moves.take(room, &look))),
            Step::Activate(epoch) => worker.local = Local::Active(epoch),
            Step::HandOver(_) => worker.local = Local::Handover { settled: false },
            Step::Release | Step::Dismantle => worker.local = Local::Absent,
            Step::Abandon | Step::Forget => drop(block_on(moves.forget(room, &look))),
        }
        if step != Step::Wait {
            self.steps.push((index, step));
        }
        self.note();
        step
    }

    /// The oracle: nobody acts in an epoch that another one has acted in.
    fn note(&mut self) {
        for worker in &self.workers {
            if let Local::Active(epoch) = worker.local {
                let first = self.acted.entry(epoch).or_insert(worker.id);
                assert_eq!(*first, worker.id, "two owners act in epoch {}", epoch.0);
            }
        }
    }

    /// All is well again: everybody sees the store, clients follow, and time passes.
    pub(super) fn heal(&mut self) {
        self.store.set_down(false);
        for worker in &mut self.workers {
            worker.cut = false;
        }
        for _ in 0..200 {
            self.advance(Duration::from_secs(1));
            for index in 0..self.workers.len() {
                self.settle(index);
                self.look(index);
                self.act(index);
            }
        }
    }

    /// Somebody gets in somewhere, the move is over, and one worker at most has the room.
    pub(super) fn assert_works(&mut self) {
        let joined = (0..self.workers.len()).any(|index| self.join(index));
        assert!(joined, "the room is lost");
        let look = block_on(self.workers[0].moves.look(&self.room)).unwrap();
        let open = |worker: &&Worker| worker.local != Local::Absent;
        let open: Vec<&Worker> = self.workers.iter().filter(open).collect();
        let [one] = open.as_slice() else {
            panic!("{} workers have the room open", open.len());
        };
        assert_eq!(one.local, Local::Active(look.owner.epoch));
        assert_eq!(look.owner.worker, Some(one.id));
        if let Some(record) = look.record {
            // Both died: the next move overwrites it.
            assert!(is_stale(&record, &look.owner, self.now_ms()));
        }
    }
}

/// Xorshift (Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn index(&mut self) -> usize {
        usize::try_from(self.roll(WORKERS as u64)).unwrap()
    }
}

#[test]
fn never_two_owners_act_in_one_epoch_whatever_happens() {
    let (mut commits, mut taken) = (0, 0);
    for seed in 1..=200_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut world = World::new();
        for _ in 0..1_000 {
            let (one, other) = (dice.index(), dice.index());
            match dice.roll(60) {
                0..16 => world.look(one),
                16..36 => drop(world.act(one)),
                36..42 => drop(world.join(one)),
                42..46 => world.plan(one, other),
                46..48 => world.settle(one),
                48..54 => world.advance(Duration::from_millis(50 + 100 * dice.roll(10))),
                54 if dice.roll(4) == 0 => world.advance(LEASE_TTL),
                55 if dice.roll(3) == 0 => world.workers[one].cut = true,
                56 => world
                    .store
                    .plan([Fault::None, Fault::AnswerLost, Fault::Unavailable]),
                57 => world.store.set_down(dice.roll(8) == 0),
                58 if dice.roll(10) == 0 => world.kill(one),
                _ => world.workers[one].cut = false,
            }
        }
        let made = |step: Step| world.steps.iter().filter(|(_, done)| *done == step).count();
        commits += made(Step::Commit);
        taken += made(Step::Take);
        world.heal();
        world.assert_works();
    }
    // The walk comes where it should.
    assert!(commits > 200, "{commits} commits");
    assert!(taken > 20, "{taken} rooms taken");
}
