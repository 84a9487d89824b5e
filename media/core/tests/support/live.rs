//! Live sources to feed in tests: frames of H.264 and Opus as a packetiser makes them.

use std::time::Duration;

use media_contract::{Action, IngestTrack, TapWish, Wish};
use media_core::TapPoll;
use media_types::{
    Codec, MediaKind, NtpTime, PacketFrame, Payload, TapId, TapPacket, TrackId, TrackSource,
};

use super::{ROOM, World};

/// One track that is fed.
pub(crate) struct Source {
    pub(crate) track: TrackId,
    pub(crate) codec: Codec,
    pub(crate) feed: u32,
    pub(crate) shard: usize,
    pub(crate) timestamp: u32,
    /// Ticks from frame to frame.
    pub(crate) step: u32,
    pub(crate) packets_per_frame: usize,
    /// How long a frame was under way before it is fed.
    pub(crate) delay: Duration,
    /// What was fed, in order.
    pub(crate) sent: Vec<Payload>,
    number: u32,
}

impl Source {
    pub(crate) fn open(world: &mut World, track: u64, codec: Codec) -> Self {
        let source = Self {
            track: TrackId::new(track),
            codec,
            feed: 1,
            shard: 0,
            timestamp: 40_000,
            step: match codec.kind() {
                MediaKind::Audio => 960,
                MediaKind::Video => 3_000,
            },
            packets_per_frame: match codec.kind() {
                MediaKind::Audio => 1,
                MediaKind::Video => 3,
            },
            delay: Duration::ZERO,
            sent: Vec::new(),
            number: 0,
        };
        assert!(world.is_done(0, source.opening()));
        source
    }

    pub(crate) fn opening(&self) -> Action {
        Action::OpenIngest(IngestTrack {
            track: self.track,
            identity: "streamer".parse().unwrap(),
            kind: self.codec.kind(),
            codec: self.codec,
            source: TrackSource::Ingest,
            feed: self.feed,
        })
    }

    /// The next frame, not yet fed.
    pub(crate) fn cut(&mut self, world: &World, keyframe: bool) -> PacketFrame {
        let payloads: Vec<_> = (0..self.packets_per_frame)
            .map(|index| self.payload(keyframe, index))
            .collect();
        self.sent.extend(payloads.iter().cloned());
        let unix = Duration::from_secs(1_700_000_000) + (world.now - world.base);
        let frame = PacketFrame {
            payloads,
            timestamp: self.timestamp,
            keyframe: keyframe || self.codec.kind() == MediaKind::Audio,
            captured: Some(NtpTime::from_unix(unix - self.delay)),
        };
        self.timestamp = self.timestamp.wrapping_add(self.step);
        frame
    }

    /// Feeds one frame at the present moment.
    pub(crate) fn frame(&mut self, world: &mut World, keyframe: bool) {
        let frame = self.cut(world, keyframe);
        let (now, shard) = (world.now, self.shard);
        world.shards[shard].handle_ingest(now, ROOM, self.track, self.feed, frame);
        world.drain();
    }

    /// Frames 33 ms apart, a keyframe at every `group`-th from the start of the source.
    pub(crate) fn play(&mut self, world: &mut World, frames: usize, group: usize) {
        for _ in 0..frames {
            let so_far = self.sent.len() / self.packets_per_frame;
            self.frame(world, so_far.is_multiple_of(group));
            world.run(super::ms(33));
        }
    }

    fn payload(&mut self, keyframe: bool, index: usize) -> Payload {
        self.number += 1;
        let mut bytes = vec![0; if self.codec == Codec::Opus { 80 } else { 600 }];
        bytes[0] = match (self.codec, keyframe, index) {
            (Codec::Opus, ..) => 0x78,
            (_, true, 0) => 0x67,
            (_, true, _) => 0x65,
            _ => 0x41,
        };
        bytes[8..12].copy_from_slice(&self.number.to_be_bytes());
        Payload::copy_of(&bytes).unwrap()
    }
}

/// Opens a tap with the default wish.
pub(crate) fn open_tap(world: &mut World, tap: u64, track: TrackId, wish: Wish) -> TapId {
    let tap = TapId::new(tap);
    let wish = TapWish {
        wish,
        keyframe_every: None,
    };
    assert!(world.is_done(0, Action::OpenTap { tap, track, wish }));
    tap
}

/// All that a tap has now; `true` if it has ended.
pub(crate) fn read(world: &mut World, tap: TapId) -> (Vec<TapPacket>, bool) {
    let mut packets = Vec::new();
    loop {
        match world.shards[0].poll_tap(world.now, tap) {
            TapPoll::Packet(packet) => packets.push(packet),
            TapPoll::Empty => return (packets, false),
            TapPoll::Ended => return (packets, true),
        }
    }
}
