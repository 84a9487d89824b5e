// An independent stack does both: aiortc publishes by WHIP and plays by WHEP. It knows no rid and no
// transport-wide feedback.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { figure } from '../support/figures.mjs';
import { startServer } from '../support/server.mjs';

const SCRIPT = fileURLToPath(new URL('../python/whip_whep.py', import.meta.url));
const PYTHON =
  process.env.TROUPE_PYTHON ?? fileURLToPath(new URL('../.venv/bin/python', import.meta.url));
const SECONDS = 5;

let server;
before(async () => {
  server = await startServer();
});
after(() => server?.stop());

for (const codec of ['VP8', 'H264']) {
  test(`aiortc publishes and plays ${codec}`, async (t) => {
    const room = `aiortc-${codec}`;
    const tokens = {
      PUBLISH_TOKEN: server.token(room, 'sender'),
      PLAY_TOKEN: server.token(room, 'viewer'),
    };
    const words = ['--url', server.url, '--room', room, '--codec', codec, '--seconds', `${SECONDS}`];
    const { stdout } = await promisify(execFile)(PYTHON, [SCRIPT, ...words], {
      env: { ...process.env, ...tokens },
      timeout: 60_000,
    });
    const report = JSON.parse(stdout.trim().split('\n').at(-1));
    t.diagnostic(`aiortc ${codec}: ${JSON.stringify(report)}`);
    await figure(t, `aiortc decodes ${codec}`, report.frames / SECONDS, 'fps');
    assert.equal(report.width, 320);
    assert.equal(report.deleted, 200);
    assert.ok(report.frames >= 40, `${report.frames} pictures in ${SECONDS} s`);
    assert.ok(report.samples > 3 * 48_000, `${report.samples} samples of sound`);
    assert.ok(report.loud, 'the tone is heard');
  });
}
