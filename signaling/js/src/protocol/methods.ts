// Generated from the schema of the `signaling` crate by scripts/generate.mjs. Do not edit.

import type {
  AcceptedTrack,
  Heartbeat,
  IceServer,
  OfferedTrack,
  PublishedStats,
  Room,
  Secret,
  SlotState,
  SlotWish,
  SubscribedStats,
} from './types.js';

/** Parameters of `candidate`. */
export interface CandidateParams {
  /** The candidate (RFC 8839, section 5.1) without `a=`; empty at the end of candidates. */
  candidate: string;
  /** Its m-line; all are bundled, so it does not matter which. */
  sdpMid?: string | null;
}

/** Parameters of `chat`. */
export interface ChatParams {
  /** What is said. */
  text: string;
}

/** Result of `chat`. */
export interface ChatResult {
  /** When it was taken, in milliseconds since the Unix epoch. */
  at: number;
  /** The message's id, unique in the room. */
  messageId: string;
}

/** A result with nothing in it. */
export type EmptyResult = Record<string, never>;

/** Parameters of `join`. The room is the token's; the URL's `?room=`, where the token is for many. */
export interface JoinParams {
  /** Metadata to start with; the token's, where it has some, wins. */
  metadata?: unknown;
  /** A display name; the token's, where it has one, wins. */
  name?: string | null;
  /** The same `jti`, `sub` and `nonce` within 60 s repeat the first answer. */
  nonce?: string | null;
  /** The `resumeToken` of an earlier `join`, in place of a token. */
  resume?: Secret | null;
  /** The join token, unless it came with the URL or as a header. */
  token?: Secret | null;
  /** What the join is part of, where it is traced (W3C Trace Context, section 3.2). */
  traceparent?: string | null;
}

/** Result of `join`. */
export interface JoinResult {
  /** Where to reconnect: this worker's URL first. */
  endpoints: string[];
  /** How often to `ping`. */
  heartbeat: Heartbeat;
  /** For the `RTCPeerConnection`. */
  iceServers: IceServer[];
  /** Who one is in the room. */
  peerId: string;
  /** For the next `join {resume}`. */
  resumeToken: Secret;
  /** Whether the earlier session goes on: its transport, tracks and slots are as they were. */
  resumed: boolean;
  /** The room as it is. */
  room: Room;
  /** New at each join; the same when resumed. */
  sessionId: string;
  /** The worker that serves this session. */
  worker: string;
}

/** Parameters of `leave`: none. */
export type LeaveParams = Record<string, never>;

/** Parameters of `mute`. */
export interface MuteParams {
  /** Muted, or not. */
  muted: boolean;
  /** A track of one's own. */
  trackId: string;
}

/** Parameters of `offer`. */
export interface OfferParams {
  /** Which audio and video slots belong together, where it is not the i-th and the i-th. */
  pairs?: ([string, string])[] | null;
  /** The session description (RFC 8866). */
  sdp: string;
  /** What the m-lines that send carry. */
  tracks?: OfferedTrack[];
}

/** Result of `offer`. */
export interface OfferResult {
  /** The answer. */
  sdp: string;
  /** All that one publishes by now: which m-line carries which track. */
  tracks?: AcceptedTrack[];
}

/** Parameters of `ping`: none. */
export type PingParams = Record<string, never>;

/** Parameters of `react`. */
export interface ReactParams {
  /** An emoji or a short word. */
  kind: string;
}

/** Parameters of `send`. */
export interface SendParams {
  /** Any JSON value, or `{"base64": "…"}` for bytes. */
  payload: unknown;
  /** Whether it must arrive. True where it is not said. */
  reliable?: boolean | null;
  /** `peer:ID`, `room`, or, with the `admin` grant, `room:NAME`. */
  to: string;
  /** What it is about, of the application's choice. */
  topic: string;
}

/** Result of `send`. */
export interface SendResult {
  /** To how many peers it was handed. */
  delivered: number;
}

/** Parameters of `setMetadata`. */
export interface SetMetadataParams {
  /** Replaces all of it. */
  metadata: unknown;
}

/** Parameters of `settled`: none. */
export type SettledParams = Record<string, never>;

/** Parameters of `stats`: none. */
export type StatsParams = Record<string, never>;

/** Result of `stats`: what the server sees of this peer. */
export interface StatsResult {
  /** What the path to the client is believed to carry, in bits per second. */
  estimateBps: number;
  /** Part of what was sent that was lost, 0 to 1. */
  loss: number;
  /** The tracks that this peer publishes. */
  published: PublishedStats[];
  /** The score of `quality`, 0 to 1. */
  quality: number;
  /** What is being received from the client, in bits per second. */
  receivedBps: number;
  /** Round-trip time in milliseconds. */
  rttMs?: number | null;
  /** What is being sent to the client, in bits per second. */
  sentBps: number;
  /** What its slots get. */
  slots: SubscribedStats[];
}

/** Parameters of `subscribe`. */
export interface SubscribeParams {
  /** The slots and what they shall show. Naming a slot pins it. */
  slots: SlotWish[];
}

/** Result of `subscribe`. */
export interface SubscribeResult {
  /** The slots that were named, as they are now. */
  slots: SlotState[];
}

/** Parameters of `time`. */
export interface TimeParams {
  /** The client's clock when it sent this, in milliseconds. */
  t0: number;
}

/** Result of `time`, in milliseconds. */
export interface TimeResult {
  /** As the client sent it. */
  t0: number;
  /** The server's clock when it came, since the Unix epoch. */
  t1: number;
  /** The server's clock when the answer left. */
  t2: number;
}

/** Parameters of `unpublish`. */
export interface UnpublishParams {
  /** A track of one's own. */
  trackId: string;
}

/** Every request: what it takes and what comes of it. */
export interface Methods {
  candidate: { params: CandidateParams; result: EmptyResult };
  chat: { params: ChatParams; result: ChatResult };
  join: { params: JoinParams; result: JoinResult };
  leave: { params: LeaveParams; result: EmptyResult };
  mute: { params: MuteParams; result: EmptyResult };
  offer: { params: OfferParams; result: OfferResult };
  ping: { params: PingParams; result: EmptyResult };
  react: { params: ReactParams; result: EmptyResult };
  send: { params: SendParams; result: SendResult };
  setMetadata: { params: SetMetadataParams; result: EmptyResult };
  settled: { params: SettledParams; result: EmptyResult };
  stats: { params: StatsParams; result: StatsResult };
  subscribe: { params: SubscribeParams; result: SubscribeResult };
  time: { params: TimeParams; result: TimeResult };
  unpublish: { params: UnpublishParams; result: EmptyResult };
}
