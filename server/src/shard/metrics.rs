//! What shards tell, as metrics. Shards count in plain fields and report once a second; this runs
//! on a control thread. Labels are the shard's index and closed words.

use std::collections::BTreeMap;

use media_contract::ShardFigures;
use media_types::{MediaKind, ShardId};
use metrics::{Counter, Gauge, counter, gauge};

use super::ThreadFigures;

/// Share of its time that a shard's thread works, 0 to 1.
pub(crate) const BUSY_RATIO: &str = "troupe_shard_busy_ratio";
/// Turns of a shard's loop.
pub(crate) const TURNS: &str = "troupe_shard_turns_total";
/// UDP datagrams by direction.
pub(crate) const DATAGRAMS: &str = "troupe_shard_datagrams_total";
/// System calls that moved them, by direction.
pub(crate) const BATCHES: &str = "troupe_shard_batches_total";
/// Datagrams and packets that a shard's queues and socket had no room for, by place.
pub(crate) const QUEUE_DROPS: &str = "troupe_shard_queue_drops_total";
/// Restarts of a shard's thread.
pub(crate) const RESTARTS: &str = "troupe_shard_restarts_total";
/// ICE-TCP connections.
pub(crate) const STREAMS: &str = "troupe_shard_ice_tcp_connections";
/// What exists on a shard, by kind of thing.
pub(crate) const ENTITIES: &str = "troupe_shard_entities";
/// RTP packets by direction and kind.
pub(crate) const RTP_PACKETS: &str = "troupe_rtp_packets_total";
/// Bytes of all datagrams by direction.
pub(crate) const RTP_BYTES: &str = "troupe_rtp_bytes_total";
/// Packets that publishers' links lost.
pub(crate) const RTP_LOST: &str = "troupe_rtp_lost_packets_total";
/// Packets sent again to subscribers.
pub(crate) const RTP_RETRANSMITTED: &str = "troupe_rtp_retransmitted_packets_total";
/// Datagrams and packets dropped by the packet core, by reason.
pub(crate) const RTP_DROPPED: &str = "troupe_rtp_dropped_total";
/// Keyframe requests sent to publishers.
pub(crate) const KEYFRAME_REQUESTS: &str = "troupe_keyframe_requests_total";
/// Transports ended by their panic fence.
pub(crate) const CRASHES: &str = "troupe_shard_transport_crashes_total";

/// Every name with its help text.
const DESCRIPTIONS: &[(&str, &str)] = &[
    (BUSY_RATIO, "Share of its time that a shard works"),
    (TURNS, "Turns of a shard's loop"),
    (DATAGRAMS, "UDP datagrams by direction"),
    (BATCHES, "System calls that moved datagrams, by direction"),
    (
        QUEUE_DROPS,
        "What a shard's queues had no room for, by place",
    ),
    (RESTARTS, "Restarts of a shard's thread"),
    (STREAMS, "ICE-TCP connections"),
    (ENTITIES, "What exists on a shard, by kind"),
    (RTP_PACKETS, "RTP packets by direction and kind of media"),
    (RTP_BYTES, "Bytes of all datagrams by direction"),
    (RTP_LOST, "Packets that publishers' links lost"),
    (RTP_RETRANSMITTED, "Packets sent again to subscribers"),
    (RTP_DROPPED, "Datagrams and packets dropped, by reason"),
    (KEYFRAME_REQUESTS, "Keyframe requests sent to publishers"),
    (CRASHES, "Transports ended by their panic fence"),
];

/// Gives the metrics their help texts. Called once at start.
pub(crate) fn describe() {
    for &(name, help) in DESCRIPTIONS {
        if name.ends_with("_total") {
            metrics::describe_counter!(name, help);
        } else {
            metrics::describe_gauge!(name, help);
        }
    }
}

/// A counter fed with totals that start again at zero when a shard does.
struct Total {
    counter: Counter,
    last: u64,
}

impl Total {
    const fn new(counter: Counter) -> Self {
        Self { counter, last: 0 }
    }

    fn set(&mut self, total: u64) {
        // Less than before means a fresh shard: all of it is new.
        let more = total.checked_sub(self.last).unwrap_or(total);
        self.counter.increment(more);
        self.last = total;
    }
}

