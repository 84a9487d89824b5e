//! The saga step by step, and a crash at each of them.

use std::time::Duration;

use super::simulation::World;
use super::*;
use crate::membership::LEASE_TTL;

const SOURCE: usize = 0;
const TARGET: usize = 1;

/// Lets both workers look and act until `done` steps were carried out, or nothing is left to do.
fn run(world: &mut World, done: usize) {
    let mut idle = 0;
    while world.steps.len() < done && idle < 6 {
        for index in [SOURCE, TARGET] {
            if world.steps.len() < done {
                world.look(index);
                let step = world.act(index);
                idle = if step == Step::Wait { idle + 1 } else { 0 };
            }
        }
        world.settle(SOURCE);
    }
}

fn moving() -> World {
    let mut world = World::new();
    assert!(world.join(SOURCE));
    world.plan(SOURCE, TARGET);
    world
}

/// The steps of a move in which nothing goes wrong.
const STEPS: [(usize, Step); 10] = [
    (TARGET, Step::Prepare),
    (TARGET, Step::Note(Phase::Prepared)),
    (SOURCE, Step::Commit),
    (TARGET, Step::Activate(Epoch(2))),
    (SOURCE, Step::HandOver(WorkerId::new(2))),
    (SOURCE, Step::Note(Phase::Moving)),
    (SOURCE, Step::Release),
    (SOURCE, Step::Forget),
    (SOURCE, Step::Wait),
    (SOURCE, Step::Wait),
];

#[test]
fn a_move_goes_from_step_to_step() {
    let mut world = moving();
    run(&mut world, usize::MAX);
    assert_eq!(world.steps, STEPS[..8]);
    assert_eq!(world.workers[SOURCE].local, Local::Absent);
    assert_eq!(world.workers[TARGET].local, Local::Active(Epoch(2)));
    world.assert_works();
}

#[test]
fn clients_that_do_not_follow_are_waited_for_until_the_deadline() {
    let mut world = moving();
    for _ in 0..6 {
        for index in [TARGET, SOURCE] {
            world.look(index);
            world.act(index);
        }
    }
    let waiting = Local::Handover { settled: false };
    assert_eq!(world.workers[SOURCE].local, waiting);
    assert_eq!(
        world.steps.last(),
        Some(&(SOURCE, Step::Note(Phase::Moving)))
    );
    for _ in 0..21 {
        world.advance(Duration::from_secs(1));
    }
    world.look(SOURCE);
    assert_eq!(world.act(SOURCE), Step::Release);
    world.heal();
    world.assert_works();
}

#[test]
fn whoever_dies_at_whichever_step_the_room_works_in_the_end() {
    for victim in [SOURCE, TARGET] {
        for step in 0..=8 {
            let mut world = moving();
            run(&mut world, step);
            assert_eq!(world.steps.len(), step);
            world.kill(victim);
            world.heal();
            world.assert_works();
        }
    }
}

#[test]
fn both_may_die_at_any_step() {
    for step in 0..=8 {
        let mut world = moving();
        run(&mut world, step);
        world.kill(SOURCE);
        world.kill(TARGET);
        world.heal();
        world.assert_works();
    }
}

#[test]
fn the_store_may_go_at_any_step_and_running_rooms_stay() {
    for step in 0..=8 {
        let mut world = moving();
        run(&mut world, step);
        world.store.set_down(true);
        for _ in 0..30 {
            world.advance(Duration::from_secs(1));
            for index in [SOURCE, TARGET] {
                world.look(index);
                world.act(index);
            }
            let open = |worker: &super::simulation::Worker| {
                matches!(worker.local, Local::Active(_) | Local::Handover { .. })
            };
            assert!(world.workers.iter().any(open), "step {step}: nobody serves");
        }
        world.heal();
        world.assert_works();
    }
}

#[test]
fn every_write_may_lose_its_answer() {
    use crate::memory::Fault;
    for lost in 0..40 {
        let mut world = moving();
        let before = vec![Fault::None; lost];
        world
            .store
            .plan(before.into_iter().chain([Fault::AnswerLost]));
        run(&mut world, usize::MAX);
        world.heal();
        world.assert_works();
    }
}

#[test]
fn a_target_that_dies_after_the_commit_gives_the_room_back() {
    let mut world = moving();
    run(&mut world, 3);
    world.look(SOURCE);
    assert_eq!(world.act(SOURCE), Step::HandOver(WorkerId::new(2)));
    world.kill(TARGET);
    world.advance(LEASE_TTL);
    let mut last = Step::Wait;
    for _ in 0..3 {
        world.look(SOURCE);
        last = world.act(SOURCE);
    }
    assert_eq!(last, Step::Forget);
    assert_eq!(world.workers[SOURCE].local, Local::Active(Epoch(3)));
}

#[test]
fn a_source_that_dies_before_the_commit_leaves_the_room_to_who_stands_by() {
    let mut world = moving();
    run(&mut world, 2);
    world.kill(SOURCE);
    world.advance(LEASE_TTL);
    for _ in 0..2 {
        world.look(TARGET);
        world.act(TARGET);
    }
    assert_eq!(world.workers[TARGET].local, Local::Active(Epoch(2)));
}

#[test]
fn a_target_that_does_not_stand_by_in_time_is_not_waited_for() {
    let mut world = moving();
    world.advance(Duration::from_millis(PREPARE_MAX_MS + 1));
    world.look(SOURCE);
    assert_eq!(world.act(SOURCE), Step::Abandon);
    assert_eq!(world.workers[SOURCE].local, Local::Active(Epoch(1)));
    // The next one can be planned at once.
    world.plan(SOURCE, TARGET);
    run(&mut world, usize::MAX);
    assert_eq!(world.workers[TARGET].local, Local::Active(Epoch(2)));
}

#[test]
fn a_cut_worker_hands_over_once_it_sees_that_another_took_the_room() {
    let mut world = World::new();
    assert!(world.join(SOURCE));
    world.workers[SOURCE].cut = true;
    for _ in 0..11 {
        world.advance(Duration::from_secs(1));
    }
    assert!(world.join(TARGET));
    assert_eq!(world.workers[SOURCE].local, Local::Active(Epoch(1)));
    assert_eq!(world.workers[TARGET].local, Local::Active(Epoch(2)));
    world.workers[SOURCE].cut = false;
    world.look(SOURCE);
    assert_eq!(world.act(SOURCE), Step::HandOver(WorkerId::new(2)));
    world.heal();
    world.assert_works();
}
