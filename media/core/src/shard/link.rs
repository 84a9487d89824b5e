//! One transport as its shard knows it: whose it is, what it publishes and what its slots show.

use std::time::Instant;

use media_contract::{LostReason, MediaLine, MediaLineUse, SlotState, TransportSettings, Wish};
use media_types::{Bitrate, Codec, Layer, MediaKind, Mid, TrackId, TransportId};
use media_webrtc::{MediaLineDescription, SlotIndex, StreamIndex, Transport};
use smallvec::SmallVec;

use crate::allocate::congestion::Congestion;
use crate::allocate::steady::Steady;
use crate::forward::Forwarder;
use crate::guard::Fenced;
use crate::room::{RoomIndex, TrackIndex};
use crate::shard::deadline::TimerId;
use crate::shard::waiting::Waiting;

/// Codecs that a slot's client offered, one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CodecSet(u8);

impl CodecSet {
    pub(crate) fn of(supported: impl Fn(Codec) -> bool) -> Self {
        let codecs = Codec::ALL.into_iter().filter(|&codec| supported(codec));
        Self(codecs.fold(0, |bits, codec| bits | 1 << codec as u8))
    }

    pub(crate) const fn contains(self, codec: Codec) -> bool {
        self.0 & (1 << codec as u8) != 0
    }
}

/// What a slot shows.
#[derive(Debug)]
pub(crate) struct Filled {
    pub(crate) track: TrackId,
    pub(crate) index: TrackIndex,
    /// Where its subscription stands among the track's.
    pub(crate) position: usize,
    pub(crate) wish: Wish,
    /// When it was filled, or its wish last changed.
    pub(crate) wished_at: Instant,
    /// The budget allows less than the wish asks for and the track has.
    pub(crate) limited: bool,
    pub(crate) told: Option<(SlotState, Option<Layer>)>,
}

/// An m-line on which we can show a track.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) mid: Mid,
    pub(crate) index: SlotIndex,
    pub(crate) kind: MediaKind,
    pub(crate) supported: CodecSet,
    pub(crate) filled: Option<Filled>,
    /// The forwarder while the slot is empty, so that its numbers go on.
    pub(crate) parked: Option<Forwarder>,
}

/// An m-line that is bound to a track.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Published {
    pub(crate) mid: Mid,
    pub(crate) track: TrackId,
    pub(crate) index: TrackIndex,
}

/// One transport.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: TransportId,
    pub(crate) room: RoomIndex,
    pub(crate) settings: TransportSettings,
    pub(crate) timer: TimerId,
    pub(crate) media: Vec<MediaLine>,
    pub(crate) published: SmallVec<[Published; 4]>,
    pub(crate) slots: Vec<Option<Slot>>,
    pub(crate) connected_at: Option<Instant>,
    pub(crate) lost: Option<LostReason>,
    pub(crate) estimate: Option<Bitrate>,
    /// What the estimate has proved of the path.
    pub(crate) congestion: Congestion,
    /// The rate of all that its slots are to show.
    pub(crate) granted: Bitrate,
    pub(crate) steady: Steady,
    /// The bound for what it publishes, and when that was last renewed.
    pub(crate) cap: Option<(Bitrate, Instant)>,
    pub(crate) told_estimate: Option<Bitrate>,
    /// It is among those that have something to send.
    pub(crate) dirty: bool,
    /// It is among those whose layers are to be chosen anew.
    pub(crate) allocating: bool,
    /// Publishers' losses already counted for the shard.
    pub(crate) lost_counted: u64,
    /// Which of its data channels have opened: the lossy one, the reliable one.
    pub(crate) channels: [bool; 2],
    pub(crate) waiting: Waiting,
    transport: Fenced<Transport>,
    /// Tracks by stream of the transport; filled as streams appear.
    routes: Vec<Option<TrackIndex>>,
}

impl Link {
    pub(crate) fn new(
        id: TransportId,
        room: RoomIndex,
        settings: TransportSettings,
        timer: TimerId,
        transport: Transport,
    ) -> Self {
        Self {
            id,
            room,
            settings,
            timer,
            media: Vec::new(),
            published: SmallVec::new(),
            slots: Vec::new(),
            connected_at: None,
            lost: None,
            estimate: None,
            congestion: Congestion::default(),
            granted: Bitrate::ZERO,
            steady: Steady::new(id.get()),
            cap: None,
            told_estimate: None,
            dirty: false,
            allocating: false,
            lost_counted: 0,
            channels: [false; 2],
            waiting: Waiting::default(),
            transport: Fenced::new(transport),
            routes: Vec::new(),
        }
    }

    /// Calls into the transport; after a panic there is none, and the link is lost.
    pub(crate) fn call<R>(&mut self, call: impl FnOnce(&mut Transport) -> R) -> Option<R> {
        let result = self.transport.call(call);
        if result.is_err() {
            self.lost = Some(LostReason::Crashed);
        }
        result.ok()
    }

