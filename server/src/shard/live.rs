//! The shard's ends of live media: one ring a feed, one ring a tap.
//!
//! A ring is announced once, and then rings its bell: a number in the shard's queue says which one
//! is to be looked at. Each has at most one such number under way, so the queue cannot overflow by
//! traffic, only by rings.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actors::IngestPlace;
use media_core::TapPoll;
use media_types::{PacketFrame, TapId, TapPacket};
use tokio::sync::Notify;

use super::logic::Logic;
use super::ring::Inbox;
use crate::limits::{
    FEED_FRAMES_MAX, FRAMES_PER_FEED, FRAMES_PER_TURN, LIVE_INPUTS_PER_TURN, QUIET_FEED_LOOK,
    QUIET_FEED_PERIOD, TAP_RING_MAX, TAPS_PER_TURN,
};

/// Numbers of feeds, unique within the process.
static NEXT_FEED: AtomicU64 = AtomicU64::new(1);

/// What live media brings to a shard's queue.
#[derive(Debug)]
pub(crate) enum LiveInput {
    /// A feed begins.
    Feed(Feed),
    /// A feed has frames, or has ended.
    Ready(u64),
    /// A tap is read from now on.
    Tap(TapOut),
    /// A tap's ring that was full has room again.
    TapRoom(TapId),
    /// A tap is not read any more.
    TapGone(TapId),
}

/// The shard's end of a feed.
#[derive(Debug)]
pub(crate) struct Feed {
    number: u64,
    place: IngestPlace,
    frames: rtrb::Consumer<PacketFrame>,
    signal: Arc<FeedSignal>,
}

/// What both ends of a feed share beside the frames.
#[derive(Debug)]
pub(crate) struct FeedSignal {
    number: u64,
    /// Its number is on its way to the shard.
    raised: AtomicBool,
    /// Somebody gets what comes; else no frame is worth waking the shard for.
    wanted: AtomicBool,
    room: Notify,
}

impl FeedSignal {
    /// Whether somebody gets what comes, as the shard last saw it.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Tells the shard that there is something, unless it knows.
    pub(crate) fn raise(&self, inbox: &Inbox) {
        if !self.raised.swap(true, Ordering::AcqRel)
            && inbox.live(LiveInput::Ready(self.number)).is_err()
        {
            // The next frame tries again.
            self.raised.store(false, Ordering::Release);
        }
    }

    /// Waits until the shard has taken something.
    pub(crate) async fn room(&self) {
        self.room.notified().await;
    }
}

/// The ring of a feed.
pub(crate) fn feed(place: IngestPlace) -> (rtrb::Producer<PacketFrame>, Arc<FeedSignal>, Feed) {
    let (producer, frames) = rtrb::RingBuffer::new(FEED_FRAMES_MAX);
    let number = NEXT_FEED.fetch_add(1, Ordering::Relaxed);
    let signal = Arc::new(FeedSignal {
        number,
        raised: AtomicBool::new(false),
        wanted: AtomicBool::new(true),
        room: Notify::new(),
    });
    let input = Feed {
        number,
        place,
        frames,
        signal: Arc::clone(&signal),
    };
    (producer, signal, input)
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.signal.room.notify_one();
    }
}

/// The shard's end of a tap.
#[derive(Debug)]
pub(crate) struct TapOut {
    tap: TapId,
    packets: rtrb::Producer<TapPacket>,
    /// Dropped after the ring, so that the reader finds it abandoned when it is woken.
    bell: TapBell,
}

#[derive(Debug)]
struct TapBell(Arc<TapSignal>);

impl Drop for TapBell {
    fn drop(&mut self) {
        self.0.waiting.notify_one();
    }
}

/// What both ends of a tap share beside the packets.
#[derive(Debug, Default)]
pub(crate) struct TapSignal {
    waiting: Notify,
    /// The ring was full and more waits in the shard.
    stuck: AtomicBool,
}

impl TapSignal {
    /// Waits until there is something to read, or the end.
    pub(crate) async fn waiting(&self) {
        self.waiting.notified().await;
    }

    /// The reader has taken something; `left` packets are in the ring. A shard that waits for room
    /// is told once half of it is free.
    pub(crate) fn on_read(&self, tap: TapId, left: usize, inbox: &Inbox) {
        if left <= TAP_RING_MAX / 2
            && self.stuck.swap(false, Ordering::AcqRel)
            && inbox.live(LiveInput::TapRoom(tap)).is_err()
        {
            self.stuck.store(true, Ordering::Release);
        }
    }
}

/// The ring of a tap.
pub(crate) fn tap(tap: TapId) -> (TapOut, rtrb::Consumer<TapPacket>, Arc<TapSignal>) {
    let (producer, packets) = rtrb::RingBuffer::new(TAP_RING_MAX);
    let signal = Arc::new(TapSignal::default());
    let out = TapOut {
        tap,
        packets: producer,
        bell: TapBell(Arc::clone(&signal)),
    };
    (out, packets, signal)
}

/// All feeds and taps of one shard. They outlive it: a fresh shard goes on with them.
#[derive(Debug, Default)]
pub(crate) struct LiveRings {
    feeds: HashMap<u64, Feed>,
    /// Feeds whose track the shard may not have been told of yet.
    announced: Vec<Feed>,
    taps: HashMap<TapId, TapOut>,
    /// Feeds that have frames, in the order in which they said so.
    ready: VecDeque<u64>,
    /// When feeds were last looked at that ring no bell.
    looked: Option<Instant>,
    /// Some feeds bring what nobody gets.
    quiet: bool,
}

