//! What a shard does apart from fanning out: finding whom a datagram is for, carrying out a
//! command, dividing a subscriber's bandwidth anew, and handing a packet to another shard.
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

use criterion::{Criterion, criterion_group, criterion_main};
use media_contract::{Action, Command, CommandId, RelayEnd, Wish};
use media_types::{Codec, MediaKind, Mid, ShardId, TrackId, TrackSource};
use media_webrtc::TransmitBatch;
use str0m::media::MediaKind as Kind;

use support::media::{Camera, join_camera, join_viewer};
use support::{ROOM, Way, World, ms};

/// Viewers of the shard: what is looked up must not be all there is.
const VIEWERS: usize = 100;
/// After so many packets the shards and clients hear of each other: what the far one asks for holds
/// for some seconds.
const RENEWAL: u64 = 100;
/// Neither STUN, DTLS nor RTP (RFC 7983, section 7), so that only the sender is looked up.
const NOTHING: [u8; 64] = [100; 64];

/// A camera on the first shard, watched on the last.
struct Stage {
    world: World,
    camera: Camera,
    track: TrackId,
    viewers: Vec<(usize, Mid)>,
    caught: Rc<RefCell<Vec<Vec<u8>>>>,
    commands: u64,
}

impl Stage {
    fn new(shards: u16, viewers: usize) -> Self {
        let mut world = World::new(shards);
        let mut camera = join_camera(&mut world, 0);
        camera.packets_per_frame = 1;
        camera.packet_bytes = 1_100;
        let track = world.publish(camera.client, camera.mid, 1);
        let last = usize::from(shards) - 1;
        if last > 0 {
            relay(&mut world, &camera, track);
        }
        let mut joined = Vec::new();
        for _ in 0..viewers {
            let (viewer, slot) = join_viewer(&mut world, last, Kind::Video);
            world.fill(viewer, slot, track, Wish::default());
            joined.push((viewer, slot));
        }
        // The far shard has to ask for the track before a keyframe is of use to it.
        world.run(ms(300));
        camera.frame(&mut world, true);
        world.run(ms(50));
        let caught = Rc::new(RefCell::new(Vec::new()));
        let (kept, publisher) = (Rc::clone(&caught), camera.client);
        world.loss = Box::new(move |way, client, bytes| {
            let media = way == Way::Up && client == publisher && bytes.len() > 1_000;
            if media {
                kept.borrow_mut().push(bytes.to_vec());
            }
            media
        });
        Self {
            world,
            camera,
            track,
            viewers: joined,
            caught,
            commands: 1 << 32,
        }
    }

    /// A datagram that is dropped once its sender is known, or known to be unknown.
    fn demux(&mut self, known: bool, rounds: u64) -> Duration {
        let mut path = self.world.path(self.viewers[VIEWERS / 2].0);
        if !known {
            path.remote = "192.0.2.77:4000".parse().unwrap();
        }
        let mut datagram = NOTHING;
        let start = Instant::now();
        for _ in 0..rounds {
            self.world.shards[0].handle_datagram(self.world.now, path, &mut datagram);
        }
        start.elapsed()
    }

    /// A subscriber wants another size: the command, its answer, and the new division.
    fn wish(&mut self, rounds: u64) -> Duration {
        let (viewer, slot) = self.viewers[VIEWERS / 2];
        let transport = self.world.transport(viewer);
        let mut spent = Duration::ZERO;
        for round in 0..rounds {
            let wish = Wish {
                width_max: if round % 2 == 0 { 320 } else { 640 },
                ..Wish::default()
            };
            self.commands += 1;
            let command = Command {
                id: CommandId(self.commands),
                room: ROOM,
                epoch: self.world.epoch,
                action: Action::Fill {
                    transport,
                    slot,
                    track: self.track,
                    wish,
                },
            };
            let shard = &mut self.world.shards[0];
            let now = self.world.now;
            let start = Instant::now();
            shard.handle_command(now, command);
            let mut answers = 0;
            while let Some(event) = shard.poll_event() {
                answers += 1;
                std::hint::black_box(event);
            }
            spent += start.elapsed();
            assert!(answers > 0, "what is measured must happen");
            // Else all that was put off waits for the next.
            self.world.now += ms(1);
            shard.handle_timeout(self.world.now);
        }
        spent
    }

    /// From one shard's socket to the other's arena.
    fn hop(&mut self, packets: u64) -> Duration {
        let path = self.world.path(self.camera.client);
        let mut batch = TransmitBatch::new(1 << 20);
        let (mut spent, mut sealed) = (Duration::ZERO, 0);
        for packet in 0..packets {
            if packet % RENEWAL == 0 {
                self.world.run(ms(20));
                self.caught.take();
            }
            self.world.now += ms(5);
            self.camera.frame(&mut self.world, false);
            let now = self.world.now;
            let [first, second] = self.world.shards.as_mut_slice() else {
                return spent;
            };
            for mut datagram in self.caught.take() {
                let start = Instant::now();
                first.handle_datagram(now, path, &mut datagram);
                while let Some((_, message)) = first.poll_relay() {
                    second.handle_relay(now, ShardId(0).into(), message);
                }
                while second.poll_transmit(now, &mut batch) {
                    sealed += batch.len();
                    batch.clear();
                }
                spent += start.elapsed();
                sealed += batch.len();
                batch.clear();
            }
        }
        assert!(sealed > 0, "what is measured must happen");
        spent
    }
}

fn relay(world: &mut World, camera: &Camera, track: TrackId) {
    let out = RelayEnd::Out {
        to: ShardId(1).into(),
    };
    assert!(world.is_done(0, Action::OpenRelay { track, end: out }));
    let inward = RelayEnd::In {
        from: ShardId(0).into(),
        kind: MediaKind::Video,
        codec: Codec::Vp8,
        source: TrackSource::Camera,
        publisher: world.clients[camera.client].identity.clone(),
    };
    assert!(world.is_done(1, Action::OpenRelay { track, end: inward }));
}

fn control(criterion: &mut Criterion) {
    let mut stage = Stage::new(1, VIEWERS);
    let mut group = criterion.benchmark_group("demux");
    for (name, known) in [("a known address", true), ("an unknown address", false)] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| stage.demux(known, rounds));
        });
    }
    group.finish();
    criterion.bench_function("command/a wish, answered and allocated", |bencher| {
        bencher.iter_custom(|rounds| stage.wish(rounds));
    });
    let mut stage = Stage::new(2, 1);
    criterion.bench_function("relay/a packet through two shards", |bencher| {
        bencher.iter_custom(|packets| stage.hop(packets));
    });
}

/// A whole `make bench` is to be a matter of minutes.
fn brief() -> Criterion {
    let brief = Criterion::default().warm_up_time(Duration::from_millis(500));
    brief.measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = benches;
    config = brief();
    targets = control
}
criterion_main!(benches);
