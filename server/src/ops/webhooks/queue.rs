//! What a receiver has yet to take of the journal, room by room.
//!
//! Events of one room go one after another. Rooms do not wait for each other: one that is on hold,
//! or whose event is not taken, has its later events behind it and nobody else's. A place in the
//! journal is passed when all before it is done, so that nothing is lost by a crash.

use std::collections::{BTreeMap, VecDeque};

use crate::ops::events::Event;

/// A room's events, or those that are about none.
pub(super) type Lane = Option<String>;

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Job {
    /// Post that event.
    Post { lane: Lane, id: u64 },
    /// Wait until a worker has posted what it has of a room's epochs below that one.
    Wait {
        room: String,
        epoch: u64,
        from: String,
    },
}

impl Job {
    /// Whose turn it was.
    pub(super) fn lane(&self) -> Lane {
        match self {
            Self::Post { lane, .. } => lane.clone(),
            Self::Wait { room, .. } => Some(room.clone()),
        }
    }
}

#[derive(Debug)]
struct Step {
    id: u64,
    epoch: u64,
    /// Whom to wait for; `None`: it is an event to be posted.
    from: Option<String>,
}

/// All that is not done.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The last that was read.
    read: u64,
    /// None of them is empty; the first step of each is to be done, or is being done.
    lanes: BTreeMap<Lane, VecDeque<Step>>,
    /// Whose first step is to be done.
    posts: VecDeque<Lane>,
    waits: VecDeque<Lane>,
}

impl Queue {
    /// All up to there is done.
    pub(super) fn new(place: u64) -> Self {
        Self {
            read: place,
            ..Self::default()
        }
    }

    /// The last that was read.
    pub(super) const fn read(&self) -> u64 {
        self.read
    }

    /// Takes the next event of the journal: it is `wanted` or not, and its room may have been
    /// another worker's.
    pub(super) fn add(&mut self, event: &Event, wanted: bool, from: Option<&str>) {
        self.read = self.read.max(event.id);
        if from.is_none() && !wanted {
            return;
        }
        let is_new = !self.lanes.contains_key(&event.room);
        let lane = self.lanes.entry(event.room.clone()).or_default();
        let step = |from| Step {
            id: event.id,
            epoch: event.epoch,
            from,
        };
        lane.extend(from.map(|from| step(Some(from.to_owned()))));
        lane.extend(wanted.then(|| step(None)));
        if is_new {
            self.line_up(event.room.clone());
        }
    }

    fn line_up(&mut self, lane: Lane) {
        let first = self.lanes.get(&lane).and_then(VecDeque::front);
        match first.map(|step| step.from.is_some()) {
            Some(true) => self.waits.push_back(lane),
            Some(false) => self.posts.push_back(lane),
            None => {
                self.lanes.remove(&lane);
            }
        }
    }

    /// What can be done now; [`Self::done`] says that it is.
    pub(super) fn next(&mut self) -> Option<Job> {
        if let Some(lane) = self.waits.pop_front() {
            let step = self.lanes.get(&lane)?.front()?;
            return Some(Job::Wait {
                room: lane?,
                epoch: step.epoch,
                from: step.from.clone()?,
            });
        }
        let lane = self.posts.pop_front()?;
        let id = self.lanes.get(&lane)?.front()?.id;
        Some(Job::Post { lane, id })
    }

    /// The first step of a lane is done.
    pub(super) fn done(&mut self, job: &Job) {
        let lane = job.lane();
        if let Some(steps) = self.lanes.get_mut(&lane) {
            steps.pop_front();
        }
        self.line_up(lane);
    }

    /// All up to there is done.
    pub(super) fn place(&self) -> u64 {
        let firsts = self.lanes.values().filter_map(VecDeque::front);
        let first = firsts.map(|step| step.id).min();
        first.map_or(self.read, |id| id.saturating_sub(1))
    }

    /// Whether nothing is left.
    pub(super) fn is_done(&self) -> bool {
        self.lanes.is_empty()
    }

    /// How many events are to be posted.
    pub(super) fn waiting(&self) -> usize {
        let posts = |steps: &VecDeque<Step>| steps.iter().filter(|it| it.from.is_none()).count();
        self.lanes.values().map(posts).sum()
    }

    /// How many rooms wait for another worker.
    pub(super) fn held(&self) -> usize {
        let firsts = self.lanes.values().filter_map(VecDeque::front);
        firsts.filter(|step| step.from.is_some()).count()
    }

