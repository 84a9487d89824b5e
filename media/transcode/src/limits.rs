//! What bounds the wire, the queues and the renditions.

use std::time::Duration;

/// The largest frame: a keyframe of a 4K stream at 100 Mb/s that is worth a fifth of a second.
pub const FRAME_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// What a message has beside a frame's data.
pub(crate) const MESSAGE_OVERHEAD_MAX: usize = 64;
/// The largest message, without its length.
pub const MESSAGE_BYTES_MAX: usize = FRAME_BYTES_MAX + MESSAGE_OVERHEAD_MAX;
/// A decoder's configuration: SPS and PPS of every layer fit many times over.
pub const CONFIG_BYTES_MAX: usize = 4_096;
/// A sentence for the log.
pub const TEXT_BYTES_MAX: usize = 512;
const _: () = assert!(CONFIG_BYTES_MAX + MESSAGE_OVERHEAD_MAX <= MESSAGE_BYTES_MAX);

/// Groups of pictures that may wait for a codec process; at the third it skips to the newest.
pub const GROUPS_MAX: usize = 2;
/// Pictures that may wait: two groups of four seconds at 60 a second, which is as long as a group
/// should be that somebody wants to join.
pub const PICTURES_MAX: usize = 480;
/// Audio frames that may wait: two seconds of AAC at 48 kHz. Later than that nobody wants to hear
/// them.
pub const AUDIO_FRAMES_MAX: usize = 96;
/// Bytes that may wait, whatever they are.
pub const BACKLOG_BYTES_MAX: usize = 16 * 1_024 * 1_024;
const _: () = assert!(BACKLOG_BYTES_MAX >= 2 * FRAME_BYTES_MAX);
/// Audio frames that a new process hears again, so that its decoder and resampler have run in and
/// nothing is missing that the old one had taken.
pub const AUDIO_REPLAY_FRAMES: usize = 16;

/// The widest or highest picture: 8K, the most that H.264 level 6.2 allows.
pub const SIDE_MAX: u16 = 8_192;
/// The smallest side: two macroblocks.
pub const SIDE_MIN: u16 = 32;

/// Opus takes up to 510 kb/s (RFC 6716, section 2.1.1).
pub const AUDIO_BPS_MAX: u64 = 510_000;
/// Below this speech is no longer understood.
pub const AUDIO_BPS_MIN: u64 = 6_000;
/// Level 5.2 of H.264, high profile, is 300 Mb/s; nobody sends half of that to a browser.
pub const VIDEO_BPS_MAX: u64 = 100_000_000;
/// A slide show.
pub const VIDEO_BPS_MIN: u64 = 50_000;

/// Renditions that one source gets at most: each costs a core or more.
pub const RENDITIONS_MAX: usize = 4;

/// Frames of a transcoded track between a jump of the source's clock and the next one last at least
/// this long; a shorter jump is filled with silence, or cut.
pub const JUMP_MIN: Duration = Duration::from_secs(1);
/// Timestamps that are off by less are jitter: those of RTMP are whole milliseconds.
pub const JITTER_MAX: Duration = Duration::from_millis(40);
