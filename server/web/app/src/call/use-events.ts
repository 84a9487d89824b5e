/** Rendering again when something happens. */

import type { Emitter, LocalTrack, RemoteTrack, Room, RoomEvents } from '@troupe/client';
import { useEffect, useReducer } from 'preact/hooks';

function useTick(): () => void {
  const [, tick] = useReducer((count: number) => count + 1, 0);
  return tick as () => void;
}

/** Renders again at each of these events. `types` must not change between renders. */
export function useEvents<E extends object>(source: Emitter<E> | null, types: (keyof E)[]): void {
  const tick = useTick();
  useEffect(() => {
    if (!source) return undefined;
    const offs = types.map((type) => source.on(type, tick));
    // Something may have happened between the render and now.
    tick();
    return () => offs.forEach((off) => off());
  }, [source]);
}

const ROOM_EVENTS: (keyof RoomEvents)[] = [
  'state',
  'media',
  'peerJoined',
  'peerLeft',
  'peerUpdated',
  'trackPublished',
  'trackUnpublished',
  'localTrackPublished',
  'localTrackUnpublished',
  'slots',
  'speakers',
  'quality',
  'audience',
  'audioBlocked',
];

/** Renders again whenever the room's roster, slots, speakers or state change. */
export function useRoom(room: Room): void {
  useEvents(room, ROOM_EVENTS);
}

/** Renders again when a track changes. */
export function useTrack(track: RemoteTrack | LocalTrack | null): void {
  useEvents(isLocal(track) ? null : track, ['changed', 'replaced', 'ended']);
  useEvents(isLocal(track) ? track : null, ['muted', 'replaced', 'ended', 'published']);
}

/** Whether a track is one's own. */
export function isLocal(track: RemoteTrack | LocalTrack | null): track is LocalTrack {
  return track !== null && !('peerId' in track);
}
