//! Every bound of one transport, with its reason.

use std::time::Duration;

use media_types::Bitrate;

/// The longest offer that is read. A page with 64 slots offers about 150 KiB.
pub const SDP_BYTES_MAX: usize = 256 * 1_024;
/// The most m-lines of one offer: a grid of 49 pairs of slots and what a client publishes itself.
pub const MEDIA_LINES_MAX: usize = 128;
/// The largest data message that is sent or taken (SPEC, data channels: 256 KiB and its header).
pub const DATA_BYTES_MAX: usize = 260 * 1_024;
/// Data that may wait in SCTP towards one client; beyond it a message is refused. A file of some
/// megabytes comes faster from a near client than it leaves to a far one.
pub const DATA_BUFFERED_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// Events that wait to be polled. The owner polls after each turn; a client that fills this within
/// one turn only hurts itself, since its own oldest events go.
pub const EVENTS_MAX: usize = 1_024;
/// Datagrams of STUN and DTLS that wait to be polled.
pub const CONTROL_DATAGRAMS_MAX: usize = 512;
/// Addresses that a client may use at once and that are remembered for it.
pub const PATHS_MAX: usize = 8;
/// Receive streams of one transport: 64 m-lines of three layers would be more than any client.
pub const STREAMS_MAX: usize = 128;
/// SSRCs that may be bound to streams over the life of a transport.
pub const SOURCES_MAX: usize = 512;
/// Packets that wait in the pacer; beyond it the oldest video goes. One second at 20 Mb/s.
pub const PACER_PACKETS_MAX: usize = 2_048;
/// The largest datagram that is sent: fits IPv6 over Ethernet with room for a tunnel.
pub const DATAGRAM_BYTES_MAX: usize = 1_500;

/// Packets of a slot without RTX that may be sent again, 4 KB: five seconds of sound, one of
/// pictures.
pub const FIRST_FORMS: usize = 256;
/// Recent packets kept to fill probes with: a cluster of 25 ms takes each a few times.
pub const PADDING_PACKETS: usize = 4;
/// Smaller packets are not worth their header as padding.
pub const PADDING_BYTES_MIN: usize = 500;
/// Older packets are not sent again as padding: a second later a receiver has forgotten them.
pub const PADDING_AGE_MAX: Duration = Duration::from_secs(1);

/// Feedback that stays out for so long after something was sent means that the path was cut: what
/// was lost meanwhile is too old to be shown. Feedback comes each 50 to 250 ms, and a full queue
/// delays it by some hundred more.
pub const OUTAGE_MIN: Duration = Duration::from_secs(1);

/// A loss above this share, 2 % in 256ths, makes redundant sound worth its bytes.
pub const RED_LOSS_256THS: u8 = 5;
/// The share of the estimate, in percent, that older blocks of all slots together may take. Where
/// many speak on a narrow path, redundancy would make the loss that it is meant for.
pub const RED_PERCENT: u64 = 15;
/// How long it stays so after the last such report: loss comes in bouts.
pub const RED_HOLD: Duration = Duration::from_secs(10);

/// How often transport-wide feedback goes to a publisher that sends much …
pub const FEEDBACK_INTERVAL: Duration = Duration::from_millis(50);
/// … and to one that sends little, for whom it would weigh more than it tells.
pub const FEEDBACK_INTERVAL_MAX: Duration = Duration::from_millis(100);
/// The share of what comes in that feedback may take, in percent (as in libwebrtc).
pub const FEEDBACK_PERCENT: u64 = 5;
/// What one feedback weighs with its report, tag, and IP and UDP headers, in bytes.
pub const FEEDBACK_BYTES: u64 = 90;
/// How often a publisher is told what it may send; senders forget it after some seconds.
pub const GRANT_INTERVAL: Duration = Duration::from_secs(1);
/// A fall below this share of what was told, in percent, is told at once.
pub const GRANT_FALL_PERCENT: u64 = 97;
/// What a publisher is granted at least: voice and a small picture.
pub const GRANT_MIN: Bitrate = Bitrate::from_kbps(150);
/// What a publisher may send before its path has shown anything: a whole camera, since browsers
/// begin with less by themselves.
pub const GRANT_START: Bitrate = Bitrate::from_kbps(2_500);
/// How often sender and receiver reports go out: RFC 3550, section 6.2, allows a second for
/// sessions of this rate.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// So many PLIs without a keyframe, and FIR takes their place: one may have been lost, and one
/// passed over for following another too closely …
pub const PLI_TRIES: u32 = 3;
/// … once the first has had so many round trips.
pub const PLI_RTTS: u32 = 4;

/// Repairs leave twice on a path that loses while its queue is no longer than this: what is lost
/// then is not lost for want of room.
pub const REPEAT_QUEUE_MAX: Duration = Duration::from_millis(50);
