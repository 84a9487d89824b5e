// An independent stack does both: aiortc publishes by WHIP and plays by WHEP. It knows no rid and no
// transport-wide feedback.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { figure } from '../support/figures.mjs';
import { SHAPED_ADDRESS, startServer } from '../support/server.mjs';
import { startShaper } from '../support/shaper.mjs';

const SCRIPT = fileURLToPath(new URL('../python/whip_whep.py', import.meta.url));
const PYTHON =
  process.env.TROUPE_PYTHON ?? fileURLToPath(new URL('../.venv/bin/python', import.meta.url));
const SECONDS = 5;

let server;
let shaped;
before(async () => {
  [server, shaped] = await Promise.all([startServer(), startServer({ shaped: true })]);
});
after(() => Promise.all([server?.stop(), shaped?.stop()]));

/** Publishes and plays; what the player saw. */
async function call(t, server, room, codec, more = []) {
  const tokens = {
    PUBLISH_TOKEN: server.token(room, 'sender'),
    PLAY_TOKEN: server.token(room, 'viewer'),
  };
  const words = ['--url', server.url, '--room', room, '--codec', codec, '--seconds', `${SECONDS}`];
  const { stdout } = await promisify(execFile)(PYTHON, [SCRIPT, ...words, ...more], {
    env: { ...process.env, ...tokens },
    timeout: 60_000,
  });
  const report = JSON.parse(stdout.trim().split('\n').at(-1));
  t.diagnostic(`aiortc ${codec}: ${JSON.stringify(report)}`);
  return report;
}

test('aiortc over a narrow path that loses: what is lost comes again', async (t) => {
  const path = { rate_kbps: 1_500, queue_ms: 300, delay_ms: 20, loss: 0.03 };
  const shaper = await startShaper(shaped.ports.media, { seed: 3, up: path, down: path });
  const only = ['--peer', SHAPED_ADDRESS];
  const report = await call(t, shaped, 'aiortc-shaped', 'VP8', only);
  const { heaviest } = await shaper.stop();
  await figure(t, 'aiortc over 3 % loss decodes', report.frames / SECONDS, 'fps');
  await figure(t, 'lost on purpose', heaviest.down.lost + heaviest.up.lost, 'packets');
  assert.ok(heaviest.down.lost > 0 && heaviest.up.lost > 0, 'the loss happened');
  assert.equal(report.width, 320);
  assert.ok(report.frames >= 30, `${report.frames} pictures in ${SECONDS} s`);
  assert.ok(report.loud, 'the tone is heard');
});

for (const codec of ['VP8', 'H264']) {
  test(`aiortc publishes and plays ${codec}`, async (t) => {
    const report = await call(t, server, `aiortc-${codec}`, codec);
    await figure(t, `aiortc decodes ${codec}`, report.frames / SECONDS, 'fps');
    assert.equal(report.width, 320);
    assert.equal(report.deleted, 200);
    assert.ok(report.frames >= 40, `${report.frames} pictures in ${SECONDS} s`);
    assert.ok(report.samples > 3 * 48_000, `${report.samples} samples of sound`);
    assert.ok(report.loud, 'the tone is heard');
  });
}
