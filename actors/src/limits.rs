//! Every bound of the actors, each with its reason.

use std::time::Duration;

/// Letters in a peer's box: a second of a lively room.
pub const PEER_BOX: usize = 128;
/// Requests of one client that may wait in its peer's box; the gateway stops reading beyond.
pub const PEER_REQUESTS: usize = 64;
/// Letters in a room's box: everybody may leave at once.
pub const ROOM_BOX: usize = 1_024;
/// Letters in a supervisor's box: it starts and buries, no more.
pub const SUPERVISOR_BOX: usize = 1_024;
/// Letters that a restarted room puts aside until it knows who lives.
pub const DEFERRED_MAX: usize = ROOM_BOX;
/// How long a restarted room waits for its children to answer the roll-call.
pub const ROLL_CALL: Duration = Duration::from_millis(500);

/// How long a join may take inside, the store included.
pub const JOIN_DEADLINE: Duration = Duration::from_secs(5);
/// How long the store may take to answer a claim.
pub const CLAIM_DEADLINE: Duration = Duration::from_secs(3);
/// When who needs the store may ask again where it did not answer: one that is back is found by
/// then.
pub const STORE_RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long a worker that the store takes for gone may take to hand a room over.
pub const CEDE_DEADLINE: Duration = Duration::from_millis(500);
/// How long any other question may take.
pub const ASK_DEADLINE: Duration = Duration::from_secs(2);
/// How long another part of a room may take to say what came of an operator's wish: the operator
/// is answered within [`ASK_DEADLINE`].
pub const ACT_DEADLINE: Duration = Duration::from_millis(1_500);
/// Such wishes of one room that may wait: an operator's page sends one after another.
pub const ACTS_MAX: usize = 256;
/// How long a shard may take to answer an offer.
pub const OFFER_DEADLINE: Duration = Duration::from_secs(5);
/// Offers of one peer that may wait for their answers: a client waits for each before the next.
pub const OFFERS_MAX: usize = 4;
/// When what a full queue refused is tried again.
pub const RECONCILE_AFTER: Duration = Duration::from_millis(250);
/// How long a WHIP or WHEP session may take until its media path stands.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(30);

/// Tokens for one use that a room remembers, to hand them over when it moves: what joins within the
/// life of a token (15 min), at four a second.
pub const USED_TOKENS_MAX: usize = 4_096;
/// Between two looks at whether a room is to move by itself.
pub const BALANCE_TICK: Duration = Duration::from_secs(1);
/// How long a room may take to say what it weighs.
pub const WEIGH_DEADLINE: Duration = Duration::from_millis(200);
/// Rooms of one worker that move at one time: each doubles what its clients send for a second.
pub const MOVES_AT_ONCE: usize = 16;
/// Times that a worker which drains begins to move a room: a target may die, or refuse it.
pub const DRAIN_ATTEMPTS: usize = 3;
/// Before it tries again where the store did not answer, or no worker was there.
pub const DRAIN_RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long it tries so: the life of a lease by default. Rooms that it gives up are closed.
pub const DRAIN_PATIENCE: Duration = Duration::from_secs(10);
/// How long after its deadline a move is waited for: its last clients are being let go.
pub const LATE_GRACE_MS: u64 = 5_000;
/// Steps of one move before others get their turn.
pub const MOVE_STEPS: usize = 8;
/// Between two looks at what moves.
pub const MOVE_TICK: Duration = Duration::from_millis(200);
/// Between two looks at who else is there.
pub const WORKERS_TICK: Duration = Duration::from_secs(2);
/// Endpoints that clients are told: this worker's and three others'.
pub const ENDPOINTS_MAX: usize = 4;

/// Between two rosters of a room's part to the others, beside a millisecond for each of its peers.
pub const PART_PERIOD: Duration = Duration::from_millis(50);
/// Between two of a part where nothing happens: what was lost with a link heals.
pub const PART_REPEAT: Duration = Duration::from_secs(5);
/// How long a part may say nothing.
pub const PART_SILENCE: Duration = Duration::from_secs(16);
/// How long the peers of a part stay listed that there is no link to: two workers that lose each
/// other find each other again within a second, unless one of them is gone.
pub const PART_GRACE: Duration = Duration::from_secs(3);
/// How long a worker may take to open a part before another one is asked.
pub const PART_OPENING: Duration = Duration::from_secs(2);

