/** A line chart of a figure of all workers over the last minutes. */

import type { VNode } from 'preact';

import type { Sample } from './figures.js';
import { short } from './text.js';

const WIDTH = 320;
const HEIGHT = 96;
const COLOURS = 6;

interface Props {
  title: string;
  samples: Map<string, Sample[]>;
  workers: string[];
  value: (sample: Sample) => number;
  show: (value: number) => string;
}

/** The line through the samples of one worker, as the attribute of a path. */
export function path(values: [number, number][], from: number, to: number, top: number): string {
  const span = Math.max(1, to - from);
  const point = ([at, value]: [number, number]): string => {
    const x = ((at - from) / span) * WIDTH;
    const y = HEIGHT - (value / Math.max(top, Number.MIN_VALUE)) * (HEIGHT - 6) - 2;
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  };
  return values.length === 0 ? '' : `M${values.map(point).join('L')}`;
}

export function Chart({ title, samples, workers, value, show }: Props): VNode {
  const lines = workers.map((worker) => samples.get(worker) ?? []);
  const all = lines.flat();
  const from = Math.min(...all.map(({ at }) => at));
  const to = Math.max(...all.map(({ at }) => at));
  const top = Math.max(0, ...all.map(value));
  const latest = lines.map((line) => {
    const last = line.at(-1);
    return last ? value(last) : 0;
  });
  const words = workers.map((worker, index) => `${short(worker)} ${show(latest[index] ?? 0)}`);
  return (
    <figure class="chart card">
      <figcaption>{title}</figcaption>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={`${title}: ${words.join(', ')}; at most ${show(top)}`}
        preserveAspectRatio="none"
      >
        <line class="base" x1="0" x2={WIDTH} y1={HEIGHT - 2} y2={HEIGHT - 2} />
        {lines.map((line, index) => (
          <path
            key={workers[index]}
            class={`line c${index % COLOURS}`}
            d={path(line.map((it) => [it.at, value(it)]), from, to, top)}
          />
        ))}
      </svg>
      <ul class="legend">
        {workers.map((worker, index) => (
          <li key={worker}>
            <span class={`dot c${index % COLOURS}`} /> {short(worker)}{' '}
            <b>{show(latest[index] ?? 0)}</b>
          </li>
        ))}
      </ul>
    </figure>
  );
}
