/**
 * Following a room to another worker: make before break.
 *
 * Both sessions live for a while, and media goes by both. What is shown and heard changes over at once,
 * when the new connection brings all of it; the old session ends when the server says so, which is
 * when everybody has come that far: until then others may be served by what we still send there.
 */

import type { DataChannels } from './channels.js';
import type { MediaLink } from './link.js';
import type { Media } from './media.js';
import type { JoinResult } from './protocol/index.js';
import type { Publisher } from './publisher.js';
import type { RemoteTrack } from './remote-track.js';
import type { Session } from './session.js';
import type { Notification } from './signaling.js';
import type { Slot } from './slots.js';

/** What following needs of the room. */
export interface MigrationHost {
  /** Whether the old session is still the one to leave. */
  wanted(): boolean;
  /** From here on the new session is the room's; these notifications came before. */
  adopt(result: JoinResult, early: Notification[]): void;
  /** The old session is over. */
  left(): void;
  layers(notification: Notification): void;
  tracks(): RemoteTrack[];
  media: Media;
  publisher: Publisher;
  data: DataChannels;
}

/** How long the new connection may take to bring what the old one brings, in milliseconds. */
const READY_MAX_MS = 5_000;
/** How often that is looked at. */
const READY_POLL_MS = 40;
/** Packets of sound that make it safe to listen: a fifth of a second. */
const AUDIO_PACKETS = 10;
/** Pictures that make it safe to look. */
const FRAMES = 2;
/** How long a picture may stay smaller than it was, and a silent track silent. */
const GRACE_MS = 1_500;

/**
 * Joins with `next`, connects media there, changes over, and lets go of `old` when its server ends
 * it, at the latest at the deadline. Where it does not come so far, `old` stays as it was.
 */
export async function follow(
  old: Session,
  next: Session,
  host: MigrationHost,
  deadlineMs: number,
): Promise<boolean> {
  const early: Notification[] = [];
  let link: MediaLink | null = null;
  const off = next.on('notification', (notification) => {
    if (notification.method === 'slots') link?.applySlots(notification.params.slots);
    else if (notification.method === 'publishLayers') host.layers(notification);
    else early.push(notification);
  });
  let failed = false;
  const offClosed = next.on('closed', () => (failed = true));
  const result = await next.start().catch(() => null);
  const gone = (): boolean => failed || !host.wanted();
  if (result && !gone()) {
    link = host.media.prepare(next, result.iceServers);
    await link.start(true).catch(() => (failed = true));
    await ready(link, host, () => gone());
  }
  off();
  offClosed();
  if (!result || !link?.connection.isConnected || gone()) {
    if (link) host.media.discard(link);
    if (host.wanted()) await host.publisher.moveBack();
    next.abandon();
    return false;
  }
  host.media.adopt(link, next, result.iceServers);
  host.adopt(result, early);
  await settle(old, deadlineMs);
  host.left();
  return true;
}

/** Tells the old worker that it may end the session, and waits until it does. */
function settle(old: Session, deadlineMs: number): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      old.abandon();
      resolve();
    };
    const timer = setTimeout(done, deadlineMs);
    old.retire();
    old.on('closed', done);
    old.request('settled', {}).catch(() => undefined);
    if (!old.isActive) done();
  });
}

/** Waits until the new connection brings what the old one does, or long enough. */
async function ready(link: MediaLink, host: MigrationHost, gone: () => boolean): Promise<void> {
  const end = performance.now() + READY_MAX_MS;
  const since = new Map<string, number>();
  while (performance.now() < end && !gone() && !link.closed) {
    if (link.connection.isConnected && (await brings(link, host, since))) return;
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
  }
}

/** `since` is when a slot was first seen with its track, by track. */
async function brings(
  link: MediaLink,
  host: MigrationHost,
  since: Map<string, number>,
): Promise<boolean> {
  const known = new Set(host.tracks().map(({ id }) => id));
  const shown = (host.media.link?.slots.all ?? []).filter(({ state }) => {
    return state?.state === 'live' && known.has(state.trackId ?? '');
  });
  const all = await Promise.all(
    shown.map(async (before) => {
      const trackId: string = before.state?.trackId ?? '';
      const after = link.slots.byTrack(trackId);
      if (after?.state?.state !== 'live') return false;
      const first = since.get(trackId) ?? performance.now();
      since.set(trackId, first);
      return flows(before, after, performance.now() - first);
    }),
  );
  return all.every(Boolean);
}

interface Inbound {
  type: string;
  packetsReceived?: number;
  framesDecoded?: number;
  frameHeight?: number;
}

async function inbound({ transceiver }: Slot): Promise<Inbound> {
  const report = await transceiver.receiver.getStats();
  let found: Inbound = { type: 'none' };
  report.forEach((stat: Inbound) => {
    if (stat.type === 'inbound-rtp') found = stat;
  });
  return found;
}

async function flows(before: Slot, after: Slot, sinceMs: number): Promise<boolean> {
  const late = sinceMs > GRACE_MS;
  const now = await inbound(after);
  if (after.kind === 'audio') return late || (now.packetsReceived ?? 0) >= AUDIO_PACKETS;
  if ((now.framesDecoded ?? 0) < FRAMES) return false;
  const { frameHeight } = await inbound(before);
  return late || (now.frameHeight ?? 0) >= (frameHeight ?? 0);
}
