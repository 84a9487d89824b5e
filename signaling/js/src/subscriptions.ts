/** Which tracks are pinned to slots, and how much of each is wanted. */

import type { SlotState, SlotWish, SubscribeParams, SubscribeResult } from './protocol/index.js';
import type { RemoteTrack, TrackWish } from './remote-track.js';
import type { Slot, SlotTable } from './slots.js';

/** What subscriptions need of the room. */
export interface SubscriptionHost {
  slots(): SlotTable;
  tracks(): RemoteTrack[];
  subscribe(params: SubscribeParams): Promise<SubscribeResult>;
  applySlots(states: SlotState[]): void;
}

/** Heights that encoders like; wishes are rounded up to them so that they seldom change. */
const HEIGHTS = [90, 180, 270, 360, 540, 720, 1080, 1440, 2160];
const ADAPT_INTERVAL_MS = 1_000;

/** Keeps wishes, and says them again on every new connection. */
export class Subscriptions {
  readonly #host: SubscriptionHost;
  readonly #adaptive: boolean;
  /** By hand. */
  readonly #pins = new Map<string, TrackWish>();
  /** By the size of the elements that show a track. */
  readonly #sizes = new Map<string, TrackWish>();
  /** What was said last, by mid, so that nothing is said twice. */
  #said = new Map<string, string>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #flushing: Promise<void> | null = null;

  constructor(host: SubscriptionHost, adaptive: boolean) {
    this.#host = host;
    this.#adaptive = adaptive;
  }

  /** Starts to follow the sizes of elements, where that is wanted. */
  start(): void {
    if (!this.#adaptive) return;
    this.#timer = setInterval(() => this.#adapt(), ADAPT_INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Whether a track was pinned by hand. */
  isPinned(trackId: string): boolean {
    return this.#pins.has(trackId);
  }

  /** Gives a track a slot of its own until it is unpinned. */
  pin(trackId: string, wish: TrackWish): Promise<void> {
    this.#pins.set(trackId, wish);
    return this.flush();
  }

  /** Leaves the track's slot to the server again. */
  unpin(trackId: string): Promise<void> {
    this.#pins.delete(trackId);
    return this.flush();
  }

  /** A track is over. */
  forget(trackId: string): void {
    this.#sizes.delete(trackId);
    if (this.#pins.delete(trackId) || this.#host.slots().byTrack(trackId)?.pinned) {
      this.flush().catch(() => undefined);
    }
  }

  /** Nothing that was said holds any more: a new connection has new slots. */
  restart(): void {
    this.#said = new Map();
    for (const slot of this.#host.slots().all) slot.pinned = false;
    this.flush().catch(() => undefined);
  }

  /** Says what changed. Changes that come together are said together. */
  flush(): Promise<void> {
    this.#flushing ??= Promise.resolve().then(async () => {
      this.#flushing = null;
      const slots = this.#changes();
      if (slots.length === 0) return;
      try {
        const result = await this.#host.subscribe({ slots });
        this.#host.applySlots(result.slots);
      } catch (error) {
        for (const { mid } of slots) this.#said.delete(mid);
        throw error;
      }
    });
    return this.#flushing;
  }

  #changes(): SlotWish[] {
    const table = this.#host.slots();
    const wanted = new Map<Slot, SlotWish>();
    const wishes = [...new Map([...this.#sizes, ...this.#pins])];
    // Who has a slot keeps it; the others choose among the rest.
    const settled = ([trackId]: [string, TrackWish]): boolean =>
      this.#saidSlot(table, trackId) !== undefined || table.byTrack(trackId) !== undefined;
    wishes.sort((a, b) => Number(settled(b)) - Number(settled(a)));
    for (const [trackId, wish] of wishes) {
      const kind = this.#host.tracks().find(({ id }) => id === trackId)?.kind;
      if (!kind) continue;
      const taken = new Set(wanted.keys());
      const slot = this.#saidSlot(table, trackId) ?? table.placeFor(trackId, kind, taken);
      const mid = slot?.transceiver.mid;
      // The size of its elements still counts for a pinned track that names none.
      if (slot && mid) wanted.set(slot, { mid, trackId, ...this.#sizes.get(trackId), ...wish });
    }
    const changes: SlotWish[] = [];
    for (const slot of table.all) {
      const mid = slot.transceiver.mid;
      const wish = wanted.get(slot);
      if (mid === null || (!wish && !slot.pinned)) continue;
      const change = wish ?? { mid, trackId: null };
      slot.pinned = wish !== undefined;
      if (this.#said.get(mid) === JSON.stringify(change)) continue;
      this.#said.set(mid, JSON.stringify(change));
      changes.push(change);
    }
    return changes;
  }

  /** The slot that a track was given, though the server may not have filled it yet. */
  #saidSlot(table: SlotTable, trackId: string): Slot | undefined {
    return table.all.find((slot) => {
      const said = slot.pinned && this.#said.get(slot.transceiver.mid ?? '');
      return said ? (JSON.parse(said) as SlotWish).trackId === trackId : false;
    });
  }

  /**
   * Asks for each video as large as it is shown. Doing so names its slot and thus pins it; where
   * there are more videos than slots that would keep the next speaker out, so it is not done.
   */
  #adapt(): void {
    const videos = this.#host.tracks().filter(({ kind }) => kind === 'video');
    const slots = this.#host.slots().all.filter(({ kind }) => kind === 'video').length;
    this.#sizes.clear();
    for (const track of videos) {
      const shown = videos.length <= slots || this.#pins.has(track.id);
      if (shown && track.elements.length > 0) this.#sizes.set(track.id, sizeOf(track.elements));
    }
    this.flush().catch(() => undefined);
  }
}

/** The largest of the elements, in device pixels, rounded up. */
function sizeOf(elements: HTMLElement[]): TrackWish {
  const scale = (globalThis as { devicePixelRatio?: number }).devicePixelRatio ?? 1;
  const tallest = Math.max(...elements.map(({ clientHeight }) => clientHeight)) * scale;
  const widest = Math.max(...elements.map(({ clientWidth }) => clientWidth)) * scale;
  // A tile may crop: what counts is the side that a 16:9 picture has to fill.
  const needed = Math.max(tallest, (widest * 9) / 16);
  const maxHeight = HEIGHTS.find((height) => height >= needed) ?? HEIGHTS.at(-1) ?? 2160;
  return { maxHeight };
}
