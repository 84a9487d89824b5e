/** Tokens of the live pages: from the address, else from a development server. */

import { TroupeError } from '@troupe/client';

import { NO_INVITATION } from '../access.js';

/** What a development server hands out. */
export interface DevAccess {
  token: string;
  /** The port of RTMP; nothing where it is not spoken. */
  rtmp?: number;
}

/** Asks a development server; elsewhere there is none, and that is said. */
export async function devAccess(
  purpose: 'watch' | 'ingest',
  room: string,
  identity: string,
): Promise<DevAccess> {
  const query = new URLSearchParams({ room, identity, for: purpose });
  const response = await fetch(`/dev/token?${query.toString()}`);
  if (response.ok) return (await response.json()) as DevAccess;
  if (response.status === 404) {
    throw new TroupeError('forbidden', 'An invitation is needed', { reason: NO_INVITATION });
  }
  throw new TroupeError('unavailable', `The server answered ${response.status}`);
}

/** A name for somebody who only watches. */
export function viewerName(): string {
  return `viewer-${crypto.randomUUID().slice(0, 8)}`;
}
