//! Every bound of the shard, each with its reason.

use std::time::Duration;

use media_types::Bitrate;

/// Transports on one shard: about what one core forwards for at a few kilobits each.
pub const TRANSPORTS_MAX: usize = 4_096;
/// Rooms on one shard.
pub const ROOMS_MAX: usize = 4_096;
/// Tracks in one room on one shard, relayed ones included.
pub const TRACKS_PER_ROOM_MAX: usize = 512;
/// Slots of one transport that may be filled at once: more than any page shows.
pub const SLOTS_PER_TRANSPORT_MAX: usize = 256;

/// Addresses known for one transport. A client that roams between Wi-Fi, mobile and TCP uses a
/// handful; a sender of forged user names must not fill the map.
pub const PATHS_PER_TRANSPORT_MAX: usize = 8;

/// Answers that may wait; as many commands as the shard's queue holds.
pub const ANSWERS_MAX: usize = 4_096;
/// Data messages that may wait for one transport: above what its SCTP holds, or for its signalling.
/// A client so far behind is better off to begin anew.
pub const DATA_MESSAGES_PER_TRANSPORT_MAX: usize = 256;
/// Their bytes: one of the largest messages.
pub const DATA_BYTES_PER_TRANSPORT_MAX: usize = 256 * 1024;

/// Packets and data messages that may wait for other shards; the lane is lossy by design.
pub const RELAY_PACKETS_MAX: usize = 1_024;
/// Packets of a live source's last group of pictures that are sent ahead to a shard that begins to
/// show it: half the lane, so that what flows has room beside them.
pub const RELAY_GROUP_PACKETS_MAX: usize = RELAY_PACKETS_MAX / 2;
/// Control messages that may wait for other shards; they repeat, so a lost one heals.
pub const RELAY_CONTROL_MAX: usize = 4_096;
/// How often a relay's wanting end repeats what it wants.
pub const RELAY_DEMAND_PERIOD: Duration = Duration::from_secs(1);
/// How long a demand holds at the publishing end without being repeated.
pub const RELAY_DEMAND_LIFE: Duration = Duration::from_secs(5);

/// Frames that may wait for the stream to another worker; they repeat, so a lost one heals.
pub const HOP_FRAMES_MAX: usize = 8_192;
/// Datagrams that may wait for the pace of a link to another worker: half a second of 50 Mb/s.
pub const HOP_QUEUE_MAX: usize = 4_096;
/// The longest wait there: a picture that comes later is of no use, and its queue grows.
pub const HOP_WAIT_MAX: Duration = Duration::from_millis(300);
/// Datagrams that are kept to be sent again: 200 ms of 200 Mb/s. A power of two: numbers wrap.
pub const HOP_RING: usize = 4_096;
/// How long: later than this a client has asked for it anew, or shows the next keyframe.
pub const HOP_RING_AGE: Duration = Duration::from_secs(1);
/// A path that takes no more than this is not QUIC's.
pub const HOP_DATAGRAM_MIN: usize = 1_000;
/// Between two looks at how much is offered to a link.
pub const HOP_OFFERED_PERIOD: Duration = Duration::from_millis(250);
/// Labels each way on one link: every track of many rooms.
pub const HOP_LABELS_MAX: usize = 16_384;
/// How long a label lives without use; demands repeat every second.
pub const HOP_LABEL_LIFE: Duration = Duration::from_secs(30);
/// Between two looks for labels that nobody uses.
pub const HOP_SWEEP: Duration = Duration::from_secs(5);
/// Halves of packets that wait for the other one; both leave one after the other.
pub const HOP_JOINS_MAX: usize = 256;
/// How long they wait when there are many: as long as repair goes on.
pub const HOP_JOIN_AGE: Duration = Duration::from_secs(1);
/// How much later than its neighbours a datagram may come before it is asked for.
pub const HOP_REORDER: Duration = Duration::from_millis(4);
/// How often a datagram is asked for before it is given up.
pub const HOP_NACK_TRIES: u8 = 4;
/// Between two requests for one at least: a feedback's wait on a path without any length.
pub const HOP_NACK_PERIOD_MIN: Duration = Duration::from_millis(10);
/// Numbers in one request: as many as fit into one datagram.
pub const HOP_NACKS_MAX: usize = 200;
/// A larger gap is an outage, and nothing of it is asked for.
pub const HOP_GAP_MAX: u64 = 512;
/// Between two reports of what came: a quarter of a WebRTC client's, since paths between workers
/// are wide, and short.
pub const HOP_FEEDBACK_PERIOD: Duration = Duration::from_millis(20);
/// Arrivals in one report: as many as fit into one datagram.
pub const HOP_REPORTS_MAX: usize = 400;
/// Arrivals that wait to be told: 20 ms of a gigabit.
pub const HOP_ARRIVALS_MAX: usize = 8_192;

