// Generated from the schema of the `signaling` crate by scripts/generate.mjs. Do not edit.

import type {
  CloseReason,
  LeaveReason,
  MigrateReason,
  Peer,
  PeerState,
  QualityReason,
  Reaction,
  Secret,
  SlotState,
  Speaker,
  Track,
} from './types.js';

/** How many listen. */
export interface AudienceParams {
  /** Peers that publish nothing. */
  audience: number;
}

/** Somebody said something; the sender gets it too. */
export interface ChatNotice {
  /** When, in milliseconds since the Unix epoch. */
  at: number;
  /** Who. */
  from: string;
  /** As in the sender's result. */
  messageId: string;
  /** What. */
  text: string;
}

/** The server is about to close this session. */
export interface ClosingParams {
  /** Why. */
  reason: CloseReason;
  /** When to come back, in milliseconds from now; absent: at once or never, as the reason says. */
  retryAfterMs?: number | null;
}

/**
 * Somebody in the room cannot decode one of one's own tracks: it may go on in a codec that
 * every browser has (RFC 7742, section 5). At most once a second for a track.
 */
export interface CodecUnsupportedParams {
  /** The track. */
  trackId: string;
}

/** Where to reconnect. */
export interface EndpointsParams {
  /** URLs of signalling: this worker's first, then up to three others. */
  endpoints: string[];
}

/** A message by `send`. */
export interface MessageParams {
  /** Who sent it, written by the server. */
  from: string;
  /** As it was sent. */
  payload: unknown;
  /** Whom it was sent to. */
  to: string;
  /** What it is about. */
  topic: string;
}

/** The room moves to another worker. */
export interface MigrateParams {
  /** How long the old session lives on, in milliseconds from now. */
  deadlineMs: number;
  /** Why. */
  reason: MigrateReason;
  /** What to `join` with there, as `resume`. */
  token: Secret;
  /** Where to connect; empty: where this session is, since the worker stays the same. */
  url: string;
}

/** Somebody came. */
export interface PeerJoinedParams {
  /** Who. */
  peer: Peer;
}

/** Somebody went. */
export interface PeerLeftParams {
  /** Who. */
  peerId: string;
  /** Why. */
  reason: LeaveReason;
}

/** What changed of a peer; what is absent stays. */
export interface PeerUpdatedParams {
  /** The new metadata. */
  metadata?: unknown;
  /** The new display name. */
  name?: string | null;
  /** Who. */
  peerId: string;
  /** Whether it is there. */
  state?: PeerState | null;
}

/** Which layers of one's own track somebody watches. */
export interface PublishLayersParams {
  /** The rids to send; the others may rest. */
  active: string[];
  /**
   * Bits per second to keep a layer under, by its rid: nobody who shows it can take more. A
   * layer that is not named has no bound, whatever was said before.
   */
  maxBitrates?: Record<string, number>;
  /** The track. */
  trackId: string;
}

/** How well somebody's media arrives. */
export interface QualityParams {
  /** Who; may be the receiver of this. */
  peerId: string;
  /** What costs most of what is missing to 1. */
  reason: QualityReason;
  /** From 0, unusable, to 1, flawless. */
  score: number;
}

/** Reactions of the last second. */
export interface ReactionsParams {
  /** Each kind once. */
  reactions: Reaction[];
}

/** Slots whose content changed. */
export interface SlotsParams {
  /** Those slots alone. */
  slots: SlotState[];
}

/** Who speaks. */
export interface SpeakersParams {
  /** Loudest first; empty when nobody does. */
  speakers: Speaker[];
}

/** A track was muted or unmuted. */
export interface TrackMutedParams {
  /** Muted, or not. */
  muted: boolean;
  /** Whose it is. */
  peerId: string;
  /** The track. */
  trackId: string;
}

/** A track as it is now; also when `live` or its codec change. */
export interface TrackPublishedParams {
  /** The track. */
  track: Track;
}

/** A track is gone. */
export interface TrackUnpublishedParams {
  /** Whose it was. */
  peerId: string;
  /** The track. */
  trackId: string;
}

/** Every notification and what it carries. */
export interface Notifications {
  audience: AudienceParams;
  chat: ChatNotice;
  closing: ClosingParams;
  codecUnsupported: CodecUnsupportedParams;
  endpoints: EndpointsParams;
  message: MessageParams;
  migrate: MigrateParams;
  peerJoined: PeerJoinedParams;
  peerLeft: PeerLeftParams;
  peerUpdated: PeerUpdatedParams;
  publishLayers: PublishLayersParams;
  quality: QualityParams;
  reactions: ReactionsParams;
  slots: SlotsParams;
  speakers: SpeakersParams;
  trackMuted: TrackMutedParams;
  trackPublished: TrackPublishedParams;
  trackUnpublished: TrackUnpublishedParams;
}