impl LiveRings {
    /// Takes in what was announced.
    pub(super) fn listen<L: Logic>(&mut self, now: Instant, inbox: &Inbox, logic: &mut L) {
        for _ in 0..LIVE_INPUTS_PER_TURN {
            let Some(input) = inbox.next_live() else {
                break;
            };
            match input {
                LiveInput::Feed(feed) => self.announced.push(feed),
                LiveInput::Ready(number) => self.ready.push_back(number),
                LiveInput::Tap(out) => {
                    let tap = out.tap;
                    self.taps.insert(tap, out);
                    self.serve(now, tap, logic);
                }
                LiveInput::TapRoom(tap) => {
                    self.serve(now, tap, logic);
                }
                LiveInput::TapGone(tap) => {
                    self.taps.remove(&tap);
                }
            }
        }
    }

    /// Begins to read the feeds announced so far. Their tracks were commanded before, so once all
    /// commands are carried out the shard knows them; a frame read sooner would be lost, and with a
    /// keyframe lost a source begins a whole group of pictures late.
    pub(super) fn admit(&mut self) {
        for feed in self.announced.drain(..) {
            self.ready.push_back(feed.number);
            feed.signal.raised.store(true, Ordering::Release);
            self.feeds.insert(feed.number, feed);
        }
    }

    /// How long the shard may sleep for the sake of feeds that ring no bell.
    pub(super) const fn pause_max(&self) -> Option<Duration> {
        if self.quiet {
            Some(QUIET_FEED_PERIOD)
        } else {
            None
        }
    }

    /// Sees whose frames somebody gets, and fetches those of the others, at times: they are to be
    /// there when somebody begins, and until then no shard has to wake up for each.
    pub(super) fn look<L: Logic>(&mut self, now: Instant, commanded: bool, logic: &L) {
        let due = |last| now.saturating_duration_since(last) >= QUIET_FEED_LOOK;
        if !commanded && !self.looked.is_none_or(due) {
            return;
        }
        self.looked = Some(now);
        self.quiet = false;
        for (number, feed) in &self.feeds {
            let wanted = logic.is_ingest_wanted(feed.place);
            feed.signal.wanted.store(wanted, Ordering::Relaxed);
            self.quiet |= !wanted;
            let waits = !feed.frames.is_empty() || feed.frames.is_abandoned();
            if waits && !feed.signal.raised.swap(true, Ordering::AcqRel) {
                self.ready.push_back(*number);
            }
        }
    }

    /// Takes a bounded number of frames; whether more wait.
    pub(super) fn receive<L: Logic>(&mut self, now: Instant, logic: &mut L) -> bool {
        let mut budget = FRAMES_PER_TURN;
        let mut rounds = self.ready.len();
        while budget > 0 && rounds > 0 {
            rounds -= 1;
            let Some(number) = self.ready.pop_front() else {
                break;
            };
            budget = budget.saturating_sub(self.read(now, number, logic));
        }
        !self.ready.is_empty()
    }

    /// Takes frames of one feed; how many.
    fn read<L: Logic>(&mut self, now: Instant, number: u64, logic: &mut L) -> usize {
        let Some(feed) = self.feeds.get_mut(&number) else {
            return 0;
        };
        let mut taken = 0;
        while taken < FRAMES_PER_FEED
            && let Ok(frame) = feed.frames.pop()
        {
            logic.handle_ingest(now, feed.place, frame);
            taken += 1;
        }
        if taken > 0 {
            feed.signal.room.notify_one();
        }
        if feed.frames.is_empty() {
            feed.signal.raised.store(false, Ordering::Release);
            // What came between the two looks rings no bell of its own.
            let missed = !feed.frames.is_empty() || feed.frames.is_abandoned();
            if !missed || feed.signal.raised.swap(true, Ordering::AcqRel) {
                return taken;
            }
            if feed.frames.is_empty() {
                self.feeds.remove(&number);
                return taken;
            }
        }
        self.ready.push_back(number);
        taken
    }

    /// Hands on what taps have; whether more wait.
    pub(super) fn send<L: Logic>(&mut self, now: Instant, logic: &mut L) -> bool {
        for _ in 0..TAPS_PER_TURN {
            let Some(tap) = logic.poll_ready_tap() else {
                return false;
            };
            if self.serve(now, tap, logic) {
                self.taps.remove(&tap);
            }
        }
        true
    }

    /// Fills a tap's ring; whether the tap has ended. One without a ring yet waits in the shard.
    fn serve<L: Logic>(&mut self, now: Instant, tap: TapId, logic: &mut L) -> bool {
        let Some(out) = self.taps.get_mut(&tap) else {
            return false;
        };
        let mut written = false;
        let ended = loop {
            if out.packets.is_full() {
                out.bell.0.stuck.store(true, Ordering::Release);
                // The reader may have made room before it could see that we wait for it.
                if out.packets.is_full() || !out.bell.0.stuck.swap(false, Ordering::AcqRel) {
                    break false;
                }
            }
            match logic.poll_tap(now, tap) {
                TapPoll::Packet(packet) => written |= out.packets.push(packet).is_ok(),
                TapPoll::Empty => break false,
                TapPoll::Ended => break true,
            }
        };
        if written {
            out.bell.0.waiting.notify_one();
        }
        ended
    }
}
