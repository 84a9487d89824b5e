/** Flags: the server's own switches, and those of applications. */

import type { VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';

import type { Api } from '../api.js';
import type { Cluster } from '../cluster.js';
import { Confirm } from '../confirm.js';
import { messageOf } from '../text.js';
import type { Flag } from '../types.js';

const SWITCHES: Record<string, string> = {
  'video-off': 'Nobody receives video.',
  'layers-capped': 'Video of at most 180 lines.',
  'chat-off': 'Nobody chats or reacts.',
  'joins-off': 'Nobody new comes in.',
};

type Shown = Omit<Flag, 'switch'> & { known: boolean };

/** What is in the store, and the switches that are not there yet. */
export function listed(flags: Flag[]): Shown[] {
  const known = flags.map((flag) => ({ ...flag, known: true }));
  const absent = Object.keys(SWITCHES).filter((name) => !flags.some((flag) => flag.name === name));
  const fresh = absent.map((name) => ({
    ...{ name, enabled: false, percent: 100, rooms: [], peers: [], known: false },
  }));
  return [...known, ...fresh].sort((a, b) => a.name.localeCompare(b.name));
}

function body(flag: Shown, changes: Partial<Shown>): object {
  const { enabled, percent, rooms, peers, description, value } = { ...flag, ...changes };
  return { enabled, percent, rooms, peers, ...(description && { description }), ...(value != null && { value }) };
}

const words = (text: string): string[] => text.split(/[\s,]+/).filter(Boolean);

function Editor(props: { flag: Shown; onSave: (changes: Partial<Shown>) => Promise<void> }): VNode {
  const { flag, onSave } = props;
  const [percent, setPercent] = useState(String(flag.percent));
  const [rooms, setRooms] = useState(flag.rooms.join(' '));
  const [peers, setPeers] = useState(flag.peers.join(' '));
  const [error, setError] = useState<string | null>(null);
  const id = `flag-${flag.name}`;
  const save = async (): Promise<void> => {
    try {
      await onSave({ percent: Number(percent), rooms: words(rooms), peers: words(peers) });
      setError(null);
    } catch (error) {
      setError(messageOf(error));
    }
  };
  return (
    <form
      class="row wrap"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <label for={`${id}-percent`}>Percent of rooms</label>
      <input id={`${id}-percent`} class="narrow" inputmode="numeric" value={percent} onInput={(event) => setPercent(event.currentTarget.value)} />
      <label for={`${id}-rooms`}>Rooms</label>
      <input id={`${id}-rooms`} placeholder="class-*" value={rooms} onInput={(event) => setRooms(event.currentTarget.value)} />
      <label for={`${id}-peers`}>Peers</label>
      <input id={`${id}-peers`} value={peers} onInput={(event) => setPeers(event.currentTarget.value)} />
      <button type="submit">Save targets</button>
      {error && (
        <p role="alert" class="bad">
          {error}
        </p>
      )}
    </form>
  );
}

export function Flags({ api, cluster }: { api: Api; cluster: Cluster }): VNode {
  const [flags, setFlags] = useState<Flag[]>([]);
  const [asked, setAsked] = useState(0);
  const [name, setName] = useState('');
  const [error, setError] = useState<string | null>(null);
  const [flipping, setFlipping] = useState<Shown | null>(null);
  const news = cluster.events.find(({ type }) => type === 'flag.changed')?.id;
  useEffect(() => {
    api
      .list<Flag>('flags')
      .then(setFlags)
      .catch((error: unknown) => setError(messageOf(error)));
  }, [api, news, asked]);
  const may = api.may('operator');
  const write = async (flag: Shown, changes: Partial<Shown>): Promise<void> => {
    await api.send('PUT', `flags/${flag.name}`, body(flag, changes));
    setAsked((asked) => asked + 1);
  };
  const act = (done: Promise<void>): void => {
    setError(null);
    done.catch((error: unknown) => setError(messageOf(error)));
  };
  const flip = (flag: Shown): void => {
    // What takes something away from everybody is asked twice.
    if (!flag.enabled && flag.name in SWITCHES) setFlipping(flag);
    else act(write(flag, { enabled: !flag.enabled }));
  };
  return (
    <section class="card" aria-labelledby="flags-title">
      <h2 id="flags-title">Flags</h2>
      {error && (
        <p role="alert" class="bad">
          {error}
        </p>
      )}
      <ul class="bare flags">
        {listed(flags).map((flag) => (
          <li key={flag.name} data-flag={flag.name}>
            <div class="row">
              <button
                type="button"
                role="switch"
                aria-checked={flag.enabled}
                disabled={!may}
                onClick={() => flip(flag)}
              >
                {flag.name}
              </button>
              <span class="soft">{flag.description ?? SWITCHES[flag.name] ?? ''}</span>
              {flag.known && (
                <button
                  type="button"
                  class="plain"
                  disabled={!may}
                  aria-label={`Delete ${flag.name}`}
                  onClick={() => act(api.send('DELETE', `flags/${flag.name}`).then(() => setAsked(asked + 1)))}
                >
                  Delete
                </button>
              )}
            </div>
            {flag.known && may && (
              <details>
                <summary>
                  {flag.percent} % of rooms
                  {flag.rooms.length > 0 && `, and ${flag.rooms.join(' ')}`}
                  {flag.peers.length > 0 && `, and ${flag.peers.length} peers`}
                </summary>
                <Editor
                  key={JSON.stringify([flag.percent, flag.rooms, flag.peers])}
                  flag={flag}
                  onSave={(changes) => write(flag, changes)}
                />
              </details>
            )}
          </li>
        ))}
      </ul>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          act(api.send('PUT', `flags/${encodeURIComponent(name)}`, { enabled: true }).then(() => {
            setName('');
            setAsked(asked + 1);
          }));
        }}
      >
        <label for="flag-name">New flag</label>
        <input id="flag-name" required value={name} onInput={(event) => setName(event.currentTarget.value)} />
        <button type="submit" disabled={!may}>
          Add
        </button>
      </form>
      {flipping && (
        <Confirm
          title={`Switch ${flipping.name} on?`}
          act="Switch on"
          onClose={() => setFlipping(null)}
          onAct={() => write(flipping, { enabled: true })}
        >
          <p>{SWITCHES[flipping.name]} On all workers, at once.</p>
        </Confirm>
      )}
    </section>
  );
}
