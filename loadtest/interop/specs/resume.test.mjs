// The WebSocket is cut in a call: media does not notice, and the session is taken up again.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startChromium } from '../support/chromium.mjs';
import { figure, sum } from '../support/figures.mjs';
import { publisher, videos } from '../support/member.mjs';
import { startProxy } from '../support/proxy.mjs';
import { startServer } from '../support/server.mjs';

const WINDOW_MS = 4_000;

let proxy;
let server;
let browser;

before(async () => {
  proxy = await startProxy();
  server = await startServer({
    env: {
      TROUPE_HTTP__PUBLIC_URL: proxy.url,
      TROUPE_SESSION__RESUME_WINDOW: `${WINDOW_MS}ms`,
    },
  });
  proxy.target = server.ports.http;
  browser = await startChromium({ fps: 15 });
});

after(async () => {
  await browser?.close();
  await server?.stop();
  proxy?.close();
});

/** `cut` reaches the server through the proxy, `whole` directly. */
async function pair(room) {
  const cut = await publisher(browser, server, room, 'cut', { url: proxy.url });
  const whole = await publisher(browser, server, room, 'whole');
  await Promise.all([cut.seen(1), whole.seen(1)]);
  await whole.page.waitForTimeout(1_500);
  return [cut, whole];
}

/** What the peer `cut` went through, as others were told, once each. */
async function history(member) {
  const told = await member.events('peerJoined', 'peerUpdated', 'peerLeft');
  return told
    .filter(({ peerId }) => peerId === 'cut')
    .map(({ type, state, reason }) => (type === 'peerUpdated' ? state : `${type} ${reason ?? ''}`));
}

test('a short cut: media goes on, the session resumes, nobody leaves', async (t) => {
  const [cut, whole] = await pair('short');
  await cut.page.evaluate(() => (window.before = call.room.peerConnection));
  const watching = Promise.all([cut.receive(6_000), whole.receive(6_000)]);
  await whole.page.waitForTimeout(1_000);
  await proxy.cutFor(1_500);
  const received = await watching;
  await cut.told({ type: 'state', state: 'connected' });
  await whole.told({ type: 'peerUpdated', peerId: 'cut', state: 'active' });

  for (const rows of received) {
    const [video] = videos(rows);
    await figure(t, 'decodes over the cut', video.fps, 'fps');
    assert.ok(video.fps >= 12, JSON.stringify(video));
    assert.equal(video.freezes, 0, JSON.stringify(video));
    assert.equal(sum(rows, 'lost'), 0, JSON.stringify(rows));
  }
  const joins = await cut.joins();
  assert.deepEqual(joins.map(({ resumed }) => resumed), [false, true]);
  assert.equal(joins[1].sessionId, joins[0].sessionId);
  const states = await cut.events('state');
  assert.deepEqual(states.map(({ state }) => state), ['reconnecting', 'connected']);
  await figure(t, 'cut of 1,500 ms: back after', states[1].at - states[0].at, 'ms');
  assert.deepEqual(await history(whole), ['reconnecting', 'active']);
  assert.ok(await cut.page.evaluate(() => window.before === call.room.peerConnection));
  await whole.page.evaluate(() => call.room.chat('are you there?'));
  await cut.told({ type: 'chat', text: 'are you there?' });
  await Promise.all([cut.close(), whole.close()]);
});

test('ten cuts in a row change nothing', async () => {
  const [cut, whole] = await pair('often');
  const watching = whole.receive(10_000);
  for (let index = 0; index < 10; index += 1) {
    proxy.cut();
    proxy.restore();
    await cut.page.evaluate((count) => {
      const resumed = () => call.frames.filter(({ result }) => result?.resumed).length;
      return probe.until(() => resumed() >= count, 8_000, `resumed ${count} times`);
    }, index + 1);
  }
  const [video] = videos(await watching);
  assert.ok(video.fps >= 12, JSON.stringify(video));
  assert.equal(video.freezes, 0, JSON.stringify(video));
  assert.equal((await whole.events('peerLeft')).length, 0);
  assert.equal((await cut.joins()).length, 11);
  await Promise.all([cut.close(), whole.close()]);
});

test('a cut longer than the window: the others see one leave, and one return', async (t) => {
  const [cut, whole] = await pair('long');
  const started = Date.now();
  proxy.cut();
  await whole.told({ type: 'peerLeft', peerId: 'cut' }, WINDOW_MS * 5);
  await figure(t, `window of ${WINDOW_MS} ms: others told after`, Date.now() - started, 'ms');
  assert.ok(Date.now() - started >= WINDOW_MS - 100, 'not before the window ended');
  await whole.page.waitForTimeout(2_000);
  assert.deepEqual(await history(whole), ['reconnecting', 'peerLeft timeout']);
  assert.equal((await whole.receive(500)).length, 0, 'nothing of it is shown any more');

  proxy.restore();
  await cut.told({ type: 'state', state: 'connected' }, 20_000);
  await whole.seen(1);
  await cut.seen(1);
  assert.deepEqual((await cut.joins()).map(({ resumed }) => resumed), [false, false]);
  assert.deepEqual(await history(whole), ['reconnecting', 'peerLeft timeout', 'peerJoined ']);
  const [[there], [here]] = [videos(await whole.receive(3_000)), videos(await cut.receive(3_000))];
  assert.ok(there.fps >= 12 && here.fps >= 12, JSON.stringify([there, here]));
  await Promise.all([cut.close(), whole.close()]);
});
