use media_contract::{CommandId, LostReason};
use media_types::{Bitrate, Codec, LayerSet, TrackId};

use super::*;

const ROOM: RoomId = RoomId::new(1);
const PEER: TransportId = TransportId::new(2);

fn started() -> Fact {
    Fact::TrackStarted {
        codec: Codec::Vp8,
        layers: LayerSet::EMPTY,
    }
}

fn done(id: u64) -> Event {
    Event {
        room: ROOM,
        subject: Subject::Room,
        fact: Fact::Done {
            command: CommandId(id),
        },
    }
}

fn data(topic: &str) -> Event {
    Event {
        room: ROOM,
        subject: Subject::Transport(PEER),
        fact: Fact::Data {
            from: "a".parse().unwrap(),
            topic: topic.to_owned(),
            payload: Vec::new(),
        },
    }
}

fn drain(outbox: &mut Outbox) -> Vec<Fact> {
    std::iter::from_fn(|| outbox.poll())
        .map(|event| event.fact)
        .collect()
}

#[test]
fn newer_facts_replace_older_ones() {
    let mut outbox = Outbox::default();
    let subject = Subject::Transport(PEER);
    for kbps in [100, 200, 300] {
        let estimate = Bitrate::from_kbps(kbps);
        outbox.tell(ROOM, subject, Fact::BandwidthChanged { estimate });
    }
    outbox.tell(ROOM, subject, Fact::TransportConnected);
    let reason = LostReason::Closed;
    outbox.tell(ROOM, subject, Fact::TransportLost { reason });
    let estimate = Bitrate::from_kbps(300);
    let left = [
        Fact::BandwidthChanged { estimate },
        Fact::TransportLost { reason },
    ];
    assert_eq!(drain(&mut outbox), left);
    assert_eq!(outbox.poll(), None);
}

#[test]
fn opposites_end_with_the_last_one() {
    let mut outbox = Outbox::default();
    let track = Subject::Track(TrackId::new(3));
    outbox.tell(ROOM, track, started());
    outbox.tell(ROOM, track, Fact::TrackStalled);
    outbox.tell(ROOM, track, started());
    assert_eq!(drain(&mut outbox), [started()]);
    outbox.tell(ROOM, track, Fact::TrackStalled);
    assert_eq!(drain(&mut outbox), [Fact::TrackStalled]);
}

#[test]
fn answers_keep_their_number_and_order() {
    let mut outbox = Outbox::default();
    outbox.answer(done(1));
    outbox.tell(ROOM, Subject::Track(TrackId::new(3)), Fact::TrackStalled);
    outbox.answer(done(2));
    let facts = drain(&mut outbox);
    assert_eq!(facts[0], done(1).fact);
    assert_eq!(facts[2], done(2).fact);
    for id in 0..ANSWERS_MAX as u64 {
        assert!(!outbox.is_congested());
        outbox.answer(done(id));
    }
    assert!(outbox.is_congested());
}

#[test]
fn data_has_bounds() {
    let mut outbox = Outbox::default();
    for _ in 0..DATA_MESSAGES_PER_TRANSPORT_MAX {
        assert!(outbox.tell_data(PEER, data("old"), 10, true));
    }
    assert!(!outbox.tell_data(PEER, data("new"), 10, true));
    assert!(outbox.tell_data(PEER, data("new"), 10, false));
    let facts = drain(&mut outbox);
    assert_eq!(facts.len(), DATA_MESSAGES_PER_TRANSPORT_MAX);
    assert_eq!(facts.last(), Some(&data("new").fact));
    assert!(!outbox.tell_data(PEER, data("big"), DATA_BYTES_PER_TRANSPORT_MAX + 1, false));
    assert!(outbox.tell_data(PEER, data("big"), DATA_BYTES_PER_TRANSPORT_MAX, false));
    assert!(!outbox.tell_data(PEER, data("reliable"), 1, true));
    assert!(outbox.tell_data(PEER, data("lossy"), 1, false));
    assert_eq!(drain(&mut outbox), [data("lossy").fact]);
}
