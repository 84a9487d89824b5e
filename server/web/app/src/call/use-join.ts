/** Entering the room, once, and leaving it with the page. */

import { Room, TroupeError, connect } from '@troupe/client';
import { useEffect, useRef, useState } from 'preact/hooks';

import { tokenSource } from '../access.js';
import type { Entry } from '../lobby.js';
import { identityFor } from '../names.js';
import type { Route } from '../route.js';

declare global {
  interface Window {
    /** The room, for the console: `troupe.tracks`, `await troupe.stats()`. */
    troupe?: Room | undefined;
  }
}

/** The room once it is entered. `onEnd` is told when it is over, or did not come about. */
export function useJoin(
  route: Route,
  entry: Entry,
  onEnd: (error: TroupeError | null) => void,
): Room | null {
  const [room, setRoom] = useState<Room | null>(null);
  const end = useRef(onEnd);
  end.current = onEnd;

  useEffect(() => {
    let over = false;
    let joined: Room | null = null;
    const { room: name } = entry;
    const token = tokenSource(route, name, identityFor(entry.name), entry.name);
    const options = { token, room: name, name: entry.name };
    connect(location.origin, options).then(
      (entered) => {
        if (over) {
          void entered.leave();
          return;
        }
        joined = entered;
        window.troupe = entered;
        entered.on('closed', ({ error }) => {
          if (!over) end.current(error);
        });
        setRoom(entered);
      },
      (cause: unknown) => {
        if (!over) end.current(TroupeError.from(cause));
      },
    );
    return () => {
      over = true;
      window.troupe = undefined;
      void joined?.leave();
      for (const track of [entry.camera, entry.microphone]) track?.stop();
    };
  }, []);
  return room;
}
