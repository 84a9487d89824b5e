/** The cluster at a glance: graph, charts, moves, what happened last. */

import type { VNode } from 'preact';

import { Chart } from '../chart.js';
import type { Cluster, SeenMove } from '../cluster.js';
import { Graph } from '../graph.js';
import { clock, count, short } from '../text.js';

const STEPS = ['planned', 'prepared', 'committed', 'moving', 'drained'];

/** How far a move is, and how long it took to get there. */
function Move({ move }: { move: SeenMove }): VNode {
  const reached = move.ended === undefined ? STEPS.indexOf(move.phase) : STEPS.length - 1;
  const took = (move.ended ?? Date.now()) - move.plannedAtMs;
  return (
    <li class="move-row" data-room={move.room} data-ended={move.ended !== undefined}>
      <span>
        <b>{move.room}</b> {short(move.from)} → {short(move.to)} <i class="soft">{move.reason}</i>
      </span>
      <ol class="steps" aria-label={`steps of ${move.room}`}>
        {STEPS.map((step, index) => (
          <li
            key={step}
            class={index <= reached ? 'done' : ''}
            aria-current={index === reached ? 'step' : undefined}
          >
            {step}
          </li>
        ))}
      </ol>
      <span class="soft">{(Math.max(0, took) / 1_000).toFixed(1)} s</span>
    </li>
  );
}

export function Moves({ moves }: { moves: SeenMove[] }): VNode {
  return (
    <section class="card" aria-labelledby="moves-title">
      <h2 id="moves-title">Moves</h2>
      {moves.length === 0 ? (
        <p class="soft">No room moves.</p>
      ) : (
        <ul class="bare">
          {moves.map((move) => (
            <Move key={`${move.room}${move.plannedAtMs}`} move={move} />
          ))}
        </ul>
      )}
    </section>
  );
}

export function Overview({ cluster }: { cluster: Cluster }): VNode {
  const { topology, samples, rooms, events } = cluster;
  const workers = topology.workers.map(({ id }) => id);
  const of = { samples, workers };
  const peers = rooms.reduce((sum, room) => sum + room.peers, 0);
  return (
    <>
      <dl class="tiles">
        <div>
          <dt>Workers</dt>
          <dd>{workers.length}</dd>
        </div>
        <div>
          <dt>Rooms</dt>
          <dd data-figure="rooms">{topology.rooms.length}</dd>
        </div>
        <div>
          <dt>Peers</dt>
          <dd data-figure="peers">{peers}</dd>
        </div>
      </dl>
      <section class="card" aria-labelledby="graph-title">
        <h2 id="graph-title">Topology</h2>
        <Graph cluster={cluster} />
      </section>
      <Moves moves={cluster.moves} />
      <div class="charts">
        <Chart title="CPU, cores" {...of} value={(it) => it.cpu} show={(it) => it.toFixed(2)} />
        <Chart title="Packets in, a second" {...of} value={(it) => it.packetsIn} show={count} />
        <Chart title="Packets out, a second" {...of} value={(it) => it.packetsOut} show={count} />
        <Chart title="Rooms" {...of} value={(it) => it.rooms} show={count} />
        <Chart title="Peers" {...of} value={(it) => it.peers} show={count} />
      </div>
      <section class="card" aria-labelledby="events-title">
        <h2 id="events-title">Events</h2>
        <ol class="bare events" aria-live="off">
          {events.slice(0, 30).map((event) => (
            <li key={`${event.worker}${event.id}`}>
              <time>{clock(event.at)}</time> <b>{event.type}</b> {event.room ?? ''}{' '}
              <span class="soft">{short(event.worker)}</span>
            </li>
          ))}
        </ol>
      </section>
    </>
  );
}