/// One message of the lossy data channel: one lost packet costs one message.
pub const LOSSY_BYTES_MAX: usize = 16 * 1024;
/// One message of the reliable data channel: what browsers announce as `max-message-size`.
pub const RELIABLE_BYTES_MAX: usize = 256 * 1024;
/// The JSON header of a data message.
pub const DATA_HEADER_BYTES_MAX: usize = 1_024;
/// The topic of a data message.
pub const TOPIC_BYTES_MAX: usize = 64;

/// Pooled receive buffers that are remembered, 26 MB: what histories hold of 100 Mb/s coming in.
pub const POOL_BUFFERS_MAX: usize = 16_384;
/// Packets of publishers that may wait to be handed to subscribers: fewer than the shortest history
/// keeps, since they wait there.
pub const ARRIVALS_MAX: usize = 48;
/// Packets that one stream's history keeps for retransmission: about two seconds of 2 Mb/s video.
pub const HISTORY_PACKETS: usize = 512;
/// The same for audio: ten seconds at 20 ms would be 500; a lost packet older than one is useless.
pub const HISTORY_PACKETS_AUDIO: usize = 64;
/// How long a packet is kept for retransmission: later than this no receiver waits for it.
pub const HISTORY_AGE: Duration = Duration::from_secs(2);

/// Packets of the last group of pictures that are kept of a live source, so that who joins sees it
/// at once: ten seconds of 4 Mb/s. A longer group starts with its next keyframe.
pub const GOP_PACKETS_MAX: usize = 4_096;
/// Their bytes: what one source may take of a shard's memory.
pub const GOP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Their age: encoders send a keyframe every ten seconds at least, or have stopped.
pub const GOP_AGE: Duration = Duration::from_secs(12);
/// Who joins runs through the group of pictures to the present so many times faster than it was
/// filmed: ten seconds in a third of one, and still one picture after the other.
pub const FAST_START_SPEED: u32 = 32;
/// A group of pictures that is larger makes who joins wait for the next keyframe: its pacer would
/// send it within half a second, and few paths carry 24 Mb/s.
pub const FAST_START_BYTES_MAX: usize = 1_536 * 1024;
/// Payloads in one frame that is fed: a keyframe of a megabyte. More is no picture.
pub const FRAME_PAYLOADS_MAX: usize = 1_024;

/// Taps on one track: packager, players, recorder, transcoders, each for a few purposes.
pub const TAPS_PER_TRACK_MAX: usize = 16;
/// Payloads that wait for a tap's reader in the shard; as many as a third of it more wait in the
/// ring to the reader's thread. One second of 8 Mb/s.
pub const TAP_QUEUE_MAX: usize = 768;
/// A tap that overflowed begins anew once no more than this waits, so that it does not overflow
/// again at once.
pub const TAP_RESUME_MAX: usize = TAP_QUEUE_MAX / 2;
/// The least time between keyframes that a tap may ask for regularly.
pub const TAP_KEYFRAME_MIN: Duration = Duration::from_secs(1);

