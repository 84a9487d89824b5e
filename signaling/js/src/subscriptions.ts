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

/** How long after a refusal wishes are said again, in milliseconds. */
const RETRY_MS = 2_000;

/** Keeps wishes, and says them again on every new connection. */
export class Subscriptions {
  readonly #host: SubscriptionHost;
  /** What elements need, where that is followed. */
  readonly #adaptive: AdaptiveStream | null;
  /** By hand. */
  readonly #pins = new Map<string, TrackWish>();
  /** What was said last of pins, by mid, and of sizes, by track, so that nothing is said twice. */
  #said = new Map<string, string>();
  #saidSizes = new Map<string, string>();
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
    this.#adaptive?.remove(trackId);
    this.#saidSizes.delete(trackId);
    if (this.#pins.delete(trackId)) this.#flushSoon();
  }

  /** Nothing that was said holds any more: a new connection has new slots. */
  restart(): void {
    this.#said = new Map();
    this.#saidSizes = new Map();
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
      const [pins, sizes] = [this.#pinChanges(), this.#sizeChanges()];
      const slots = [...pins, ...sizes];
      if (slots.length === 0) return;
      try {
        const result = await this.#host.subscribe({ slots });
        // A slot by which a size was said shows what it showed.
        const named = new Set(pins.map(({ mid }) => mid));
        const unknown = ({ mid, reason }: SlotState): boolean =>
          reason === 'not_found' && !named.has(mid);
        this.#host.applySlots(result.slots.filter((state) => !unknown(state)));
      } catch (error) {
        for (const { mid } of pins) this.#said.delete(mid);
        for (const { trackId } of sizes) this.#saidSizes.delete(trackId ?? '');
        throw error;
      }
    });
    return this.#flushing;
  }

  #pinChanges(): SlotWish[] {
    const table = this.#host.slots();
    const released = this.#release(table);
    const wanted = new Map<Slot, SlotWish>();
    // Who has a slot keeps it; the others choose among the rest.
    const settled = ([trackId]: [string, TrackWish]): boolean =>
      this.#saidSlot(table, trackId) !== undefined || table.byTrack(trackId) !== undefined;
    const order = [...this.#pins].sort((a, b) => Number(settled(b)) - Number(settled(a)));
    for (const [trackId, wish] of order) {
      const kind = this.#host.tracks().find(({ id }) => id === trackId)?.kind;
      if (!kind) continue;
      const taken = new Set(wanted.keys());
      const slot = this.#saidSlot(table, trackId) ?? table.placeFor(trackId, kind, taken);
      const mid = slot?.transceiver.mid;
      if (slot && mid) wanted.set(slot, { mid, trackId, ...this.#sizeOf(trackId, wish), ...wish });
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

  /** Gives up the slots of tracks that are not pinned any more, so that others can have them. */
  #release(table: SlotTable): Set<Slot> {
    const kept = new Set([...this.#pins.keys()].map((trackId) => this.#saidSlot(table, trackId)));
    const released = table.all.filter((slot) => slot.pinned && !kept.has(slot));
    for (const slot of released) slot.pinned = false;
    return new Set(released);
  }

  /** The size of its elements counts for a pinned track whose wish names none. */
  #sizeOf(trackId: string, wish: TrackWish): TrackWish {
    const own = [wish.maxWidth, wish.maxHeight, wish.maxFps].some((max) => max !== undefined);
    const need = this.#adaptive?.need(trackId);
    return need && !own ? wishOf(need) : {};
  }

  /**
   * What elements ask for, without pinning anything: it holds for the track wherever the server shows
   * it. Naming a slot takes its pin away, so it is said by one that has none.
   */
  #sizeChanges(): SlotWish[] {
    const changes: SlotWish[] = [];
    const table = this.#host.slots();
    const free = table.all
      .filter(({ pinned, transceiver }) => !pinned && transceiver.mid !== null)
      .sort((a, b) => Number(a.kind === 'audio') - Number(b.kind === 'audio'));
    for (const { id } of this.#host.tracks()) {
      const need = this.#adaptive?.need(id);
      if (!need || this.#pins.has(id)) continue;
      const mid = (free.find(({ state }) => state?.trackId === id) ?? free[0])?.transceiver.mid;
      const size = { ...wishOf(need), pin: false };
      if (!mid || this.#saidSizes.get(id) === JSON.stringify(size)) continue;
      this.#saidSizes.set(id, JSON.stringify(size));
      changes.push({ mid, trackId: id, ...size });
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
}
