/** A track of one's own, published or about to be. */

import type { VideoCodec } from './encodings.js';
import { TroupeError, deviceError } from './errors.js';
import { Emitter } from './events.js';
import type { MediaKind, TrackSource } from './protocol/index.js';

/** What a local track tells. */
export interface LocalTrackEvents {
  /** Muted or unmuted. */
  muted: boolean;
  /** Another `MediaStreamTrack` carries it now: attached previews follow. */
  replaced: MediaStreamTrack | null;
  /** The server knows it under this `trackId`. */
  published: string;
  /** The rids that somebody watches; the others rest. */
  layers: string[];
  /** It goes on in this codec: somebody in the room cannot decode the one before. */
  codec: VideoCodec;
  /** It was unpublished, or its source ended, as when a screen share is stopped in the browser. */
  ended: undefined;
}

/** What the track needs of the room. @internal */
export interface LocalTrackHost {
  setMuted(track: LocalTrack, muted: boolean): Promise<void>;
  replaceMedia(track: LocalTrack, media: MediaStreamTrack | null): Promise<void>;
  unpublish(track: LocalTrack): Promise<void>;
}

/** How a track was captured, so that it can be captured again. */
export type Recapture = (deviceId?: string) => Promise<MediaStreamTrack>;

/** A camera, microphone or screen of one's own. */
export class LocalTrack extends Emitter<LocalTrackEvents> {
  readonly kind: MediaKind;
  readonly source: TrackSource;
  readonly name: string | null;
  readonly #host: LocalTrackHost;
  readonly #recapture: Recapture | null;
  #media: MediaStreamTrack | null;
  #id: string | null = null;
  #muted = false;
  #ended = false;
  readonly #elements = new Set<HTMLMediaElement>();
  readonly #onSourceEnd = (): void => {
    void this.#host.unpublish(this);
  };

  /** @internal */
  constructor(
    host: LocalTrackHost,
    media: MediaStreamTrack,
    source: TrackSource,
    name: string | null,
    recapture: Recapture | null,
  ) {
    super();
    this.#host = host;
    this.#media = media;
    this.kind = media.kind === 'audio' ? 'audio' : 'video';
    this.source = source;
    this.name = name;
    this.#recapture = recapture;
    media.addEventListener('ended', this.#onSourceEnd);
  }

  /** The `trackId`, once the server has taken it. */
  get id(): string | null {
    return this.#id;
  }

  get muted(): boolean {
    return this.#muted;
  }

  /** Whether it is over. */
  get ended(): boolean {
    return this.#ended;
  }

  /** What the browser captures; `null` while a camera is off. */
  get mediaStreamTrack(): MediaStreamTrack | null {
    return this.#media;
  }

  /** Shows it in an element, as a preview. */
  attach<E extends HTMLMediaElement>(element: E): E {
    this.#elements.add(element);
    show(element, this.#media);
    return element;
  }

  /** Takes it off an element, or off all of them. */
  detach(element?: HTMLMediaElement): void {
    for (const target of element ? [element] : [...this.#elements]) {
      this.#elements.delete(target);
      target.srcObject = null;
    }
  }

  /**
   * Mutes. A camera that this library opened is closed, so that its light goes out; everything
   * else falls silent or black.
   */
  async mute(): Promise<void> {
    if (this.#muted || this.#ended) return;
    this.#muted = true;
    this.emit('muted', true);
    if (this.source === 'camera' && this.#recapture) {
      this.#drop();
      await this.#host.replaceMedia(this, null);
    } else if (this.#media) {
      this.#media.enabled = false;
    }
    await this.#host.setMuted(this, true);
  }

  /** Unmutes; opens the camera again where `mute` closed it. */
  async unmute(): Promise<void> {
    if (!this.#muted || this.#ended) return;
    if (!this.#media) await this.#replace(await this.#capture());
    if (this.#media) this.#media.enabled = true;
    this.#muted = false;
    this.emit('muted', false);
    await this.#host.setMuted(this, false);
  }

  /** Goes on with another device. */
  async setDevice(deviceId: string): Promise<void> {
    const media = await this.#capture(deviceId);
    if (this.#muted && this.source === 'camera') {
      media.stop();
      return;
    }
    await this.#replace(media);
  }

  /** Goes on with another `MediaStreamTrack` of the same kind. */
  async replaceMedia(media: MediaStreamTrack): Promise<void> {
    await this.#replace(media);
  }

  /** Takes it out of the room and stops capturing. */
  unpublish(): Promise<void> {
    return this.#host.unpublish(this);
  }

  /** @internal */
  setId(id: string): void {
    if (this.#id === id) return;
    this.#id = id;
    this.emit('published', id);
  }

  /** @internal */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#drop();
    this.detach();
    this.emit('ended', undefined);
  }

  #capture(deviceId?: string): Promise<MediaStreamTrack> {
    if (!this.#recapture) {
      const error = new TroupeError('invalid_params', 'This track was not captured here');
      return Promise.reject(error);
    }
    return this.#recapture(deviceId).catch((cause: unknown) => {
      throw deviceError(cause);
    });
  }

  async #replace(media: MediaStreamTrack): Promise<void> {
    media.enabled = !this.#muted;
    this.#drop();
    this.#media = media;
    media.addEventListener('ended', this.#onSourceEnd);
    await this.#host.replaceMedia(this, media);
    this.#refresh();
  }

  #drop(): void {
    this.#media?.removeEventListener('ended', this.#onSourceEnd);
    this.#media?.stop();
    this.#media = null;
    this.#refresh();
  }

  #refresh(): void {
    for (const element of this.#elements) show(element, this.#media);
    this.emit('replaced', this.#media);
  }
}

function show(element: HTMLMediaElement, media: MediaStreamTrack | null): void {
  // One's own sound must never come back out of one's own loudspeaker.
  element.muted = true;
  element.srcObject = media ? new MediaStream([media]) : null;
  if (media) element.play().catch(() => undefined);
}
