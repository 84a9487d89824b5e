// npm run quality: the picture that a viewer on a bad network gets through Troupe, beside a plain call
// of two browsers through the same network with the same content. Prints a table, asserts nothing:
// timing on a shared machine is judged by people.
//
// QUALITY_SECONDS: how long each is watched (60) after QUALITY_WARM_S (15); QUALITY_ONLY: names.

import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { plain, viaServer } from './calls.mjs';

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
    'queue ms p50': path.down.queue_ms_p50,
    'queue ms p95': path.down.queue_ms_p95,
    'queue ms max': path.down.queue_ms_max,
    'buffer ms': Math.round(delay * 1000),
    'sound made up %': Number(((madeUp / Math.max(1, audio.totalSamplesReceived)) * 100).toFixed(2)),
    'sent kb/s': Object.values(sent)
      .map((bps) => Math.round(bps / 1000))
      .join('+'),
  };
}

const only = process.env.QUALITY_ONLY?.split(';');
const table = {};
for (const [name, network] of Object.entries(SCENARIOS)) {
  if (only && !only.includes(name)) continue;
  for (const [way, call] of [['Troupe', viaServer], ['plain', plain]]) {
    const key = `${name}: ${way}`;
    table[key] = row(await call({ network, warmS, seconds }));
    console.error(`${key}: ${JSON.stringify(table[key])}`);
  }
}
console.table(table);
await mkdir(OUT, { recursive: true });
await writeFile(`${OUT}quality.json`, JSON.stringify({ seconds, warmS, table }, null, 2));
