//! What members do: come late, go, move, fall silent, lie on different shards.

use media_contract::Fact;
use sim::{Link, Plan, World};

use crate::oracle::{all_pairs, at_least, everybody_flows, nothing_foreign};
use crate::{each_seed, ms, seconds};

#[test]
fn who_comes_late_sees_at_once() {
    each_seed(|seed| {
        let mut world = World::new(seed, 1);
        world.join(Plan::member(2), &Link::default(), 0);
        world.join(Plan::member(2), &Link::default(), 0);
        world.run_for(seconds(3));
        let viewer = world.join(Plan::viewer(2), &Link::default(), 0);
        world.run_for(seconds(1));
        let client = &world.members[viewer].client;
        let connected = client.connected().expect("connected within a second");
        let keyframes = client.all_shown().values().filter_map(|shown| {
            shown
                .frames
                .iter()
                .find(|(_, content)| content.keyframe)
                .map(|(at, _)| *at)
        });
        let delays: Vec<_> = keyframes.map(|at| at.duration_since(connected)).collect();
        assert_eq!(delays.len(), 2, "a picture of each publisher");
        // A round trip to the publisher, its next frame at 25 a second, and the way here.
        assert!(delays.iter().all(|delay| *delay <= ms(150)), "{delays:?}");
        nothing_foreign(&world);
    });
}

#[test]
fn churn_leaves_the_others_alone() {
    each_seed(|seed| {
        let mut world = World::new(seed, 1);
        world.join(Plan::member(4), &Link::default(), 0);
        world.join(Plan::member(4), &Link::default(), 0);
        world.run_for(seconds(2));
        let from = world.now;
        for _ in 0..4 {
            let guest = world.join(Plan::member(2), &Link::default(), 0);
            world.run_for(seconds(1));
            world.leave(guest);
        }
        world.run_for(seconds(1));
        nothing_foreign(&world);
        at_least(&world, 0, 1, from, 5 * 75 * 98 / 100);
        at_least(&world, 1, 0, from, 5 * 75 * 98 / 100);
    });
}

#[test]
fn a_new_address_goes_on() {
    each_seed(|seed| {
        let mut world = World::new(seed, 1);
        for _ in 0..2 {
            world.join(Plan::member(1), &Link::default(), 0);
        }
        world.run_for(seconds(3));
        world.roam(1);
        world.run_for(seconds(1));
        let from = world.now;
        world.run_for(seconds(3));
        nothing_foreign(&world);
        at_least(&world, 0, 1, from, 3 * 75 * 95 / 100);
    });
}

#[test]
fn silence_is_no_loss() {
    each_seed(|seed| {
        let mut world = World::new(seed, 1);
        for _ in 0..3 {
            world.join(Plan::member(2), &Link::default(), 0);
        }
        world.run_for(seconds(2));
        let from = world.now;
        world.members[0].client.set_silent(true);
        world.run_for(seconds(3));
        world.members[0].client.set_silent(false);
        world.run_for(seconds(2));
        nothing_foreign(&world);
        at_least(&world, 1, 2, from, 5 * 75 * 98 / 100);
        at_least(&world, 1, 0, from, 2 * 75 * 90 / 100);
        let lost = world
            .events_of(0)
            .any(|fact| matches!(fact, Fact::TransportLost { .. }));
        assert!(!lost, "a silent member is still a member");
    });
}

#[test]
fn two_shards_are_one_room() {
    each_seed(|seed| {
        let mut world = World::new(seed, 2);
        for shard in [0, 1, 0, 1] {
            world.join(
                Plan::member(3),
                &Link {
                    loss_ppm: 10_000,
                    ..Link::default()
                },
                shard,
            );
        }
        world.run_for(seconds(3));
        let from = world.now;
        world.run_for(seconds(4));
        nothing_foreign(&world);
        everybody_flows(&world, from, ms(500));
        all_pairs(&world, from, 97);
    });
}

#[test]
fn one_shard_or_two_show_the_same() {
    each_seed(|seed| {
        let frames = |shards: u16| {
            let mut world = World::new(seed, shards);
            for member in 0..3 {
                world.join(Plan::member(2), &Link::default(), member % shards);
            }
            world.run_for(seconds(2));
            let from = world.now;
            world.run_for(seconds(2));
            nothing_foreign(&world);
            let pairs = (0..3).flat_map(|a| (0..3).map(move |b| (a, b)));
            pairs
                .map(|(a, b)| world.frames(a, b, from))
                .collect::<Vec<_>>()
        };
        let (one, two) = (frames(1), frames(2));
        for (one, two) in one.iter().zip(&two) {
            assert!(
                one.abs_diff(*two) <= 3,
                "one shard {one} frames, two shards {two}"
            );
        }
    });
}
