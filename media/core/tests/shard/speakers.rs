//! Who is heard.

use media_contract::{Fact, Subject};
use str0m::media::{Direction, MediaKind as Kind};

use crate::support::client::ours;
use crate::support::media::Microphone;
use crate::support::{World, ms};

/// Lists of identities that were told, oldest first.
fn told(world: &World) -> Vec<Vec<String>> {
    let events = world
        .events
        .iter()
        .filter(|(_, event)| event.subject == Subject::Room);
    events
        .filter_map(|(_, event)| match &event.fact {
            Fact::SpeakersChanged { speakers } => Some(
                speakers
                    .iter()
                    .map(|speaker| speaker.identity.to_string())
                    .collect(),
            ),
            _ => None,
        })
        .collect()
}

#[test]
fn the_loudest_come_first_and_silence_empties_the_list() {
    let mut world = World::new(1);
    let mut microphones = [(); 3].map(|()| {
        let (client, mid) = world.join(0, |api| {
            api.add_media(Kind::Audio, Direction::SendOnly, None, None, None)
        });
        Microphone::new(client, ours(mid))
    });
    for (id, microphone) in (1..).zip(&microphones) {
        world.publish(microphone.client, microphone.mid, id);
    }
    for levels in [[80, 30, 40], [80, 42, 20], [127, 127, 127]] {
        for _ in 0..100 {
            for (microphone, level) in microphones.iter_mut().zip(levels) {
                microphone.packet(&mut world, level, 80);
            }
            world.run(ms(20));
        }
    }
    let lists = told(&world);
    assert!(lists.len() <= 4 * 6, "at most four a second");
    let expected = [vec!["peer1", "peer2"], vec!["peer2", "peer1"], vec![]];
    for list in expected {
        assert!(
            lists.iter().any(|told| *told == list),
            "{list:?} in {lists:?}"
        );
    }
    assert!(lists.last().unwrap().is_empty());
    assert!(lists.iter().flatten().all(|name| name != "peer0"));
}
