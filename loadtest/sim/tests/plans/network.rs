//! What networks do.

use media_types::{Bitrate, DataSize};
use sim::{Burst, Link, Plan, Queue, World};

use crate::oracle::{all_pairs, all_pictures, everybody_flows, nothing_foreign};
use crate::{each_seed, ms, seconds};

/// Three members over a link; the start is left out of what is judged.
fn call(seed: u64, link: &Link) -> World {
    let mut world = World::new(seed, 1);
    for _ in 0..3 {
        world.join(Plan::member(2), link, 0);
    }
    world.run_for(seconds(2));
    world
}

#[test]
fn quiet_wire() {
    each_seed(|seed| {
        let mut world = call(seed, &Link::default());
        let from = world.now;
        world.run_for(seconds(5));
        nothing_foreign(&world);
        everybody_flows(&world, from, ms(60));
        all_pairs(&world, from, 98);
        let gaps: u64 = world
            .members
            .iter()
            .flat_map(|member| member.client.all_shown().values().map(|shown| shown.gaps))
            .sum();
        assert_eq!(gaps, 0, "a quiet wire loses nothing");
    });
}

/// Without loss: under loss str0m composes its feedback in the order of a hash map, and two runs of
/// one seed drift apart, as two runs of real clients would.
#[test]
fn equal_seeds_make_equal_runs() {
    each_seed(|seed| {
        let link = Link {
            jitter: ms(10),
            ..Link::default()
        };
        let run = || {
            let mut world = call(seed, &link);
            world.run_for(seconds(1));
            world.trace()
        };
        assert_eq!(run(), run());
    });
}

#[test]
fn random_loss_is_repaired() {
    each_seed(|seed| {
        let mut world = call(
            seed,
            &Link {
                loss_ppm: 50_000,
                delay: ms(20),
                ..Link::default()
            },
        );
        let from = world.now;
        world.run_for(seconds(8));
        nothing_foreign(&world);
        everybody_flows(&world, from, ms(700));
        // Each way loses twice, a repair as well; a client gives up after 30 later packets.
        all_pictures(&world, from, 95);
        all_pairs(&world, from, 85);
        assert!(
            world
                .members
                .iter()
                .all(|member| member.down.figures().lost > 20)
        );
    });
}

#[test]
fn bursts_of_loss_are_survived() {
    each_seed(|seed| {
        let burst = Some(Burst::gilbert(3_000, 150_000));
        let mut world = call(
            seed,
            &Link {
                burst,
                delay: ms(20),
                ..Link::default()
            },
        );
        let from = world.now;
        world.run_for(seconds(8));
        nothing_foreign(&world);
        everybody_flows(&world, from, ms(1_500));
        all_pairs(&world, from, 85);
    });
}

#[test]
fn long_and_shaky_paths_carry() {
    each_seed(|seed| {
        let mut world = call(
            seed,
            &Link {
                delay: ms(120),
                jitter: ms(40),
                ..Link::default()
            },
        );
        world.run_for(seconds(1));
        let from = world.now;
        world.run_for(seconds(5));
        nothing_foreign(&world);
        everybody_flows(&world, from, ms(200));
        all_pairs(&world, from, 95);
    });
}

#[test]
fn reordering_is_put_right() {
    each_seed(|seed| {
        let mut world = call(
            seed,
            &Link {
                reorder_ppm: 50_000,
                ..Link::default()
            },
        );
        let from = world.now;
        world.run_for(seconds(5));
        nothing_foreign(&world);
        everybody_flows(&world, from, ms(300));
        all_pairs(&world, from, 95);
        assert!(
            world
                .members
                .iter()
                .all(|member| member.up.figures().reordered > 10)
        );
    });
}

#[test]
fn duplicates_are_shown_once() {
    each_seed(|seed| {
        let mut world = call(
            seed,
            &Link {
                duplicate_ppm: 100_000,
                ..Link::default()
            },
        );
        let from = world.now;
        world.run_for(seconds(5));
        nothing_foreign(&world);
        all_pairs(&world, from, 98);
        assert!(
            world
                .members
                .iter()
                .all(|member| member.up.figures().duplicated > 10)
        );
    });
}

#[test]
fn a_narrow_link_keeps_the_voice() {
    each_seed(|seed| {
        let mut world = World::new(seed, 1);
        let wide = Link::default();
        world.join(Plan::member(2), &wide, 0);
        world.join(Plan::member(2), &wide, 0);
        let narrow = Link {
            rate: Some(Bitrate::from_kbps(600)),
            queue: Queue::Bytes(DataSize::from_bytes(30_000)),
            ..Link::default()
        };
        let viewer = world.join(Plan::viewer(2), &narrow, 0);
        world.run_for(seconds(6));
        let from = world.now;
        world.run_for(seconds(6));
        nothing_foreign(&world);
        // Two voices are 100 frames a second, two cameras ask for more than the link has.
        let voices: usize = world.members[viewer]
            .client
            .all_shown()
            .values()
            .map(|shown| shown.frames.iter().filter(|(at, _)| *at >= from).count())
            .filter(|frames| *frames > 6 * 26)
            .sum();
        assert!(
            voices >= 6 * 100 * 90 / 100,
            "{voices} frames of sound in 6 s"
        );
    });
}

#[test]
fn an_outage_ends_without_reconnecting() {
    each_seed(|seed| {
        let outages = vec![seconds(4)..seconds(6)];
        let mut world = call(
            seed,
            &Link {
                outages,
                ..Link::default()
            },
        );
        world.run_for(seconds(6));
        let from = world.now;
        world.run_for(seconds(3));
        nothing_foreign(&world);
        everybody_flows(&world, from, ms(300));
        all_pairs(&world, from, 90);
        assert!(
            world
                .members
                .iter()
                .all(|member| member.up.figures().lost > 50)
        );
    });
}

#[test]
fn all_at_once() {
    each_seed(|seed| {
        let link = Link {
            rate: Some(Bitrate::from_kbps(3_000)),
            queue: Queue::Bytes(DataSize::from_bytes(100_000)),
            delay: ms(40),
            jitter: ms(15),
            loss_ppm: 20_000,
            burst: Some(Burst::gilbert(1_000, 200_000)),
            reorder_ppm: 10_000,
            duplicate_ppm: 10_000,
            outages: Vec::new(),
        };
        let mut world = call(seed, &link);
        world.run_for(seconds(1));
        let from = world.now;
        world.run_for(seconds(8));
        nothing_foreign(&world);
        everybody_flows(&world, from, ms(2_000));
        all_pairs(&world, from, 80);
    });
}
