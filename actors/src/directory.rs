//! Who is where: rooms by name, actors by the ids that events carry.
//!
//! Rooms are written by `rooms.rs` alone, peers by the supervisor of their room alone. Everybody
//! reads, from any thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dashmap::DashMap;
use media_types::{Epoch, PeerId, RoomId, RoomName, TapId, TrackId, TransportId};
use supervision::Mailbox;
use tokio::sync::Notify;

use crate::peer::PeerMessage;
use crate::room::RoomMessage;

/// An actor that takes events; the flag says that one was refused since it last looked.
pub(crate) struct Listener<M> {
    pub(crate) mailbox: Mailbox<M>,
    pub(crate) missed: Arc<AtomicBool>,
}

impl<M> Clone for Listener<M> {
    fn clone(&self) -> Self {
        Self {
            mailbox: self.mailbox.clone(),
            missed: Arc::clone(&self.missed),
        }
    }
}

/// A room that is open here.
#[derive(Clone)]
pub(crate) struct RoomEntry {
    pub(crate) id: RoomId,
    pub(crate) name: RoomName,
    pub(crate) epoch: Epoch,
    pub(crate) listener: Listener<RoomMessage>,
}

/// The worker's address book.
#[derive(Default)]
pub(crate) struct Directory {
    rooms: DashMap<RoomName, RoomEntry>,
    names: DashMap<RoomId, RoomName>,
    /// Lives of rooms whose next life is on another shard; found by their ids alone.
    passing: DashMap<RoomId, RoomEntry>,
    peers: DashMap<TransportId, Listener<PeerMessage>>,
    room_gone: Notify,
}

impl Directory {
    pub(crate) fn room(&self, name: &RoomName) -> Option<RoomEntry> {
        self.rooms.get(name).map(|entry| entry.clone())
    }

    pub(crate) fn room_by_id(&self, id: RoomId) -> Option<RoomEntry> {
        if let Some(entry) = self.passing.get(&id) {
            return Some(entry.clone());
        }
        let name = self.names.get(&id)?.clone();
        self.room(&name).filter(|entry| entry.id == id)
    }

    pub(crate) fn rooms(&self) -> Vec<RoomEntry> {
        let mut rooms: Vec<_> = self.rooms.iter().map(|entry| entry.clone()).collect();
        rooms.sort_by(|a, b| a.name.cmp(&b.name));
        rooms
    }

    /// All lives, also those that pass.
    pub(crate) fn lives(&self) -> Vec<RoomEntry> {
        let mut lives = self.rooms();
        lives.extend(self.passing.iter().map(|entry| entry.clone()));
        lives
    }

    /// Whether a room is on its way from one shard to another.
    pub(crate) fn passes(&self, name: &RoomName) -> bool {
        self.passing.iter().any(|entry| entry.name == *name)
    }

    pub(crate) fn room_count(&self) -> usize {
        self.rooms.len()
    }

    pub(crate) fn insert_room(&self, entry: RoomEntry) {
        self.names.insert(entry.id, entry.name.clone());
        self.rooms.insert(entry.name.clone(), entry);
    }

    /// From here on the room is its next life; the one before is found by its id.
    pub(crate) fn pass_on(&self, old: RoomEntry, new: RoomEntry) {
        let id = old.id;
        self.passing.insert(id, old);
        self.insert_room(new);
        self.names.remove(&id);
    }

    /// A life that never was the room is known by its id until it has ended.
    pub(crate) fn linger(&self, entry: RoomEntry) {
        self.passing.insert(entry.id, entry);
    }

    /// Strikes a life of a room off; a later life of the same name stays.
    pub(crate) fn remove_room(&self, id: RoomId) -> Option<RoomEntry> {
        if let Some((_, entry)) = self.passing.remove(&id) {
            self.room_gone.notify_waiters();
            return Some(entry);
        }
        let (_, name) = self.names.remove(&id)?;
        let (_, entry) = self.rooms.remove_if(&name, |_, entry| entry.id == id)?;
        self.room_gone.notify_waiters();
        Some(entry)
    }

    /// Waits until no room is left.
    pub(crate) async fn emptied(&self) {
        loop {
            let gone = self.room_gone.notified();
            tokio::pin!(gone);
            // Enabled before the look, so that no removal falls between the two.
            gone.as_mut().enable();
            if self.rooms.is_empty() && self.passing.is_empty() {
                return;
            }
            gone.await;
        }
    }

    pub(crate) fn peer(&self, transport: TransportId) -> Option<Listener<PeerMessage>> {
        self.peers.get(&transport).map(|entry| entry.clone())
    }

    pub(crate) fn peer_count(&self) -> usize {
        self.peers.len()
    }

    pub(crate) fn insert_peer(&self, transport: TransportId, peer: Listener<PeerMessage>) {
        self.peers.insert(transport, peer);
    }

    pub(crate) fn remove_peer(&self, transport: TransportId) {
        self.peers.remove(&transport);
    }
}

/// Makes ids. The same seed makes the same ids, in the same order.
#[derive(Debug)]
pub(crate) struct Ids {
    state: AtomicU64,
    transports: AtomicU64,
    commands: AtomicU64,
}

/// The odd constant nearest to 2^64 divided by the golden ratio (Steele, Lea, Flood 2014).
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: AtomicU64::new(seed),
            transports: AtomicU64::new(1),
            commands: AtomicU64::new(1),
        }
    }

    /// SplitMix64: every state gives another number, so ids of one worker never meet.
    fn random(&self) -> u64 {
        let state = self.state.fetch_add(GAMMA, Ordering::Relaxed);
        let mut mixed = state.wrapping_add(GAMMA);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn room(&self) -> RoomId {
        RoomId::new(self.random())
    }

    pub(crate) fn session(&self) -> PeerId {
        PeerId::new(self.random())
    }

    pub(crate) fn track(&self) -> TrackId {
        TrackId::new(self.random())
    }

    pub(crate) fn tap(&self) -> TapId {
        TapId::new(self.random())
    }

    pub(crate) fn message(&self) -> u64 {
        self.random()
    }

    pub(crate) fn command(&self) -> u64 {
        self.commands.fetch_add(1, Ordering::Relaxed)
    }

    /// Counted, since command ids are built from it.
    pub(crate) fn transport(&self) -> TransportId {
        TransportId::new(self.transports.fetch_add(1, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use supervision::testing::probe;

    fn entry(ids: &Ids, name: &str) -> RoomEntry {
        RoomEntry {
            id: ids.room(),
            name: name.parse().unwrap(),
            epoch: Epoch::FIRST,
            listener: Listener {
                mailbox: probe(1).mailbox().clone(),
                missed: Arc::default(),
            },
        }
    }

    #[test]
    fn ids_repeat_with_their_seed_and_never_within_it() {
        let (one, two) = (Ids::new(7), Ids::new(7));
        let first: Vec<_> = (0..1_000).map(|_| one.track()).collect();
        let again: Vec<_> = (0..1_000).map(|_| two.track()).collect();
        assert_eq!(first, again);
        assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 1_000);
    }

    #[test]
    fn an_old_life_does_not_take_the_new_one_along() {
        let (ids, directory) = (Ids::new(1), Directory::default());
        let (old, new) = (entry(&ids, "r"), entry(&ids, "r"));
        directory.insert_room(old.clone());
        directory.insert_room(new.clone());
        assert!(directory.remove_room(old.id).is_none());
        assert_eq!(
            directory.room_by_id(new.id).map(|entry| entry.id),
            Some(new.id)
        );
        assert!(directory.remove_room(new.id).is_some());
        assert_eq!(directory.room_count(), 0);
    }
}
