// Generated from the schema of the `signaling` crate by scripts/generate.mjs. Do not edit.

/** A track of one's own that the server has taken. */
export interface AcceptedTrack {
  /** The m-line that carries it. */
  mid: string;
  /** Its id. */
  trackId: string;
}

/** Why the server closes a session. */
export type CloseReason =
  /** The client reads slower than the room speaks: resume. */
  | "slow_client"
  /** The worker shuts down: join again elsewhere. */
  | "draining"
  /** The room is on another worker now: join there, unless that was done. */
  | "moved"
  /** The media transport failed too often: join again. */
  | "transport_failed"
  /** The media thread was restarted: resume. */
  | "shard_restarted"
  /** An operator removed the peer: do not come back. */
  | "kicked"
  /** A newer session of the same identity took its place: do not come back. */
  | "replaced"
  /** The room was closed. */
  | "room_closed"
  /** The token was revoked. */
  | "revoked"
  /** No pings came: resume. */
  | "timeout"
  /** Too many malformed frames. */
  | "malformed"
  /** Nothing joined in time. */
  | "handshake_timeout"
  /** The session's queue stayed full: resume. */
  | "overloaded"
  /** The server failed: resume. */
  | "internal";

/** What a track is encoded with. */
export type Codec = "opus" | "vp8" | "vp9" | "av1" | "h264" | "h265";

/** What precedes the payload. */
export interface DataHeader {
  /** Who sent it; written by the server, ignored from clients. */
  from?: string | null;
  /** Counts the sender's messages of this topic. */
  seq: number;
  /** `peer:ID` or `room`. */
  to: string;
  /** What it is about. */
  topic: string;
}

/** The stable part of an error. */
export interface ErrorDetail {
  /** When to try again, in milliseconds from now. */
  retryAfterMs?: number | null;
  /** What happened, as a stable word. */
  type: ErrorType;
  /** Where to go instead, with `moved`. */
  url?: string | null;
}

/**
 * The stable word for a failure: `data.type` of a JSON-RPC error, the end of `type` in
 * problem+json.
 */
export type ErrorType =
  /** The frame or body is not JSON. */
  | "parse_error"
  /** JSON, but not a request. */
  | "invalid_request"
  /** No such method, or not on this resource. */
  | "method_not_found"
  /** The parameters do not fit the method. */
  | "invalid_params"
  /** We failed. */
  | "internal"
  /** No token, or one that is malformed, badly signed or out of its time. */
  | "unauthorized"
  /** The token does not grant this, or not in this room. */
  | "forbidden"
  /** The token was for one use and has been used. */
  | "replayed"
  /** The room, or its number of publishers, is at its limit. */
  | "room_full"
  /** Too much in too short a time; see `retryAfterMs`. */
  | "rate_limited"
  /** The session description cannot be used. */
  | "bad_sdp"
  /** The method needs a `join` first. */
  | "not_joined"
  /** The worker takes no new joins; see `retryAfterMs`. */
  | "draining"
  /** Understood, but this server or session cannot do it. */
  | "unsupported"
  /** The room lives on another worker; see `url`. */
  | "moved"
  /** A queue of ours is full; try again. */
  | "overloaded"
  /** No such room, peer, track or session. */
  | "not_found"
  /** Longer than its limit. */
  | "too_large"
  /** Plain HTTP where TLS is required. */
  | "tls_required"
  /** `If-Match` names another version than the current one. */
  | "precondition_failed"
  /** `If-Match` is needed. */
  | "precondition_required"
  /** A body of a type that this resource does not take. */
  | "unsupported_media_type"
  /** The cluster's store does not answer, and what was asked needs it. */
  | "unavailable"
  /** It contradicts what is there already. */
  | "conflict";

/** How often to `ping`. */
export interface Heartbeat {
  /** Milliseconds between two pings. */
  intervalMs: number;
  /** Pings missed until the session counts as lost. */
  missed: number;
}

/** A STUN or TURN server (`RTCIceServer` of WebRTC 1.0, section 4.2.4). */
export interface IceServer {
  /** For TURN. */
  credential?: string | null;
  /** Its URLs (RFC 7064, RFC 7065). */
  urls: string[];
  /** For TURN. */
  username?: string | null;
}

/** One layer as it arrives. */
export interface LayerStats {
  /** Whether packets of it come. */
  active: boolean;
  /** Bits per second. */
  bps: number;
  /** The simulcast encoding, where there are several. */
  rid?: string | null;
  /** The spatial layer. */
  spatial: number;
}

/** Why a peer went. */
export type LeaveReason =
  /** It said so. */
  | "left"
  /** Its session was lost and not taken up again. */
  | "timeout"
  /** An operator removed it. */
  | "kicked"
  /** Its transport failed too often. */
  | "transport_failed"
  /** Its token was revoked. */
  | "revoked"
  /** The room was closed. */
  | "room_closed"
  /** The room went to another worker and the peer did not follow. */
  | "moved"
  /** The server failed it. */
  | "internal";

/** Audio or video. */
export type MediaKind = "audio" | "video";

