//! One room on several workers: what crosses between them, and what comes of it.

use sim::{Link, Plan, World};

use crate::oracle::{everybody_flows, nothing_foreign};
use crate::{each_seed, ms, seconds};

/// Between two machines of one region; one datagram of a hundred is lost.
fn between() -> Link {
    Link {
        delay: ms(10),
        loss_ppm: 10_000,
        ..Link::default()
    }
}

#[test]
fn a_room_on_three_workers_is_one_room_though_their_links_lose() {
    each_seed(|seed| {
        let mut world = World::of_workers(seed, 3, &between());
        for shard in [0, 1, 2, 0, 1] {
            world.join(Plan::member(4), &Link::default(), shard);
        }
        world.run_for(seconds(3));
        let from = world.now;
        world.run_for(seconds(3));
        nothing_foreign(&world);
        everybody_flows(&world, from, ms(300));
        for viewer in 0..5 {
            for publisher in (0..5).filter(|it| *it != viewer) {
                // 50 frames of sound and 25 pictures a second; a few are on their way at the ends.
                let frames = world.frames(viewer, publisher, from);
                assert!(
                    frames >= 3 * 75 * 98 / 100,
                    "{viewer} of {publisher}: {frames}"
                );
            }
        }
        let lost: u64 = [(0, 1), (1, 0), (0, 2)]
            .iter()
            .filter_map(|(from, to)| world.crossed(*from, *to))
            .map(|it| it.repaired)
            .sum();
        assert!(lost > 0, "the path between the workers lost nothing");
    });
}

#[test]
fn six_hundred_on_three_workers_see_who_speaks() {
    const EACH: usize = 200;
    let mut world = World::of_workers(1, 3, &between());
    for shard in 0..3 {
        world.join(Plan::member(2), &Link::default(), shard);
    }
    for _ in 1..EACH {
        for shard in 0..3 {
            world.join(Plan::viewer(3), &Link::default(), shard);
        }
    }
    assert_eq!(world.members.len(), 3 * EACH);
    world.run_for(seconds(2));
    let from = world.now;
    let before = world.crossed(0, 1).expect("a link").packets_out;
    world.run_for(seconds(2));
    nothing_foreign(&world);
    everybody_flows(&world, from, ms(300));
    let (mut least, mut most) = (usize::MAX, 0);
    for viewer in 0..world.members.len() {
        for publisher in (0..3).filter(|it| *it != viewer) {
            let frames = world.frames(viewer, publisher, from);
            (least, most) = (least.min(frames), most.max(frames));
        }
    }
    println!("600 peers on 3 workers: {least} to {most} of 150 frames of each publisher in 2 s");
    assert!(least >= 150 * 97 / 100);
    // Each packet crosses once, however many watch there: 50 of sound, and two for a picture.
    let crossed = world.crossed(0, 1).expect("a link").packets_out - before;
    println!("{crossed} packets crossed from one to another of them in 2 s");
    assert!((195..=205).contains(&crossed), "{crossed}");
}