/// Between two keyframe requests to one stream: encoders need time, and keyframes are large.
pub const KEYFRAME_PERIOD: Duration = Duration::from_millis(500);
/// A new subscriber's request may follow an earlier one this soon: the earlier keyframe may already
/// have passed when the subscriber came.
pub const KEYFRAME_PERIOD_JOIN: Duration = Duration::from_millis(100);
/// Between two requests of a new subscriber as long as no keyframe comes.
pub const KEYFRAME_PERIOD_RETRY: Duration = Duration::from_millis(200);
/// So many of them; then they keep the distance of repairs.
pub const KEYFRAME_TRIES_JOIN: u32 = 3;
/// Unanswered requests after which they slow down.
pub const KEYFRAME_TRIES_FAST: u32 = 10;
/// Between two requests once they have slowed down.
pub const KEYFRAME_PERIOD_SLOW: Duration = Duration::from_secs(2);

/// A new subscriber starts at once with a keyframe from the history that is no older than this:
/// encoders pass over a request so soon after the last one. Older ones would show too old a
/// picture.
pub const KEYFRAME_FRESH: Duration = Duration::from_millis(300);

/// Silence of a track that is neither muted nor explained by DTX (a packet every 400 ms) or by a
/// still screen (a frame a second).
pub const STALL_AFTER: Duration = Duration::from_secs(5);
/// A simulcast encoding that is silent this long is not being sent; its publisher has dropped it.
pub const LAYER_SILENT_AFTER: Duration = Duration::from_millis(1_500);
/// How long nobody has to want an encoding before its publisher is told to pause it: layers that
/// are left are often wanted again a moment after, and resuming costs a keyframe.
pub const UNWANTED_AFTER: Duration = Duration::from_secs(1);
/// How long an encoding that is wanted again may take to come: signalling, and an encoder's start.
/// Later than this its publisher does not send it.
pub const RESUME_GRACE: Duration = Duration::from_secs(3);
/// The window over which rates of layers are measured.
pub const RATE_WINDOW: Duration = Duration::from_millis(500);
/// How many of them a rate is smoothed over: three seconds even out keyframes, and layers do not
/// swing with the content.
pub const RATE_WINDOWS_MAX: u32 = 6;

/// The room's own tick: keyframe retries, stalls, speakers, allocation.
pub const ROOM_TICK: Duration = Duration::from_millis(50);
/// The tick of a room without tracks.
pub const ROOM_TICK_IDLE: Duration = Duration::from_secs(1);
/// Between two notices of who speaks.
pub const SPEAKERS_PERIOD: Duration = Duration::from_millis(250);
/// Speakers in one notice.
pub const SPEAKERS_MAX: usize = 8;
/// Between two rounds of figures, per transport and for the shard.
pub const FIGURES_PERIOD: Duration = Duration::from_secs(1);
/// Parts into which a round of figures is divided, so that thousands of transports do not hold up
/// one turn.
pub const FIGURES_PARTS: u32 = 10;
/// Between two parts of a round.
pub const FIGURES_STEP: Duration = Duration::from_millis(100);

/// How long the estimate of a young transport may not hold a picture back.
pub const ESTIMATE_GRACE: Duration = Duration::from_millis(800);
/// An estimate below this share, in percent, of its last height has fallen; above, it wavers.
pub const FALL_PERCENT: u64 = 95;
/// How long a fallen estimate counts as proof of a narrow path. Without proof the lowest step of
/// every slot goes: an estimate also stays low because little was sent, and a picture that is held
/// back for it would never come.
pub const CONGESTION_HOLD: Duration = Duration::from_secs(30);
/// So long after a fall that left room for all that was sent, what is sent may turn out to be more.
pub const CONGESTION_DOUBT: Duration = Duration::from_secs(5);
/// The hold doubles up to this when its end made the estimate fall again.
pub const CONGESTION_HOLD_MAX: Duration = Duration::from_secs(300);
/// A fall this soon after a hold was caused by its end.
pub const CONGESTION_RELAPSE: Duration = Duration::from_secs(15);

