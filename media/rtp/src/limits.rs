//! Every bound of loss repair, with its reason.

use std::time::Duration;

/// Missing packets of one stream remembered at once. A hole larger than this is quicker mended by a
/// keyframe.
pub const MISSING_MAX: usize = 256;
/// How long a skipped packet is taken for late before a round trip is known.
pub const REORDER_TIME: Duration = Duration::from_millis(10);
/// The least such wait: packets of one burst swap places within this.
pub const REORDER_TIME_MIN: Duration = Duration::from_millis(5);
/// The longest: more would show, since the repair takes a round trip on top.
pub const REORDER_TIME_MAX: Duration = Duration::from_millis(25);
/// The share of a round trip that is waited, as a divisor: on a near path a request in vain costs
/// little and comes back soon; on a far one the wait adds no more than an eighth.
pub const REORDER_RTT_SHARE: u32 = 8;
/// Newer packets that end the wait: on a path in order the gap is loss.
pub const REORDER_PACKETS: u64 = 2;
/// The most that a path which is seen to swap packets makes us wait for.
pub const REORDER_PACKETS_MAX: u64 = 16;
/// The shortest time between two requests for one packet: a sender's timers are no finer.
pub const REPEAT_MIN: Duration = Duration::from_millis(20);
/// The longest: a round trip that was measured too long must not stop the asking.
pub const REPEAT_MAX: Duration = Duration::from_millis(500);
/// Requests after which a packet is given up: ten losses in a row are no chance.
pub const REQUESTS_MAX: u8 = 10;
/// Age at which a packet is given up on a path of up to a quarter of a second: nobody waits longer
/// for a picture.
pub const MISSING_AGE: Duration = Duration::from_secs(1);
/// Round trips that a packet is waited for at least, since each request takes one …
pub const MISSING_AGE_RTTS: u32 = 4;
/// … but never longer than this, which is as long as histories reach back.
pub const MISSING_AGE_MAX: Duration = Duration::from_secs(2);

/// Packets that a subscriber's map has room for at first: more than a second of sound.
pub const SENT_PACKETS_MIN: usize = 128;
/// The most that it grows to, 96 KB: a second at 45 Mb/s.
pub const SENT_PACKETS_MAX: usize = 4_096;
/// The map grows while what it would forget is younger than this, in ticks of a video clock: one
/// second. (Of sound it is nearly two, which needs no growth.)
pub const SENT_TICKS: u32 = 90_000;
/// Resends of one packet after which its receiver is better served by a keyframe.
pub const RESENDS_MAX: u8 = 8;
/// A resend is not repeated within this time even if the path is faster: NACKs come in bursts.
pub const RESEND_GAP_MIN: Duration = Duration::from_millis(10);
/// Bytes that may be resent in a burst.
pub const RESEND_BUDGET_BYTES: u64 = 64 * 1_024;
/// The share of what is sent that may be sent again, as a divisor. It bounds what a subscriber can
/// make us send by asking, and is enough for a path that loses a third of all packets.
pub const RESEND_BUDGET_SHARE: u64 = 2;

const _: () = assert!(SENT_PACKETS_MIN.is_power_of_two() && SENT_PACKETS_MAX.is_power_of_two());
const _: () = assert!(SENT_PACKETS_MIN <= SENT_PACKETS_MAX && SENT_PACKETS_MAX < 1 << 15);
const _: () = assert!(REORDER_PACKETS <= REORDER_PACKETS_MAX);
const _: () = assert!(MISSING_AGE.as_millis() <= MISSING_AGE_MAX.as_millis());
