//! The way out: a handle for a stream, a port for each of its taps.

use std::collections::VecDeque;
use std::sync::Arc;

use actors::{EgressSession, EgressTap, EgressView};
use media_types::{Codec, Identity, MediaKind, TapId, TapPacket, TrackId, TrackSource};
use signaling::view::CloseReason;
use tokio::sync::watch;

use crate::shard::Inbox;
use crate::shard::live::{LiveInput, TapOut, TapSignal, tap};

/// What changed of the tracks that an egress takes out.
#[derive(Debug)]
pub enum EgressChange {
    /// There is one more: read it here. A track whose codec changed comes again.
    Added(TapPort),
    /// This one has ended; its port gives what is left and then nothing.
    Removed(TrackId),
    /// All is over: the room has closed.
    Ended(CloseReason),
}

/// The track that a port reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressTrack {
    /// Its id.
    pub track: TrackId,
    /// Who publishes it.
    pub publisher: Identity,
    /// Audio or video.
    pub kind: MediaKind,
    /// What it is encoded with.
    pub codec: Codec,
    /// What it shows.
    pub source: TrackSource,
    /// Its publisher's name for it.
    pub name: Option<String>,
}

/// An egress that runs. Dropped, it ends, and all that its ports read with it.
///
/// Without any track it goes on and waits for one: the publisher may come back.
#[derive(Debug)]
pub struct EgressHandle {
    session: Arc<EgressSession>,
    view: watch::Receiver<EgressView>,
    inboxes: Arc<[Arc<Inbox>]>,
    /// Taps that the holder was told of.
    told: Vec<EgressTap>,
    changes: VecDeque<EgressChange>,
}

impl EgressHandle {
    pub(super) fn new(session: EgressSession, inboxes: Arc<[Arc<Inbox>]>) -> Self {
        let mut view = session.view();
        view.mark_changed();
        Self {
            session: Arc::new(session),
            view,
            inboxes,
            told: Vec::new(),
            changes: VecDeque::new(),
        }
    }

    /// Waits for the next change; first comes what there is already. May be cancelled and called
    /// again. After the end it says so each time.
    pub async fn next(&mut self) -> EgressChange {
        loop {
            if let Some(change) = self.changes.pop_front() {
                return change;
            }
            if self.view.borrow().ended || self.view.changed().await.is_err() {
                return EgressChange::Ended(CloseReason::RoomClosed);
            }
            let view = self.view.borrow_and_update().clone();
            self.compare(view.taps);
        }
    }

    fn compare(&mut self, taps: Vec<EgressTap>) {
        for old in &self.told {
            if !taps.iter().any(|new| new.tap == old.tap) {
                self.changes.push_back(EgressChange::Removed(old.track));
            }
        }
        for new in &taps {
            if new.released || self.told.iter().any(|old| old.tap == new.tap) {
                continue;
            }
            if let Some(inbox) = self.inboxes.get(usize::from(new.shard.0)) {
                let port = TapPort::open(new, Arc::clone(&self.session), Arc::clone(inbox));
                self.changes.push_back(EgressChange::Added(port));
            }
        }
        self.told = taps;
    }
}

/// Where the packets of one track come out. Dropped, its tap closes.
#[derive(Debug)]
pub struct TapPort {
    track: EgressTrack,
    tap: TapId,
    packets: rtrb::Consumer<TapPacket>,
    signal: Arc<TapSignal>,
    inbox: Arc<Inbox>,
    session: Arc<EgressSession>,
}

impl TapPort {
    fn open(of: &EgressTap, session: Arc<EgressSession>, inbox: Arc<Inbox>) -> Self {
        let (out, packets, signal): (TapOut, _, _) = tap(of.tap);
        if inbox.live(LiveInput::Tap(out)).is_err() {
            // The port is then at its end at once, and its reader begins anew.
            tracing::warn!(tap = %of.tap, "a shard has no place for another tap now");
        }
        Self {
            track: EgressTrack {
                track: of.track,
                publisher: of.publisher.clone(),
                kind: of.kind,
                codec: of.codec,
                source: of.source,
                name: of.name.clone(),
            },
            tap: of.tap,
            packets,
            signal,
            inbox,
            session,
        }
    }

    /// The track that it reads.
    #[must_use]
    pub const fn track(&self) -> &EgressTrack {
        &self.track
    }

    /// The next packet, if one is there.
    pub fn try_recv(&mut self) -> Option<TapPacket> {
        let packet = self.packets.pop().ok();
        self.signal
            .on_read(self.tap, self.packets.slots(), &self.inbox);
        packet
    }

    /// Waits for the next packet; `None` at the end of the track.
    pub async fn recv(&mut self) -> Option<TapPacket> {
        loop {
            // Looked at before the ring, so that the last packets are not taken for the end.
            let ended = self.packets.is_abandoned();
            if let Some(packet) = self.try_recv() {
                return Some(packet);
            }
            if ended {
                return None;
            }
            self.signal.waiting().await;
        }
    }
}

impl Drop for TapPort {
    fn drop(&mut self) {
        self.session.release(self.tap);
        if self.inbox.live(LiveInput::TapGone(self.tap)).is_err() {
            tracing::debug!(tap = %self.tap, "a shard finds out by itself that a tap is not read");
        }
    }
}
