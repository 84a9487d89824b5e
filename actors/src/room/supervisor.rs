//! Starts and buries the actors of one room. Holds no logic, so that it does not crash.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use media_types::{Identity, PeerId, TransportId};
use supervision::{
    Behaviour, Children, Exit, Goodbye, Mailbox, Notice, Outcome, RestartPolicy, Scope, Strategy,
    TellError,
};

use super::actor::{Room, RoomSeed};
use super::message::{Living, RoomMessage, TranscoderReply};
use crate::directory::Listener;
use crate::egress::{Egress, EgressMessage, EgressSeed};
use crate::ingest::Ingest;
use crate::limits::{EGRESS_BOX, PEER_BOX, RECONCILE_AFTER, ROOM_BOX, TRANSCODER_BOX};
use crate::metrics;
use crate::peer::{Peer, PeerMessage, PeerSeed};
use crate::rooms::RoomsMessage;
use crate::transcoder::{CodecProcess, Transcoder};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChildKey {
    Room,
    Peer(PeerId),
    Egress(PeerId),
    Transcoder(u64),
}

pub(crate) enum SupervisorMessage {
    /// Start a peer; the room hears its mailbox.
    Spawn(PeerId, Identity, TransportId),
    /// Start what stands for a live source, likewise.
    SpawnIngest(PeerId, Identity, TransportId),
    /// Start an egress, likewise.
    SpawnEgress(Arc<EgressSeed>),
    /// Start the actor of a transcoding job; whoever asked hears its mailbox.
    SpawnTranscoder(Arc<dyn CodecProcess>, TranscoderReply),
    /// Stop a peer.
    Stop(PeerId),
    /// Tell the room who lives.
    Roll,
    /// Something happened to a child.
    Child(ChildKey, Notice),
    /// Tell the room again what its full box refused.
    Retry,
    /// The worker that owned the room is gone.
    Orphaned,
}

struct PeerChild {
    identity: Identity,
    mailbox: Mailbox<PeerMessage>,
    transport: TransportId,
    /// It stands for a live source.
    feeds: bool,
}

pub(crate) struct RoomSupervisor {
    seed: Arc<RoomSeed>,
    rooms: Mailbox<RoomsMessage>,
    children: Children<ChildKey>,
    room: Option<Mailbox<RoomMessage>>,
    peers: BTreeMap<PeerId, PeerChild>,
    egresses: BTreeMap<PeerId, (Arc<EgressSeed>, Mailbox<EgressMessage>)>,
    transcoders: BTreeMap<u64, Arc<dyn CodecProcess>>,
    /// Jobs so far.
    jobs: u64,
    /// What the room's full box refused.
    untold: Vec<RoomMessage>,
}

impl RoomSupervisor {
    pub(crate) fn new(seed: Arc<RoomSeed>, rooms: Mailbox<RoomsMessage>) -> Self {
        Self {
            seed,
            rooms,
            children: Children::new(Strategy::OneForOne),
            room: None,
            peers: BTreeMap::new(),
            egresses: BTreeMap::new(),
            transcoders: BTreeMap::new(),
            jobs: 0,
            untold: Vec::new(),
        }
    }

    fn spawn_room(&mut self, scope: &mut Scope<Self>) {
        let seed = Arc::clone(&self.seed);
        let supervisor = scope.mailbox().clone();
        let child = scope.spawn_child(
            "room",
            RestartPolicy::transient(),
            ROOM_BOX,
            move || Room::new(now(), Arc::clone(&seed), supervisor.clone()),
            |notice| SupervisorMessage::Child(ChildKey::Room, notice),
        );
        self.children.insert(ChildKey::Room, child.stopper);
        self.room = Some(child.mailbox.clone());
        let listener = Listener {
            mailbox: child.mailbox,
            missed: Arc::clone(&self.seed.missed),
        };
        let opened = RoomsMessage::Opened(self.seed.id, listener);
        if self.rooms.tell(opened).is_err() {
            // Nobody would ever find the room.
            scope.stop();
        }
    }

    fn spawn_peer(
        &mut self,
        peer: PeerId,
        identity: Identity,
        transport: TransportId,
        feeds: bool,
        scope: &mut Scope<Self>,
    ) {
        let Some(room) = self.room.clone() else {
            return;
        };
        let missed = Arc::new(AtomicBool::new(false));
        let seed = Arc::new(PeerSeed {
            room: Arc::clone(&self.seed),
            mailbox: room,
            peer,
            transport,
            missed: Arc::clone(&missed),
            kept: Mutex::default(),
        });
        let notice = move |notice| SupervisorMessage::Child(ChildKey::Peer(peer), notice);
        let policy = RestartPolicy::transient();
        let child = if feeds {
            let make = move || Ingest::new(Arc::clone(&seed));
            scope.spawn_child("ingest", policy, PEER_BOX, make, notice)
        } else {
            let make = move || Peer::new(Arc::clone(&seed));
            scope.spawn_child("peer", policy, PEER_BOX, make, notice)
        };
        self.children.insert(ChildKey::Peer(peer), child.stopper);
        let listener = Listener {
            mailbox: child.mailbox.clone(),
            missed,
        };
        self.seed.context.directory.insert_peer(transport, listener);
        self.gauge();
        let mailbox = child.mailbox.clone();
        let child = PeerChild {
            identity,
            mailbox: child.mailbox,
            transport,
            feeds,
        };
        if feeds {
            ::metrics::gauge!(metrics::INGESTS).increment(1.0);
        }
        self.peers.insert(peer, child);
        self.tell_room(RoomMessage::Spawned(peer, mailbox), scope);
    }

