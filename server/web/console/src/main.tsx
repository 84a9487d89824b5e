/** The console: signing in, then one view a tab, all from one picture of the cluster. */

import { render } from 'preact';
import type { VNode } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';

import { Api, findToken, keepToken } from './api.js';
import { useCluster } from './cluster.js';
import type { Cluster } from './cluster.js';
import { SignIn } from './sign-in.js';
import { ThemeButton, applyTheme, loadTheme } from './theme.js';
import { Audit } from './views/audit.js';
import { Config } from './views/config.js';
import { Flags } from './views/flags.js';
import { Overview } from './views/overview.js';
import { Rooms } from './views/rooms.js';
import { Workers } from './views/workers.js';
import './styles/base.css';
import './styles/views.css';

const VIEWS = ['overview', 'workers', 'rooms', 'flags', 'config', 'audit'] as const;
type View = (typeof VIEWS)[number];

interface Place {
  view: View;
  /** What of it, as the room in `#/rooms/lobby`. */
  of: string | null;
}

/** Where the address points to. */
export function placeOf(hash: string): Place {
  const [name, of] = hash.replace(/^#\/?/, '').split('/');
  const view = VIEWS.find((view) => view === name) ?? 'overview';
  return { view, of: of ? decodeURIComponent(of) : null };
}

function usePlace(): Place {
  const [place, setPlace] = useState(() => placeOf(location.hash));
  useEffect(() => {
    const moved = (): void => setPlace(placeOf(location.hash));
    window.addEventListener('hashchange', moved);
    return () => window.removeEventListener('hashchange', moved);
  }, []);
  return place;
}

const title = (view: View): string => view.charAt(0).toUpperCase() + view.slice(1);

function Shown({ api, cluster, place }: { api: Api; cluster: Cluster; place: Place }): VNode {
  switch (place.view) {
    case 'overview':
      return <Overview cluster={cluster} />;
    case 'workers':
      return <Workers api={api} cluster={cluster} />;
    case 'rooms':
      return <Rooms api={api} cluster={cluster} room={place.of} />;
    case 'flags':
      return <Flags api={api} cluster={cluster} />;
    case 'config':
      return <Config api={api} cluster={cluster} />;
    case 'audit':
      return <Audit api={api} cluster={cluster} />;
  }
}

function Console({ api, onOut }: { api: Api; onOut: () => void }): VNode {
  const cluster = useCluster(api);
  const place = usePlace();
  const { sub, role } = api.claims;
  useEffect(() => {
    document.title = `${title(place.view)} · Troupe console`;
  }, [place.view]);
  useEffect(() => {
    if (cluster.signedOut) onOut();
  }, [cluster.signedOut, onOut]);
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById('main')?.focus(); }}>
        To the content
      </a>
      <header>
        <strong>Troupe</strong>
        <nav aria-label="Views">
          {VIEWS.map((view) => (
            <a
              key={view}
              href={`#/${view}`}
              aria-current={view === place.view ? 'page' : undefined}
            >
              {title(view)}
            </a>
          ))}
        </nav>
        <span class="live" role="status" data-live={cluster.live}>
          {cluster.live ? 'live' : 'connecting'}
        </span>
        <span class="soft">
          {sub} ({role})
        </span>
        <ThemeButton />
        <button type="button" class="plain" onClick={onOut}>
          Sign out
        </button>
      </header>
      <main id="main" tabIndex={-1}>
        <h1 class="unseen">{title(place.view)}</h1>
        {cluster.error && (
          <p role="alert" class="bad card">
            {cluster.error}
          </p>
        )}
        <Shown api={api} cluster={cluster} place={place} />
      </main>
    </>
  );
}

function Page(): VNode {
  const [token, setToken] = useState(findToken);
  const api = useMemo(() => (token === null ? null : new Api(token)), [token]);
  const out = useMemo(
    () => () => {
      keepToken(null);
      setToken(null);
    },
    [],
  );
  return api ? <Console api={api} onOut={out} /> : <SignIn onToken={setToken} />;
}

applyTheme(loadTheme());
const root = document.getElementById('app');
if (root) render(<Page />, root);
