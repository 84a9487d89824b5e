/** Following a room to another worker: make before break. */

import type { Media } from './media.js';
import type { JoinResult } from './protocol/index.js';
import type { Session } from './session.js';
import type { Notification } from './signaling.js';

/** What following needs of the room. */
export interface MigrationHost {
  /** Whether the old session is still the one to leave. */
  wanted(): boolean;
  /** From here on the new session is the room's. */
  adopt(result: JoinResult): void;
  notified(notification: Notification): void;
  media: Media;
}

/** How long the old session is kept for media that does not come, in milliseconds. */
const MEDIA_TIMEOUT_MS = 10_000;

/**
 * Joins with `next`, connects media there, and only then lets go of `old`. Where joining fails the
 * old session stays until its server ends it.
 */
export async function follow(old: Session, next: Session, host: MigrationHost): Promise<void> {
  const early: Notification[] = [];
  const off = next.on('notification', (notification) => early.push(notification));
  const result = await next.start().catch(() => null);
  off();
  if (!result || !host.wanted()) {
    next.abandon();
    return;
  }
  host.adopt(result);
  const opened = host.media.open(next, result.iceServers);
  for (const notification of early) host.notified(notification);
  await opened;
  await connected(host.media);
  old.abandon();
}

function connected(media: Media): Promise<void> {
  return new Promise((resolve) => {
    if (media.link?.connection.isConnected) {
      resolve();
      return;
    }
    const done = (): void => {
      off();
      clearTimeout(timer);
      resolve();
    };
    const off = media.on('state', ({ state }) => {
      if (state === 'connected') done();
    });
    const timer = setTimeout(done, MEDIA_TIMEOUT_MS);
  });
}