    fn spawn_egress(&mut self, seed: Arc<EgressSeed>, scope: &mut Scope<Self>) {
        let Some(room) = self.room.clone() else {
            return;
        };
        let id = seed.id;
        let shared = Arc::clone(&seed);
        let child = scope.spawn_child(
            "egress",
            RestartPolicy::transient(),
            EGRESS_BOX,
            move || Egress::new(Arc::clone(&shared), room.clone()),
            move |notice| SupervisorMessage::Child(ChildKey::Egress(id), notice),
        );
        self.children.insert(ChildKey::Egress(id), child.stopper);
        ::metrics::gauge!(metrics::EGRESSES).increment(1.0);
        let lives = RoomMessage::EgressLives(Arc::clone(&seed), child.mailbox.clone());
        self.egresses.insert(id, (seed, child.mailbox));
        self.tell_room(lives, scope);
    }

    fn bury_egress(&mut self, id: PeerId, scope: &mut Scope<Self>) {
        if self.egresses.remove(&id).is_some() {
            ::metrics::gauge!(metrics::EGRESSES).decrement(1.0);
        }
        self.tell_room(RoomMessage::EgressGone(id), scope);
    }

    fn spawn_transcoder(
        &mut self,
        process: Arc<dyn CodecProcess>,
        reply: TranscoderReply,
        scope: &mut Scope<Self>,
    ) {
        // Without its room nothing is started.
        if self.room.is_none() {
            return;
        }
        self.jobs += 1;
        let (id, shared) = (self.jobs, Arc::clone(&process));
        let child = scope.spawn_child(
            "transcoder",
            Transcoder::policy(),
            TRANSCODER_BOX,
            move || Transcoder::new(Arc::clone(&shared)),
            move |notice| SupervisorMessage::Child(ChildKey::Transcoder(id), notice),
        );
        let key = ChildKey::Transcoder(id);
        self.children.insert(key, child.stopper.clone());
        self.transcoders.insert(id, process);
        reply.send(child);
    }

    fn gauge(&self) {
        let peers = u32::try_from(self.seed.context.directory.peer_count()).unwrap_or(u32::MAX);
        ::metrics::gauge!(metrics::PEERS).set(f64::from(peers));
    }

    fn tell_room(&mut self, message: RoomMessage, scope: &mut Scope<Self>) {
        let Some(room) = &self.room else {
            return;
        };
        if let Err(TellError::Full(message)) = room.tell(message) {
            if self.untold.is_empty() {
                scope.after(RECONCILE_AFTER, SupervisorMessage::Retry);
            }
            self.untold.push(message);
        }
    }

    fn child(&mut self, key: ChildKey, notice: &Notice, scope: &mut Scope<Self>) {
        let outcome = self.children.handle(&key, notice);
        let Notice::Exited(exit) = notice else {
            return;
        };
        match key {
            ChildKey::Peer(peer) => self.bury(peer, exit.clone(), scope),
            ChildKey::Egress(egress) => self.bury_egress(egress, scope),
            ChildKey::Transcoder(id) => {
                if let Some(process) = self.transcoders.remove(&id) {
                    Transcoder::bury(&*process, exit);
                }
            }
            ChildKey::Room => {
                self.room = None;
                self.children.stop_all();
            }
        }
        if matches!(outcome, Outcome::Empty(_)) {
            scope.stop();
        }
    }

    fn bury(&mut self, peer: PeerId, exit: Exit, scope: &mut Scope<Self>) {
        if let Some(child) = self.peers.remove(&peer) {
            self.seed.context.directory.remove_peer(child.transport);
            if child.feeds {
                ::metrics::gauge!(metrics::INGESTS).decrement(1.0);
            }
            self.gauge();
        }
        self.tell_room(RoomMessage::Gone(peer, exit), scope);
    }
}

impl Behaviour for RoomSupervisor {
    type Message = SupervisorMessage;

    fn started(&mut self, scope: &mut Scope<Self>) {
        self.spawn_room(scope);
    }

    fn handle(&mut self, message: SupervisorMessage, scope: &mut Scope<Self>) {
        match message {
            SupervisorMessage::Spawn(peer, identity, transport) => {
                self.spawn_peer(peer, identity, transport, false, scope);
            }
            SupervisorMessage::SpawnIngest(peer, identity, transport) => {
                self.spawn_peer(peer, identity, transport, true, scope);
            }
            SupervisorMessage::SpawnEgress(seed) => self.spawn_egress(seed, scope),
            SupervisorMessage::SpawnTranscoder(process, reply) => {
                self.spawn_transcoder(process, reply, scope);
            }
            SupervisorMessage::Stop(peer) => {
                self.children.stop(&ChildKey::Peer(peer));
            }
            SupervisorMessage::Roll => {
                let living = self.peers.iter();
                let living = living.map(|(peer, child)| Living {
                    peer: *peer,
                    identity: child.identity.clone(),
                    mailbox: child.mailbox.clone(),
                });
                self.tell_room(RoomMessage::Roll(living.collect()), scope);
                for (seed, mailbox) in self.egresses.values().cloned().collect::<Vec<_>>() {
                    self.tell_room(RoomMessage::EgressLives(seed, mailbox), scope);
                }
            }
            SupervisorMessage::Child(key, notice) => self.child(key, &notice, scope),
            SupervisorMessage::Orphaned => {
                if self
                    .rooms
                    .tell(RoomsMessage::Orphaned(self.seed.id))
                    .is_err()
                {
                    tracing::debug!("the room asks for an owner again soon");
                }
            }
            SupervisorMessage::Retry => {
                for message in std::mem::take(&mut self.untold) {
                    self.tell_room(message, scope);
                }
            }
        }
    }

    fn stopping(&mut self, _: &mut Scope<Self>) -> Goodbye {
        if self.children.stop_all() {
            Goodbye::Later
        } else {
            Goodbye::Now
        }
    }
}

fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}
