/** What operators did, on all workers. */

import type { VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';

import type { Api } from '../api.js';
import type { Cluster } from '../cluster.js';
import { date, messageOf, short } from '../text.js';
import type { AuditItem } from '../types.js';

const SHOWN_MAX = 200;

export function Audit({ api, cluster }: { api: Api; cluster: Cluster }): VNode {
  const [items, setItems] = useState<AuditItem[]>([]);
  const [error, setError] = useState<string | null>(null);
  const news = cluster.events.find(({ type }) => type === 'admin.acted')?.id;
  useEffect(() => {
    api
      .list<AuditItem>('audit')
      .then((items) => setItems(items.slice(-SHOWN_MAX).reverse()))
      .catch((error: unknown) => setError(messageOf(error)));
  }, [api, news]);
  return (
    <section class="card" aria-labelledby="audit-title">
      <h2 id="audit-title">Audit log</h2>
      <p class="soft">
        The last {SHOWN_MAX}, newest first. <code>troupe admin audit verify</code> checks that none was
        changed.
      </p>
      {error && (
        <p role="alert" class="bad">
          {error}
        </p>
      )}
      <table>
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">Who</th>
            <th scope="col">What</th>
            <th scope="col">Answer</th>
            <th scope="col">Entry</th>
          </tr>
        </thead>
        <tbody>
          {items.map(({ chain, seq, hash, entry }) => (
            <tr key={chain + String(seq)}>
              <td>{date(entry.at)}</td>
              <td>{entry.actor}</td>
              <td title={JSON.stringify(entry.detail ?? null)}>{entry.action}</td>
              <td class={entry.status >= 400 ? 'bad' : ''}>{entry.status}</td>
              <td title={hash}>
                {short(chain)} {seq}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
