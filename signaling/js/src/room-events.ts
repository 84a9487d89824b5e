/** What a room tells its caller. */

import type { DataMessage } from './channels.js';
import type { TroupeError } from './errors.js';
import type { LocalTrack } from './local-track.js';
import type { MediaState } from './media.js';
import type {
  ChatNotice,
  LeaveReason,
  MessageParams,
  Peer,
  QualityParams,
  Reaction,
  Speaker,
} from './protocol/index.js';
import type { RemoteTrack } from './remote-track.js';

/** Whether one is in the room. */
export type RoomState =
  | 'connected'
  /** Signalling is lost and being taken up again; media goes on where it can. */
  | 'reconnecting'
  | 'closed';

/** What a room tells. */
export interface RoomEvents {
  state: RoomState;
  /** Whether media can flow, and why not. */
  media: { state: MediaState; error: TroupeError | null };
  /** Over: by `leave` (no error), or for good. */
  closed: { error: TroupeError | null };
  peerJoined: Peer;
  peerLeft: { peer: Peer; reason: LeaveReason };
  peerUpdated: Peer;
  trackPublished: RemoteTrack;
  trackUnpublished: RemoteTrack;
  localTrackPublished: LocalTrack;
  localTrackUnpublished: LocalTrack;
  /** What slots show has changed; tracks tell it themselves, too. */
  slots: undefined;
  /** Who speaks, loudest first. */
  speakers: Speaker[];
  /** The room is on another worker, or on another shard of it, and nothing else has changed. */
  migrated: { worker: string };
  /** How well somebody's media arrives. */
  quality: QualityParams;
  /** How many listen, in a room too large to name them. */
  audience: number;
  chat: ChatNotice;
  reactions: Reaction[];
  /** A message by `send`. */
  message: MessageParams;
  /** A message by a data channel. */
  data: DataMessage;
  /** The browser plays no sound until `startAudio` is called in a click. */
  audioBlocked: boolean;
}
