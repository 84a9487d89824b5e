//! The promises about bad networks that hold, and that a run can be repeated.
#![allow(
    missing_docs,
    reason = "an integration test has no readers of its documentation"
)]

use sim::quality::{SCENARIOS, SEEDS, Scenario, measure, svg};

fn scenario(name: &str) -> Scenario {
    let found = SCENARIOS.into_iter().find(|scenario| scenario.name == name);
    found.expect("a scenario of that name")
}

/// Fails with every figure if one of them misses its bound.
fn keeps(name: &str) {
    let row = measure(&scenario(name), &SEEDS);
    assert!(row.holds(), "{name}: {:#?}", row.figures);
}

#[test]
fn equal_seeds_make_equal_figures_and_plots() {
    let run = |seed| {
        let row = measure(&scenario("step"), &[seed]);
        (row.figures.clone(), svg("step", &row.timeline))
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).1, run(8).1);
}

#[test]
fn a_cold_start_is_quick() {
    keeps("cold-start");
}

#[test]
fn a_step_down_and_up_is_followed() {
    keeps("step");
}

#[test]
fn random_loss_is_not_taken_for_a_full_link() {
    keeps("random-loss");
}

#[test]
fn loss_in_bursts_is_not_heard_for_long() {
    keeps("bursty-loss");
}

#[test]
fn nine_tiles_on_a_narrow_link_are_heard_and_the_loudest_moves() {
    keeps("nine-tiles");
}

#[test]
fn a_constant_link_keeps_its_layer() {
    keeps("constant");
}

#[test]
fn an_outage_is_over_when_the_link_is_back() {
    keeps("outage");
}

#[test]
fn viewers_behind_one_bottleneck_share_it() {
    keeps("fairness");
}

#[test]
fn a_narrow_link_is_not_filled_before_it_is_known() {
    keeps("narrow-start");
}

#[test]
fn a_narrow_link_has_all_pictures_and_a_short_queue() {
    keeps("narrow");
}