/// Places that a part of a room holds beyond those that are filled, at the most: a second of a
/// crowd that comes in at one worker.
pub const PART_SPARE_MAX: u32 = 32;
/// How long somebody waits for a place that is not known to be free: some round trips between
/// workers that are far apart.
pub const SEAT_WAIT: Duration = Duration::from_secs(1);
/// Joins of one room that may wait so.
pub const SEAT_QUEUE: usize = 256;

/// Kinds of reactions in one second; further kinds wait for nobody and are dropped.
pub const REACTION_KINDS_MAX: usize = 64;

/// Between two notices of the size of the audience.
pub const AUDIENCE_PERIOD: Duration = Duration::from_secs(1);
/// Between two notices of reactions.
pub const REACTIONS_PERIOD: Duration = Duration::from_secs(1);
/// Between two notices of one peer's quality.
pub const QUALITY_PERIOD: Duration = Duration::from_secs(2);
/// Between two times that a publisher hears that somebody cannot decode a track.
pub const CODEC_PERIOD: Duration = Duration::from_secs(1);
/// Between two times that what is new of all publishers' quality is handed to a room's peers.
pub const QUALITIES_PERIOD: Duration = Duration::from_secs(1);
/// Publishers of whose quality everybody hears; of more, only who has them in a slot, so that a
/// room costs no more notices than it has slots.
pub const QUALITY_EVERYBODY: usize = 12;
/// A change of quality that is worth telling.
pub const QUALITY_STEP: f64 = 0.1;
/// How long nothing may have been amiss until a better quality is told.
pub const QUALITY_CALM: Duration = Duration::from_secs(3);
/// How long a watched layer may be silent: an encoder that is asked for one again needs a while.
pub const THIN_AFTER: Duration = Duration::from_secs(5);
/// Tracks of one peer: camera, screen, both sounds, and their backups.
pub const TRACKS_PER_PEER: usize = 16;

/// How long a live source that came back may take to name its tracks; those of before that it does
/// not name then go. Late sound comes within a few seconds of the picture.
pub const INGEST_RECLAIM: Duration = Duration::from_secs(10);
/// Letters in an egress's box: it hears of every change of its room's tracks.
pub const EGRESS_BOX: usize = 128;
/// Packagers, recorders and players of one room.
pub const EGRESSES_PER_ROOM: usize = 64;
/// How often an egress says again which taps it wants: a command that was lost heals.
pub const EGRESS_RECONCILE: Duration = Duration::from_secs(2);

/// Letters in a transcoder's box: its process speaks once a second, and ends once.
pub const TRANSCODER_BOX: usize = 32;
/// Restarts of a codec process within [`CODEC_RESTART_WINDOW`] before its job is given up.
pub const CODEC_RESTARTS_MAX: u32 = 3;
/// The window for them.
pub const CODEC_RESTART_WINDOW: Duration = Duration::from_secs(60);
/// Between two looks at a codec process.
pub const CODEC_TICK: Duration = Duration::from_secs(1);
/// How long a codec process may take to say that it is ready: twenty times what it takes when all
/// cores are busy.
pub const CODEC_START_MAX: Duration = Duration::from_secs(5);
/// How long it may say nothing: it is asked each second, and answers after the frame at hand.
pub const CODEC_HEALTH_MAX: Duration = Duration::from_secs(5);

/// Crashes of a peer's transport within [`TRANSPORT_CRASH_WINDOW`] after which it is removed.
pub const TRANSPORT_CRASHES: usize = 2;
/// The window for them.
pub const TRANSPORT_CRASH_WINDOW: Duration = Duration::from_secs(60);

const _: () = assert!(PART_SILENCE.as_millis() > 3 * PART_REPEAT.as_millis());
const _: () = assert!(ACT_DEADLINE.as_millis() < ASK_DEADLINE.as_millis());
const _: () = assert!(PEER_REQUESTS < PEER_BOX);
const _: () = assert!(CLAIM_DEADLINE.as_millis() < JOIN_DEADLINE.as_millis());
const _: () = assert!(RECONCILE_AFTER.as_millis() <= ROLL_CALL.as_millis());