/** Why a room moves. */
export type MigrateReason =
  /** Its worker drains. */
  | "drain"
  /** Load is spread. */
  | "balance"
  /** An operator asked. */
  | "operator"
  /** Another worker owns it now. */
  | "ownership";

/** What one m-line that sends carries. */
export interface OfferedTrack {
  /** The m-line. */
  mid: string;
  /** A name of the publisher's choice. */
  name?: string | null;
  /** What the track shows. */
  source: TrackSource;
}

/** A peer as others see it. */
export interface Peer {
  /** What the application keeps with it. */
  metadata?: unknown;
  /** A display name. */
  name?: string | null;
  /** Its identity. */
  peerId: string;
  /** Whether it is there. */
  state: PeerState;
}

/** Whether a peer is there. */
export type PeerState =
  /** It is. */
  | "active"
  /** Its signalling was lost; its media may go on. */
  | "reconnecting";

/** A track that this peer publishes, as it arrives. */
export interface PublishedStats {
  /** Its layers, lowest first. */
  layers: LayerStats[];
  /** Part of the packets that was lost, 0 to 1. */
  loss: number;
  /** The track. */
  trackId: string;
}

/** What costs a peer's quality most. */
export type QualityReason =
  /** Nothing worth naming. */
  | "none"
  /** Lost packets. */
  | "loss"
  /** A long way, or a long queue. */
  | "latency"
  /** The path carries less than wanted. */
  | "bandwidth"
  /** Nothing arrives. */
  | "no_media";

/** Reactions of one kind within a second. */
export interface Reaction {
  /** How many. */
  count: number;
  /** An emoji or a short word. */
  kind: string;
}

/** A room as a peer sees it. */
export interface Room {
  /** How many there are that `peers` does not name. */
  audience: number;
  /** What the application keeps with it. */
  metadata: unknown;
  /** Its name. */
  name: string;
  /** All others; in a large room those who publish. */
  peers: Peer[];
  /** What the others publish. */
  tracks: Track[];
}

/** What a failed request says. */
export interface RpcError {
  /** The JSON-RPC code; follows from `data.type`. */
  code: number;
  /** The stable part. */
  data: ErrorDetail;
  /** One line for a developer. Programs read `data.type`. */
  message: string;
}

/** A text that must never be logged: `Debug` shows its length alone. */
export type Secret = string;

/** What comes out of a slot. */
export type SlotPhase =
  /** Media. */
  | "live"
  /** Nothing for now: the reason says why. */
  | "paused"
  /** Nothing: the publisher has muted. */
  | "muted"
  /** Nothing: the subscriber did not offer the track's codec. */
  | "unsupported"
  /** Nothing yet: no track, or one that does not flow. */
  | "waiting";

/** Why nothing comes out of a slot. */
export type SlotReason =
  /** The path to the subscriber does not carry it. */
  | "bandwidth"
  /** The subscriber did not offer the codec. */
  | "codec"
  /** There is no such track, or no longer. */
  | "not_found"
  /** The token does not grant it. */
  | "forbidden"
  /** The publisher sends nothing. */
  | "publisher";

/** What a slot shows. */
export interface SlotState {
  /** The slot. */
  mid: string;
  /** Why nothing comes, where there is more to say than the state does. */
  reason?: SlotReason | null;
  /** What comes of it. */
  state: SlotPhase;
  /** The track in it, or none. */
  trackId?: string | null;
}

/** What one slot shall show, and how much of it is wanted. */
export interface SlotWish {
  /** No more pictures a second than this. */
  maxFps?: number | null;
  /** No more pixels down than this. */
  maxHeight?: number | null;
  /** No more pixels across than this. */
  maxWidth?: number | null;
  /** The slot. */
  mid: string;
  /**
   * `false`: the slot is not pinned; the wish holds for the track wherever the server shows it.
   * True where it is not said.
   */
  pin?: boolean | null;
  /** Who gets bandwidth first: the higher. 100 for a pinned slot where it is not said. */
  priority?: number | null;
  /** The track to show; `null` takes the pin away. */
  trackId?: string | null;
}

/** Somebody who speaks. */
export interface Speaker {
  /** How loud, 0 to 1. */
  level: number;
  /** Who. */
  peerId: string;
}

/** What a slot gets. */
export interface SubscribedStats {
  /** Bits per second. */
  bps: number;
  /** The slot. */
  mid: string;
  /** The spatial layer that is forwarded. */
  spatial?: number | null;
  /** The highest temporal layer that is forwarded. */
  temporal?: number | null;
  /** The track in it. */
  trackId?: string | null;
}

/** A track as others see it. */
export interface Track {
  /** What it is encoded with. */
  codec: Codec;
  /** Audio or video. */
  kind: MediaKind;
  /** Whether packets flow yet. */
  live: boolean;
  /** Muted by its publisher. */
  muted: boolean;
  /** The publisher's name for it. */
  name?: string | null;
  /** Whose it is. */
  peerId: string;
  /** What it shows. */
  source: TrackSource;
  /** Its id; the same for its whole life, wherever the room moves. */
  trackId: string;
}

/** What a publisher says a track shows. */
export type TrackSource = "camera" | "microphone" | "screen" | "screen-audio" | "ingest";
