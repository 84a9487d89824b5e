/** Which tracks are pinned to slots, and how much of each is wanted. */

import { AdaptiveStream, wishOf } from './adaptive.js';
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

/**
 * Of a video that is named for its size alone, so that it does not outrank one that was pinned: the
 * server puts its speakers first by itself.
 */
const PRIORITY_SHOWN = 0;
/** Of a screen that is named for its size alone. */
const PRIORITY_SCREEN = 50;
/** How long after a refusal wishes are said again, in milliseconds. */
const RETRY_MS = 2_000;

/** Keeps wishes, and says them again on every new connection. */
export class Subscriptions {
  readonly #host: SubscriptionHost;
  /** What elements need, where that is followed. */
  readonly #adaptive: AdaptiveStream | null;
  /** By hand. */
  readonly #pins = new Map<string, TrackWish>();
  /** What was said last, by mid, so that nothing is said twice. */
  #said = new Map<string, string>();
  #retry: ReturnType<typeof setTimeout> | undefined;
  #flushing: Promise<void> | null = null;
  #stopped = false;

  constructor(host: SubscriptionHost, adaptive: boolean) {
    this.#host = host;
    this.#adaptive = adaptive ? new AdaptiveStream(() => this.#flushSoon()) : null;
  }

  /** A track was published: the elements that will show it are followed. */
  follow(track: RemoteTrack): void {
    this.#adaptive?.add(track);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#retry);
    this.#adaptive?.close();
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
    const followed = this.#adaptive?.need(trackId) ?? null;
    this.#adaptive?.remove(trackId);
    if (this.#pins.delete(trackId) || followed) this.#flushSoon();
  }

  /** Nothing that was said holds any more: a new connection has new slots. */
  restart(): void {
    this.#said = new Map();
    for (const slot of this.#host.slots().all) slot.pinned = false;
    this.#flushSoon();
  }

  /** Says what changed, and again later where that fails. */
  #flushSoon(): void {
    clearTimeout(this.#retry);
    this.flush().catch(() => {
      if (!this.#stopped) this.#retry = setTimeout(() => this.#flushSoon(), RETRY_MS);
    });
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
    const wishes = this.#wishes(table);
    const released = this.#release(table, wishes);
    const wanted = new Map<Slot, SlotWish>();
    // Who has a slot keeps it; the others choose among the rest.
    const settled = ([trackId]: [string, TrackWish]): boolean =>
      this.#saidSlot(table, trackId) !== undefined || table.byTrack(trackId) !== undefined;
    const order = [...wishes].sort((a, b) => Number(settled(b)) - Number(settled(a)));
    for (const [trackId, wish] of order) {
      const kind = this.#host.tracks().find(({ id }) => id === trackId)?.kind;
      if (!kind) continue;
      const taken = new Set(wanted.keys());
      const slot = this.#saidSlot(table, trackId) ?? table.placeFor(trackId, kind, taken);
      const mid = slot?.transceiver.mid;
      if (slot && mid) wanted.set(slot, { mid, trackId, ...wish });
    }
    const changes: SlotWish[] = [];
    for (const slot of table.all) {
      const mid = slot.transceiver.mid;
      const wish = wanted.get(slot);
      if (mid === null || (!wish && !released.has(slot))) continue;
      const change = wish ?? { mid, trackId: null };
      slot.pinned = wish !== undefined;
      if (this.#said.get(mid) === JSON.stringify(change)) continue;
      this.#said.set(mid, JSON.stringify(change));
      changes.push(change);
    }
    return changes;
  }

  /** Gives up the slots of tracks that are not asked for any more, so that others can have them. */
  #release(table: SlotTable, wishes: Map<string, TrackWish>): Set<Slot> {
    const kept = new Set([...wishes.keys()].map((trackId) => this.#saidSlot(table, trackId)));
    const released = table.all.filter((slot) => slot.pinned && !kept.has(slot));
    for (const slot of released) slot.pinned = false;
    return new Set(released);
  }

  /** The slot that a track was given, though the server may not have filled it yet. */
  #saidSlot(table: SlotTable, trackId: string): Slot | undefined {
    return table.all.find((slot) => {
      const said = slot.pinned && this.#said.get(slot.transceiver.mid ?? '');
      return said ? (JSON.parse(said) as SlotWish).trackId === trackId : false;
    });
  }

  /** What is wanted of whom. The size of its elements counts for a pinned track that names none. */
  #wishes(table: SlotTable): Map<string, TrackWish> {
    const wishes = this.#shown(table);
    for (const [trackId, wish] of this.#pins) {
      const size = { ...wishes.get(trackId) };
      delete size.priority;
      const own = [wish.maxWidth, wish.maxHeight, wish.maxFps].some((max) => max !== undefined);
      wishes.set(trackId, own ? wish : { ...size, ...wish });
    }
    return wishes;
  }

  /**
   * What elements ask for. Asking for a size names a slot and thus pins it. Where everybody has a
   * slot that costs nothing. Where there are more videos than slots, those that are seen are asked
   * for if all of them find room, and those that are not seen are kept paused only where every
   * video is shown somewhere: else they would keep the next speaker out.
   */
  #shown(table: SlotTable): Map<string, TrackWish> {
    const wishes = new Map<string, TrackWish>();
    const adaptive = this.#adaptive;
    if (!adaptive) return wishes;
    const videos = this.#host.tracks().filter(({ kind }) => kind === 'video');
    const needed = videos.flatMap((track) => {
      const need = adaptive.need(track.id);
      return need ? [{ track, need, pinned: this.#pins.has(track.id) }] : [];
    });
    const pinned = videos.filter(({ id }) => this.#pins.has(id)).length;
    const seen = needed.filter(({ need, pinned }) => need.side > 0 && !pinned).length;
    let spare = table.all.filter(({ kind }) => kind === 'video').length - pinned - seen;
    const roomForAll = spare >= 0;
    const mayPark = spare + pinned + seen >= videos.length || needed.length === videos.length;
    // Who has a slot already is paused there rather than given up.
    needed.sort((a, b) => Number(!table.byTrack(a.track.id)) - Number(!table.byTrack(b.track.id)));
    for (const { track, need, pinned } of needed) {
      const parks = need.side === 0 && !pinned;
      if (parks && (!mayPark || spare <= 0)) continue;
      if (!pinned && !roomForAll) continue;
      if (parks) spare -= 1;
      const priority = track.source === 'screen' ? PRIORITY_SCREEN : PRIORITY_SHOWN;
      wishes.set(track.id, { ...wishOf(need), priority });
    }
    return wishes;
  }
}
