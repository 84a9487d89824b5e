//! What is measured, row by row.

use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::crypto::CryptoProvider;

use crate::engine::Bare;
use crate::floor::{Floor, Offload};
use crate::memory::held;
use crate::real::Real;
use crate::report::Row;
use crate::stock::Stock;
use crate::world::{Plan, Sample, World};

/// Interleaved runs; the median of their ratios counts.
pub(crate) const ROUNDS: usize = 7;
/// Runs until the load is what it should be.
const LOAD_TRIES: usize = 5;
pub(crate) const WARM_UP: Duration = Duration::from_secs(3);
/// Packets of one run at least.
const PACKETS: usize = 40_000;

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The median of what is made of each round.
fn over(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> f64 {
    median(rounds.iter().map(figure).collect())
}

pub(crate) fn millis(plan: Plan) -> Duration {
    Duration::from_millis((PACKETS * 1_000 / plan.rate()).max(500) as u64)
}

/// Nanoseconds a packet, of ours and of the floor, each sent one by one and segmented.
struct Round {
    ours: [f64; 2],
    floor: [f64; 2],
}

/// Ours through its socket beside the floor.
fn rounds(provider: &Arc<CryptoProvider>, plan: Plan) -> (Vec<Round>, f64) {
    let base = Instant::now();
    let mut world = World::new(Real::new(base, provider), base, provider, plan);
    world.run(WARM_UP);
    let members = plan.rooms * (plan.publishers + plan.viewers);
    let mut floor = Floor::new(members);
    let seconds = (PACKETS / (members * 230)).max(1);
    let mut all = Vec::new();
    let mut sends = (0, 0);
    for _ in 0..ROUNDS {
        let mut round = Round {
            ours: [0.0; 2],
            floor: [0.0; 2],
        };
        for (at, offload) in [Offload::None, Offload::Segmentation]
            .into_iter()
            .enumerate()
        {
            let before = world.engine.sends();
            world.engine.segment(offload == Offload::Segmentation);
            round.ours[at] = world.run(millis(plan)).nanos();
            let after = world.engine.sends();
            sends = (after.0 - before.0, after.1 - before.1);
            let mut sum = Sample::default();
            (0..seconds).for_each(|_| sum.add(floor.second(offload)));
            round.floor[at] = sum.nanos();
        }
        all.push(round);
    }
    (all, sends.0 as f64 / sends.1 as f64)
}

/// Plans of one kind, the smallest first.
pub(crate) fn fan_out(provider: &Arc<CryptoProvider>, plans: &[Plan]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut shares = Vec::new();
    for &plan in plans {
        let (all, sends) = rounds(provider, plan);
        let alone = over(&all, |it| it.ours[0] / it.floor[0]);
        let segmented = over(&all, |it| it.ours[1] / it.floor[1]);
        shares.push((plan, alone, segmented));
        rows.push(Row {
            what: format!("{}: floor, one by one and segmented", plan.name()),
            value: format!(
                "{:.0} ns, {:.0} ns",
                over(&all, |it| it.floor[0]),
                over(&all, |it| it.floor[1])
            ),
            target: "",
        });
        rows.push(Row {
            what: format!("{}: ours by the floor, one by one", plan.name()),
            value: format!("{alone:.2} × ({:.0} ns)", over(&all, |it| it.ours[0])),
            target: if plan.viewers == 500 {
                "≤ 1.7 ×"
            } else {
                ""
            },
        });
        rows.push(Row {
            what: format!("{}: ours by the floor, segmented", plan.name()),
            value: format!(
                "{segmented:.2} × ({:.0} ns, {sends:.1} datagrams a send)",
                over(&all, |it| it.ours[1])
            ),
            target: if plan.viewers == 500 { "≤ 2 ×" } else { "" },
        });
    }
    if let [first, .., last] = shares.as_slice() {
        rows.push(Row {
            what: format!(
                "cost by the floor, {} against {}",
                last.0.name(),
                first.0.name()
            ),
            value: format!(
                "{:.2} ×, segmented {:.2} ×",
                last.1 / first.1,
                last.2 / first.2
            ),
            target: "≤ 1.25 ×",
        });
    }
    rows
}

/// Stock str0m under the same load.
pub(crate) fn stock(provider: &Arc<CryptoProvider>, viewers: usize) -> Vec<Row> {
    let (base, plan) = (Instant::now(), Plan::fan(viewers));
    let mut world = World::new(Real::new(base, provider), base, provider, plan);
    let mut stock = Stock::new(base, provider, viewers);
    world.run(WARM_UP);
    stock.run(WARM_UP);
    let mut all = Vec::new();
    for _ in 0..ROUNDS {
        all.push((
            world.run(millis(plan)).nanos(),
            stock.run(millis(plan)).nanos(),
        ));
    }
    let theirs = median(all.iter().map(|it| it.1).collect());
    let times = median(all.iter().map(|it| it.1 / it.0).collect());
    vec![Row {
        what: format!("{}: stock str0m by ours", plan.name()),
        value: format!("{times:.1} × ({theirs:.0} ns)"),
        target: "≥ 3 ×",
    }]
}

/// How long packets are inside while the thread is busy for 70 % of its time.
pub(crate) fn latency(provider: &Arc<CryptoProvider>) -> Vec<Row> {
    let run = |rooms: usize, time: u64| {
        let (base, plan) = (Instant::now(), Plan::rooms(rooms));
        let mut world = World::new(Real::new(base, provider), base, provider, plan);
        world.run(WARM_UP);
        world.queue(Duration::from_secs(time))
    };
    // More rooms cost more than in proportion, so the number is corrected until it fits.
    let mut rooms = 40;
    let (mut load, mut latencies) = run(rooms, 1);
    for _ in 0..LOAD_TRIES {
        if (load - 0.7).abs() < 0.03 {
            break;
        }
        rooms = (rooms as f64 * 0.7 / load).max(1.0) as usize;
        (load, latencies) = run(rooms, 3);
    }
    latencies.sort();
    let at = |permille: usize| latencies[latencies.len() * permille / 1_000].as_secs_f64() * 1e6;
    vec![Row {
        what: format!(
            "{rooms} rooms of 3, {:.0} % load: time inside, p50 and p99",
            load * 100.0
        ),
        value: format!("{:.0} µs, {:.0} µs", at(500), at(990)),
        target: "< 200 µs, < 2,000 µs",
    }]
}

/// What an idle subscriber holds, with a real handshake.
pub(crate) fn memory() -> Vec<Row> {
    let provider = Arc::new(str0m::crypto::from_feature_flags());
    let held_by = |viewers| {
        let (base, before) = (Instant::now(), held());
        let plan = Plan::fan(viewers);
        let world = World::new(Bare::new(base, &provider), base, &provider, plan);
        let taken = held() - before;
        drop(world);
        taken
    };
    let (few, many) = (held_by(10), held_by(110));
    vec![Row {
        what: "memory of an idle subscriber, one video and one audio slot".into(),
        value: format!("{:.1} KB", (many - few) as f64 / 100.0 / 1e3),
        target: "≤ 60 KB",
    }]
}

/// Ours without sockets.
pub(crate) fn bare(provider: &Arc<CryptoProvider>) -> Vec<Row> {
    let plans = [
        Plan::fan(10),
        Plan::fan(100),
        Plan::fan(1_000),
        Plan::rooms(500),
    ];
    let measure = |plan: Plan| {
        let base = Instant::now();
        let mut world = World::new(Bare::new(base, provider), base, provider, plan);
        world.run(WARM_UP);
        let runs = (0..ROUNDS).map(|_| world.run(millis(plan)).nanos());
        Row {
            what: format!("{}: without sockets", plan.name()),
            value: format!("{:.0} ns", median(runs.collect())),
            target: "",
        }
    };
    plans.into_iter().map(measure).collect()
}
