//! Two shards against one, over memory, beside what two threads of this machine can do at all.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::time::Instant;

use crate::engine::Bare;
use crate::floor::Floor;
use crate::report::Row;
use crate::rows::{ROUNDS, WARM_UP, median, millis};
use crate::world::{Plan, Sample, World};

const PLAN: Plan = Plan::fan(100);
/// The word that makes this process the other one of two.
pub(crate) const TWIN: &str = "twin";

pub(crate) fn shards() -> Vec<Row> {
    let ours = threads(world, |world| world.run(millis(PLAN)));
    let cipher = threads(|| Floor::new(100), Floor::seal_only);
    vec![
        row("two shards against one", &ours, "≥ 1.8 ×"),
        row("the same in two processes", &processes(), ""),
        row("two threads of the cipher alone against one", &cipher, ""),
    ]
}

fn world() -> World<Bare> {
    let provider = crate::scripted();
    let base = Instant::now();
    let mut world = World::new(Bare::new(base, &provider), base, &provider, PLAN);
    world.run(WARM_UP);
    world
}

/// Packets a second of CPU time, and of the wall's.
fn rates(sample: &Sample) -> [f64; 2] {
    [sample.cpu, sample.wall].map(|time| sample.packets as f64 / time.as_secs_f64())
}

/// Medians over rounds of what two did by what one did.
fn row(what: &str, rounds: &[[f64; 2]], target: &'static str) -> Row {
    let of = |index: usize| median(rounds.iter().map(|round| round[index]).collect());
    Row {
        what: format!("{what}: packets by CPU time and by wall time"),
        value: format!("{:.2} ×, {:.2} ×", of(0), of(1)),
        target,
    }
}

/// Lets two threads do the same, each for itself: first one of them alone, then both.
fn threads<W>(make: impl Fn() -> W + Sync, run: impl Fn(&mut W) -> Sample + Sync) -> Vec<[f64; 2]> {
    let barrier = Barrier::new(2);
    let work = |first: bool| {
        let mut it = make();
        let rounds = (0..ROUNDS).map(|_| {
            barrier.wait();
            let alone = first.then(|| rates(&run(&mut it)));
            barrier.wait();
            (alone, rates(&run(&mut it)))
        });
        rounds.collect::<Vec<_>>()
    };
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| work(false));
        (work(true), other.join().unwrap())
    });
    let pairs = one.iter().zip(&other);
    let ratios = pairs.filter_map(|((alone, a), (_, b))| {
        let alone = (*alone)?;
        Some([0, 1].map(|index| (a[index] + b[index]) / alone[index]))
    });
    ratios.collect()
}

/// A shard beside another in a process of its own, which shares nothing with it but the machine.
fn processes() -> Vec<[f64; 2]> {
    let mut world = world();
    let mut round = || {
        let alone = rates(&world.run(millis(PLAN)));
        let twin = Twin::start();
        let beside = rates(&world.run(millis(PLAN)));
        drop(twin);
        [0, 1].map(|index| 2.0 * beside[index] / alone[index])
    };
    (0..ROUNDS).map(|_| round()).collect()
}

struct Twin(Child);

impl Twin {
    /// Waits until it works: it says one byte then.
    fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut child = command.arg(TWIN).stdout(Stdio::piped()).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        Self(child)
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// What the other process does until it is killed.
pub(crate) fn twin() -> ! {
    let mut world = world();
    println!();
    loop {
        world.run(millis(PLAN));
    }
}
