/** Keeps media flowing: opens links, replaces broken ones, and hands tracks from one to the next. */

import { AudioOutput } from './audio-output.js';
import { Backoff } from './backoff.js';
import type { DataChannels } from './channels.js';
import type { TroupeError } from './errors.js';
import { Emitter } from './events.js';
import { MediaLink } from './link.js';
import type { Settings } from './options.js';
import type { IceServer } from './protocol/index.js';
import type { Publisher } from './publisher.js';
import type { RemoteTrack } from './remote-track.js';
import type { Session } from './session.js';

/** Whether media can flow. */
export type MediaState =
  | 'connecting'
  | 'connected'
  /** It did, and is being repaired. */
  | 'interrupted'
  /** It cannot for now; trying goes on. */
  | 'failed';

/** What the media side tells. */
export interface MediaEvents {
  state: { state: MediaState; error: TroupeError | null };
  /** A new link has negotiated: what was said about slots before is void. */
  renewed: undefined;
  slots: undefined;
  audioBlocked: boolean;
}

/** What the media side works with. */
export interface MediaParts {
  settings: Settings;
  publisher: Publisher;
  data: DataChannels;
  tracks: () => RemoteTrack[];
  track: (trackId: string) => RemoteTrack | undefined;
}

/** How long an old link may go on beside a connected new one, in milliseconds. */
const OVERLAP_MS = 3_000;
/** Refusals in a row after which the server is believed. */
const REFUSALS_MAX = 3;

/** The media side of a room, over any number of peer connections. */
export class Media extends Emitter<MediaEvents> {
  readonly audio: AudioOutput;
  readonly #parts: MediaParts;
  readonly #backoff = new Backoff(1_000, 30_000);
  #link: MediaLink | null = null;
  /** A link that still carries what the new one does not carry yet. */
  #old: MediaLink | null = null;
  /** The old link stays until it is released. */
  #held = false;
  #session: Session | null = null;
  #iceServers: IceServer[] = [];
  #state: MediaState = 'connecting';
  #error: TroupeError | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #refusals = 0;
  #closed = false;

  constructor(parts: MediaParts) {
    super();
    this.#parts = parts;
    this.audio = new AudioOutput((blocked) => this.emit('audioBlocked', blocked));
  }

  get state(): MediaState {
    return this.#state;
  }

  /** Why it is not connected. */
  get error(): TroupeError | null {
    return this.#error;
  }

  /** The link in use. */
  get link(): MediaLink | null {
    return this.#link;
  }

