//! Every bound of one transport, with its reason.

use std::time::Duration;

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

/// How often transport-wide feedback goes to a publisher.
pub const FEEDBACK_INTERVAL: Duration = Duration::from_millis(50);
/// How often sender and receiver reports go out: RFC 3550, section 6.2, allows a second for
/// sessions of this rate.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(1);
