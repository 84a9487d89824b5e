//! Every bound of threads, queues and connections, each with its reason.

use std::time::Duration;

/// Commands that may wait for a shard; beyond it the sender marks its entity dirty and reconciles.
pub const COMMANDS_MAX: usize = 4_096;
/// Reports that may wait for the control threads. When they are full the shard keeps its events,
/// where a newer one replaces an older, and takes no commands, so that answers have a place.
pub const REPORTS_MAX: usize = 4_096;
/// Packets that may wait between two shards; the lane is lossy by design.
pub const RELAY_MAX: usize = 1_024;
/// Messages that wait between a shard and the thread that speaks with other workers, each way: four
/// lanes, since all other workers share it.
pub const FAR_MAX: usize = 4 * RELAY_MAX;
/// Messages that a turn of the thread of links takes from one shard, and datagrams that it sends to
/// one worker, before others have theirs.
pub const CLUSTER_TURN: usize = 256;
/// A frame of the control stream: the largest data message with its envelope.
pub const CLUSTER_FRAME_MAX: u32 = 512 * 1_024;
/// A letter between rooms: a roster of a thousand peers, each with a kilobyte of its own.
pub const CLUSTER_LETTER_MAX: u32 = 4 * 1_024 * 1_024;
/// Letters that wait for one worker; more are dropped, and said again.
pub const CLUSTER_LETTERS_MAX: usize = 1_024;
/// Letters that wait for the thread of links.
pub const CLUSTER_POST_MAX: usize = 4_096;
/// Datagrams that wait in a connection, each way: 100 ms of 200 Mb/s.
pub const CLUSTER_DATAGRAM_BUFFER: usize = 4 * 1_024 * 1_024;
/// How long dialling, and the greeting after it, may take.
pub const CLUSTER_HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Between two signs of life where nothing else is sent.
pub const CLUSTER_KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Without any the link has ended: shorter than a demand lives, so that a new one takes over.
pub const CLUSTER_IDLE: Duration = Duration::from_secs(4);
/// Between two looks for workers that are to be dialled.
pub const CLUSTER_TICK: Duration = Duration::from_millis(250);
/// The pause after a first attempt that failed; it doubles
pub const CLUSTER_RETRY_MIN: Duration = Duration::from_millis(250);
/// up to this.
pub const CLUSTER_RETRY_MAX: Duration = Duration::from_secs(5);
/// Between two reads of the list of workers.
pub const CLUSTER_ROSTER_PERIOD: Duration = Duration::from_secs(1);
/// Frames of ICE-TCP that may wait for a shard, over all connections.
pub const STREAM_INPUTS_MAX: usize = 1_024;

/// Frames of one live track that may wait for its shard; beyond it the front end stops reading. Ten
/// seconds of sound or of 50 pictures a second: more than any shard is ever late.
pub const FEED_FRAMES_MAX: usize = 512;
/// How often a shard fetches frames that nobody gets yet: whoever begins finds what is there, and
/// the rest comes in the same turn.
pub const QUIET_FEED_PERIOD: Duration = Duration::from_millis(100);
/// Between two looks at which live tracks somebody gets, where no command came: each is two
/// look-ups a track.
pub const QUIET_FEED_LOOK: Duration = Duration::from_millis(20);
/// Packets of one tap that may wait for its reader beside those in the shard, a quarter of all.
pub const TAP_RING_MAX: usize = 256;
/// Announcements and bells of live media that may wait for a shard: two for each of its rings.
pub const LIVE_INPUTS_MAX: usize = 16_384;

/// Announcements and bells of live media a turn.
pub const LIVE_INPUTS_PER_TURN: usize = 256;
/// Frames of live sources a turn: some ten packets each.
pub const FRAMES_PER_TURN: usize = 64;
/// Frames of one live track before others get their turn.
pub const FRAMES_PER_FEED: usize = 8;
/// Taps served a turn.
pub const TAPS_PER_TURN: usize = 64;

/// Frames of a MoQ broadcast that may wait for its publisher; beyond it its tracks are not read.
pub const MOQ_INBOX: usize = 64;
/// Bytes of one group of a MoQ track: a minute of 8 Mb/s without a keyframe.
pub const MOQ_GROUP_BYTES_MAX: usize = 64 * 1_024 * 1_024;
/// What is kept of a MoQ publisher's groups, in bytes; it aims at that, its newest groups aside.
pub const MOQ_CACHE_BYTES_MAX: u64 = 32 * 1_024 * 1_024;
/// The same of all streams that are played by MoQ: five seconds of 400 Mb/s.
pub const MOQ_STAGE_BYTES_MAX: u64 = 256 * 1_024 * 1_024;

/// Whole frames that a reader of a live source may be behind before it is moved on to a keyframe.
pub const HUB_FRAMES_MAX: usize = 512;
/// Whole frames of the last group of pictures that are kept for readers to come.
pub const HUB_GROUP_MAX: usize = 2_048;
/// Their bytes: ten seconds of 12 Mb/s.
pub const HUB_GROUP_BYTES_MAX: usize = 16 * 1_024 * 1_024;
/// How long the readers of a source that was lost wait for its return, as its tracks do.
pub const HUB_LINGER: Duration = Duration::from_secs(20);