/// The metrics of one shard.
pub(crate) struct Recorder {
    shard: String,
    busy: Gauge,
    streams: Gauge,
    entities: [Gauge; 4],
    thread: [Total; 10],
    core: [Total; 6],
    packets: BTreeMap<(&'static str, MediaKind), Total>,
    dropped: BTreeMap<&'static str, Total>,
    restarts: Counter,
}

impl Recorder {
    pub(crate) fn new(shard: ShardId) -> Self {
        let shard = shard.to_string();
        let total = |name: &'static str, label: &'static str, value: &'static str| {
            Total::new(counter!(name, "shard" => shard.clone(), label => value))
        };
        let plain = |name: &'static str| Total::new(counter!(name, "shard" => shard.clone()));
        let entities = ["rooms", "transports", "tracks", "forwarders"]
            .map(|kind| gauge!(ENTITIES, "shard" => shard.clone(), "kind" => kind));
        Self {
            busy: gauge!(BUSY_RATIO, "shard" => shard.clone()),
            streams: gauge!(STREAMS, "shard" => shard.clone()),
            entities,
            thread: [
                plain(TURNS),
                total(DATAGRAMS, "direction", "in"),
                total(DATAGRAMS, "direction", "out"),
                total(BATCHES, "direction", "in"),
                total(BATCHES, "direction", "out"),
                total(QUEUE_DROPS, "place", "socket"),
                total(QUEUE_DROPS, "place", "relay"),
                total(QUEUE_DROPS, "place", "ice_tcp"),
                total(QUEUE_DROPS, "place", "foreign"),
                total(QUEUE_DROPS, "place", "segmentation"),
            ],
            core: [
                total(RTP_BYTES, "direction", "in"),
                total(RTP_BYTES, "direction", "out"),
                plain(RTP_LOST),
                plain(RTP_RETRANSMITTED),
                plain(KEYFRAME_REQUESTS),
                plain(CRASHES),
            ],
            packets: BTreeMap::new(),
            dropped: BTreeMap::new(),
            restarts: counter!(RESTARTS, "shard" => shard.clone()),
            shard,
        }
    }

    /// What the thread counted.
    pub(crate) fn thread(&mut self, figures: &ThreadFigures) {
        self.busy.set(f64::from(figures.busy_ppm) / 1e6);
        self.streams.set(whole(figures.streams));
        let socket = &figures.socket;
        let totals = [
            figures.turns,
            socket.datagrams_in,
            socket.datagrams_out,
            socket.receives,
            socket.sends,
            socket.send_drops,
            figures.relay_drops,
            figures.stream_drops,
            socket.foreign,
            socket.segmentation_refusals,
        ];
        for (counter, total) in self.thread.iter_mut().zip(totals) {
            counter.set(total);
        }
    }

    /// What the packet core counted.
    pub(crate) fn shard(&mut self, figures: &ShardFigures) {
        let now = [
            figures.rooms,
            figures.transports,
            figures.tracks,
            figures.forwarders,
        ];
        for (gauge, value) in self.entities.iter().zip(now) {
            gauge.set(f64::from(value));
        }
        let totals = [
            figures.bytes_in,
            figures.bytes_out,
            figures.lost_in,
            figures.retransmitted_out,
            figures.keyframe_requests,
            figures.crashed,
        ];
        for (counter, total) in self.core.iter_mut().zip(totals) {
            counter.set(total);
        }
        for (direction, packets) in [("in", &figures.packets_in), ("out", &figures.packets_out)] {
            for (&kind, &total) in packets {
                let shard = &self.shard;
                let entry = self.packets.entry((direction, kind)).or_insert_with(|| {
                    let kind = word(kind);
                    Total::new(counter!(RTP_PACKETS, "shard" => shard.clone(),
                        "direction" => direction, "kind" => kind))
                });
                entry.set(total);
            }
        }
        for (&reason, &total) in &figures.dropped {
            let shard = &self.shard;
            let entry = self.dropped.entry(reason).or_insert_with(|| {
                Total::new(counter!(RTP_DROPPED, "shard" => shard.clone(), "reason" => reason))
            });
            entry.set(total);
        }
    }

    /// The thread was started again.
    pub(crate) fn restarted(&self) {
        self.restarts.increment(1);
    }
}

const fn word(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a gauge is a float; such counts are far below 2^52"
)]
const fn whole(count: u64) -> f64 {
    count as f64
}
