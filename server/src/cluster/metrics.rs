//! Figures of the links to other workers.

use std::time::Duration;

use media_core::HopFigures;
use media_types::WorkerId;
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

/// Links now.
const LINKS: &str = "troupe_relay_links";
/// Links that did not come about, by reason.
const REFUSED: &str = "troupe_relay_refused_total";
/// Messages for workers to which there is no link.
const UNLINKED: &str = "troupe_relay_unlinked_total";
/// Letters of rooms that found no link, or a full one.
const UNPOSTED: &str = "troupe_relay_letters_dropped_total";
/// Packets of tracks by direction and worker.
const PACKETS: &str = "troupe_relay_packets_total";
/// Bytes of datagrams by direction and worker.
const BYTES: &str = "troupe_relay_bytes_total";
/// Packets that went in two datagrams.
const SPLIT: &str = "troupe_relay_split_total";
/// Datagrams that came after they were asked for.
const REPAIRED: &str = "troupe_relay_repaired_total";
/// Datagrams that were given up.
const LOST: &str = "troupe_relay_lost_total";
/// What went nowhere, by reason.
const DROPPED: &str = "troupe_relay_dropped_total";
/// What the path to a worker carries.
const ESTIMATE: &str = "troupe_relay_estimate_bits_per_second";
/// Round trip to a worker.
const RTT: &str = "troupe_relay_rtt_seconds";

/// Says what they are.
pub(crate) fn describe() {
    describe_gauge!(LINKS, "Links to other workers now");
    describe_counter!(REFUSED, "Links that did not come about, by reason");
    describe_counter!(UNLINKED, "Messages for workers without a link");
    describe_counter!(
        UNPOSTED,
        "Letters of rooms that found no link, or a full one"
    );
    describe_counter!(PACKETS, "Relayed packets by direction and worker");
    describe_counter!(BYTES, Unit::Bytes, "Relayed bytes by direction and worker");
    describe_counter!(SPLIT, "Relayed packets that went in two datagrams");
    describe_counter!(REPAIRED, "Relay datagrams that came when asked for again");
    describe_counter!(LOST, "Relay datagrams that were given up");
    describe_counter!(DROPPED, "Relayed messages that went nowhere, by reason");
    describe_gauge!(ESTIMATE, "What the path to a worker carries");
    describe_gauge!(RTT, Unit::Seconds, "Round trip to a worker");
}

pub(super) fn links(count: usize) {
    gauge!(LINKS).set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

pub(super) fn refused(reason: &'static str) {
    counter!(REFUSED, "reason" => reason).increment(1);
}

pub(super) fn unlinked(total: u64) {
    counter!(UNLINKED).absolute(total);
}

pub(super) fn unposted(total: u64) {
    counter!(UNPOSTED).absolute(total);
}

#[allow(clippy::cast_precision_loss, reason = "a rate for a graph")]
pub(super) fn link(worker: WorkerId, figures: &HopFigures, rtt: Duration, full: u64) {
    let worker = worker.to_string();
    let count = |name: &'static str, value: u64| {
        counter!(name, "worker" => worker.clone()).absolute(value);
    };
    let way = |name: &'static str, direction: &'static str, value: u64| {
        counter!(name, "worker" => worker.clone(), "direction" => direction).absolute(value);
    };
    let dropped = |reason: &'static str, value: u64| {
        counter!(DROPPED, "worker" => worker.clone(), "reason" => reason).absolute(value);
    };
    way(PACKETS, "out", figures.packets_out);
    way(PACKETS, "in", figures.packets_in);
    way(BYTES, "out", figures.bytes_out);
    way(BYTES, "in", figures.bytes_in);
    count(SPLIT, figures.split);
    count(REPAIRED, figures.repaired);
    count(LOST, figures.lost);
    dropped("congested", figures.congested);
    dropped("unlabelled", figures.unlabelled);
    dropped("unreadable", figures.refused);
    dropped("frames", figures.frames_dropped);
    dropped("shard_full", full);
    gauge!(ESTIMATE, "worker" => worker.clone()).set(figures.estimate.bps() as f64);
    gauge!(RTT, "worker" => worker.clone()).set(rtt.as_secs_f64());
}

/// The path to a worker is not there any more.
pub(super) fn forget(worker: WorkerId) {
    let worker = worker.to_string();
    gauge!(ESTIMATE, "worker" => worker.clone()).set(0.0);
    gauge!(RTT, "worker" => worker).set(0.0);
}
