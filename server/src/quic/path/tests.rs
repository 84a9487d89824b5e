use std::time::Instant;

use proptest::prelude::*;

use super::PathState::{Active, Fallback, Migrating, Probing};
use super::*;

const HOME: PathSample = PathSample {
    remote: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1_000),
    challenged: 0,
    answered: 0,
    probed: 0,
};

fn at(port: u16) -> PathSample {
    PathSample {
        remote: SocketAddr::new(HOME.remote.ip(), port),
        ..HOME
    }
}

#[allow(clippy::disallowed_methods, reason = "a base to count from")]
fn base() -> Instant {
    Instant::now()
}

fn steps(machine: &mut PathMachine) -> Vec<(PathState, PathState)> {
    std::iter::from_fn(|| machine.poll_change())
        .map(|change| (change.from, change.to))
        .collect()
}

#[test]
fn a_new_address_is_migrated_to_once_it_answers() {
    let (now, mut machine) = (base(), PathMachine::new(HOME));
    let challenged = PathSample {
        challenged: 1,
        ..at(2_000)
    };
    machine.handle_sample(now, challenged);
    assert_eq!(steps(&mut machine), [(Active, Migrating)]);
    machine.handle_sample(now, challenged);
    assert_eq!(steps(&mut machine), []);
    let answered = PathSample {
        answered: 1,
        ..challenged
    };
    machine.handle_sample(now, answered);
    assert_eq!(steps(&mut machine), [(Migrating, Active)]);
}

#[test]
fn a_fast_migration_shows_both_steps() {
    let (now, mut machine) = (base(), PathMachine::new(HOME));
    let sample = PathSample {
        challenged: 2,
        answered: 1,
        ..at(2_000)
    };
    machine.handle_sample(now, sample);
    assert_eq!(
        steps(&mut machine),
        [(Active, Migrating), (Migrating, Active)]
    );
}

#[test]
fn an_address_that_does_not_answer_is_left_again() {
    let (now, mut machine) = (base(), PathMachine::new(HOME));
    let away = PathSample {
        challenged: 1,
        ..at(2_000)
    };
    machine.handle_sample(now, away);
    let back = PathSample {
        challenged: 1,
        ..HOME
    };
    machine.handle_sample(now, back);
    assert_eq!(
        steps(&mut machine),
        [(Active, Migrating), (Migrating, Fallback)]
    );
    machine.handle_sample(now + FALLBACK_FOR, back);
    assert_eq!(steps(&mut machine), [(Fallback, Active)]);
    // The same between two looks.
    let again = PathSample {
        challenged: 2,
        ..HOME
    };
    machine.handle_sample(now + FALLBACK_FOR, again);
    assert_eq!(
        steps(&mut machine),
        [(Active, Migrating), (Migrating, Fallback)]
    );
}

#[test]
fn a_client_that_tries_a_path_is_probing_for_a_while() {
    let (now, mut machine) = (base(), PathMachine::new(HOME));
    let probed = PathSample { probed: 1, ..HOME };
    machine.handle_sample(now, probed);
    assert_eq!(steps(&mut machine), [(Active, Probing)]);
    machine.handle_sample(now, probed);
    assert_eq!(machine.state(), Probing);
    let moved = PathSample {
        probed: 1,
        ..at(2_000)
    };
    machine.handle_sample(now, moved);
    assert_eq!(steps(&mut machine), [(Probing, Migrating)]);
}

proptest! {
    #[test]
    fn steps_join_and_end_in_the_state(
        samples in prop::collection::vec((0_u16..3, 0_u64..2, 0_u64..2, 0_u64..2, 0_u64..6), 1..60),
    ) {
        let (mut now, mut machine) = (base(), PathMachine::new(HOME));
        let (mut sample, mut state) = (HOME, Active);
        for (port, challenged, answered, probed, seconds) in samples {
            now += Duration::from_secs(seconds);
            sample.remote.set_port(1_000 + port);
            sample.challenged += challenged;
            sample.answered += answered;
            sample.probed += probed;
            machine.handle_sample(now, sample);
            for (from, to) in steps(&mut machine) {
                prop_assert_eq!(from, state);
                prop_assert_ne!(from, to);
                state = to;
            }
            prop_assert_eq!(state, machine.state());
        }
    }
}
