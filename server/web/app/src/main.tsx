/** The page: lobby, call, and what is shown when a call is over. */

import type { TroupeError } from '@troupe/client';
import { render } from 'preact';
import type { VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';

import { Call } from './call/call.js';
import { Ended } from './ended.js';
import type { Entry } from './lobby.js';
import { readLiveRoute } from './live/address.js';
import { Lobby } from './lobby.js';
import { applyTheme, loadPreferences } from './preferences.js';
import type { Route } from './route.js';
import { readRoute, roomPath } from './route.js';
import './styles/base.css';
import './styles/lobby.css';
import './styles/call.css';
import './styles/tile.css';
import './styles/panel.css';

type Screen =
  | { at: 'lobby' }
  | { at: 'call'; entry: Entry; attempt: number }
  | { at: 'ended'; entry: Entry; error: TroupeError | null };

/** A kiosk goes in as it is told to; everybody else begins in the lobby. */
function firstScreen(route: Route): Screen {
  const { kiosk, room } = route;
  if (!kiosk.auto || room === null) return { at: 'lobby' };
  const name = route.name ?? 'Guest';
  const on = { cameraOn: !kiosk.cameraOff, microphoneOn: !kiosk.microphoneOff };
  const none = { camera: null, microphone: null, cameraId: '', microphoneId: '' };
  return { at: 'call', entry: { room, name, ...none, ...on }, attempt: 0 };
}

function Page(): VNode {
  const [route, setRoute] = useState(() => readRoute(new URL(location.href)));
  const [screen, setScreen] = useState(() => firstScreen(route));

  useEffect(() => {
    const moved = (): void => {
      setRoute(readRoute(new URL(location.href)));
      setScreen({ at: 'lobby' });
    };
    window.addEventListener('popstate', moved);
    return () => window.removeEventListener('popstate', moved);
  }, []);
  useEffect(() => {
    document.title = screen.at === 'lobby' ? 'Troupe' : `${screen.entry.room} · Troupe`;
  }, [screen]);

  const enter = (entry: Entry): void => {
    if (route.room !== entry.room) {
      history.pushState(null, '', roomPath(entry.room) + location.search + location.hash);
      setRoute(readRoute(new URL(location.href)));
    }
    setScreen({ at: 'call', entry, attempt: 0 });
  };
  const again = (entry: Entry): void => {
    // The tracks of the first attempt are spent.
    const fresh = { ...entry, camera: null, microphone: null };
    setScreen({ at: 'call', entry: fresh, attempt: Date.now() });
  };

  switch (screen.at) {
    case 'lobby':
      return <Lobby key={route.room} route={route} onEnter={enter} />;
    case 'call':
      return (
        <Call
          key={screen.attempt}
          route={route}
          entry={screen.entry}
          onEnd={(error) => setScreen({ at: 'ended', entry: screen.entry, error })}
        />
      );
    case 'ended':
      return (
        <Ended
          room={screen.entry.room}
          error={screen.error}
          onAgain={() => again(screen.entry)}
          onLobby={() => setScreen({ at: 'lobby' })}
        />
      );
  }
}

applyTheme(loadPreferences().theme);
const root = document.getElementById('app');
const live = readLiveRoute(new URL(location.href));
if (root && live) {
  // Who watches needs nothing of a call, and who calls nothing of these.
  document.title = `${live.stream} · Troupe`;
  void import('./live/pages.js').then(({ LivePage }) => render(<LivePage route={live} />, root));
} else if (root) {
  render(<Page />, root);
}
