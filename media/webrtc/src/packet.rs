//! Packets as they cross the border between a transport and its owner.

use std::time::Instant;

use arrayvec::ArrayVec;
use media_rtp::extension::{AbsCaptureTime, Extensions, SharedDescriptor};
use media_rtp::level::AudioLevel;
use media_types::{Codec, Mid, Payload, Rid};

pub use media_bwe::Priority;

/// One receive stream of a transport: one per (mid, rid). Never given to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamIndex(pub u16);

/// One m-line on which a transport sends. Stable for the transport's life, and small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotIndex(pub u16);

/// A packet from a publisher, decrypted.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Its stream.
    pub stream: StreamIndex,
    /// The m-line of the stream.
    pub mid: Mid,
    /// The simulcast layer of the stream.
    pub rid: Option<Rid>,
    /// The place of `rid` among its m-line's layers, lowest first; 0 without simulcast.
    pub spatial: u8,
    /// What the payload is encoded with.
    pub codec: Codec,
    /// The source that the publisher chose. When it changes on a stream, sequence and timestamp
    /// start anew.
    pub ssrc: u32,
    /// The sequence number, unwrapped to 64 bits.
    pub sequence: u64,
    /// The timestamp in ticks of the codec's clock.
    pub timestamp: u32,
    /// The marker bit: with video, the last packet of a picture.
    pub marker: bool,
    /// What its header extensions say.
    pub extensions: Extensions,
    /// The payload without padding; never empty.
    pub payload: Payload,
    /// When it arrived.
    pub arrived: Instant,
    /// Whether it came by retransmission.
    pub repaired: bool,
    /// Whether the payload is Opus wrapped in redundancy (RFC 2198). A slot that negotiated RED is
    /// sent it as it is; from it other slots get the primary block.
    pub red: bool,
}

/// Header extensions that travel from publisher to subscriber; written where negotiated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassedExtensions {
    /// How loud it is.
    pub audio_level: Option<AudioLevel>,
    /// The dependency descriptor as it came, and the frame number that the subscriber is to read.
    pub dependency_descriptor: Option<(SharedDescriptor, u16)>,
    /// Least and greatest playout delay.
    pub playout_delay: Option<[u8; 3]>,
    /// When the frame was captured.
    pub abs_capture_time: Option<AbsCaptureTime>,
    /// How the picture is to be turned.
    pub video_orientation: Option<u8>,
}

/// The longest rewritten front of a payload: the longest VP8 descriptor has 6 bytes, VP9's with
/// references 13.
pub const PREFIX_BYTES_MAX: usize = 16;

/// A packet for a subscriber, not yet encrypted.
#[derive(Debug, Clone)]
pub struct SendPacket {
    /// The slot.
    pub slot: SlotIndex,
    /// What the payload is encoded with; must be among the slot's codecs.
    pub codec: Codec,
    /// Whether the payload is Opus wrapped in redundancy.
    pub red: bool,
    /// The sequence number of the slot, unwrapped, continuous over whatever fills it. The first
    /// of a slot lies within its first 2^16.
    pub sequence: u64,
    /// The timestamp of the slot.
    pub timestamp: u32,
    /// The marker bit.
    pub marker: bool,
    /// The rewritten payload descriptor.
    pub prefix: ArrayVec<u8, PREFIX_BYTES_MAX>,
    /// How many bytes of `payload` the prefix stands for.
    pub prefix_replaces: u8,
    /// The payload, shared with whoever else is sent it.
    pub payload: Payload,
    /// Header extensions to pass on.
    pub pass: PassedExtensions,
    /// How urgent it is.
    pub priority: Priority,
    /// Set on a retransmission: the number that the client asked for. It must be sent with the
    /// bytes of its first time, since it may leave under the same number again.
    pub retransmission_of: Option<u16>,
}

// It is moved some times on its way, for each subscriber.
const _: () = assert!(size_of::<SendPacket>() <= 160);
