// npm run quality: the picture that a viewer on a bad network gets through Troupe, beside a plain call
// of two browsers through the same network with the same content. Prints a table and what it says,
// and fails nothing: timing on a shared machine is judged by people (docs/quality-browsers.md).
//
// QUALITY_SECONDS: how long each is watched (60) after QUALITY_WARM_S (15); QUALITY_ONLY: names.

import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { LAYERS_KBPS, plain, viaServer } from './calls.mjs';

const seconds = Number(process.env.QUALITY_SECONDS ?? 60);
const warmS = Number(process.env.QUALITY_WARM_S ?? 15);
const OUT = fileURLToPath(new URL('../out/', import.meta.url));

/** A round trip of 40 ms and a queue of 300 ms, unless a scenario says otherwise. */
const path = (down, up = {}) => ({
  up: { delay_ms: 20, ...up },
  down: { queue_ms: 300, delay_ms: 20, ...down },
});

const narrowAt = warmS + seconds / 4;
const wideAt = warmS + (seconds * 5) / 8;

const SCENARIOS = {
  '3 Mb/s': path({ rate_kbps: 3_000 }),
  '1 Mb/s': path({ rate_kbps: 1_000 }),
  '500 kb/s': path({ rate_kbps: 500 }),
  '3 Mb/s, 5 % loss, 80 ms': path(
    { rate_kbps: 3_000, loss: 0.05, delay_ms: 40 },
    { delay_ms: 40 },
  ),
  '3 → 0.7 → 3 Mb/s': path({
    rate_kbps: 3_000,
    steps: [
      { at_s: narrowAt, rate_kbps: 700 },
      { at_s: wideAt, rate_kbps: 3_000 },
    ],
  }),
};

/** The value that so many percent do not exceed. */
const rank = (values, percent) => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1)] ?? 0;
};

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

function row({ got, sent, path }) {
  const { video, audio, heights } = got;
  const madeUp = audio.concealedSamples - audio.silentConcealedSamples;
  const delay = video.jitterBufferDelay / Math.max(1, video.jitterBufferEmittedCount);
  return {
    'received kb/s': Math.round((video.bytesReceived * 8) / seconds / 1000),
    fps: Number((video.framesDecoded / seconds).toFixed(1)),
    'height, mean': Math.round(mean(heights)),
    'changes of height': heights.filter((now, index) => index > 0 && now !== heights[index - 1]).length,
    'frozen %': Number(((video.totalFreezesDuration / seconds) * 100).toFixed(2)),
    'queue ms p50': rank(path.watched, 50),
    'queue ms p95': rank(path.watched, 95),
    'queue ms max': rank(path.watched, 100),
    'queue at start ms p95': rank(path.start, 95),
    'buffer ms': Math.round(delay * 1000),
    'sound made up %': Number(((madeUp / Math.max(1, audio.totalSamplesReceived)) * 100).toFixed(2)),
    'sent kb/s': Object.values(sent)
      .map((bps) => Math.round(bps / 1000))
      .join('+'),
  };
}

/** One freeze of the shortest kind is chance, and so is a picture's length of queue. */
const FREEZE_S = 0.25;
const QUEUE_MS = 15;

/** Whether a viewer by way of the server is as well off as one of a plain call. */
function verdict(ours, theirs) {
  const rate = theirs['received kb/s'];
  const best = Math.max(0, ...LAYERS_KBPS.filter((kbps) => kbps <= rate));
  const frozen = theirs['frozen %'] + (FREEZE_S / seconds) * 100;
  const says = (kept, good, bad) => (kept ? good : bad);
  return {
    frozen: says(ours['frozen %'] <= frozen, 'no worse', 'WORSE'),
    queue: says(ours['queue ms p95'] <= theirs['queue ms p95'] + QUEUE_MS, 'no worse', 'WORSE'),
    'best layer set, kb/s': best,
    received: says(ours['received kb/s'] >= 0.9 * best, '>= 90 %', 'LESS THAN 90 %'),
  };
}

const only = process.env.QUALITY_ONLY?.split(';');
const ways = { Troupe: viaServer, plain };
const WAYS = Object.entries(ways).filter(([way]) => (process.env.QUALITY_WAY ?? way) === way);
const table = {};
const traces = {};
for (const [name, network] of Object.entries(SCENARIOS)) {
  if (only && !only.includes(name)) continue;
  for (const [way, call] of WAYS) {
    const key = `${name}: ${way}`;
    const seen = await call({ network, warmS, seconds });
    table[key] = row(seen);
    traces[key] = { trace: seen.trace, path: seen.path };
    console.error(`${key}: ${JSON.stringify(table[key])}`);
  }
}
console.table(table);
const verdicts = {};
for (const name of Object.keys(SCENARIOS)) {
  const [ours, theirs] = [table[`${name}: Troupe`], table[`${name}: plain`]];
  if (ours && theirs) verdicts[name] = verdict(ours, theirs);
}
console.table(verdicts);
await mkdir(OUT, { recursive: true });
await writeFile(`${OUT}quality.json`, JSON.stringify({ seconds, warmS, table, verdicts }, null, 2));
await writeFile(`${OUT}quality-traces.json`, JSON.stringify(traces));
