//! The estimator, the pacer and a source on links that misbehave; what users may expect of it.
#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "figures of a test; tests take one instant as their base"
)]

mod world;

use world::flow::Source;
use world::link::{Link, Loss};
use world::{World, goodput, kbps, late, least, longest_queue, mean, ms, reached, secs};

const SEEDS: std::ops::Range<u64> = 0..5;
const LAYERS: Source = Source::Layers(&[150, 500, 1_700]);

#[test]
fn a_cold_start_finds_three_megabits() {
    let mut world = World::new(
        Link::new(kbps(3_000), ms(40), 0),
        1,
        Source::Greedy(kbps(4_000)),
    );
    world.run(secs(60));
    let flow = &world.flows[0];
    let found = reached(flow, ms(0), kbps(2_700)).unwrap();
    assert!(found <= secs(3), "{found:?}");
    let carried = goodput(flow, secs(3), secs(60));
    assert!(carried >= 2_700, "{carried}");
    assert!(late(flow, secs(3), ms(150)) < 0.02);
}

#[test]
fn a_step_down_and_up_is_followed() {
    for seed in SEEDS {
        let mut link = Link::new(kbps(3_000), ms(40), seed);
        link.rates.push((secs(20), kbps(1_000)));
        link.rates.push((secs(40), kbps(3_000)));
        link.jitter = ms(3);
        let mut world = World::new(link, 1, Source::Greedy(kbps(4_000)));
        world.run(secs(60));
        let flow = &world.flows[0];
        let long = longest_queue(flow, ms(250));
        let up = reached(flow, secs(40), kbps(2_550)).map(|at| at - secs(40));
        let low = goodput(flow, secs(25), secs(40));
        assert!(long <= secs(1), "{long:?}");
        assert!(up.unwrap() <= secs(6), "{up:?}");
        assert!(low >= 850, "{low}");
    }
}

#[test]
fn a_narrow_link_is_found_within_about_a_second() {
    for seed in SEEDS {
        let mut link = Link::new(kbps(1_000), ms(40), seed);
        link.jitter = ms(3);
        let mut world = World::new(link, 1, Source::Greedy(kbps(4_000)));
        world.run(secs(20));
        let flow = &world.flows[0];
        let found = flow
            .samples
            .iter()
            .find(|s| s.estimate <= kbps(1_000))
            .unwrap()
            .at;
        let long = longest_queue(flow, ms(250));
        let carried = goodput(flow, secs(2), secs(20));
        assert!(found <= ms(1_000), "{found:?}");
        assert!(long <= secs(1), "{long:?}");
        assert!(carried >= 850, "{carried}");
    }
}

#[test]
fn random_loss_does_not_lower_the_rate() {
    for seed in SEEDS {
        let mut link = Link::new(kbps(3_000), ms(80), seed);
        link.loss = Loss::Random(0.05);
        let mut world = World::new(link, 1, Source::Greedy(kbps(4_000)));
        world.run(secs(75));
        let flow = &world.flows[0];
        let (mean, least) = (
            mean(flow, secs(15), secs(75)),
            least(flow, secs(15), secs(75)),
        );
        assert!(mean >= 2_700 && least >= 2_400, "{mean} {least}");
    }
}

#[test]
fn bursts_of_loss_lower_the_rate_but_not_to_the_floor() {
    for seed in SEEDS {
        let mut link = Link::new(kbps(3_000), ms(40), seed);
        link.loss = Loss::Bursts {
            share: 0.2,
            length: 5.0,
            from: secs(20),
            to: secs(30),
        };
        let mut world = World::new(link, 1, Source::Greedy(kbps(4_000)));
        world.run(secs(40));
        let flow = &world.flows[0];
        let during = least(flow, secs(20), secs(30));
        let after = reached(flow, secs(30), kbps(2_400)).map(|at| at - secs(30));
        assert!(during >= 700, "{during}");
        assert!(after.unwrap() <= secs(4), "{after:?}");
    }
}

#[test]
fn an_outage_costs_nothing_but_its_time() {
    for seed in SEEDS {
        let mut link = Link::new(kbps(3_000), ms(40), seed);
        link.outage = Some((secs(20), secs(22)));
        let mut world = World::new(link, 1, Source::Greedy(kbps(4_000)));
        world.run(secs(40));
        let flow = &world.flows[0];
        let (least, back) = (
            least(flow, secs(20), secs(40)),
            goodput(flow, secs(22), secs(23)),
        );
        assert!(back >= 2_000, "{back}");
        assert!(least >= 2_000, "{least}");
    }
}

