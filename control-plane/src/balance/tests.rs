use proptest::prelude::*;

use super::*;

const ME: WorkerId = WorkerId::new(1);
const SECOND: Duration = Duration::from_secs(1);

fn worker(id: u64, load_permille: u16) -> WorkerRecord {
    WorkerRecord {
        id: WorkerId::new(id),
        ready: true,
        load_permille,
        ..WorkerRecord::default()
    }
}

fn room(name: &str, weight: u64, groups: Groups) -> Room {
    Room {
        name: name.parse().unwrap(),
        weight,
        groups,
        shard: None,
        parts: Vec::new(),
    }
}

fn on(shard: u16, name: &str, weight: u64) -> Room {
    Room {
        shard: Some(ShardId(shard)),
        ..room(name, weight, well(20))
    }
}

fn shards(loads: [u16; 2]) -> [Shard; 2] {
    let shard = |id: u16, load_permille| Shard {
        id: ShardId(id),
        load_permille,
    };
    [shard(0, loads[0]), shard(1, loads[1])]
}

fn well(rtt_ms: u32) -> Groups {
    Groups {
        good: 5,
        rtt_ms,
        ..Groups::default()
    }
}

/// Seconds until the first move, at most a hundred, and what it is.
fn first(
    balance: &mut Balance,
    workers: &[WorkerRecord],
    rooms: &[Room],
) -> Option<(u64, Decision)> {
    (0..100).find_map(|second| {
        let now = Duration::from_secs(second);
        Some((second, balance.step(now, ME, workers, &[], rooms)?))
    })
}

#[test]
fn ten_seconds_of_overload_move_the_lightest_room_that_helps() {
    let rooms = [
        room("small", 1, well(20)),
        room("middle", 20, well(20)),
        room("large", 79, well(20)),
    ];
    let workers = [worker(1, 950), worker(2, 100)];
    let (after, decision) = first(&mut Balance::default(), &workers, &rooms).unwrap();
    assert_eq!(after, 10);
    assert_eq!(decision.room.as_str(), "middle");
    assert_eq!(
        (decision.to, decision.cause),
        (WorkerId::new(2), Cause::Overload)
    );
    // Nowhere to go, and at the bound itself: nothing moves.
    assert_eq!(first(&mut Balance::default(), &workers[..1], &rooms), None);
    let busy = [worker(1, 950), worker(2, 700)];
    assert_eq!(first(&mut Balance::default(), &busy, &rooms), None);
    let bound = [worker(1, 900), worker(2, 100)];
    assert_eq!(first(&mut Balance::default(), &bound, &rooms), None);
}

#[test]
fn a_worker_that_has_a_part_of_the_room_gets_it_where_others_suit_little_better() {
    let mut rooms = [room("hall", 20, well(20)), room("other", 80, well(20))];
    rooms[0].parts = vec![WorkerId::new(3)];
    let mut workers = [worker(1, 950), worker(2, 100), worker(3, 300)];
    let mut to = |load| {
        workers[2].load_permille = load;
        let (_, decision) = first(&mut Balance::default(), &workers, &rooms).unwrap();
        (decision.room.to_string(), decision.to.get())
    };
    assert_eq!(to(300), ("hall".to_owned(), 3));
    assert_eq!(to(401), ("hall".to_owned(), 2));
}

#[test]
fn an_overloaded_shard_sheds_to_a_calm_one_before_another_worker_is_troubled() {
    let rooms = [
        on(0, "small", 1),
        on(0, "middle", 20),
        on(0, "large", 79),
        on(1, "other", 20),
    ];
    let workers = [worker(1, 950), worker(2, 100)];
    let decide = |loads, rooms: &[Room]| {
        let mut balance = Balance::default();
        (0..20).find_map(|second| {
            let now = Duration::from_secs(second);
            let decision = balance.step(now, ME, &workers, &shards(loads), rooms)?;
            let Decision {
                room, to, shard, ..
            } = decision;
            Some((second, room.to_string(), to, shard))
        })
    };
    let there = |name: &str, worker, shard| Some((10, name.to_owned(), worker, shard));
    let aside = there("middle", ME, Some(ShardId(1)));
    assert_eq!(decide([950, 200], &rooms), aside);
    // 190 of 950 go along: that shard would be as busy as this one was to become.
    let away = there("middle", WorkerId::new(2), None);
    assert_eq!(decide([950, 600], &rooms), away);
    // What is alone on its shard would only change places.
    assert_eq!(decide([950, 0], &rooms[2..3]), None);
    // What cannot leave its shard goes to another worker, or nowhere.
    let bound = [room("bound", 50, well(20)), room("too", 50, well(20))];
    assert_eq!(
        decide([950, 0], &bound),
        there("bound", WorkerId::new(2), None)
    );
}

