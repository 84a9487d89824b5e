//! Commands: idempotent, fenced, answered.

use media_contract::{Action, Fact, RefusedReason, SlotState, Subject, TrackOrigin, Wish};
use media_types::{Codec, Epoch, LayerSet, TrackId, TransportId};
use str0m::media::{Direction, MediaKind as Kind};

use crate::forwarding::play;
use crate::support::client::Client;
use crate::support::media::{join_camera, join_viewer};
use crate::support::{ROOM, World, ms};

#[test]
fn a_lower_epoch_is_stale_and_a_higher_one_is_adopted() {
    let mut world = World::new(1);
    world.epoch = Epoch(5);
    assert!(world.is_done(0, Action::OpenRoom));
    world.epoch = Epoch(4);
    for action in [Action::OpenRoom, Action::CloseRoom, Action::Describe] {
        assert_eq!(world.refusal(0, action), RefusedReason::StaleEpoch);
    }
    world.epoch = Epoch(5);
    let Fact::Described { snapshot, .. } = world.command(0, Action::Describe) else {
        panic!("not described");
    };
    assert_eq!((snapshot.room, snapshot.epoch), (ROOM, Epoch(5)));
}

#[test]
fn twice_is_once() {
    let mut world = World::new(1);
    let mut camera = join_camera(&mut world, 0);
    let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
    for _ in 0..2 {
        let track = world.publish(camera.client, camera.mid, 1);
        world.fill(viewer, slot, track, Wish::default());
    }
    play(&mut world, &mut camera, 10);
    world.fill(viewer, slot, TrackId::new(1), Wish::default());
    play(&mut world, &mut camera, 10);
    assert_eq!(world.clients[viewer].on(slot).len(), 40);
    let Fact::Described { snapshot, .. } = world.command(0, Action::Describe) else {
        panic!("not described");
    };
    let [track] = snapshot.tracks[..] else {
        panic!("one track: {snapshot:?}");
    };
    assert_eq!(
        track.origin,
        TrackOrigin::Transport(world.transport(camera.client), camera.mid)
    );
    assert_eq!((track.codec, track.muted), (Some(Codec::Vp8), false));
    assert_ne!(track.layers, LayerSet::EMPTY);
    assert_eq!(snapshot.transports.len(), 2);
    let found = &snapshot.transports[1];
    assert!(found.connected && found.media.len() == 1);
    assert_eq!(
        (found.slots[0].mid, found.slots[0].state),
        (slot, SlotState::Live)
    );
    let transport = world.transport(viewer);
    for _ in 0..2 {
        assert!(world.is_done(0, Action::CloseTransport { transport }));
    }
    for _ in 0..2 {
        assert!(world.is_done(0, Action::CloseRoom));
    }
    let figures = world.figures(0);
    let left = (
        figures.rooms,
        figures.transports,
        figures.tracks,
        figures.forwarders,
    );
    assert_eq!(left, (0, 0, 0, 0));
    assert_eq!(
        world.refusal(0, Action::Describe),
        RefusedReason::UnknownRoom
    );
}

#[test]
fn what_does_not_exist_is_refused() {
    let mut world = World::new(1);
    let transport = TransportId::new(99);
    let [mid, track] = ["0", "1"];
    let mid = mid.parse().unwrap();
    let track = TrackId::new(track.parse().unwrap());
    let negotiate = Action::Negotiate {
        transport,
        offer: String::new(),
        pairs: Vec::new(),
    };
    assert_eq!(world.refusal(0, negotiate), RefusedReason::UnknownTransport);
    let publish = Action::Publish {
        transport,
        mid,
        track,
        source: media_types::TrackSource::Camera,
    };
    assert_eq!(world.refusal(0, publish), RefusedReason::UnknownTransport);
    let mute = Action::Mute { track, muted: true };
    assert_eq!(world.refusal(0, mute), RefusedReason::UnknownTrack);
    for gone in [
        Action::CloseTransport { transport },
        Action::Unpublish { track },
        Action::Empty {
            transport,
            slot: mid,
        },
    ] {
        assert!(world.is_done(0, gone));
    }
}

