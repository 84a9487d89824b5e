//! What breaks.

use media_contract::{Action, Fact, LostReason, RefusedReason};
use media_types::ShardId;
use sim::{Link, Plan, World};

use crate::oracle::{at_least, nothing_foreign};
use crate::{each_seed, seconds};

#[test]
fn a_crash_ends_one_transport_alone() {
    each_seed(|seed| {
        let mut world = World::new(seed, 1);
        for _ in 0..3 {
            world.join(Plan::member(2), &Link::default(), 0);
        }
        world.run_for(seconds(2));
        let from = world.now;
        world.crash(2);
        world.run_for(seconds(3));
        let crashed = Fact::TransportLost {
            reason: LostReason::Crashed,
        };
        assert!(world.events_of(2).any(|fact| *fact == crashed));
        nothing_foreign(&world);
        at_least(&world, 0, 1, from, 3 * 75 * 99 / 100);
        at_least(&world, 1, 0, from, 3 * 75 * 99 / 100);
        let gaps = |viewer: usize| -> u64 {
            world.members[viewer]
                .client
                .all_shown()
                .values()
                .map(|shown| shown.gaps)
                .sum()
        };
        assert_eq!(
            (gaps(0), gaps(1)),
            (0, 0),
            "not a packet of the others is lost"
        );
    });
}

#[test]
fn a_client_that_vanishes_is_reaped() {
    each_seed(|seed| {
        let mut world = World::new(seed, 1);
        world.join(Plan::member(1), &Link::default(), 0);
        let outages = vec![seconds(3)..seconds(60)];
        world.join(
            Plan::member(1),
            &Link {
                outages,
                ..Link::default()
            },
            0,
        );
        world.run_for(seconds(30));
        let lost = Fact::TransportLost {
            reason: LostReason::TimedOut,
        };
        assert_eq!(world.events_of(1).filter(|fact| **fact == lost).count(), 1);
        assert_eq!(world.events_of(0).filter(|fact| **fact == lost).count(), 0);
    });
}

#[test]
fn bad_offers_are_refused_and_cost_nobody_else() {
    each_seed(|seed| {
        let mut world = World::new(seed, 1);
        for _ in 0..2 {
            world.join(Plan::member(1), &Link::default(), 0);
        }
        world.run_for(seconds(2));
        let from = world.now;
        let transport = world.members[1].transport;
        for offer in [
            "",
            "v=0",
            "not SDP at all",
            "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n",
        ] {
            let offer = offer.to_owned();
            world.command(
                ShardId(0),
                Action::Negotiate {
                    transport,
                    offer,
                    pairs: Vec::new(),
                },
            );
        }
        world.run_for(seconds(2));
        let bad = |fact: &&Fact| {
            matches!(
                fact,
                Fact::Refused {
                    reason: RefusedReason::BadSdp(_),
                    ..
                }
            )
        };
        assert_eq!(world.events_of(1).filter(bad).count(), 4);
        at_least(&world, 0, 1, from, 2 * 75 * 98 / 100);
        at_least(&world, 1, 0, from, 2 * 75 * 98 / 100);
    });
}