/// What is kept free for one more voice, where there is audio: Opus with its headers.
pub const AUDIO_RESERVE: Bitrate = Bitrate::from_kbps(32);
/// What a packet costs beside its payload: RTP header and extensions, authentication tag.
pub const PACKET_OVERHEAD_BYTES: usize = 40;

/// Between two rises of a subscriber's layers, so that they do not swing.
pub const RAISE_PERIOD: Duration = Duration::from_secs(1);
/// How long more must have been possible before layers rise.
pub const RAISE_AFTER: Duration = Duration::from_secs(1);
/// The share of the budget, in percent, that must carry a rise: an estimate that wavers by some
/// percent then makes nothing fall.
pub const RAISE_HEADROOM_PERCENT: u64 = 85;
/// A slot that was filled so lately climbs without waiting: publishers' encodings come one by one.
pub const RAISE_FRESH: Duration = Duration::from_secs(5);
/// A fall of the estimate this soon after a rise was caused by it.
pub const RAISE_FAILED_WITHIN: Duration = Duration::from_secs(10);
/// A rise that held for so long was right.
pub const RAISE_PROVEN: Duration = Duration::from_secs(60);
/// The wait after a first rise that failed; it doubles with each further one.
pub const RAISE_BACKOFF_MIN: Duration = Duration::from_secs(15);
/// Until then what needs at most this share of what failed, in percent, may be tried.
pub const RAISE_AGAIN_PERCENT: u64 = 70;
/// So may what needs at most this share of the budget, in percent: with as much left again, what
/// failed was another moment of the path.
pub const RAISE_MODEST_PERCENT: u64 = 50;
/// It doubles up to this.
pub const RAISE_BACKOFF_MAX: Duration = Duration::from_secs(240);
/// A need of at most this share of the budget, in percent, is borne for a moment.
pub const SHORTAGE_PERCENT: u64 = 110;
/// For so long: the queue that it makes is 50 ms at most.
pub const SHORTAGE_AFTER: Duration = Duration::from_millis(500);

/// How long the lowest steps of all slots go on though they do not fit: a dip of the estimate must
/// not black a picture out, and what is above the lowest steps falls at once.
pub const STARVING_AFTER: Duration = Duration::from_secs(3);
/// They go on up to this share of the budget, in percent.
pub const STARVING_PERCENT: u64 = 150;
/// The least that a publisher is bound to: a small picture and sound.
pub const CAP_MIN: Bitrate = Bitrate::from_kbps(150);
/// How long a publisher's bound holds without its viewer's renewal, which comes twice a second.
pub const CAP_LIFE: Duration = Duration::from_secs(2);

