/** Adaptive stream: each video is asked for as large as it is shown, and not at all while hidden. */

import { ElementWatch } from './element-watch.js';
import type { RemoteTrack, TrackWish } from './remote-track.js';

/** How much of a picture its elements need. */
export interface Need {
  /** The shorter side in pixels, one of the steps; 0 while nobody sees it, `Infinity` for all. */
  side: number;
  /** Whether the shorter side is the one across. */
  portrait: boolean;
}

/** An element as far as it decides what is needed. */
export interface Frame {
  width: number;
  height: number;
  /** The picture fills the element and is cropped (`object-fit: cover`). */
  cropped: boolean;
  /** The picture's width to its height. */
  shape: number;
}

/** Shorter sides that encoders like: needs are rounded up to them so that they seldom change. */
const SIDES = [90, 180, 270, 360, 540, 720, 1080, 1440, 2160];
/** A picture drawn larger by this much looks the same, and the next layer costs three times more. */
const STRETCH = 1.15;
/** Before a picture is known it is taken for this wide. */
const SHAPE = 16 / 9;
/** How long a larger need waits for the end of the resizing that made it, in milliseconds. */
const GROW_MS = 200;
/** How long less, or nothing, must be needed before it is said: tiles come back often. */
const REST_MS = 1_000;

/** The step that an element needs. */
export function needOf({ width, height, cropped, shape }: Frame): Need {
  const portrait = shape < 1;
  if (width === Infinity) return { side: Infinity, portrait };
  const tall = cropped ? Math.max(height, width / shape) : Math.min(height, width / shape);
  const side = portrait ? tall * shape : tall;
  return { side: SIDES.find((step) => step * STRETCH >= side) ?? Infinity, portrait };
}

/** A need as the server takes it; a side of 0 pauses. */
export function wishOf({ side, portrait }: Need): TrackWish {
  if (side === Infinity) return {};
  return portrait && side > 0 ? { maxWidth: side } : { maxHeight: side };
}

interface Entry {
  track: RemoteTrack;
  elements: Set<HTMLMediaElement>;
  /** What was settled on; `null` while nothing is known. */
  need: Need | null;
  /** Attached once; whoever then takes it off everywhere does not look any more. */
  used: boolean;
  timer: ReturnType<typeof setTimeout> | undefined;
  timerGrows: boolean;
  off: () => void;
}

/** Follows the elements of all videos. */
export class AdaptiveStream {
  readonly #watch = new ElementWatch();
  readonly #changed: () => void;
  readonly #entries = new Map<string, Entry>();

  /** `changed` is called when a track's need is another. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** Follows a track. */
  add(track: RemoteTrack): void {
    if (track.kind !== 'video' || this.#entries.has(track.id)) return;
    const entry: Entry = {
      track,
      elements: new Set(),
      need: null,
      used: false,
      timer: undefined,
      timerGrows: false,
      off: track.on('elements', () => this.#follow(entry)),
    };
    this.#entries.set(track.id, entry);
    this.#follow(entry);
  }

  /** The track is over. */
  remove(trackId: string): void {
    const entry = this.#entries.get(trackId);
    if (!entry) return;
    this.#entries.delete(trackId);
    entry.off();
    clearTimeout(entry.timer);
    for (const element of entry.elements) this.#watch.remove(element);
  }

  /** What a track's elements need; `null` where it has none or nothing is known of them. */
  need(trackId: string): Need | null {
    return this.#entries.get(trackId)?.need ?? null;
  }

  /** Ends it. */
  close(): void {
    for (const trackId of [...this.#entries.keys()]) this.remove(trackId);
    this.#watch.close();
  }

  /** Takes up the elements that a track is attached to now. */
  #follow(entry: Entry): void {
    const elements = new Set(entry.track.elements);
    for (const element of entry.elements) {
      if (!elements.has(element)) this.#watch.remove(element);
    }
    for (const element of elements) {
      if (!entry.elements.has(element)) this.#watch.add(element, () => this.#consider(entry));
    }
    entry.elements = elements;
    entry.used ||= elements.size > 0;
    this.#consider(entry);
  }

  #consider(entry: Entry): void {
    if (!entry.used) return;
    const target = this.#measure(entry);
    if (target === null) return;
    const { need } = entry;
    if (need && same(need, target)) {
      clearTimeout(entry.timer);
      entry.timer = undefined;
      return;
    }
    if (!need || (need.side === 0 && target.side > 0)) {
      this.#settle(entry, target);
      return;
    }
    const grows = target.side >= need.side;
    if (entry.timer !== undefined && entry.timerGrows === grows) return;
    clearTimeout(entry.timer);
    entry.timerGrows = grows;
    entry.timer = setTimeout(
      () => this.#settle(entry, this.#measure(entry) ?? target),
      grows ? GROW_MS : REST_MS,
    );
  }

  #settle(entry: Entry, need: Need): void {
    clearTimeout(entry.timer);
    entry.timer = undefined;
    if (entry.need && same(entry.need, need)) return;
    entry.need = need;
    this.#changed();
  }

  /** The largest need of a track's elements; `null` while nothing is known of any. */
  #measure({ elements }: Entry): Need | null {
    if (elements.size === 0) return { side: 0, portrait: false };
    let most: Need | null = null;
    for (const element of elements) {
      const view = this.#watch.view(element);
      if (!view) continue;
      const { width, height, visible } = view;
      const shape = shapeOf(element);
      const need = visible
        ? needOf({ width, height, shape, cropped: isCropped(element) })
        : { side: 0, portrait: shape < 1 };
      if (!most || need.side > most.side) most = need;
    }
    return most;
  }
}

function same(a: Need, b: Need): boolean {
  return a.side === b.side && (a.portrait === b.portrait || a.side === 0);
}

function shapeOf(element: HTMLMediaElement): number {
  const { videoWidth, videoHeight } = element as Partial<HTMLVideoElement>;
  return videoWidth && videoHeight ? videoWidth / videoHeight : SHAPE;
}

function isCropped(element: HTMLMediaElement): boolean {
  const style = element.ownerDocument.defaultView?.getComputedStyle(element);
  return style?.objectFit === 'cover';
}