#[test]
fn five_flows_share_fairly() {
    let mut indices = Vec::new();
    for seed in SEEDS {
        let mut link = Link::new(kbps(5_000), ms(40), seed);
        link.jitter = ms(3);
        let mut world = World::new(link, 5, Source::Greedy(kbps(4_000)));
        world.run(secs(75));
        let rates = world
            .flows
            .iter()
            .map(|flow| goodput(flow, secs(15), secs(75)) as f64);
        let rates: Vec<f64> = rates.collect();
        let (sum, squares) = rates
            .iter()
            .fold((0.0, 0.0), |(s, q), r| (s + r, q + r * r));
        let jain = sum * sum / (5.0 * squares);
        assert!(sum >= 4_000.0, "{sum}");
        indices.push(jain);
    }
    indices.sort_by(f64::total_cmp);
    assert!(indices[indices.len() / 2] >= 0.95, "{indices:?}");
}

#[test]
fn layers_stay_on_a_constant_link() {
    for (rate, wanted) in [
        (800, 500),
        (1_000, 500),
        (1_500, 500),
        (2_500, 1_700),
        (5_000, 1_700),
    ] {
        let mut link = Link::new(kbps(rate), ms(40), rate);
        link.jitter = ms(5);
        let mut world = World::new(link, 1, LAYERS);
        world.run(secs(600));
        let flow = &world.flows[0];
        let settled = flow
            .switches
            .iter()
            .filter(|(at, _)| *at > secs(15))
            .count();
        let carried = goodput(flow, secs(15), secs(600));
        assert!(settled <= 10, "{rate}: {:?}", flow.switches);
        assert!(carried >= wanted * 95 / 100, "{rate}: {carried}");
    }
}

#[test]
fn layers_step_down_and_up() {
    for seed in SEEDS {
        let mut link = Link::new(kbps(3_000), ms(40), seed);
        link.rates.push((secs(20), kbps(1_000)));
        link.rates.push((secs(40), kbps(3_000)));
        link.jitter = ms(3);
        let mut world = World::new(link, 1, LAYERS);
        world.run(secs(60));
        let flow = &world.flows[0];
        let long = longest_queue(flow, ms(250));
        assert!(long <= secs(1), "{long:?}");
        let first = flow.switches.iter().find(|(at, _)| *at > secs(20)).unwrap();
        assert!(first.0 <= secs(21), "{first:?}");
        let top = flow
            .switches
            .iter()
            .find(|(at, to)| *at > secs(40) && *to == kbps(1_700));
        assert!(top.unwrap().0 <= secs(46), "{top:?}");
    }
}

#[test]
fn who_sends_little_learns_by_probes_and_not_by_growth() {
    let mut link = Link::new(kbps(20_000), ms(40), 0);
    link.jitter = ms(3);
    let mut world = World::new(link, 1, Source::Fixed(kbps(400), kbps(9_000)));
    world.run(secs(10));
    let flow = &world.flows[0];
    assert!(flow.estimator.estimate(world.base + world.at) >= kbps(9_000));
    let figures = flow.estimator.figures(world.base + world.at);
    assert!(figures.application_limited && figures.probes.sent <= 3);
    // Where nothing more is wanted, nothing is asked.
    let link = Link::new(kbps(20_000), ms(40), 0);
    let mut world = World::new(link, 1, Source::Fixed(kbps(400), kbps(2_000)));
    world.run(secs(10));
    let figures = world.flows[0].estimator.figures(world.base + world.at);
    assert_eq!((figures.estimate, figures.probes.sent), (kbps(2_500), 0));
}

#[test]
fn jitter_and_keyframes_are_no_overuse() {
    for (rate, jitter, keyframes) in [(3_000, 30, None), (8_000, 30, None), (3_000, 15, Some(90))] {
        let mut link = Link::new(kbps(rate), ms(40), 7);
        link.jitter = ms(jitter);
        let mut world = World::new(link, 1, LAYERS);
        world.flows[0].keyframes = keyframes;
        world.run(secs(60));
        let flow = &world.flows[0];
        assert_eq!(flow.switches.len(), 1, "{rate}: {:?}", flow.switches);
        assert!(least(flow, secs(15), secs(60)) >= 1_890, "{rate}");
        assert!(late(flow, secs(15), ms(150)) < 0.01, "{rate}");
    }
}

#[test]
fn a_long_and_shaky_path_is_not_a_full_one() {
    for seed in 0..3 {
        let mut link = Link::new(kbps(50_000), ms(240), seed);
        link.jitter = ms(40);
        link.reorders = true;
        let mut world = World::new(link, 1, Source::Fixed(kbps(400), kbps(3_000)));
        world.run(secs(20));
        assert!(least(&world.flows[0], secs(0), secs(20)) >= 2_500, "{seed}");
    }
}