/// The share of what its viewer's path leaves that a bound encoding may take while it is shown, in
/// percent: an estimate wavers, and an encoder overshoots a little.
pub const FIT_HELD_PERCENT: u64 = 86;
/// The same before it is shown: it begins with a keyframe, which a path that is almost full would
/// take for congestion.
pub const FIT_CLIMB_PERCENT: u64 = 65;
/// The same where that is less than [`FIT_LEAST_PERCENT`] asks for, and while it is not shown with
/// all its pictures: a rise needs [`RAISE_HEADROOM_PERCENT`].
pub const FIT_RISE_PERCENT: u64 = 78;
/// The share of a bound that is told to the encoder, in percent: packets cost their headers.
pub const FIT_PAYLOAD_PERCENT: u64 = 95;
/// So long after a path is there its estimate has been probed upwards; what it is low for then is
/// that the path is narrow.
pub const FIT_AFTER: Duration = Duration::from_secs(8);
/// An encoder is slower to give way than a layer is to be left: above this share of the budget, in
/// percent, layers are left.
pub const FIT_SQUEEZE_PERCENT: u64 = 300;
/// A bound is lifted when this share of what the encoding cost unbound can be taken, in percent:
/// that was measured a while ago, perhaps when there was less to see.
pub const FIT_FREE_PERCENT: u64 = 120;
/// The least share of what an encoding costs unbound, in percent, that it is bound to: below that
/// the next lower one makes a better picture of the same rate.
pub const FIT_LEAST_PERCENT: u64 = 33;
/// An encoding that fitted does not any more when less than this share of the least can be taken,
/// in percent.
pub const FIT_LOST_PERCENT: u64 = 90;
/// A bound is lowered when less than this share of it can be taken, in percent.
pub const FIT_FALL_PERCENT: u64 = 96;
/// It is raised when more than this share of it can be taken, in percent.
pub const FIT_RAISE_PERCENT: u64 = 107;
/// Between two bounds that fall: signalling needs about as long.
pub const FIT_FALL_PERIOD: Duration = Duration::from_millis(100);
/// How long a bound holds before it is raised or lifted, unless for a viewer without one.
pub const FIT_RAISE_PERIOD: Duration = Duration::from_millis(2_500);
/// A bound that falls so soon after it rose had risen too far: the next rise waits twice as long,
/// as it does after an encoding that fitted does not any more.
pub const FIT_RAISE_FAILED_WITHIN: Duration = Duration::from_secs(10);
/// Up to this.
pub const FIT_RAISE_PERIOD_MAX: Duration = Duration::from_secs(60);
/// Where more than this share of a bound can be taken, in percent, the path has become another.
pub const FIT_WIDE_PERCENT: u64 = 125;
/// How long a bound encoding flows before it is judged whether its publisher keeps to it.
pub const FIT_PROOF: Duration = Duration::from_millis(2_500);
/// Beyond this share of its bound, in percent, it does not.
pub const FIT_DEFIED_PERCENT: u64 = 150;
/// How long it is then left alone.
pub const FIT_AGAIN: Duration = Duration::from_secs(120);

/// How long somebody is the main speaker at least, so that layers do not follow every word.
pub const DOMINANT_PERIOD: Duration = Duration::from_secs(2);

const _: () = assert!(LOSSY_BYTES_MAX <= RELIABLE_BYTES_MAX);
const _: () = assert!(DATA_HEADER_BYTES_MAX < LOSSY_BYTES_MAX);
const _: () = assert!(KEYFRAME_PERIOD_JOIN.as_millis() <= KEYFRAME_PERIOD.as_millis());
const _: () = assert!(KEYFRAME_PERIOD.as_millis() <= KEYFRAME_PERIOD_SLOW.as_millis());
const _: () = assert!(ROOM_TICK.as_millis() <= ROOM_TICK_IDLE.as_millis());
const _: () =
    assert!(FIGURES_STEP.as_millis() * FIGURES_PARTS as u128 == FIGURES_PERIOD.as_millis());
const _: () = assert!(LAYER_SILENT_AFTER.as_millis() < STALL_AFTER.as_millis());
const _: () = assert!(RAISE_FAILED_WITHIN.as_millis() < RAISE_PROVEN.as_millis());
const _: () = assert!(RAISE_HEADROOM_PERCENT < FALL_PERCENT && SHORTAGE_PERCENT > 100);
const _: () = assert!(FIT_RISE_PERCENT < RAISE_HEADROOM_PERCENT && FIT_HELD_PERCENT < 100);
const _: () = assert!(RESUME_GRACE.as_millis() < STALL_AFTER.as_millis());
const _: () = assert!(ARRIVALS_MAX < HISTORY_PACKETS_AUDIO);
const _: () = assert!(HOP_RING.is_power_of_two() && HOP_NACKS_MAX <= HOP_RING);
