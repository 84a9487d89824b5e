//! In steady state a forwarded packet costs no allocation.
#![allow(unsafe_code, reason = "counting means standing in for the allocator")]

#[path = "support/mod.rs"]
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use media_contract::Wish;
use media_core::TapPoll;
use media_types::{Codec, MediaKind};
use media_webrtc::TransmitBatch;
use str0m::media::MediaKind as Kind;

use support::live::{Source, open_tap, read};
use support::media::{Camera, join_camera, join_viewer};
use support::{Way, World, ms};

thread_local! {
    static COUNTING: Cell<bool> = const { Cell::new(false) };
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static BUFFERS: Cell<u64> = const { Cell::new(0) };
}

/// A pooled receive buffer with its reference counts. The pool makes another one when all that it
/// looks at are held by histories: an incoming packet may cost that, a forwarded one never.
const BUFFER_BYTES: std::ops::RangeInclusive<usize> = 1_600..=1_632;

struct Counting;

fn count(size: usize) {
    // During the end of a thread there is nothing to count any more.
    let counting = COUNTING.try_with(Cell::get).unwrap_or(false);
    if counting {
        let counter = if BUFFER_BYTES.contains(&size) {
            &BUFFERS
        } else {
            &COUNT
        };
        let _ = counter.try_with(|count| count.set(count.get() + 1));
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn counted(work: impl FnOnce()) -> u64 {
    COUNT.set(0);
    COUNTING.set(true);
    work();
    COUNTING.set(false);
    COUNT.get()
}

const SUBSCRIBERS: usize = 50;

/// Sends one frame and gives the datagrams that it became, which go nowhere.
fn frame(world: &mut World, camera: &mut Camera, tap: &RefCell<Vec<Vec<u8>>>) -> Vec<Vec<u8>> {
    camera.frame(world, false);
    std::mem::take(&mut *tap.borrow_mut())
}

#[test]
fn a_forwarded_packet_costs_no_allocation() {
    let mut world = World::new(1);
    let mut camera = join_camera(&mut world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    for _ in 0..SUBSCRIBERS {
        let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
        world.fill(viewer, slot, track, Wish::default());
    }
    camera.frame(&mut world, true);
    // Histories, maps and queues take their memory.
    for _ in 0..150 {
        world.run(ms(20));
        camera.frame(&mut world, false);
    }
    world.run(ms(20));
    let tap = Rc::new(RefCell::new(Vec::new()));
    let (kept, publisher) = (Rc::clone(&tap), camera.client);
    world.loss = Box::new(move |way, client, bytes| {
        if way == Way::Up && client == publisher && bytes.len() > 500 {
            kept.borrow_mut().push(bytes.to_vec());
        }
        true
    });
    let mut batch = TransmitBatch::new(1 << 20);
    let before = world.figures(0).packets_out[&MediaKind::Video];
    let path = world.path(publisher);
    let mut allocations = Vec::new();
    for _ in 0..40 {
        let mut datagrams = frame(&mut world, &mut camera, &tap);
        world.now += ms(20);
        let (now, shard) = (world.now, &mut world.shards[0]);
        allocations.push(counted(|| {
            for datagram in &mut datagrams {
                shard.handle_datagram(now, path, datagram);
            }
            while shard.poll_transmit(now, &mut batch) {
                batch.clear();
            }
            batch.clear();
        }));
        // Timers and figures are not forwarding.
        shard.handle_timeout(now);
        while shard.poll_event().is_some() {}
    }
    let packets = world.figures(0).packets_out[&MediaKind::Video] - before;
    assert_eq!(packets, 40 * 2 * 50);
    assert_eq!(allocations.iter().sum::<u64>(), 0, "{allocations:?}");
    assert!(
        BUFFERS.get() <= 40,
        "{} buffers for 80 packets in",
        BUFFERS.get()
    );
}

#[test]
fn a_fed_packet_costs_no_allocation_on_its_way_to_viewers_and_taps() {
    let mut world = World::new(1);
    let mut source = Source::open(&mut world, 7, Codec::H264);
    for _ in 0..SUBSCRIBERS {
        let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
        world.fill(viewer, slot, source.track, Wish::default());
    }
    let tap = open_tap(&mut world, 1, source.track, Wish::default());
    // Until the history holds what it may.
    for _ in 0..45 {
        source.play(&mut world, 10, 30);
        read(&mut world, tap);
    }
    world.loss = Box::new(|_, _, _| true);
    let mut batch = TransmitBatch::new(1 << 20);
    let before = world.figures(0).packets_out[&MediaKind::Video];
    let (mut allocations, mut tapped) = (Vec::new(), 0);
    for _ in 0..40 {
        // What feeds makes the frame and its buffers.
        let frame = source.cut(&world, false);
        world.now += ms(20);
        let (now, shard) = (world.now, &mut world.shards[0]);
        let (track, feed) = (source.track, source.feed);
        allocations.push(counted(|| {
            shard.handle_ingest(now, support::ROOM, track, feed, frame);
            while shard.poll_transmit(now, &mut batch) {
                batch.clear();
            }
            batch.clear();
            while let Some(ready) = shard.poll_ready_tap() {
                assert_eq!(ready, tap);
                while let TapPoll::Packet(_) = shard.poll_tap(now, ready) {
                    tapped += 1;
                }
            }
        }));
        shard.handle_timeout(now);
        while shard.poll_event().is_some() {}
    }
    let packets = world.figures(0).packets_out[&MediaKind::Video] - before;
    assert_eq!(packets, 40 * 3 * 50);
    assert!(tapped >= 40 * 3, "{tapped}");
    assert_eq!(allocations.iter().sum::<u64>(), 0, "{allocations:?}");
}
