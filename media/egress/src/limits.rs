//! Every bound of this crate, with its reason.

use std::time::Duration;

/// Bytes of one encoded frame: a 4K keyframe at a high rate takes 2 MiB.
pub const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Packets of one frame; 8 MiB in packets of 1,200 bytes are fewer than 7,000.
pub const FRAME_PACKETS_MAX: usize = 8_192;
/// Packets that wait for one that is missing: what a tap's queue holds.
pub const REORDER_PACKETS_MAX: usize = 1_024;
/// How long they wait: a retransmission over a slow path takes 200 ms.
pub const REORDER_WAIT: Duration = Duration::from_millis(250);
/// Parameter sets of one kind that are kept; streams use one or two.
pub const PARAMETER_SETS_MAX: usize = 16;
/// Bytes of one parameter set; real ones take less than 200.
pub const PARAMETER_SET_BYTES_MAX: usize = 4_096;

/// The shared clock starts here, so that a track whose frames turn out to be older than the first
/// one seen still has times above zero.
pub const TIMELINE_LEAD: Duration = Duration::from_secs(1);
/// A step of a source's timestamps that arrival does not explain is a jump from here on.
pub const JUMP_MIN: Duration = Duration::from_secs(1);
/// Sender clocks that disagree with arrival by more are not believed.
pub const CLOCK_ERROR_MAX: Duration = Duration::from_secs(10);
/// Differences between tracks below this are left alone: nobody sees or hears 5 ms.
pub const CLOCK_ERROR_MIN: Duration = Duration::from_millis(5);
/// How far one frame may move towards its right place: a fifth of a second a second at 40 frames.
pub const SLEW_PER_FRAME: Duration = Duration::from_millis(5);

/// Complete segments that a playlist offers.
pub const SEGMENTS_MAX: usize = 10;
/// Bytes that one track's window holds: ten segments of two seconds at 24 Mb/s.
pub const WINDOW_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The longest segment: sources that send keyframes less often are cut between them.
pub const SEGMENT_MAX: Duration = Duration::from_secs(10);
/// Silence longer than this ends a segment, and a discontinuity follows.
pub const GAP_MAX: Duration = Duration::from_secs(2);
/// Newest segments whose parts are listed: RFC 8216bis wants three target durations.
pub const SEGMENTS_WITH_PARTS: usize = 3;
/// How far ahead a blocking reload may ask (RFC 8216bis, section 6.2.5.2).
pub const SEGMENTS_AHEAD_MAX: u64 = 2;
/// Old initialisation segments that stay fetchable.
pub const INITS_MAX: usize = 8;

/// Frames of one run that wait for the other track in a muxed fragment.
pub const RUN_FRAMES_MAX: usize = 1_024;
/// Bytes of one muxed fragment; past them it is closed early.
pub const FRAGMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Files that one manifest lists: a week of rotation by the minute.
pub const RECORDING_FILES_MAX: usize = 10_080;

const _: () = assert!(SEGMENTS_WITH_PARTS < SEGMENTS_MAX);
const _: () = assert!(CLOCK_ERROR_MIN.as_micros() < CLOCK_ERROR_MAX.as_micros());
