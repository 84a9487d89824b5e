//! The limits of a room on several workers, in peers and in publishers ([`super::seats`]).

use std::collections::BTreeMap;
use std::time::Instant;

use media_types::{Epoch, PeerId, WorkerId};

use super::seats::{Ledger, Seat, Share};
use super::{PartBody, RoomPhase, RoomState};
use crate::limits::{PART_PERIOD, SEAT_WAIT};
use crate::part::{PartAllots, PartHolds};
use crate::room::state::{Effect, Member};
use crate::session::SessionKind;

/// Whom places are shared with: the owner, or of what epoch.
type With = (Option<WorkerId>, Epoch);

/// What is agreed on about both limits.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    with: Option<With>,
    peers: Side,
    publishers: Side,
    /// Something that counts has changed.
    stale: bool,
    /// The owner may have missed what it was told, or this part what it was.
    again: bool,
    told: Option<(PartHolds, Instant)>,
    due: Option<Instant>,
    /// Joins that wait.
    joins: u32,
    /// Who waits to publish, and until when.
    publish: Vec<(PeerId, Instant)>,
}

#[derive(Debug, Default)]
struct Side {
    ledger: Ledger,
    share: Share,
}

/// What outlives a crash of the room's actor: allotments go on counting.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeptSeats {
    with: Option<With>,
    serials: (u64, u64),
}

/// How a limit is kept here.
enum Rule {
    /// By what is known: there is nobody to share it with, or nobody who could be asked.
    Alone,
    Owner,
    Part(WorkerId),
}

/// Peers, and publishers.
type Two = (u32, u32);

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl Seats {
    /// Something that counts has changed.
    pub(super) fn touch(&mut self) {
        self.stale = true;
    }

    /// Says all again.
    pub(super) fn repeat(&mut self) {
        (self.again, self.stale) = (true, true);
    }

    /// So many joins wait.
    pub(crate) fn set_joins(&mut self, joins: usize) {
        let joins = count(joins);
        self.stale |= joins != self.joins;
        self.joins = joins;
    }

    /// When [`RoomState::share_seats`] wants to be called.
    pub(super) fn due(&self) -> Option<Instant> {
        let publish = self.publish.iter().map(|(_, until)| *until);
        publish.chain(self.due).min()
    }

    pub(super) fn keep(&self) -> KeptSeats {
        let serials = (self.peers.ledger.serial(), self.publishers.ledger.serial());
        KeptSeats {
            with: self.with,
            serials,
        }
    }

    pub(super) fn recall(kept: &KeptSeats) -> Self {
        let side = |serial| Side {
            ledger: Ledger::after(serial),
            share: Share::default(),
        };
        Self {
            with: kept.with,
            peers: side(kept.serials.0),
            publishers: side(kept.serials.1),
            again: true,
            stale: true,
            ..Self::default()
        }
    }

    /// Nothing of what was agreed on with somebody else, or in an earlier epoch, holds.
    fn agree(&mut self, with: With) {
        if self.with != Some(with) {
            self.with = Some(with);
            (self.peers, self.publishers) = (Side::default(), Side::default());
            (self.told, self.again) = (None, true);
        }
    }
}

impl RoomState {
    fn with(&self) -> With {
        (self.parts.owner, self.stage.epoch)
    }

    fn rule(&self) -> Rule {
        match self.parts.owner {
            None if self.parts.known.is_empty() => Rule::Alone,
            None => Rule::Owner,
            Some(owner) if self.parts.known.contains_key(&owner) => Rule::Part(owner),
            Some(_) => Rule::Alone,
        }
    }

    /// Who is in here; at the owner's with those who are on their way to it.
    fn seated(&self) -> Two {
        // Who follows a room that moves counts where it goes.
        let stays = |member: &&Member| {
            self.phase != RoomPhase::Handover || member.record.kind != SessionKind::WebSocket
        };
        let members = || self.members.values().filter(stays);
        let expected = self.stage.expected.values();
        let coming = expected.filter(|peer| !peer.tracks.is_empty()).count();
        let peers = members().count() + self.stage.expected.len();
        let publishers = members().filter(|member| member.publishes()).count();
        (count(peers), count(publishers + coming))
    }

    /// Whether one more may come in.
    pub(crate) fn peer_seat(&self) -> Seat {
        let (own, max) = (self.seated().0, self.settings.max_peers);
        let far = count(self.parts.count());
        self.seat(&self.parts.seats.peers, max, (own, far))
    }

    /// Whether one more may publish.
    fn publisher_seat(&self) -> Seat {
        let (own, max) = (self.seated().1, self.settings.max_publishers);
        if self.phase == RoomPhase::Handover {
            // Who follows the room counts where it goes already.
            let all = count(self.publishers());
            return if all < max { Seat::Free } else { Seat::Full };
        }
        let far = count(self.parts.publishers());
        self.seat(&self.parts.seats.publishers, max, (own, far))
    }

    fn seat(&self, side: &Side, max: u32, (own, far): Two) -> Seat {
        let agreed = self.parts.seats.with == Some(self.with());
        match self.rule() {
            Rule::Alone if own.saturating_add(far) < max => Seat::Free,
            Rule::Alone => Seat::Full,
            Rule::Owner | Rule::Part(_) if !agreed => Seat::Soon,
            Rule::Owner => side.ledger.seat(max, own),
            Rule::Part(_) => side.share.seat(own),
        }
    }

