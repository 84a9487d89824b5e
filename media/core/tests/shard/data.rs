//! Data messages between clients.

use std::time::Duration;

use media_contract::{Action, Fact, Subject};
use media_types::ShardId;
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
    write(world, from, channel, message);
    world.run(ms(200));
}

fn write(world: &mut World, from: &Channels, channel: ChannelId, message: &[u8]) {
    let client = &mut world.clients[from.client];
    assert!(
        client
            .rtc
            .channel(channel)
            .unwrap()
            .write(true, message)
            .unwrap()
    );
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
fn messages_cross_to_the_rooms_other_shards() {
    let mut world = World::new(3);
    let a = join(&mut world, 0);
    let [b, c] = [1, 2].map(|shard| join(&mut world, shard));
    let hello = envelope("room", "chat", b"hello");
    send(&mut world, &a, a.reliable, &hello);
    assert!(
        came(&world, &b).is_empty(),
        "nobody said that the room is there"
    );
    let peers = [0, 1, 2].map(|shard| ShardId(shard).into()).to_vec();
    assert!(world.is_done(0, Action::LinkRoom { peers }));
    send(&mut world, &a, a.reliable, &hello);
    for to in [&b, &c] {
        let messages = came(&world, to);
        assert_eq!(messages.len(), 1);
        assert!(messages[0].1.ends_with(b"hello"));
    }
    assert!(came(&world, &a).is_empty());
    let peers = vec![ShardId(2).into()];
    assert!(world.is_done(0, Action::LinkRoom { peers }));
    send(&mut world, &a, a.reliable, &hello);
    assert_eq!([&b, &c].map(|to| came(&world, to).len()), [1, 2]);
}

#[test]
fn a_relay_shows_another_shard_of_the_room() {
    let mut world = World::new(2);
    let a = join(&mut world, 0);
    let b = join(&mut world, 1);
    let (camera, mid) = world.join(0, |api| {
        api.add_media(Kind::Video, Direction::SendOnly, None, None, None)
    });
    let mid = crate::support::client::ours(mid);
    let track = world.publish(camera, mid, 1);
    let end = media_contract::RelayEnd::Out {
        to: ShardId(1).into(),
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

/// Sends numbered messages of 50 kB to a client that hears nothing, until `enough`.
fn flood(world: &mut World, from: &Channels, channel: ChannelId, messages: u8) {
    for number in 0..messages {
        let mut payload = vec![0; 50_000];
        payload[0] = number;
        write(
            world,
            from,
            channel,
            &envelope("peer:peer1", "file", &payload),
        );
        world.run(ms(60));
    }
}

fn slow(world: &World, client: usize) -> usize {
    let subject = Subject::Transport(world.transport(client));
    let events = world.events.iter();
    events
        .filter(|(_, event)| event.subject == subject && event.fact == Fact::SlowClient)
        .count()
}

/// The first bytes of the payloads that came.
fn numbers(world: &World, to: &Channels) -> Vec<u8> {
    let messages = came(world, to).into_iter();
    messages
        .map(|(_, bytes)| bytes[bytes.len() - 50_000])
        .collect()
}

#[test]
fn a_slow_client_waits_in_order_and_then_is_told_of() {
    let mut world = World::new(1);
    let a = join(&mut world, 0);
    let b = join(&mut world, 0);
    let deaf = b.client;
    let silence = |world: &mut World, silent: bool| {
        world.loss = Box::new(move |_, client, _| silent && client == deaf);
    };
    // SCTP holds 4 MiB, and five more messages wait.
    silence(&mut world, true);
    flood(&mut world, &a, a.reliable, 86);
    assert_eq!((slow(&world, deaf), numbers(&world, &b).len()), (0, 0));
    silence(&mut world, false);
    let came_all = world.run_until(Duration::from_secs(30), |world| {
        numbers(world, &b).len() == 86
    });
    assert!(came_all, "{:?}", numbers(&world, &b));
    assert!(numbers(&world, &b).into_iter().eq(0..86));
    assert!(!world.figures(0).dropped.contains_key("data_full"));

    world.clients[deaf].events.clear();
    silence(&mut world, true);
    flood(&mut world, &a, a.reliable, 100);
    assert_eq!(slow(&world, deaf), 1, "told once");
    let dropped = world.figures(0).dropped["data_full"];
    assert!((12..=20).contains(&dropped), "{dropped}");
    assert!(
        !world.told(Subject::Transport(world.transport(deaf)), |fact| {
            matches!(fact, Fact::Data { .. })
        })
    );
    silence(&mut world, false);
    world.run_until(Duration::from_secs(30), |_| false);
    flood(&mut world, &a, a.reliable, 2);
    let got = numbers(&world, &b);
    assert_eq!(got[got.len() - 2..], [0, 1], "it takes messages again");
    assert!(
        got[..got.len() - 2]
            .iter()
            .copied()
            .eq(0..u8::try_from(got.len() - 2).unwrap())
    );
}
