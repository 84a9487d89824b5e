//! Fan-out: one video packet in, sealed for each of its subscribers.
#![allow(
    missing_docs,
    clippy::disallowed_methods,
    reason = "criterion's macros make public items, and time is what is measured"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use media_contract::Wish;
use media_webrtc::TransmitBatch;
use str0m::media::MediaKind as Kind;

use support::media::{Camera, join_camera, join_viewer};
use support::{Way, World, ms};

/// A room with one camera whose datagrams are caught on their way up.
struct Stage {
    world: World,
    camera: Camera,
    caught: Rc<RefCell<Vec<Vec<u8>>>>,
    batch: TransmitBatch,
    subscribers: usize,
    sealed: usize,
}

impl Stage {
    fn new(subscribers: usize) -> Self {
        let mut world = World::new(1);
        let mut camera = join_camera(&mut world, 0);
        camera.packets_per_frame = 1;
        camera.packet_bytes = 1_100;
        let track = world.publish(camera.client, camera.mid, 1);
        for _ in 0..subscribers {
            let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
            world.fill(viewer, slot, track, Wish::default());
        }
        camera.frame(&mut world, true);
        world.run(ms(50));
        let caught = Rc::new(RefCell::new(Vec::new()));
        let (kept, publisher) = (Rc::clone(&caught), camera.client);
        world.loss = Box::new(move |way, client, bytes| {
            if way == Way::Up && client == publisher && bytes.len() > 1_000 {
                kept.borrow_mut().push(bytes.to_vec());
            }
            true
        });
        Self {
            world,
            camera,
            caught,
            batch: TransmitBatch::new(1 << 20),
            subscribers,
            sealed: 0,
        }
    }

    /// How long this many packets take from the shard's socket to its send arena.
    fn measure(&mut self, packets: u64) -> Duration {
        let mut spent = Duration::ZERO;
        let path = self.world.path(self.camera.client);
        for _ in 0..packets {
            self.world.now += ms(5);
            self.camera.frame(&mut self.world, false);
            let now = self.world.now;
            let shard = &mut self.world.shards[0];
            for mut datagram in self.caught.take() {
                let start = Instant::now();
                shard.handle_datagram(now, path, &mut datagram);
                while shard.poll_transmit(now, &mut self.batch) {
                    self.sealed += self.batch.len();
                    self.batch.clear();
                }
                spent += start.elapsed();
                self.sealed += self.batch.len();
                self.batch.clear();
            }
        }
        let wanted = self.subscribers * usize::try_from(packets).unwrap();
        assert!(
            std::mem::take(&mut self.sealed) >= wanted,
            "what is measured must happen"
        );
        spent
    }
}

fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan_out");
    group.sample_size(10);
    for subscribers in [10_usize, 100, 500, 1_000] {
        let mut stage = Stage::new(subscribers);
        group.throughput(Throughput::Elements(subscribers as u64));
        group.bench_function(BenchmarkId::from_parameter(subscribers), |bencher| {
            bencher.iter_custom(|packets| stage.measure(packets));
        });
    }
    group.finish();
}

/// A whole `make bench` is to be a matter of minutes.
fn brief() -> Criterion {
    let brief = Criterion::default().warm_up_time(Duration::from_millis(500));
    brief.measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = benches;
    config = brief();
    targets = fan_out
}
criterion_main!(benches);
