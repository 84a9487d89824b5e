/** Where the page's token comes from. */

import type { TokenSource } from '@troupe/client';
import { TroupeError } from '@troupe/client';

import type { Route } from './route.js';

/** `reason` of the error that says that an invitation is missing. */
export const NO_INVITATION = 'no_invitation';

/**
 * The invitation in the address, else one from a development server for each attempt. Anywhere else
 * there is none, and that is said.
 */
export function tokenSource(route: Route, room: string, identity: string, name: string): TokenSource {
  if (route.token !== null) return route.token;
  return async () => {
    const query = new URLSearchParams({ room, identity, name });
    const response = await fetch(`/dev/token?${query.toString()}`).catch((cause: unknown) => {
      throw new TroupeError('unreachable', 'The server cannot be reached', { cause });
    });
    if (response.ok) return ((await response.json()) as { token: string }).token;
    if (response.status === 404) {
      throw new TroupeError('forbidden', 'An invitation is needed', { reason: NO_INVITATION });
    }
    throw new TroupeError('unavailable', `The server answered ${response.status}`);
  };
}
