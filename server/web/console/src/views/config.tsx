/** Sections of the configuration that change while workers run. */

import type { VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';

import type { Api } from '../api.js';
import type { Cluster } from '../cluster.js';
import { messageOf } from '../text.js';
import type { ConfigState } from '../types.js';

const text = (value: unknown): string => JSON.stringify(value ?? {}, null, 2);

interface SectionProps {
  name: string;
  config: ConfigState;
  onWrite: (section: unknown) => Promise<void>;
}

function Section({ name, config, onWrite }: SectionProps): VNode {
  const stored = config.stored[name];
  const [draft, setDraft] = useState(text(stored ?? config.config[name]));
  const [error, setError] = useState<string | null>(null);
  const [saved, setSaved] = useState(false);
  const id = `section-${name}`;
  const write = async (make: () => unknown): Promise<void> => {
    setSaved(false);
    try {
      await onWrite(make());
      setError(null);
      setSaved(true);
    } catch (error) {
      setError(messageOf(error));
    }
  };
  return (
    <section class="card" data-section={name} aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>{name}</h2>
      <p class="soft">
        {stored === undefined ? 'As the workers’ files say.' : 'From the store, on top of the files.'}
      </p>
      <label for={id}>{name}, as JSON</label>
      <textarea
        id={id}
        rows={Math.min(16, draft.split('\n').length + 1)}
        spellcheck={false}
        value={draft}
        aria-invalid={error !== null}
        aria-describedby={error ? `${id}-error` : undefined}
        onInput={(event) => setDraft(event.currentTarget.value)}
      />
      {error && (
        <p role="alert" class="bad" id={`${id}-error`}>
          {error}
        </p>
      )}
      <div class="row">
        <button
          type="button"
          class="primary"
          onClick={() => void write(() => JSON.parse(draft) as unknown)}
        >
          Save {name}
        </button>
        <button type="button" disabled={stored === undefined} onClick={() => void write(() => null)}>
          Back to the files
        </button>
        <span role="status">{saved ? 'Written, for all workers.' : ''}</span>
      </div>
    </section>
  );
}

export function Config({ api, cluster }: { api: Api; cluster: Cluster }): VNode {
  const [config, setConfig] = useState<ConfigState | null>(null);
  const [error, setError] = useState<string | null>(null);
  const news = cluster.events.find(({ type }) => type === 'config.changed')?.id;
  useEffect(() => {
    api
      .get<ConfigState>('config')
      .then(setConfig)
      .catch((error: unknown) => setError(messageOf(error)));
  }, [api, news]);
  if (error) return <p role="alert" class="bad card">{error}</p>;
  if (!config) return <p>…</p>;
  const write = async (name: string, section: unknown): Promise<void> => {
    await api.send('PATCH', 'config', { [name]: section });
  };
  return (
    <>
      {config.refused.length > 0 && (
        <section class="card bad" aria-labelledby="refused-title">
          <h2 id="refused-title">Refused</h2>
          <p>These values lie in the store and are not in force; the last good ones are.</p>
          <ul>
            {config.refused.map((it) => (
              <li key={it.what}>
                <b>{it.what}</b>: {it.problem}
              </li>
            ))}
          </ul>
        </section>
      )}
      {config.live.map((name) => (
        <Section
          key={`${name}${JSON.stringify(config.stored[name])}`}
          name={name}
          config={config}
          onWrite={(section) => write(name, section)}
        />
      ))}
      <details class="card">
        <summary>Everything in force on this worker</summary>
        <pre tabIndex={0}>{text(config.config)}</pre>
      </details>
    </>
  );
}
