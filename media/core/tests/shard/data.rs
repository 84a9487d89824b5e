//! Data messages between clients.

use media_contract::{Action, Fact, Subject};
use str0m::Event;
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::media::{Direction, MediaKind as Kind};

use crate::support::{World, ms};

struct Channels {
    client: usize,
    reliable: ChannelId,
    lossy: ChannelId,
}

fn join(world: &mut World, shard: usize) -> Channels {
    let (client, (reliable, lossy)) = world.join(shard, |api| {
        let reliable = api.add_channel("reliable".into());
        let lossy = api.add_channel_with_config(ChannelConfig {
            label: "lossy".into(),
            ordered: false,
            reliability: Reliability::MaxRetransmits { retransmits: 0 },
            ..ChannelConfig::default()
        });
        (reliable, lossy)
    });
    world.run(ms(300));
    Channels {
        client,
        reliable,
        lossy,
    }
}

fn envelope(to: &str, topic: &str, payload: &[u8]) -> Vec<u8> {
    let header = format!(r#"{{"to":"{to}","topic":"{topic}","from":"forged","seq":3}}"#);
    let length = u16::try_from(header.len()).unwrap().to_be_bytes();
    [&[1][..], &length, header.as_bytes(), payload].concat()
}

fn send(world: &mut World, from: &Channels, channel: ChannelId, message: &[u8]) {
    let client = &mut world.clients[from.client];
    assert!(
        client
            .rtc
            .channel(channel)
            .unwrap()
            .write(true, message)
            .unwrap()
    );
    world.run(ms(200));
}

/// Messages that came to a client: channel and bytes.
fn came(world: &World, to: &Channels) -> Vec<(ChannelId, Vec<u8>)> {
    let events = world.clients[to.client].events.iter();
    events
        .filter_map(|event| match event {
            Event::ChannelData(data) => Some((data.id, data.data.clone())),
            _ => None,
        })
        .collect()
}

#[test]
fn messages_are_signed_and_go_to_whom_they_name() {
    let mut world = World::new(1);
    let [a, b, c] = [(); 3].map(|()| join(&mut world, 0));
    send(
        &mut world,
        &a,
        a.reliable,
        &envelope("room", "chat", b"hello"),
    );
    send(
        &mut world,
        &a,
        a.lossy,
        &envelope("peer:peer2", "game", b"\x00\x01"),
    );
    assert!(came(&world, &a).is_empty());
    let signed = |to: &str, topic: &str, payload: &[u8]| {
        let header = format!(r#"{{"from":"peer0","seq":3,"to":"{to}","topic":"{topic}"}}"#);
        let length = u16::try_from(header.len()).unwrap().to_be_bytes();
        [&[1][..], &length, header.as_bytes(), payload].concat()
    };
    let hello = signed("room", "chat", b"hello");
    assert_eq!(came(&world, &b), [(b.reliable, hello.clone())]);
    let move_ = signed("peer:peer2", "game", b"\x00\x01");
    assert_eq!(came(&world, &c), [(c.reliable, hello), (c.lossy, move_)]);
}

#[test]
fn who_has_no_channel_is_told_by_signalling() {
    let mut world = World::new(1);
    let a = join(&mut world, 0);
    let (plain, _) = world.join(0, |api| {
        api.add_media(Kind::Audio, Direction::RecvOnly, None, None, None)
    });
    send(
        &mut world,
        &a,
        a.reliable,
        &envelope("room", "chat", b"hello"),
    );
    let fact = world.last(
        Subject::Transport(world.transport(plain)),
        |fact| match fact {
            Fact::Data { .. } => Some(fact.clone()),
            _ => None,
        },
    );
    let expected = Fact::Data {
        from: "peer0".parse().unwrap(),
        topic: "chat".to_owned(),
        payload: b"hello".to_vec(),
    };
    assert_eq!(fact, Some(expected));
}

#[test]
fn bad_and_forbidden_messages_go_nowhere() {
    let mut world = World::new(1);
    let [a, b] = [(); 2].map(|()| join(&mut world, 0));
    send(&mut world, &a, a.reliable, b"not an envelope");
    send(
        &mut world,
        &a,
        a.lossy,
        &envelope("room", "big", &[0; 17_000]),
    );
    assert!(came(&world, &b).is_empty());
    assert_eq!(world.figures(0).dropped["bad_data"], 2);
    let settings = media_contract::TransportSettings {
        identity: "peer0".parse().unwrap(),
        usage: media_contract::TransportUse::Peer,
        publish: true,
        subscribe: true,
        data: false,
        codecs: Vec::new(),
    };
    let transport = world.transport(a.client);
    let again = Action::OpenTransport {
        transport,
        settings,
    };
    assert!(world.is_done(0, again));
    send(
        &mut world,
        &a,
        a.reliable,
        &envelope("room", "chat", b"hello"),
    );
    assert!(came(&world, &b).is_empty());
    assert_eq!(world.figures(0).dropped["data_forbidden"], 1);
}

#[test]
fn messages_cross_to_the_rooms_other_shard() {
    let mut world = World::new(2);
    let a = join(&mut world, 0);
    let b = join(&mut world, 1);
    let (camera, mid) = world.join(0, |api| {
        api.add_media(Kind::Video, Direction::SendOnly, None, None, None)
    });
    let mid = crate::support::client::ours(mid);
    let track = world.publish(camera, mid, 1);
    let end = media_contract::RelayEnd::Out {
        to: media_types::ShardId(1),
    };
    assert!(world.is_done(0, Action::OpenRelay { track, end }));
    send(
        &mut world,
        &a,
        a.reliable,
        &envelope("peer:peer1", "chat", b"hello"),
    );
    let messages = came(&world, &b);
    assert_eq!(messages.len(), 1);
    assert!(messages[0].1.ends_with(b"hello"));
}
