//! Every bound of the client protocol, each with its reason.

/// One text frame of signalling, in bytes: an offer with a hundred m-lines fits, a flood does not.
pub const FRAME_BYTES_MAX: usize = 256 * 1024;
/// A request id that is a string, in bytes: it is echoed, so it must be small.
pub const REQUEST_ID_BYTES_MAX: usize = 128;
/// A session description, in bytes; it arrives inside a frame.
pub const SDP_BYTES_MAX: usize = 192 * 1024;
/// One ICE candidate line, in bytes.
pub const CANDIDATE_BYTES_MAX: usize = 1_024;
/// A peer's or room's metadata as JSON text, in bytes: everybody in the room gets it.
pub const METADATA_BYTES_MAX: usize = 16 * 1024;
/// A display name or a track's name, in bytes.
pub const DISPLAY_NAME_BYTES_MAX: usize = 128;
/// A chat message, in bytes.
pub const CHAT_BYTES_MAX: usize = 4 * 1024;
/// The kind of a reaction, in bytes: one emoji with modifiers, or a short word.
pub const REACTION_BYTES_MAX: usize = 64;
/// The topic of a message, in bytes.
pub const TOPIC_BYTES_MAX: usize = 64;
/// The `nonce` of a join, in bytes.
pub const NONCE_BYTES_MAX: usize = 64;
/// Bytes of a `traceparent`: 55 today, and room for what later versions add.
pub const TRACEPARENT_BYTES_MAX: usize = 128;
/// Slots named in one `subscribe`: more than any page can show.
pub const SLOTS_MAX: usize = 256;
/// Tracks described in one `offer`.
pub const TRACKS_MAX: usize = 64;
/// A token of any kind, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Malformed frames within [`MALFORMED_WINDOW_S`] that close the socket with 1008.
pub const MALFORMED_FRAMES_MAX: u32 = 10;
/// The window in which malformed frames are counted, in seconds.
pub const MALFORMED_WINDOW_S: u64 = 60;

/// Payload of one message on the lossy data channel, in bytes: fits SCTP's reassembly of a few
/// packets, so that one lost packet costs one message.
pub const LOSSY_BYTES_MAX: usize = 16 * 1024;
/// A whole message on the reliable data channel, in bytes: what browsers announce as
/// `max-message-size`.
pub const RELIABLE_BYTES_MAX: usize = 256 * 1024;
/// The JSON header of a data message, in bytes.
pub const DATA_HEADER_BYTES_MAX: usize = 1_024;

/// A trickle fragment (RFC 8840), in bytes.
pub const FRAGMENT_BYTES_MAX: usize = 32 * 1024;
/// Candidates in one trickle fragment.
pub const FRAGMENT_CANDIDATES_MAX: usize = 64;
/// Sections of one trickle fragment.
pub const FRAGMENT_MEDIA_MAX: usize = 64;

/// Entries of one page of a list of the admin API.
pub const PAGE_LIMIT_MAX: usize = 1_000;
/// Entries of a page when the caller does not say.
pub const PAGE_LIMIT_DEFAULT: usize = 100;

const _: () = assert!(SDP_BYTES_MAX < FRAME_BYTES_MAX);
const _: () = assert!(DATA_HEADER_BYTES_MAX < LOSSY_BYTES_MAX);
const _: () = assert!(LOSSY_BYTES_MAX <= RELIABLE_BYTES_MAX);
const _: () = assert!(PAGE_LIMIT_DEFAULT <= PAGE_LIMIT_MAX);
