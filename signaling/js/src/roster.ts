/** Who is in the room and what they publish. */

import type {
  LeaveReason,
  Peer,
  PeerUpdatedParams,
  Room as RoomView,
  Track,
} from './protocol/index.js';
import { RemoteTrack } from './remote-track.js';

/** What the roster tells as it changes. */
export interface RosterObserver {
  peerJoined(peer: Peer): void;
  peerLeft(peer: Peer, reason: LeaveReason): void;
  peerUpdated(peer: Peer): void;
  trackPublished(track: RemoteTrack): void;
  trackUnpublished(track: RemoteTrack): void;
}

/** How long whoever was in a room that came to another worker may take to follow, in milliseconds. */
const FOLLOW_MS = 10_000;

/** The others in the room. One's own tracks are the publisher's. */
export class Roster {
  readonly #observer: RosterObserver;
  /** Those who have not followed the room yet. */
  readonly #awaited = new Set<string>();
  #patience: ReturnType<typeof setTimeout> | undefined;
  readonly #peers = new Map<string, Peer>();
  readonly #tracks = new Map<string, RemoteTrack>();
  #self = '';

  constructor(observer: RosterObserver) {
    this.#observer = observer;
  }

  get peers(): Peer[] {
    return [...this.#peers.values()];
  }

  get tracks(): RemoteTrack[] {
    return [...this.#tracks.values()];
  }

  peer(peerId: string): Peer | undefined {
    return this.#peers.get(peerId);
  }

  track(trackId: string): RemoteTrack | undefined {
    return this.#tracks.get(trackId);
  }

  /**
   * Takes a whole room: what is new is told, and what is gone, and nothing twice. In a room that
   * opened `anew` at another worker all come back one by one: who is not there yet is told as
   * `reconnecting` first, and has left after ten seconds.
   */
  reset(room: RoomView, self: string, anew = false): void {
    this.#self = self;
    this.#wait(anew ? [...this.#peers.keys()] : []);
    const peers = new Set(room.peers.map(({ peerId }) => peerId));
    const tracks = new Set(room.tracks.map(({ trackId }) => trackId));
    for (const trackId of this.#tracks.keys()) if (!tracks.has(trackId)) this.unpublished(trackId);
    for (const peerId of this.#peers.keys()) {
      if (peers.has(peerId)) continue;
      if (this.#awaited.has(peerId)) this.updated({ peerId, state: 'reconnecting' });
      else this.left(peerId, 'left');
    }
    for (const peer of room.peers) this.joined(peer);
    for (const track of room.tracks) this.published(track);
  }

  joined(peer: Peer): void {
    if (peer.peerId === this.#self) return;
    this.#awaited.delete(peer.peerId);
    const known = this.#peers.has(peer.peerId);
    this.#peers.set(peer.peerId, peer);
    if (known) this.#observer.peerUpdated(peer);
    else this.#observer.peerJoined(peer);
  }

  left(peerId: string, reason: LeaveReason): void {
    for (const track of this.tracks) if (track.peerId === peerId) this.unpublished(track.id);
    const peer = this.#peers.get(peerId);
    if (!peer) return;
    this.#peers.delete(peerId);
    this.#observer.peerLeft(peer, reason);
  }

  updated({ peerId, name, metadata, state }: PeerUpdatedParams): void {
    const before = this.#peers.get(peerId);
    if (!before) return;
    const peer = { ...before };
    if (name !== undefined) peer.name = name;
    if (metadata !== undefined) peer.metadata = metadata;
    if (state) peer.state = state;
    this.#peers.set(peerId, peer);
    this.#observer.peerUpdated(peer);
  }

  published(info: Track): void {
    if (info.peerId === this.#self) return;
    const known = this.#tracks.get(info.trackId);
    if (known) {
      known.update(info);
      return;
    }
    const track = new RemoteTrack(info);
    this.#tracks.set(track.id, track);
    this.#observer.trackPublished(track);
  }

  unpublished(trackId: string): void {
    const track = this.#tracks.get(trackId);
    if (!track) return;
    this.#tracks.delete(trackId);
    track.end();
    this.#observer.trackUnpublished(track);
  }

  /** Forgets everybody, when the room is left. */
  clear(): void {
    this.#wait([]);
    for (const track of this.#tracks.values()) track.end();
    this.#tracks.clear();
    this.#peers.clear();
  }

  #wait(peerIds: string[]): void {
    clearTimeout(this.#patience);
    this.#awaited.clear();
    if (peerIds.length === 0) return;
    for (const peerId of peerIds) this.#awaited.add(peerId);
    this.#patience = setTimeout(() => {
      for (const peerId of this.#awaited) this.left(peerId, 'timeout');
      this.#awaited.clear();
    }, FOLLOW_MS);
  }
}
