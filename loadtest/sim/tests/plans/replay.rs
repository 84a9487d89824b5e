//! A shard's run can be played again, whatever chance did to its clients.

use sim::{Burst, Link, Plan, World};

use crate::{each_seed, ms, seconds};

#[test]
fn what_went_into_a_shard_makes_it_say_the_same_again() {
    each_seed(|seed| {
        let mut world = World::new(seed, 1);
        world.record();
        let link = Link {
            jitter: ms(10),
            loss_ppm: 30_000,
            burst: Some(Burst::gilbert(2_000, 200_000)),
            reorder_ppm: 10_000,
            duplicate_ppm: 10_000,
            ..Link::default()
        };
        for _ in 0..3 {
            world.join(Plan::member(2), &link, 0);
        }
        world.run_for(seconds(2));
        world.roam(1);
        world.run_for(seconds(1));
        world.crash(2);
        world.run_for(seconds(1));
        let tape = world.tape(0).expect("a recorded run");
        let (datagrams, sent, events) = tape.counts();
        assert!(
            datagrams > 700 && sent > 1_000 && events > 20,
            "{datagrams} datagrams, {sent} sent, {events} events"
        );
        assert!(
            world
                .members
                .iter()
                .all(|member| member.up.figures().lost > 5)
        );
        assert_eq!(tape.replay(), Ok(()));
        let other = tape.with_seed(seed + 1).replay();
        assert!(other.is_err(), "another seed has other credentials");
    });
}
