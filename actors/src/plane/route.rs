//! From an event to the actor that it is for.

use media_contract::{Event, Fact, Subject};
use media_types::TransportId;

use crate::context::asker;

/// Whom an event is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// The peer of this transport.
    Peer(TransportId),
    /// The room that the event names.
    Room,
    /// The shard's own actor.
    Shard,
}

/// Answers go to who asked, whatever they are about; facts go by their subject.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "only answers carry a command's id"
)]
pub(crate) fn route(event: &Event) -> Route {
    match &event.fact {
        Fact::Done { command }
        | Fact::Negotiated { command, .. }
        | Fact::Refused { command, .. }
        | Fact::Described { command, .. } => match asker(*command) {
            Some(transport) => Route::Peer(transport),
            None => Route::Room,
        },
        _ => match event.subject {
            Subject::Shard => Route::Shard,
            Subject::Room | Subject::Track(_) | Subject::Tap(_) => Route::Room,
            Subject::Transport(transport) | Subject::Slot(transport, _) => Route::Peer(transport),
        },
    }
}

#[cfg(test)]
mod tests {
    use media_contract::CommandId;
    use media_types::{Bitrate, RoomId, TrackId};

    use super::*;

    fn event(subject: Subject, fact: Fact) -> Event {
        Event {
            room: RoomId::new(1),
            subject,
            fact,
        }
    }

    #[test]
    fn answers_go_to_who_asked_and_facts_by_subject() {
        let transport = TransportId::new(5);
        let track = Subject::Track(TrackId::new(1));
        let command = CommandId(5 << 24 | 9);
        let of_peer = event(track, Fact::Done { command });
        assert_eq!(route(&of_peer), Route::Peer(transport));
        let command = CommandId(9);
        let of_room = event(Subject::Transport(transport), Fact::Done { command });
        assert_eq!(route(&of_room), Route::Room);
        let estimate = Bitrate::ZERO;
        let fact = || Fact::BandwidthChanged { estimate };
        let slot = Subject::Slot(transport, "0".parse().unwrap());
        assert_eq!(route(&event(slot, fact())), Route::Peer(transport));
        assert_eq!(route(&event(track, fact())), Route::Room);
        assert_eq!(route(&event(Subject::Shard, fact())), Route::Shard);
    }
}