    /// Sends a data message by the reliable or the lossy channel; `false` if that has no room.
    pub(crate) fn send_data(&mut self, now: Instant, reliable: bool, message: &[u8]) -> bool {
        let sent = self.call(|transport| transport.send_data(now, reliable, message));
        // What no channel can ever carry must not hold up what comes after it.
        sent.is_none_or(|sent| sent.unwrap_or(true))
    }

    /// Looks at the transport.
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&Transport) -> R) -> Option<R> {
        self.transport.peek(look)
    }

    /// The channel for messages of a kind, `true` for the reliable one: lossy messages go by the
    /// reliable channel where there is no other.
    pub(crate) const fn channel_for(&self, reliable: bool) -> Option<bool> {
        match (reliable, self.channels) {
            (false, [true, _]) => Some(false),
            (_, [_, true]) => Some(true),
            _ => None,
        }
    }

    /// Takes a new estimate of what the path carries.
    pub(crate) fn set_estimate(&mut self, now: Instant, estimate: Bitrate) {
        self.estimate = Some(estimate);
        self.congestion.update(now, estimate, self.granted);
    }

    /// The track that a stream belongs to.
    pub(crate) fn route(&mut self, stream: StreamIndex, mid: Mid) -> Option<TrackIndex> {
        let place = usize::from(stream.0);
        if let Some(&Some(track)) = self.routes.get(place) {
            return Some(track);
        }
        let published = self
            .published
            .iter()
            .find(|published| published.mid == mid)?;
        if self.routes.len() <= place {
            self.routes.resize(place + 1, None);
        }
        let track = published.index;
        *self.routes.get_mut(place)? = Some(track);
        Some(track)
    }

    /// The track of a stream that has carried packets.
    pub(crate) fn known_route(&self, stream: StreamIndex) -> Option<TrackIndex> {
        self.routes.get(usize::from(stream.0)).copied().flatten()
    }

    /// Forgets which stream belongs to which track; packets teach it anew.
    pub(crate) fn clear_routes(&mut self) {
        self.routes.clear();
    }

    pub(crate) fn slot(&self, slot: SlotIndex) -> Option<&Slot> {
        self.slots.get(usize::from(slot.0))?.as_ref()
    }

    pub(crate) fn slot_mut(&mut self, slot: SlotIndex) -> Option<&mut Slot> {
        self.slots.get_mut(usize::from(slot.0))?.as_mut()
    }

    pub(crate) fn slot_of(&self, mid: Mid) -> Option<SlotIndex> {
        let slot = self.slots.iter().flatten().find(|slot| slot.mid == mid)?;
        Some(slot.index)
    }

    /// Takes note of an accepted offer: its m-lines, and the slots among them.
    pub(crate) fn set_media(&mut self, media: Vec<MediaLine>) {
        for line in &media {
            self.set_slot(line);
        }
        self.media = media;
    }

    fn set_slot(&mut self, line: &MediaLine) {
        let mid = line.mid;
        let Some(index) = self.peek(|transport| transport.slot(mid)).flatten() else {
            return;
        };
        let supported =
            self.peek(|transport| CodecSet::of(|codec| transport.slot_supports(index, codec)));
        let supported = supported.unwrap_or_default();
        let place = usize::from(index.0);
        if self.slots.len() <= place {
            self.slots.resize_with(place + 1, || None);
        }
        match self.slots.get_mut(place) {
            Some(Some(slot)) => slot.supported = supported,
            Some(place) => {
                *place = Some(Slot {
                    mid,
                    index,
                    kind: line.kind,
                    supported,
                    filled: None,
                    parked: None,
                });
            }
            None => {}
        }
    }

    /// Whether the client may send on this m-line, by the last accepted offer.
    pub(crate) fn publishing_kind(&self, mid: Mid) -> Option<MediaKind> {
        let line = self.media.iter().find(|line| line.mid == mid)?;
        matches!(line.usage, MediaLineUse::Publish | MediaLineUse::Both).then_some(line.kind)
    }
}

/// An m-line as the contract words it.
pub(crate) fn media_line(line: MediaLineDescription) -> MediaLine {
    MediaLine {
        mid: line.mid,
        kind: line.kind,
        usage: match line.usage {
            media_webrtc::MediaLineUse::Publish => MediaLineUse::Publish,
            media_webrtc::MediaLineUse::Slot => MediaLineUse::Slot,
            media_webrtc::MediaLineUse::Both => MediaLineUse::Both,
            media_webrtc::MediaLineUse::Idle => MediaLineUse::Idle,
        },
        codecs: line.codecs,
        rids: line.rids,
    }
}

/// Why a transport ended, as the contract words it.
pub(crate) const fn lost_reason(reason: media_webrtc::LostReason) -> LostReason {
    match reason {
        media_webrtc::LostReason::TimedOut => LostReason::TimedOut,
        media_webrtc::LostReason::Closed => LostReason::Closed,
        media_webrtc::LostReason::Handshake => LostReason::Handshake,
    }
}
