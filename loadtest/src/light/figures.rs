//! What clients count.

use serde::Serialize;

use crate::histogram::Histogram;

/// Of one or many received streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamFigures {
    /// Packets with new sequence numbers, repairs included.
    pub packets: u64,
    /// Bytes of the datagrams that brought them.
    pub bytes: u64,
    /// Numbers that were skipped and never came.
    pub lost: u64,
    /// Numbers that were skipped and came by retransmission.
    pub repaired: u64,
    /// Packets that came before.
    pub duplicates: u64,
    /// Packets of repair streams without a repair: probes, empty or of what had come.
    pub padding: u64,
    /// Keyframes among the frame starts.
    pub keyframes: u64,
    /// Changes of a picture's size after the first: the server changed the layer.
    pub layer_switches: u64,
}

impl StreamFigures {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.lost += other.lost;
        self.repaired += other.repaired;
        self.duplicates += other.duplicates;
        self.padding += other.padding;
        self.keyframes += other.keyframes;
        self.layer_switches += other.layer_switches;
    }
}

/// The life of one client; times are microseconds since the start of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// ICE and DTLS were through.
    pub connected: Option<u64>,
    /// The first packet of sound.
    pub first_audio: Option<u64>,
    /// The first packet of a picture.
    pub first_video: Option<u64>,
    /// The first keyframe.
    pub first_keyframe: Option<u64>,
    /// The server ended it, or the handshake failed.
    pub ended: bool,
    /// Streams that came.
    pub streams: u64,
    /// What it received.
    pub received: StreamFigures,
    /// Packets of media that it sent.
    pub sent: u64,
    /// Keyframes that the server asked it for.
    pub keyframes_asked: u64,
}

impl Record {
    /// The first packet of any media.
    #[must_use]
    pub fn first_media(&self) -> Option<u64> {
        self.first_audio.into_iter().chain(self.first_video).min()
    }
}

/// What the clients of an engine have done so far.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Clients that are there.
    pub open: u64,
    /// Of them, those with ICE and DTLS through.
    pub connected: u64,
    /// What all have received, those that have left included.
    pub received: StreamFigures,
    /// Packets of media that were sent.
    pub sent: u64,
    /// Their bytes, as datagrams.
    pub sent_bytes: u64,
    /// Datagrams that came.
    pub datagrams: u64,
    /// Of them, control packets.
    pub control: u64,
    /// Control packets that were sent.
    pub control_sent: u64,
    /// Packets that were opened.
    pub opened: u64,
    /// Packets that were not authentic, or could not be read.
    pub refused: u64,
    /// Datagrams that the kernel did not take.
    pub unsent: u64,
    /// From the stamp of the sender to our reading it.
    pub latency: Histogram,
    /// The same, since the figures were last taken.
    pub latency_now: Histogram,
}

impl Figures {
    /// Adds another engine thread's.
    pub fn add(&mut self, other: &Self) {
        self.open += other.open;
        self.connected += other.connected;
        self.received.add(&other.received);
        self.sent += other.sent;
        self.sent_bytes += other.sent_bytes;
        self.datagrams += other.datagrams;
        self.control += other.control;
        self.control_sent += other.control_sent;
        self.opened += other.opened;
        self.refused += other.refused;
        self.unsent += other.unsent;
        self.latency.merge(&other.latency);
        self.latency_now.merge(&other.latency_now);
    }
}