#[test]
fn garbage_sdp_is_refused_with_what_is_wrong() {
    let mut world = World::new(1);
    let client = Client::new(world.base, 0, |config| config);
    let index = world.add_client(0, client);
    let transport = world.transport(index);
    for offer in ["", "v=0", "\0\0\0", &"a=x\r\n".repeat(100_000)] {
        let negotiate = Action::Negotiate {
            transport,
            offer: offer.to_owned(),
            pairs: Vec::new(),
        };
        let reason = world.refusal(0, negotiate);
        assert!(matches!(reason, RefusedReason::BadSdp(_)), "{reason:?}");
    }
    let candidate = Action::AddCandidate {
        transport,
        candidate: "candidate:nonsense".to_owned(),
    };
    assert!(world.is_done(0, candidate));
    assert_eq!(world.figures(0).dropped["bad_candidate"], 1);
    world.negotiate(index, |api| {
        api.add_media(Kind::Audio, Direction::SendRecv, None, None, None)
    });
    world.connect(index);
}

#[test]
fn what_a_transport_may_not_do_is_refused() {
    let mut world = World::new(1);
    let camera = join_camera(&mut world, 0);
    let settings = media_contract::TransportSettings {
        identity: "peer0".parse().unwrap(),
        usage: media_contract::TransportUse::Peer,
        publish: false,
        subscribe: false,
        data: false,
        codecs: Vec::new(),
    };
    let transport = world.transport(camera.client);
    let open = Action::OpenTransport {
        transport,
        settings,
    };
    assert!(world.is_done(0, open));
    let publish = Action::Publish {
        transport,
        mid: camera.mid,
        track: TrackId::new(1),
        source: media_types::TrackSource::Camera,
    };
    assert_eq!(world.refusal(0, publish), RefusedReason::Forbidden);
}

#[test]
fn figures_come_once_a_second() {
    let mut world = World::new(1);
    let mut camera = join_camera(&mut world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
    world.fill(viewer, slot, track, Wish::default());
    let before = world.events.len();
    play(&mut world, &mut camera, 90);
    let count = |subject| {
        let events = world.events[before..].iter();
        let facts = events.filter(|(_, event)| event.subject == subject);
        facts
            .filter(|(_, event)| matches!(event.fact, Fact::Figures(_) | Fact::ShardFigures(_)))
            .count()
    };
    assert!((2..=3).contains(&count(Subject::Shard)));
    let subject = Subject::Transport(world.transport(viewer));
    assert!((2..=3).contains(&count(subject)));
    let figures = world.last(subject, |fact| match fact {
        Fact::Figures(figures) => Some(figures.clone()),
        _ => None,
    });
    let figures = figures.unwrap();
    assert_eq!(
        (figures.slots[0].mid, figures.slots[0].track),
        (slot, track)
    );
    assert!(figures.rate_out.bps() > 100_000, "{}", figures.rate_out);
    let subject = Subject::Transport(world.transport(camera.client));
    let figures = world.last(subject, |fact| match fact {
        Fact::Figures(figures) => Some(figures.clone()),
        _ => None,
    });
    assert_eq!(figures.unwrap().tracks[0].codec, Some(Codec::Vp8));
}

#[test]
fn transports_that_come_and_go_leave_nothing() {
    let mut world = World::new(1);
    let mut camera = join_camera(&mut world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    for _ in 0..20 {
        let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
        world.fill(viewer, slot, track, Wish::default());
        play(&mut world, &mut camera, 2);
        let transport = world.transport(viewer);
        assert!(world.is_done(0, Action::CloseTransport { transport }));
        world.run(ms(10));
        let closed = &world.clients[viewer].events;
        assert!(
            closed
                .iter()
                .any(|event| matches!(event, str0m::Event::Closed))
        );
    }
    let figures = world.figures(0);
    assert_eq!((figures.transports, figures.forwarders), (1, 0));
}

#[test]
fn a_rooms_codecs_are_all_that_its_clients_get() {
    let mut world = World::new(1);
    for (codecs, expected) in [
        (vec![Codec::Vp8, Codec::Opus], vec![Codec::Vp8]),
        (vec![Codec::Opus], vec![]),
    ] {
        let client = Client::new(world.base, world.clients.len(), |config| config);
        let client = world.add_client_of(0, client, codecs);
        world.negotiate(client, |api| {
            api.add_media(Kind::Video, Direction::SendOnly, None, None, None)
        });
        assert_eq!(world.clients[client].media[0].codecs, expected);
    }
}