/// Commands a turn.
pub const COMMANDS_PER_TURN: usize = 64;
/// Datagrams a turn, and as many frames of ICE-TCP.
pub const DATAGRAMS_PER_TURN: usize = 256;
/// Relayed packets a turn, each way.
pub const RELAYS_PER_TURN: usize = 256;
/// Send arenas filled and emptied a turn.
pub const ARENAS_PER_TURN: usize = 4;
/// Reports drained before the control thread lets others run.
pub const REPORTS_PER_DRAIN: usize = 256;

/// Bytes of one send arena: small enough to stay in a core's second cache, large enough for the
/// packets of one keyframe to a few hundred subscribers.
pub const ARENA_BYTES: usize = 512 * 1_024;
/// How long a batch may wait for the socket before what is left of it is dropped: later than the
/// pacer's own budget the packets would only deepen the queue.
pub const SEND_BLOCKED_MAX: Duration = Duration::from_millis(20);
/// Kernel buffers asked for, each way; Linux grants what `net.core.{r,w}mem_max` allows.
pub const SOCKET_BUFFER_BYTES: usize = 4 * 1_024 * 1_024;
/// Messages of one batched receive.
pub const RECEIVE_BATCH: usize = 32;
/// Bytes of one receive buffer: 64 coalesced datagrams of an Ethernet frame, cut to what UDP holds.
pub const RECEIVE_BUFFER_BYTES: usize = 65_536;
/// Segmented sends refused one after the other until the kernel is taken at its word.
pub const SEGMENTATION_REFUSALS_MAX: u32 = 8;

/// How long a shard sleeps at most: figures are due each second.
pub const SLEEP_MAX: Duration = Duration::from_secs(1);
/// How long a shard sleeps at most while events wait for room.
pub const SLEEP_BACKLOG: Duration = Duration::from_millis(5);
/// Between two rounds of a thread's figures.
pub const FIGURES_PERIOD: Duration = Duration::from_secs(1);
/// Restarts of a shard's thread within [`SHARD_RESTART_WINDOW`] before the worker gives up.
pub const SHARD_RESTARTS_MAX: u32 = 3;
/// The window of [`SHARD_RESTARTS_MAX`].
pub const SHARD_RESTART_WINDOW: Duration = Duration::from_secs(60);

/// The largest frame of ICE-TCP: a datagram of an Ethernet frame, with room for what some stacks
/// send as one DTLS flight.
pub const FRAME_BYTES_MAX: usize = 2_048;
/// Bytes that may wait towards one ICE-TCP client: a keyframe and a second of a video track.
pub const STREAM_OUT_BYTES_MAX: usize = 256 * 1_024;
/// How long an ICE-TCP client may take nothing at all of what waits for it.
pub const STREAM_STUCK_MAX: Duration = Duration::from_secs(5);
/// Frames of one ICE-TCP connection that may be on their way to its shard; it is not read
/// meanwhile, so that one client does not take the others' place in the queue.
pub const STREAM_IN_FLIGHT_MAX: u32 = 64;
/// How long a connection waits when its shard's queue has no room.
pub const STREAM_RETRY: Duration = Duration::from_millis(2);
/// ICE-TCP connections at once.
pub const STREAMS_MAX: usize = 4_096;
/// ICE-TCP connections of one address that have not proven themselves by ICE.
pub const STREAMS_UNPROVEN_PER_ADDRESS_MAX: usize = 16;
/// How long the first STUN request may take.
pub const STREAM_FIRST_STUN_MAX: Duration = Duration::from_secs(10);
/// How long ICE may take after that.
pub const STREAM_ICE_MAX: Duration = Duration::from_secs(30);
/// A connection on which nothing came for this long is closed; consent checks come every 5 s
/// (RFC 7675).
pub const STREAM_SILENT_MAX: Duration = Duration::from_secs(45);

/// Host candidates of each protocol that are announced: a machine with more interfaces than this
/// sets `webrtc.public_addresses`.
pub const ADDRESSES_MAX: usize = 8;

/// Frames that may wait for the task of a transcoding job: two seconds, though it is never busy
/// for more than a moment.
pub const TRANSCODE_INPUTS_MAX: usize = 128;
/// Transcoded frames that may wait for whoever wants them: two seconds; then they are dropped.
pub const TRANSCODE_OUTPUTS_MAX: usize = 128;
/// Orders of a job's actor that may wait for its task.
pub const TRANSCODE_ORDERS_MAX: usize = 8;
/// How often a codec process is asked whether it is well.
pub const TRANSCODE_PING_PERIOD: Duration = Duration::from_secs(1);
/// Bytes that may wait for a codec process's socket before nothing more is said to it: it does not
/// read, and will be ended for it.
pub const TRANSCODE_UNSENT_MAX: usize = 8 * 1_024 * 1_024;

const _: () = assert!(COMMANDS_PER_TURN < REPORTS_MAX);
const _: () = assert!(FRAME_BYTES_MAX + 2 < STREAM_OUT_BYTES_MAX);
const _: () = assert!(RECEIVE_BUFFER_BYTES >= 65_535);
