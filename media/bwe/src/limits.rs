//! What bounds the crate's memory, its bursts and its patience.

use std::time::Duration;

/// Feedback that takes longer than this says nothing about the path as it is now.
pub(crate) const HISTORY_AGE_MAX: Duration = Duration::from_secs(4);
/// Room for what is usually under way, from the first packet on: 300 ms of 3 Mb/s.
pub(crate) const HISTORY_PACKETS_USUAL: usize = 128;
/// Four seconds at 8,000 packets a second; half the circle of the wire's 16 bits.
pub(crate) const HISTORY_PACKETS_MAX: usize = 32_768;
const _: () = assert!(HISTORY_PACKETS_MAX <= 1 << 15);

/// Packets of a probe cluster at least: fewer leave the measured rate to chance (libwebrtc: 5).
pub(crate) const PROBE_PACKETS: u32 = 5;
/// How long a cluster lasts: a quarter of a 100 ms queue even at four times what the path carries.
pub(crate) const PROBE_PERIOD: Duration = Duration::from_millis(25);
/// And at most: a queue of as much at twice what the path carries.
pub(crate) const PROBE_PERIOD_MAX: Duration = Duration::from_millis(60);
const _: () = assert!(PROBE_PERIOD.as_millis() < PROBE_PERIOD_MAX.as_millis());
/// A cluster that could not leave this much later than meant is no longer one.
pub(crate) const PROBE_SEND_SLACK: Duration = Duration::from_millis(50);
/// Rest after a probe that found no room.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_secs(3);
/// A path that has just been full has no room.
pub(crate) const PROBE_QUIET: Duration = Duration::from_millis(2_500);
/// Spread of that rest among the flows of one bottleneck.
pub(crate) const PROBE_DITHER_MS: u64 = 500;
/// After a deep fall the question is sooner: was it a moment or is it the path?
pub(crate) const PROBE_RECOVERY_QUIET: Duration = Duration::from_millis(1_500);
const _: () = assert!(PROBE_RECOVERY_QUIET.as_millis() < PROBE_QUIET.as_millis());

/// The quick bucket lets two full packets go even on the slowest path, or nothing ever would.
pub(crate) const PACER_BURST_MIN: u64 = 2_400;
/// What may be sent above the path's rate before it must be drained again: half of a 300 ms queue,
/// so that a keyframe leaves room for the estimate's own error.
pub(crate) const PACER_QUEUE: Duration = Duration::from_millis(150);
/// A picture of the smallest layer.
pub(crate) const PACER_QUEUE_MIN: u64 = 3_600;
/// Later than this a picture is of no use: the pace rises with what waits.
pub(crate) const PACER_WAIT_MAX: Duration = Duration::from_millis(500);
/// Padding packets are no larger than a path of any kind takes.
pub(crate) const PADDING_BYTES_MAX: u64 = 1_200;

/// Packets of a rate's window: 500 ms at 100 Mb/s.
pub(crate) const RATE_PACKETS_MAX: usize = 8_192;

/// Observations of loss: five seconds of them, since an older path is another one.
pub(crate) const LOSS_OBSERVATIONS_MAX: usize = 20;

/// Reports of one feedback message that are looked at; the wire's count has 16 bits, and no client
/// that reports every 100 ms comes near.
pub(crate) const FEEDBACK_REPORTS_MAX: usize = 8_192;
/// A REMB older than this no longer binds; senders repeat it each second or so.
pub(crate) const REMB_AGE_MAX: Duration = Duration::from_secs(10);

/// How often a REMB is repeated: a sender forgets it after some.
pub(crate) const REMB_INTERVAL: Duration = Duration::from_secs(1);
/// Nothing has come for so long: there is nobody to tell.
pub(crate) const REMB_SILENCE_MAX: Duration = Duration::from_secs(2);
const _: () = assert!(REMB_INTERVAL.as_millis() < REMB_SILENCE_MAX.as_millis());

/// Packets of 50 ms that are looked at for a standing queue; beyond 10 Mb/s the last of them do.
pub(crate) const DELAYS_MAX: usize = 64;
