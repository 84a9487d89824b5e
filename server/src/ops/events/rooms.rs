//! Which rooms are this worker's, and how their events are numbered.

use std::collections::HashMap;

use media_types::{Epoch, RoomName};

/// Rooms that are remembered; beyond them those that are not this worker's are forgotten.
const ROOMS_MAX: usize = 50_000;

/// The numbers of an event in its room: the epoch, and the place in it.
pub(super) type Numbers = (u64, u64);

#[derive(Debug, Default)]
struct Room {
    epoch: u64,
    seq: u64,
    /// The epoch in which it is this worker's.
    owned: Option<u64>,
    /// The last one in which it became so.
    opened: u64,
}

impl Room {
    /// The next number; what is late belongs to the newest epoch that was told of.
    const fn next(&mut self, epoch: u64) -> Numbers {
        if epoch > self.epoch {
            (self.epoch, self.seq) = (epoch, 0);
        }
        self.seq = self.seq.saturating_add(1);
        (self.epoch, self.seq)
    }
}

/// A room that has become this worker's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) numbers: Numbers,
    /// For the first time in its epoch.
    pub(super) is_first: bool,
}

/// All that events were told of, as long as they matter.
#[derive(Debug, Default)]
pub(super) struct Rooms(HashMap<RoomName, Room>);

impl Rooms {
    fn room(&mut self, name: &RoomName) -> &mut Room {
        if self.0.len() >= ROOMS_MAX {
            self.0.retain(|_, room| room.owned.is_some());
        }
        self.0.entry(name.clone()).or_default()
    }

    /// The numbers of an event of that epoch.
    pub(super) fn number(&mut self, name: &RoomName, epoch: Epoch) -> Numbers {
        self.room(name).next(epoch.0)
    }

    /// A room is this worker's in that epoch; `None`: that is no news.
    pub(super) fn open(&mut self, name: &RoomName, epoch: Epoch) -> Option<Opened> {
        let room = self.room(name);
        if room.owned.is_some_and(|owned| owned >= epoch.0) {
            return None;
        }
        let is_first = room.opened < epoch.0;
        (room.owned, room.opened) = (Some(epoch.0), epoch.0.max(room.opened));
        let numbers = room.next(epoch.0);
        Some(Opened { numbers, is_first })
    }

    /// A room is this worker's no more: the numbers of the last event of its epoch. `None`: it was
    /// not.
    pub(super) fn leave(&mut self, name: &RoomName) -> Option<Numbers> {
        let room = self.0.get_mut(name)?;
        let owned = room.owned.take()?;
        Some(room.next(owned))
    }

    /// Whether a room is this worker's in an epoch below that one.
    pub(super) fn is_owned_below(&self, name: &RoomName, epoch: u64) -> bool {
        let room = self.0.get(name);
        let owned = room.and_then(|room| room.owned);
        owned.is_some_and(|owned| owned < epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hall() -> RoomName {
        "hall".parse().unwrap()
    }

    #[test]
    fn a_room_that_comes_and_goes_is_numbered_in_one_order() {
        let (mut rooms, hall) = (Rooms::default(), hall());
        let first = |numbers, is_first| Some(Opened { numbers, is_first });
        assert_eq!(rooms.open(&hall, Epoch(1)), first((1, 1), true));
        assert_eq!(rooms.open(&hall, Epoch(1)), None, "it is said again");
        assert_eq!(rooms.number(&hall, Epoch(1)), (1, 2));
        assert!(rooms.is_owned_below(&hall, 2));
        assert_eq!(rooms.leave(&hall), Some((1, 3)));
        assert!(!rooms.is_owned_below(&hall, 2));
        assert_eq!(rooms.leave(&hall), None, "it had gone");
        // A part of it stays, of another worker's epoch; what is late goes behind.
        assert_eq!(rooms.number(&hall, Epoch(2)), (2, 1));
        assert_eq!(rooms.number(&hall, Epoch(1)), (2, 2));
        assert_eq!(rooms.open(&hall, Epoch(3)), first((3, 1), true));
        assert!(!rooms.is_owned_below(&hall, 3));
    }

    #[test]
    fn a_room_that_opens_again_in_its_epoch_goes_on_counting() {
        let (mut rooms, hall) = (Rooms::default(), hall());
        rooms.open(&hall, Epoch(4));
        assert_eq!(rooms.leave(&hall), Some((4, 2)));
        let again = Some(Opened {
            numbers: (4, 3),
            is_first: false,
        });
        assert_eq!(rooms.open(&hall, Epoch(4)), again);
    }

    #[test]
    fn those_of_others_are_forgotten_first() {
        let (mut rooms, hall) = (Rooms::default(), hall());
        rooms.open(&hall, Epoch(1));
        for n in 0..ROOMS_MAX {
            rooms.number(&format!("r{n}").parse().unwrap(), Epoch(1));
        }
        assert_eq!(rooms.0.len(), 2);
        assert_eq!(rooms.number(&hall, Epoch(1)), (1, 2));
    }
}