    /// How much is to be done of a room in epochs below that one: events to be posted, and workers
    /// to be waited for. Whoever has yet to wait stands in for what that worker has yet to post.
    pub(super) fn below(&self, room: &str, epoch: u64) -> usize {
        let steps = self.lanes.get(&Some(room.to_owned())).into_iter().flatten();
        steps.filter(|step| step.epoch < epoch).count()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn event(id: u64, room: Option<&str>, epoch: u64) -> Event {
        Event {
            id,
            at: 0,
            kind: "peer.joined".to_owned(),
            worker: "wk_b".to_owned(),
            room: room.map(str::to_owned),
            epoch,
            seq: id,
            data: Value::Null,
        }
    }

    fn post(room: &str, id: u64) -> Job {
        let lane = Some(room.to_owned());
        Job::Post { lane, id }
    }

    fn wait(room: &str, epoch: u64) -> Job {
        Job::Wait {
            room: room.to_owned(),
            epoch,
            from: "wk_a".to_owned(),
        }
    }

    fn all(queue: &mut Queue) -> Vec<Job> {
        std::iter::from_fn(|| queue.next()).collect()
    }

    #[test]
    fn a_room_on_hold_is_set_aside_with_what_is_behind_it() {
        let mut queue = Queue::new(10);
        queue.add(&event(11, Some("attic"), 1), true, None);
        queue.add(&event(12, Some("hall"), 2), true, Some("wk_a"));
        queue.add(&event(13, Some("hall"), 2), true, None);
        queue.add(&event(14, Some("attic"), 1), true, None);
        queue.add(&event(15, None, 0), false, None);
        assert_eq!((queue.waiting(), queue.held(), queue.place()), (4, 1, 10));
        let jobs = all(&mut queue);
        assert_eq!(jobs, [wait("hall", 2), post("attic", 11)]);
        queue.done(&post("attic", 11));
        assert_eq!(all(&mut queue), [post("attic", 14)]);
        queue.done(&post("attic", 14));
        assert_eq!(all(&mut queue), []);
        // Nothing is passed that was not posted, whatever was behind it.
        assert_eq!((queue.place(), queue.read()), (11, 15));
        queue.done(&wait("hall", 2));
        assert_eq!((queue.held(), queue.place()), (0, 11));
        for id in [12, 13] {
            assert_eq!(all(&mut queue), [post("hall", id)]);
            assert_eq!(queue.place(), id - 1);
            queue.done(&post("hall", id));
        }
        assert_eq!((queue.waiting(), queue.place()), (0, 15));
        assert!(queue.is_done());
    }

    #[test]
    fn after_a_crash_what_was_not_posted_is_read_again_and_asked_for_again() {
        let events = [event(11, Some("hall"), 2), event(12, Some("hall"), 2)];
        let mut queue = Queue::new(10);
        // Whoever does not want the first event waits no less.
        queue.add(&events[0], false, Some("wk_a"));
        queue.add(&events[1], true, None);
        assert_eq!(all(&mut queue), [wait("hall", 2)]);
        let mut again = Queue::new(queue.place());
        assert_eq!(again.read(), 10);
        again.add(&events[0], false, Some("wk_a"));
        assert_eq!(all(&mut again), [wait("hall", 2)]);
    }

    #[test]
    fn others_hear_how_many_of_lower_epochs_there_are() {
        let mut queue = Queue::new(0);
        for (id, epoch) in [(1, 3), (2, 3), (3, 5)] {
            queue.add(&event(id, Some("hall"), epoch), true, None);
        }
        let below = |queue: &Queue| [3, 4, 6].map(|epoch| queue.below("hall", epoch));
        assert_eq!((below(&queue), queue.below("attic", 9)), ([0, 2, 3], 0));
        // One that is on its way may yet fail.
        assert_eq!(all(&mut queue), [post("hall", 1)]);
        assert_eq!(below(&queue), [0, 2, 3]);
        queue.done(&post("hall", 1));
        assert_eq!(below(&queue), [0, 1, 2]);
    }

    #[test]
    fn whoever_waits_for_another_is_waited_for_by_the_next() {
        let mut queue = Queue::new(0);
        // Nothing of it is to be posted here.
        queue.add(&event(1, Some("hall"), 2), false, Some("wk_a"));
        let below = |queue: &Queue| [2, 3].map(|epoch| queue.below("hall", epoch));
        assert_eq!((below(&queue), queue.waiting()), ([0, 1], 0));
        assert_eq!(all(&mut queue), [wait("hall", 2)]);
        assert_eq!(below(&queue), [0, 1]);
        queue.done(&wait("hall", 2));
        assert_eq!(below(&queue), [0, 0]);
    }

    #[test]
    fn rooms_whose_events_are_not_taken_hold_up_no_others_however_many_they_are() {
        let mut queue = Queue::new(0);
        let rooms = 1_000;
        for id in 1..=rooms {
            queue.add(&event(id, Some(&format!("r{id}")), 1), true, None);
        }
        let jobs = all(&mut queue);
        let expected = (1..=rooms).map(|id| post(&format!("r{id}"), id));
        assert_eq!(jobs, expected.collect::<Vec<_>>());
        queue.add(&event(rooms + 1, Some("hall"), 2), true, None);
        assert_eq!(all(&mut queue), [post("hall", rooms + 1)]);
        queue.done(&post("hall", rooms + 1));
        assert_eq!((queue.waiting(), queue.place()), (1_000, 0));
    }
}
