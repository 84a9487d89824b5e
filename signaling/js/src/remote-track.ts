/** A track of somebody else: a handle that outlives the connection its media comes by. */

import type { Overlap } from './attach.js';
import { Attachment } from './attach.js';
import { Emitter } from './events.js';
import type { Codec, MediaKind, SlotState, Track, TrackSource } from './protocol/index.js';

/** What a remote track tells. */
export interface RemoteTrackEvents {
  /** Another `MediaStreamTrack` carries it now, or none (`null`). Attached elements follow. */
  replaced: MediaStreamTrack | null;
  /** `muted`, `live`, `codec` or `slot` changed. */
  changed: undefined;
  /** It was attached to an element or taken off one. */
  elements: undefined;
  /** It was unpublished, or its peer left. */
  ended: undefined;
}

/** How much of a video is wanted. */
export interface TrackWish {
  /** No more pixels across than this. */
  maxWidth?: number;
  /** No more pixels down than this. */
  maxHeight?: number;
  /** No more pictures a second than this. */
  maxFps?: number;
  /** Who gets bandwidth first: the higher. */
  priority?: number;
}

/** A track that somebody else publishes. Its `id` stays when the room moves. */
export class RemoteTrack extends Emitter<RemoteTrackEvents> {
  /** The `trackId`. */
  readonly id: string;
  /** Whose it is. */
  readonly peerId: string;
  readonly kind: MediaKind;
  readonly source: TrackSource;
  /** The publisher's name for it. */
  readonly name: string | null;
  #info: Track;
  #slot: SlotState | null = null;
  #media: MediaStreamTrack | null = null;
  #ended = false;
  readonly #attachments = new Map<HTMLMediaElement, Attachment>();

  /** @internal */
  constructor(info: Track) {
    super();
    this.#info = info;
    this.id = info.trackId;
    this.peerId = info.peerId;
    this.kind = info.kind;
    this.source = info.source;
    this.name = info.name ?? null;
  }

  /** What it is encoded with. */
  get codec(): Codec {
    return this.#info.codec;
  }

  /** Whether its publisher has muted it. */
  get muted(): boolean {
    return this.#info.muted;
  }

  /** Whether its publisher sends packets yet. */
  get live(): boolean {
    return this.#info.live;
  }

  /** The slot that shows it, and what comes of that; `null` while it has none. */
  get slot(): Readonly<SlotState> | null {
    return this.#slot;
  }

  /** Whether it is over. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * The browser's track, while a slot carries this one. An escape for what `attach` cannot do, such
   * as drawing or analysing: it changes without notice but the event `replaced`, and after a change
   * the old one may carry somebody else.
   */
  get mediaStreamTrack(): MediaStreamTrack | null {
    return this.#media;
  }

  /** The elements it is attached to. */
  get elements(): HTMLMediaElement[] {
    return [...this.#attachments.keys()];
  }

  /** Shows it in an element, now and whenever its media comes by another way. */
  attach<E extends HTMLMediaElement>(element: E): E {
    if (!this.#attachments.has(element)) {
      const attachment = new Attachment(element);
      this.#attachments.set(element, attachment);
      attachment.show(this.#media);
      this.emit('elements', undefined);
      this.emit('changed', undefined);
    }
    return element;
  }

  /** Takes it off an element, or off all of them. */
  detach(element?: HTMLMediaElement): void {
    const targets = element ? [element] : this.elements;
    for (const target of targets) {
      this.#attachments.get(target)?.release();
      this.#attachments.delete(target);
    }
    if (targets.length > 0) this.emit('elements', undefined);
  }

  /** @internal */
  update(info: Track): void {
    this.#info = info;
    this.emit('changed', undefined);
  }

  /** @internal */
  setMuted(muted: boolean): void {
    if (muted !== this.#info.muted) this.update({ ...this.#info, muted });
  }

  /** @internal */
  place(slot: SlotState | null, media: MediaStreamTrack | null, overlap: Overlap = 'none'): void {
    this.#slot = slot;
    if (media !== this.#media) {
      this.#media = media;
      for (const attachment of this.#attachments.values()) attachment.show(media, overlap);
      this.emit('replaced', media);
    }
    this.emit('changed', undefined);
  }

  /** @internal */
  end(): void {
    this.#ended = true;
    this.place(null, null);
    this.detach();
    this.emit('ended', undefined);
  }
}
