/** Keeps a stream playing: WHEP first, then LL-HLS, and again from the start when it ends. */

import type { RefObject } from 'preact';
import { useEffect, useState } from 'preact/hooks';

import type { LiveRoute, Way } from './address.js';
import type { Player } from './player.js';
import { NotLive, playHls, playWhep } from './player.js';
import { devAccess, viewerName } from './tokens.js';

/** What is shown of it. */
export type Watching =
  | { at: 'starting' }
  | { at: 'playing'; by: Way; delay: number | null }
  | { at: 'waiting' }
  | { at: 'failed'; error: unknown };

/** Between two looks for a stream that is not there. */
const AGAIN_MS = 2_000;
/** How often the delay is told anew. */
const DELAY_MS = 1_000;
const PLAYERS = { whep: playWhep, hls: playHls };

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Tries each way in turn. */
async function open(
  video: HTMLVideoElement,
  route: LiveRoute,
  token: string,
): Promise<{ by: Way; player: Player }> {
  const ways: Way[] = route.by ? [route.by] : ['whep', 'hls'];
  let failure: unknown = null;
  for (const by of ways) {
    try {
      return { by, player: await PLAYERS[by](video, { ...route, token }) };
    } catch (error) {
      // Who is not there by one way is not there by the other.
      if (error instanceof NotLive) throw error;
      failure = error;
    }
  }
  throw failure;
}

async function follow(
  video: HTMLVideoElement,
  route: LiveRoute,
  signal: AbortSignal,
  tell: (watching: Watching) => void,
): Promise<void> {
  const { by, player } = await open(video, route, await tokenOf(route));
  const ended = new Promise<void>((resolve) => {
    player.onEnd(resolve);
    signal.addEventListener('abort', () => resolve());
  });
  const told = async (): Promise<void> => {
    const delay = await player.delay();
    if (!signal.aborted) tell({ at: 'playing', by, delay });
  };
  await told();
  const timer = setInterval(() => void told(), DELAY_MS);
  await ended;
  clearInterval(timer);
  player.close();
}

async function tokenOf({ token, room }: LiveRoute): Promise<string> {
  return token ?? (await devAccess('watch', room, viewerName())).token;
}

/** Plays the stream of a route into an element for as long as the component lives. */
export function usePlayer(video: RefObject<HTMLVideoElement | null>, route: LiveRoute): Watching {
  const [watching, tell] = useState<Watching>({ at: 'starting' });
  const { room, stream, token, by } = route;
  useEffect(() => {
    const leaving = new AbortController();
    const { signal } = leaving;
    const run = async (): Promise<void> => {
      while (!signal.aborted && video.current) {
        try {
          await follow(video.current, route, signal, tell);
          tell({ at: 'starting' });
        } catch (error) {
          tell(error instanceof NotLive ? { at: 'waiting' } : { at: 'failed', error });
          await pause(AGAIN_MS);
        }
      }
    };
    void run();
    return () => leaving.abort();
  }, [room, stream, token, by]);
  return watching;
}
