/** All rooms; of one its peers with their quality, and the button that moves it. */

import type { VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';

import type { Api } from '../api.js';
import type { Cluster } from '../cluster.js';
import { Confirm } from '../confirm.js';
import { clock, messageOf, short } from '../text.js';
import type { Migration, PeerStatus } from '../types.js';

interface Props {
  api: Api;
  cluster: Cluster;
  room: string | null;
}

function Quality({ peer }: { peer: PeerStatus }): VNode {
  if (peer.quality === undefined) return <span class="soft">–</span>;
  const percent = Math.round(peer.quality * 100);
  const level = percent >= 80 ? 'good' : percent >= 50 ? 'fair' : 'poor';
  const reason = percent < 100 && peer.qualityReason ? `, ${peer.qualityReason}` : '';
  return (
    <span class="quality" data-level={level}>
      <meter min="0" max="100" low={50} high={80} optimum={100} value={percent} aria-label="quality" />
      {percent} %{reason}
    </span>
  );
}

/** A room's peers, asked for again with every event and every other second. */
function usePeers(api: Api, room: string, version: number): [PeerStatus[], string | null] {
  const [peers, setPeers] = useState<PeerStatus[]>([]);
  const [error, setError] = useState<string | null>(null);
  const [tick, setTick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setTick((tick) => tick + 1), 2_000);
    return () => clearInterval(timer);
  }, []);
  useEffect(() => {
    let current = true;
    api
      .list<PeerStatus>(`rooms/${room}/peers`)
      .then((peers) => {
        if (!current) return;
        setPeers(peers);
        setError(null);
      })
      .catch((error: unknown) => {
        if (current) setError(messageOf(error));
      });
    return () => {
      current = false;
    };
  }, [api, room, version, tick]);
  return [peers, error];
}

function Peers({ api, cluster, room }: { api: Api; cluster: Cluster; room: string }): VNode {
  const [peers, error] = usePeers(api, room, cluster.version);
  const [removing, setRemoving] = useState<string | null>(null);
  return (
    <section class="card" aria-labelledby="peers-title">
      <h2 id="peers-title">Peers of {room}</h2>
      {error && <p class="soft">{error}</p>}
      <table>
        <thead>
          <tr>
            <th scope="col">Peer</th>
            <th scope="col">State</th>
            <th scope="col">By</th>
            <th scope="col">Since</th>
            <th scope="col">Publishes</th>
            <th scope="col">Quality</th>
            <th scope="col">
              <span class="unseen">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {peers.map((peer) => (
            <tr key={peer.sessionId} data-peer={peer.peerId}>
              <th scope="row">{peer.name ? `${peer.name} (${peer.peerId})` : peer.peerId}</th>
              <td>{peer.state}</td>
              <td>{peer.via}</td>
              <td>{clock(peer.joinedAt)}</td>
              <td>
                {peer.tracks.map((it) => `${it.source}${it.muted ? ' (muted)' : ''}`).join(', ') || '–'}
              </td>
              <td>
                <Quality peer={peer} />
              </td>
              <td class="act">
                <button
                  type="button"
                  disabled={!api.may('operator')}
                  onClick={() => setRemoving(peer.peerId)}
                  aria-label={`Remove ${peer.peerId}`}
                >
                  Remove…
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {removing && (
        <Confirm
          title={`Remove ${removing}?`}
          act="Remove"
          onClose={() => setRemoving(null)}
          onAct={() => api.send('DELETE', `rooms/${room}/peers/${removing}`)}
        >
          <p>{removing} is sent out of the room, and may come back with another token.</p>
        </Confirm>
      )}
    </section>
  );
}

function Migrate(props: { api: Api; cluster: Cluster; room: string; onClose: () => void }): VNode {
  const { api, cluster, room, onClose } = props;
  const [to, setTo] = useState('');
  const owner = cluster.topology.rooms.find(({ name }) => name === room)?.worker;
  const targets = cluster.topology.workers.filter(({ id, ready }) => ready && id !== owner);
  return (
    <Confirm
      title={`Move ${room}?`}
      act="Move"
      onClose={onClose}
      onAct={async () => {
        const answer = await api.send('POST', `rooms/${room}/migrate`, to ? { to } : {});
        cluster.began((await answer.json()) as Migration);
      }}
    >
      <p>Its peers follow while they talk; what they see and hear goes on.</p>
      <label for="target">To</label>
      <select id="target" value={to} onChange={(event) => setTo(event.currentTarget.value)}>
        <option value="">the worker that suits best</option>
        {targets.map(({ id }) => (
          <option key={id} value={id}>
            {short(id)}
          </option>
        ))}
      </select>
    </Confirm>
  );
}

export function Rooms({ api, cluster, room }: Props): VNode {
  const [moving, setMoving] = useState<string | null>(null);
  const [filter, setFilter] = useState('');
  const shown = cluster.rooms.filter(({ name }) => name.includes(filter)).slice(0, 500);
  const alone = cluster.topology.workers.length < 2;
  return (
    <>
      <section class="card" aria-labelledby="rooms-title">
        <div class="row">
          <h2 id="rooms-title">Rooms</h2>
          <label>
            Find <input value={filter} onInput={(event) => setFilter(event.currentTarget.value)} />
          </label>
        </div>
        <table>
          <thead>
            <tr>
              <th scope="col">Room</th>
              <th scope="col">Worker</th>
              <th scope="col">Shard</th>
              <th scope="col">Epoch</th>
              <th scope="col">Peers</th>
              <th scope="col">Publishers</th>
              <th scope="col">Tracks</th>
              <th scope="col">Open since</th>
              <th scope="col">
                <span class="unseen">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((it) => (
              <tr key={it.name} data-room={it.name} aria-selected={it.name === room}>
                <th scope="row">
                  <a href={`#/rooms/${it.name}`}>{it.name}</a>
                </th>
                <td data-worker={it.worker}>{short(it.worker)}</td>
                <td>{it.shards.join(', ')}</td>
                <td>{it.epoch}</td>
                <td>{it.peers}</td>
                <td>{it.publishers}</td>
                <td>{it.tracks}</td>
                <td>{clock(it.openedAt)}</td>
                <td class="act">
                  <button
                    type="button"
                    disabled={alone || !api.may('operator')}
                    onClick={() => setMoving(it.name)}
                    aria-label={`Move ${it.name}`}
                  >
                    Move…
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
        {cluster.rooms.length === 0 && <p class="soft">No room is open.</p>}
      </section>
      {room && <Peers key={room} api={api} cluster={cluster} room={room} />}
      {moving && (
        <Migrate api={api} cluster={cluster} room={moving} onClose={() => setMoving(null)} />
      )}
    </>
  );
}