  /** Opens a link over this session; the one before goes on until the new one carries media. */
  async open(session: Session, iceServers: IceServer[]): Promise<void> {
    clearTimeout(this.#retry);
    this.#session = session;
    this.#iceServers = iceServers;
    const { settings, publisher, data } = this.#parts;
    const link = new MediaLink({ settings, session, iceServers, publisher, data });
    this.#closeOld();
    this.#old = this.#link;
    this.#link = link;
    this.#wire(link);
    if (settings.playAudio) this.#play(link);
    try {
      await link.start();
      this.#refusals = 0;
      if (this.#isCurrent(link)) this.emit('renewed', undefined);
    } catch {
      // Told as `broken`.
    }
  }

  /** A link beside the one in use, for a session that may take over. The caller starts it. */
  prepare(session: Session, iceServers: IceServer[]): MediaLink {
    const { settings, publisher, data } = this.#parts;
    const link = new MediaLink({ settings, session, iceServers, publisher, data });
    if (settings.playAudio) this.#play(link, false);
    return link;
  }

  /** Gives a prepared link up. */
  discard(link: MediaLink): void {
    this.#silence(link);
    link.close();
  }

  /**
   * From here on this link, which brings media already, is the one in use. The one before goes on
   * sending, and receiving what this one does not bring, until [`release`](Media.release).
   */
  adopt(link: MediaLink, session: Session, iceServers: IceServer[]): void {
    clearTimeout(this.#retry);
    this.#closeOld();
    this.#session = session;
    this.#iceServers = iceServers;
    this.#old = this.#link;
    this.#held = true;
    this.#link = link;
    this.#wire(link);
    for (const { transceiver } of link.slots.all) this.audio.hear(transceiver.receiver.track);
    if (this.#old) this.#silence(this.#old);
    for (const track of this.#parts.tracks()) this.place(track);
    this.emit('slots', undefined);
    this.emit('renewed', undefined);
  }

  /** Ends the link before. */
  release(): void {
    this.#closeOld();
  }

  #wire(link: MediaLink): void {
    link.on('connected', () => this.#connected(link));
    link.on('interrupted', () => {
      if (this.#isCurrent(link)) this.#setState('interrupted');
    });
    link.on('broken', ({ error }) => this.#broken(link, error));
    link.on('slots', (touched) => this.#placeAll(link, touched));
  }

  /** Signalling is back, and the session with its transport is as it was. */
  resume(): void {
    const { link } = this;
    if (!link) return;
    link.connection.resume();
    const ice = link.pc.iceConnectionState;
    if (ice === 'disconnected' || ice === 'failed') link.connection.restartIce();
  }

  /** Puts one track where its slot is. */
  place(track: RemoteTrack): void {
    const slot = this.#link?.slots.byTrack(track.id);
    if (slot?.state) {
      const overlap = !this.#isOnOld(track) ? 'none' : this.#held ? 'warm' : 'cold';
      track.place(slot.state, slot.transceiver.receiver.track, overlap);
    } else if (!this.#isOnOld(track)) {
      track.place(null, null);
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#closeOld();
    this.#link?.close();
    this.audio.close();
  }

  #isCurrent(link: MediaLink): boolean {
    return this.#link === link && !this.#closed;
  }

  #setState(state: MediaState, error: TroupeError | null = null): void {
    this.#error = error;
    if (state === this.#state && !error) return;
    this.#state = state;
    this.emit('state', { state, error });
  }

  #connected(link: MediaLink): void {
    if (!this.#isCurrent(link)) return;
    this.#backoff.reset();
    this.#setState('connected');
    setTimeout(() => {
      if (this.#isCurrent(link) && !this.#held) this.#closeOld();
    }, OVERLAP_MS);
  }

  /** Opens another link, after a while. */
  #broken(link: MediaLink, error: TroupeError): void {
    if (!this.#isCurrent(link)) return;
    const session = this.#session;
    const refused = error.type !== 'media_failed';
    if (refused) this.#refusals += 1;
    this.#setState(this.#backoff.attempt > 0 || refused ? 'failed' : 'interrupted', error);
    if (!session || this.#refusals > REFUSALS_MAX) return;
    // A session that refuses a second connection is given up for a new one.
    if (this.#refusals === 2) {
      void session.restart();
      return;
    }
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      if (!this.#isCurrent(link)) return;
      if (session.isActive) void this.open(session, this.#iceServers);
      else this.#broken(link, error);
    }, this.#backoff.next());
  }

  #placeAll(link: MediaLink, touched: Set<string>): void {
    if (!this.#isCurrent(link)) return;
    for (const id of touched) {
      const track = this.#parts.track(id);
      if (track) this.place(track);
    }
    const heard = link.slots.all.some(({ kind, state }) => kind === 'audio' && state?.trackId);
    if (heard && this.#old) this.#silence(this.#old);
    const waiting = this.#parts.tracks().some((track) => this.#isOnOld(track));
    if (this.#old && !this.#held && !waiting && link.connection.isConnected) this.#closeOld();
    this.emit('slots', undefined);
  }

  #isOnOld(track: RemoteTrack): boolean {
    const media = track.mediaStreamTrack;
    return (
      media !== null &&
      (this.#old?.slots.all.some(({ transceiver }) => transceiver.receiver.track === media) ?? false)
    );
  }

  #closeOld(): void {
    const old = this.#old;
    if (!old) return;
    this.#silence(old);
    const left = this.#parts.tracks().filter((track) => this.#isOnOld(track));
    this.#old = null;
    this.#held = false;
    for (const track of left) this.place(track);
    old.close();
  }

  #play(link: MediaLink, heard = true): void {
    for (const { kind, transceiver } of link.slots.all) {
      if (kind === 'audio') this.audio.add(transceiver.receiver.track, heard);
    }
  }

  #silence(link: MediaLink): void {
    for (const { transceiver } of link.slots.all) this.audio.remove(transceiver.receiver.track);
  }
}