#[test]
fn a_moment_of_calm_begins_the_count_anew() {
    let rooms = [room("a", 1, well(20)), room("b", 1, well(20))];
    let mut balance = Balance::default();
    for second in 0..60 {
        let load = if second % 9 == 0 { 500 } else { 990 };
        let workers = [worker(1, load), worker(2, 0)];
        let now = Duration::from_secs(second);
        assert_eq!(balance.step(now, ME, &workers, &[], &rooms), None);
    }
}

#[test]
fn peers_that_get_bad_media_move_and_two_alone_do_not() {
    let bad = Groups {
        good: 2,
        bad: 3,
        rtt_ms: 20,
        ..Groups::default()
    };
    let workers = [worker(1, 100), worker(2, 100)];
    let rooms = [room("fine", 9, well(20)), room("bad", 1, bad)];
    let (after, decision) = first(&mut Balance::default(), &workers, &rooms).unwrap();
    assert_eq!((after, decision.cause), (10, Cause::Quality));
    assert_eq!(decision.room.as_str(), "bad");
    let pair = Groups {
        bad: 2,
        ..Groups::default()
    };
    let rooms = [room("pair", 1, pair)];
    assert_eq!(first(&mut Balance::default(), &workers, &rooms), None);
}

#[test]
fn a_round_trip_that_jumps_moves_and_one_that_was_always_long_does_not() {
    let workers = [worker(1, 100), worker(2, 100)];
    let rooms = |rtt| [room("r", 1, well(rtt))];
    assert_eq!(first(&mut Balance::default(), &workers, &rooms(400)), None);
    let mut balance = Balance::default();
    for second in 0..50 {
        let now = Duration::from_secs(second);
        assert_eq!(balance.step(now, ME, &workers, &[], &rooms(40)), None);
    }
    let moved = (50..100).find_map(|second| {
        let now = Duration::from_secs(second);
        Some((
            second,
            balance.step(now, ME, &workers, &[], &rooms(130))?.cause,
        ))
    });
    assert_eq!(moved, Some((60, Cause::RoundTrip)));
}

#[test]
fn a_room_that_misses_a_look_is_not_forgotten() {
    let workers = [worker(1, 100), worker(2, 100)];
    let bad = Groups {
        bad: 3,
        ..Groups::default()
    };
    // Missing at the second look, or at five in a row.
    for (missing, expected) in [(2..3, 10), (2..7, 17)] {
        let mut balance = Balance::default();
        let moved = (0..100).find(|second| {
            let now = Duration::from_secs(*second);
            let rooms = [room("bad", 1, bad)];
            let seen = if missing.contains(second) {
                &[]
            } else {
                &rooms[..]
            };
            balance.step(now, ME, &workers, &[], seen).is_some()
        });
        assert_eq!(moved, Some(expected));
    }
}

fn groups() -> impl Strategy<Value = Groups> {
    (0..6_u32, 0..6_u32, 0..6_u32, 0..500_u32).prop_map(|(good, fair, bad, rtt_ms)| Groups {
        good,
        fair,
        bad,
        rtt_ms,
    })
}

proptest! {
    /// Whatever happens: moves keep their distance, a room moves once in its time, and only to
    /// another worker that takes rooms and is not as full.
    #[test]
    fn nothing_moves_too_often_or_to_where_it_is_worse(
        seconds in prop::collection::vec(
            (prop::collection::vec((0..1_000_u16, any::<bool>(), any::<bool>()), 1..5),
             prop::collection::vec((0..4_usize, 1..100_u64, groups()), 0..5)),
            1..200,
        ),
    ) {
        let policy = Policy {
            patience: 3 * SECOND,
            cool_down: 20 * SECOND,
            room_cool_down: 60 * SECOND,
            ..Policy::default()
        };
        let mut balance = Balance::new(policy);
        let mut moves: Vec<(Duration, Decision)> = Vec::new();
        for (second, (loads, found)) in seconds.into_iter().enumerate() {
            let now = Duration::from_secs(second as u64);
            let workers: Vec<_> = loads
                .iter()
                .enumerate()
                .map(|(id, (load, ready, draining))| WorkerRecord {
                    ready: *ready,
                    draining: *draining,
                    ..worker(id as u64 + 1, *load)
                })
                .collect();
            let mut rooms: Vec<_> = found
                .into_iter()
                .map(|(name, weight, groups)| room(["a", "b", "c", "d"][name], weight, groups))
                .collect();
            rooms.sort_by(|a, b| a.name.cmp(&b.name));
            rooms.dedup_by(|a, b| a.name == b.name);
            if let Some(decision) = balance.step(now, ME, &workers, &[], &rooms) {
                let target = workers.iter().find(|it| it.id == decision.to).unwrap();
                prop_assert!(target.id != ME && target.ready && !target.draining);
                prop_assert!(placement::pressure(target) + BETTER <= 1_000);
                prop_assert!(rooms.iter().any(|room| room.name == decision.room));
                for (at, before) in &moves {
                    prop_assert!(now >= *at + policy.cool_down);
                    let same = before.room == decision.room;
                    prop_assert!(!same || now >= *at + policy.room_cool_down);
                }
                moves.push((now, decision));
            }
        }
    }
}
