/** Workers, the rooms on them, who is in those, and what goes between workers. */

import type { VNode } from 'preact';

import type { Cluster } from './cluster.js';
import type { Link } from './figures.js';
import { bits, short } from './text.js';
import type { OwnedRoom, RoomStatus, WorkerRecord } from './types.js';

const WIDTH = 960;
const BOX_TOP = 70;
const ROW = 62;
const CELL = 70;
const DOTS_MAX = 16;
/** Rooms drawn of one worker; the others are counted. */
const ROOMS_MAX = 40;

export interface Placed {
  worker: WorkerRecord;
  x: number;
  width: number;
  rooms: { room: OwnedRoom; peers: number; x: number; y: number }[];
  more: number;
}

/** Where everything stands: workers side by side, the fullest rooms first. */
export function place(
  workers: WorkerRecord[],
  owned: OwnedRoom[],
  rooms: RoomStatus[],
): { placed: Placed[]; height: number } {
  const peers = new Map(rooms.map((room) => [room.name, room.peers]));
  const width = WIDTH / Math.max(1, workers.length);
  const columns = Math.max(1, Math.floor((width - 24) / CELL));
  const placed = workers.map((worker, index) => {
    const own = owned.filter((room) => room.worker === worker.id);
    const byPeers = own
      .map((room) => ({ room, peers: peers.get(room.name) ?? 0 }))
      .sort((a, b) => b.peers - a.peers || a.room.name.localeCompare(b.room.name));
    const shown = byPeers.slice(0, ROOMS_MAX).map((it, at) => ({
      ...it,
      x: index * width + 12 + ((at % columns) + 0.5) * ((width - 24) / columns),
      y: BOX_TOP + 40 + Math.floor(at / columns) * ROW,
    }));
    const more = byPeers.length - shown.length;
    return { worker, x: index * width, width, rooms: shown, more };
  });
  const rows = Math.max(1, ...placed.map((it) => Math.ceil(it.rooms.length / columns)));
  return { placed, height: BOX_TOP + 60 + rows * ROW };
}

function Room({ at, moving }: { at: Placed['rooms'][number]; moving: boolean }): VNode {
  const { room, peers, x, y } = at;
  const dots = Array.from({ length: Math.min(peers, DOTS_MAX) }, (_, index) => {
    const angle = (index / Math.min(peers, DOTS_MAX)) * 2 * Math.PI - Math.PI / 2;
    const [dx, dy] = [Math.cos(angle) * 17, Math.sin(angle) * 17];
    return <circle key={index} class="peer" cx={x + dx} cy={y + dy} r="2.6" />;
  });
  const words = `${room.name}: ${peers} ${peers === 1 ? 'peer' : 'peers'}`;
  return (
    <a href={`#/rooms/${room.name}`} aria-label={moving ? `${words}, moving` : words}>
      <title>{words}</title>
      <circle class={moving ? 'room moving' : 'room'} cx={x} cy={y} r="11" />
      <text class="count" x={x} y={y + 3.5}>
        {peers}
      </text>
      {dots}
      <text class="name" x={x} y={y + 31}>
        {room.name.length > 11 ? `${room.name.slice(0, 10)}…` : room.name}
      </text>
    </a>
  );
}

function Relay({ a, b, link }: { a: Placed; b: Placed; link: Link }): VNode {
  const [from, to] = [a.x + a.width / 2, b.x + b.width / 2];
  const middle = (from + to) / 2;
  const words = `${bits(link.bitsPerSecond)}, ${link.rttMs.toFixed(1)} ms`;
  return (
    <g class={link.bitsPerSecond > 0 ? 'relay busy' : 'relay'}>
      <title>{`relay ${short(a.worker.id)} to ${short(b.worker.id)}: ${words}`}</title>
      <path d={`M${from},${BOX_TOP - 28}Q${middle},${BOX_TOP - 76} ${to},${BOX_TOP - 28}`} />
      <text x={middle} y={14}>
        {words}
      </text>
    </g>
  );
}

export function Graph({ cluster }: { cluster: Cluster }): VNode {
  const { topology, rooms, links, moves } = cluster;
  const { placed, height } = place(topology.workers, topology.rooms, rooms);
  const of = (id: string): Placed | undefined => placed.find((it) => it.worker.id === id);
  const moving = moves.filter((move) => move.ended === undefined);
  const relays = placed.flatMap((a) =>
    (links.get(a.worker.id) ?? []).flatMap((link) => {
      const b = of(link.to);
      // Both ends count the same link; one of them draws it.
      return b && a.worker.id < b.worker.id ? [{ a, b, link }] : [];
    }),
  );
  const label = `${placed.length} workers, ${topology.rooms.length} rooms, ${relays.length} relays`;
  return (
    <svg class="graph" viewBox={`0 0 ${WIDTH} ${height}`} role="group" aria-label={label}>
      {relays.map((relay) => (
        <Relay key={relay.a.worker.id + relay.b.worker.id} {...relay} />
      ))}
      {placed.map((it) => (
        <g key={it.worker.id}>
          <rect
            class={it.worker.draining ? 'worker draining' : 'worker'}
            x={it.x + 8}
            y={BOX_TOP - 28}
            width={it.width - 16}
            height={height - BOX_TOP + 20}
            rx="12"
          />
          <text class="title" x={it.x + 22} y={BOX_TOP - 8}>
            {short(it.worker.id)} {it.worker.here ? '· this one' : ''}{' '}
            {it.worker.draining ? '· draining' : it.worker.ready ? '' : '· not ready'}
          </text>
          {it.more > 0 && (
            <text class="name" x={it.x + it.width / 2} y={height - 16}>
              and {it.more} more
            </text>
          )}
          {it.rooms.map((at) => (
            <Room
              key={at.room.name}
              at={at}
              moving={moving.some((move) => move.room === at.room.name)}
            />
          ))}
        </g>
      ))}
      {moving.map((move) => {
        const [a, b] = [of(move.from), of(move.to)];
        if (!a || !b) return null;
        const d = `M${a.x + a.width / 2},${height - 30}L${b.x + b.width / 2},${height - 30}`;
        return <path key={move.room} class="move" d={d} />;
      })}
    </svg>
  );
}
