//! Every bound of this crate, with its reason.

use std::time::Duration;

use media_types::frame::LIVE_PAYLOAD_BYTES_MAX;
use media_types::payload::PAYLOAD_BYTES_MAX;

/// The longest message by default, in bytes: a keyframe of 4K video at 100 Mb/s is below 4 MB.
pub const MESSAGE_BYTES_MAX: u32 = 6 * 1024 * 1024;

/// The longest message that is not media, in bytes. Commands are below 4 KiB; metadata of files
/// carries an index of keyframes.
pub const CONTROL_BYTES_MAX: usize = 256 * 1024;

/// Chunk streams a client may use. Encoders use four or five.
pub const CHUNK_STREAMS_MAX: usize = 32;

/// The largest chunk a client may announce (RTMP 1.0, section 5.4.1); a chunk is never buffered as
/// such, so that its size costs nothing.
pub const CHUNK_SIZE_MAX: u32 = 0x00ff_ffff;

/// The chunk size before anybody says otherwise (RTMP 1.0, section 5.4.1).
pub const CHUNK_SIZE_START: u32 = 128;

/// The chunk size that we announce: a whole audio message, and a tenth of a keyframe.
pub const CHUNK_SIZE_OURS: u32 = 60_000;

/// How much of a message is reserved when its first chunk comes. The rest grows with what truly
/// arrives, so that a claim costs nothing.
pub const MESSAGE_RESERVE: usize = 64 * 1024;

/// The acknowledgement window that we ask for and keep until told otherwise, in bytes.
pub const WINDOW_BYTES: u32 = 2_500_000;

/// Message streams of one connection. Encoders use one; some keep the first one unused.
pub const MESSAGE_STREAMS_MAX: usize = 4;

/// The longest stream key with its token, in bytes: a JWT of 2 KiB and names.
pub const KEY_BYTES_MAX: usize = 4 * 1024;

/// Nesting of AMF values.
pub const AMF_DEPTH_MAX: u8 = 8;

/// Values of one AMF message, nested ones included.
pub const AMF_VALUES_MAX: usize = 8 * 1024;

/// Bytes of text that one AMF message may expand to; references to strings are copies.
pub const AMF_TEXT_BYTES_MAX: usize = 512 * 1024;

/// What may wait to be sent by a connection's own machine, in bytes. A client that asks and does
/// not read is cut off.
pub const OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// Events that may wait to be taken; the caller takes them after each read.
pub const EVENTS_MAX: usize = 4 * 1024;

/// How long a client may take until it publishes or plays.
pub const SETUP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a publisher may send no media.
pub const SILENCE_TIMEOUT: Duration = Duration::from_secs(15);

/// Tracks of one publisher (enhanced RTMP v2, multitrack), audio and video together.
pub const TRACKS_MAX: usize = 8;

/// The longest decoder configuration, in bytes: parameter sets of HEVC are below 1 KiB.
pub const CONFIG_BYTES_MAX: usize = 16 * 1024;

/// Parameter sets of one kind in a configuration.
pub const PARAMETER_SETS_MAX: usize = 16;

/// The longest catalog of a MoQ broadcast, in bytes: a track takes below 1 KiB, 16 KiB of a record
/// written as hex aside.
pub const CATALOG_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a catalog's group: a whole one and its changes. Publishers begin another group once the
/// changes are eight times as long as the whole.
pub const CATALOG_GROUP_BYTES_MAX: usize = 16 * CATALOG_BYTES_MAX;

/// The longest name of a MoQ track, in bytes.
pub const TRACK_NAME_BYTES_MAX: usize = 256;

/// Nanosecond and other extensions that may stand before one message's payload.
pub const MOD_EX_MAX: usize = 8;

/// Packets of one frame: 6 MiB in payloads of 1,150 bytes.
pub const PACKETS_MAX: usize = 6_000;

/// Payload buffers that a track's packetiser remembers: two groups of pictures of 4 Mb/s.
pub const POOL_BUFFERS: usize = 2_048;

/// How far a track's time may leap between neighbours before it is a jump.
pub const JUMP: Duration = Duration::from_secs(1);

/// How long a track may repeat one timestamp before its frames are laid where they arrive.
pub const FROZEN_AFTER: Duration = Duration::from_millis(500);

/// How far a source may be ahead of the clock before it is held back: what encoders send at once
/// when they connect stays below it.
pub const AHEAD_MAX: Duration = Duration::from_millis(1_500);

/// How often the source's clock is compared with ours.
pub const DRIFT_WINDOW: Duration = Duration::from_secs(10);

/// How far the two may move in one such window: 500 ppm; crystals differ by up to 200.
pub const DRIFT_STEP: Duration = Duration::from_millis(5);

/// How long the first comparison goes on.
pub const SETTLE: Duration = Duration::from_secs(2);

/// How far counted samples and timestamps of sound may differ before the timestamps count:
/// timestamps are rounded to a millisecond.
pub const SOUND_TOLERANCE: Duration = Duration::from_millis(4);

const _: () = assert!(LIVE_PAYLOAD_BYTES_MAX < PAYLOAD_BYTES_MAX);
const _: () = assert!(PACKETS_MAX * LIVE_PAYLOAD_BYTES_MAX >= MESSAGE_BYTES_MAX as usize);
const _: () = assert!(CHUNK_SIZE_OURS <= CHUNK_SIZE_MAX);
const _: () = assert!(CONTROL_BYTES_MAX < MESSAGE_BYTES_MAX as usize);
