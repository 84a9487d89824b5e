//! The vocabulary of the media crates.
//!
//! Ids, units, time, codecs, layers and shared payloads: plain values with no I/O, no clock and no
//! policy. What a type means is written at the type; how it is named on the wire of the client
//! protocol is its `Display` and `FromStr`.
//!
//! ```
//! use media_types::{Bitrate, TrackId};
//! let id: TrackId = "tr_0000000000001".parse().unwrap();
//! assert_eq!(id.to_string(), "tr_0000000000001");
//! assert_eq!(Bitrate::from_kbps(64).bytes_in(std::time::Duration::from_secs(1)), 8_000);
//! ```
#![forbid(unsafe_code)]

pub mod codec;
pub mod epoch;
pub mod frame;
pub mod id;
pub mod layer;
pub mod name;
pub mod payload;
pub mod time;
pub mod units;

pub use codec::{Codec, MediaKind, TrackSource};
pub use epoch::Epoch;
pub use frame::{
    ClockPoint, EncodedFrame, FrameCodec, FrameFormat, LIVE_PAYLOAD_BYTES_MAX, PacketFrame,
    TapPacket,
};
pub use id::{IdError, Mid, PeerId, Rid, RoomId, ShardId, TapId, TrackId, TransportId, WorkerId};
pub use layer::{Layer, LayerSet};
pub use name::{Identity, NameError, RoomName};
pub use payload::{BufferPool, Payload};
pub use time::{Clock, MediaTime, NtpTime};
pub use units::{Bitrate, DataSize};