    /// A part says what it holds.
    pub(crate) fn take_holds(&mut self, from: WorkerId, epoch: Epoch, holds: &PartHolds) {
        let seats = &mut self.parts.seats;
        if seats.with == Some((None, epoch)) {
            seats.peers.ledger.take(from, &holds.peers, holds.again);
            let publishers = &mut seats.publishers.ledger;
            publishers.take(from, &holds.publishers, holds.again);
            seats.touch();
        }
    }

    /// The owner says what this part may hold.
    pub(crate) fn take_allots(&mut self, from: WorkerId, epoch: Epoch, allots: &PartAllots) {
        let seats = &mut self.parts.seats;
        if seats.with == Some((Some(from), epoch)) {
            if let Some(allot) = &allots.peers {
                seats.peers.share.take(allot);
            }
            if let Some(allot) = &allots.publishers {
                seats.publishers.share.take(allot);
            }
            seats.touch();
        }
    }

    /// Tells the others what has changed of the places of both limits; whether anything has.
    pub(crate) fn share_seats(&mut self, now: Instant) -> bool {
        let late = self.parts.seats.due().is_some_and(|due| now >= due);
        if !std::mem::take(&mut self.parts.seats.stale) && !late {
            return false;
        }
        self.parts.seats.due = None;
        self.retry_publishers(now);
        match self.rule() {
            Rule::Alone => {}
            Rule::Owner if self.phase == RoomPhase::Active => self.hand_out(),
            Rule::Owner => {}
            Rule::Part(owner) => self.report(now, owner),
        }
        true
    }

    fn hand_out(&mut self) {
        let (with, parts) = (self.with(), self.parts.workers());
        let (own, settings) = (self.seated(), &self.settings);
        let (max_peers, max_publishers) = (settings.max_peers, settings.max_publishers);
        let seats = &mut self.parts.seats;
        seats.agree(with);
        let mut told: BTreeMap<WorkerId, PartAllots> = BTreeMap::new();
        seats.peers.ledger.attend(&parts);
        for (to, allot) in seats.peers.ledger.share_out(max_peers, own.0, seats.joins) {
            told.entry(to).or_default().peers = Some(allot);
        }
        let wait = count(seats.publish.len());
        let publishers = &mut seats.publishers.ledger;
        publishers.attend(&parts);
        for (to, allot) in publishers.share_out(max_publishers, own.1, wait) {
            told.entry(to).or_default().publishers = Some(allot);
        }
        if !told.is_empty() {
            self.effects.push(Effect::KeepParts);
        }
        for (to, allots) in told {
            self.tell_part(to, PartBody::Allots(allots));
        }
    }

    fn report(&mut self, now: Instant, owner: WorkerId) {
        let (with, (peers, publishers)) = (self.with(), self.seated());
        let seats = &mut self.parts.seats;
        seats.agree(with);
        let wait = count(seats.publish.len());
        let again = std::mem::take(&mut seats.again);
        let holds = PartHolds {
            peers: seats.peers.share.hold(peers, seats.joins),
            publishers: seats.publishers.share.hold(publishers, wait),
            again,
        };
        if let Some((told, at)) = &seats.told
            && !again
        {
            if (told.peers, told.publishers) == (holds.peers, holds.publishers) {
                return;
            }
            // Who waits, and the owner, wait for nothing; who has come or gone is counted soon.
            let waits = told.peers.wanted < holds.peers.wanted
                || told.publishers.wanted < holds.publishers.wanted;
            let answers = told.peers.serial != holds.peers.serial
                || told.publishers.serial != holds.publishers.serial;
            let next = *at + PART_PERIOD;
            if !waits && !answers && now < next {
                seats.due = Some(next);
                return;
            }
        }
        seats.told = Some((holds.clone(), now));
        self.tell_part(owner, PartBody::Holds(holds));
    }

    /// Whether one more may publish; a yes is remembered.
    pub(crate) fn want_publish(&mut self, now: Instant, peer: PeerId) {
        let waiting = &mut self.parts.seats.publish;
        waiting.retain(|(waits, _)| *waits != peer);
        self.decide_publish(now, peer, now + SEAT_WAIT);
    }

    fn decide_publish(&mut self, now: Instant, peer: PeerId, until: Instant) {
        let seat = self.publisher_seat();
        let Some(member) = self.members.get_mut(&peer) else {
            return;
        };
        let granted = member.publishes() || seat == Seat::Free;
        self.parts.seats.touch();
        if !granted && seat == Seat::Soon && now < until {
            self.parts.seats.publish.push((peer, until));
            return;
        }
        member.reserved = granted;
        self.effects.push(Effect::MayPublish(peer, granted));
    }

    fn retry_publishers(&mut self, now: Instant) {
        let stale = self.parts.seats.stale;
        for (peer, until) in std::mem::take(&mut self.parts.seats.publish) {
            self.decide_publish(now, peer, until);
        }
        // They were told of, or are in what is about to be.
        self.parts.seats.stale = stale;
    }
}
