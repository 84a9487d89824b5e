/** All workers, and the button that empties one. */

import type { VNode } from 'preact';
import { useState } from 'preact/hooks';

import type { Api } from '../api.js';
import type { Cluster } from '../cluster.js';
import { Confirm } from '../confirm.js';
import { count, short } from '../text.js';
import { Moves } from './overview.js';

export function Workers({ api, cluster }: { api: Api; cluster: Cluster }): VNode {
  const [draining, setDraining] = useState<string | null>(null);
  const { workers } = cluster.topology;
  const others = workers.filter(({ id, draining: leaves }) => id !== draining && !leaves).length;
  return (
    <>
      <section class="card" aria-labelledby="workers-title">
        <h2 id="workers-title">Workers</h2>
        <table>
          <thead>
            <tr>
              <th scope="col">Worker</th>
              <th scope="col">State</th>
              <th scope="col">Region</th>
              <th scope="col">Rooms</th>
              <th scope="col">Busiest shard</th>
              <th scope="col">Packets/s</th>
              <th scope="col">
                <span class="unseen">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {workers.map((worker) => {
              const last = cluster.samples.get(worker.id)?.at(-1);
              const state = worker.draining ? 'draining' : worker.ready ? 'ready' : 'not ready';
              return (
                <tr key={worker.id} data-worker={worker.id}>
                  <th scope="row" title={worker.url}>
                    {short(worker.id)}
                    {worker.here && <span class="soft"> this one</span>}
                  </th>
                  <td>
                    <span class={`badge ${state.replace(' ', '-')}`}>{state}</span>
                  </td>
                  <td>{worker.region || '–'}</td>
                  <td>{worker.rooms}</td>
                  <td>{(worker.loadPermille / 10).toFixed(0)} %</td>
                  <td>{last ? count(last.packetsIn + last.packetsOut) : '–'}</td>
                  <td class="act">
                    <button
                      type="button"
                      disabled={worker.draining || !api.may('operator')}
                      onClick={() => setDraining(worker.id)}
                      aria-label={`Drain ${short(worker.id)}`}
                    >
                      Drain…
                    </button>
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </section>
      <Moves moves={cluster.moves} />
      {draining && (
        <Confirm
          title={`Drain ${short(draining)}?`}
          act="Drain"
          onClose={() => setDraining(null)}
          onAct={async () => {
            await api.send('POST', `workers/${draining}/drain`);
            cluster.refresh();
          }}
        >
          <p>
            {others > 0
              ? `Its rooms move to ${others === 1 ? 'the other worker' : `${others} other workers`}, and it takes no joins any more.`
              : 'There is no other worker: its rooms close, and everybody in them is sent away.'}
          </p>
        </Confirm>
      )}
    </>
  );
}
