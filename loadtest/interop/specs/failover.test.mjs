// A worker dies in the middle of a call, without a word: the browsers are back on another.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { startChromium } from '../support/chromium.mjs';
import { clusterEnv, startEtcd } from '../support/etcd.mjs';
import { figure, sum } from '../support/figures.mjs';
import { audios, publisher, videos } from '../support/member.mjs';
import { startServer } from '../support/server.mjs';

/** Beyond the end of the dead worker's lease. */
const BACK_MS = 5_000;
/** Two cores with three browsers, two workers and a store: five times that is asserted. */
const LADEN = 5;
const LEASE_MS_MAX = 30_000;

let etcd;
let workers;
let browser;

before(async () => {
  etcd = await startEtcd();
  workers = await Promise.all([0, 1].map(() => startServer({ env: clusterEnv(etcd) })));
  browser = await startChromium({ fps: 15 });
});

after(async () => {
  await browser?.close();
  await Promise.all((workers ?? []).map((worker) => worker.stop()));
  await etcd?.stop();
});

/** When the store lets go of all workers but this one, by the clock of this machine. */
async function alone(worker) {
  const end = Date.now() + LEASE_MS_MAX;
  for (;;) {
    const { items } = await (await worker.admin('GET', 'workers')).json();
    if (items.length === 1) return Date.now();
    assert.ok(Date.now() < end, 'the lease ends');
    await pause(20);
  }
}

/** Waits until a page was told of both workers: by its join, or by the news of them. */
function knowsTwo({ page }) {
  const told = () => call.frames.some(({ result, params }) => (result ?? params)?.endpoints?.length === 2);
  return page.evaluate(`probe.until(${told}, 20_000, 'another worker is known')`);
}

/** When a page decodes both others again, and is told so by the room. */
function back({ page }) {
  return page.evaluate(async (ms) => {
    const rejoined = () => call.events.findLast(({ type, state }) => type === 'state' && state === 'connected');
    await probe.until(rejoined, ms, 'in the room again');
    const joined = Date.now();
    await call.seen(2, ms);
    return { joined, seen: Date.now() };
  }, LEASE_MS_MAX + BACK_MS * LADEN);
}

test('kill -9 of the worker that has a call of three', async (t) => {
  const room = 'bereft';
  const publish = { width: 320, height: 180, frameRate: 15 };
  const members = [];
  for (const name of ['ana', 'bob', 'eve']) {
    members.push(await publisher(browser, workers[0], room, name, { publish }));
  }
  await Promise.all(members.map((member) => member.seen(2)));
  await Promise.all(members.map(knowsTwo));
  const before = await (await workers[1].admin('GET', `rooms/${room}`)).json();

  const killed = Date.now();
  workers[0].child.kill('SIGKILL');
  const [lapsed, ...times] = await Promise.all([alone(workers[1]), ...members.map(back)]);
  await figure(t, 'the lease ended after', lapsed - killed, 'ms');
  const after = (key) => Math.max(...times.map((time) => time[key] - lapsed));
  await figure(t, 'beyond it: the last is in the room again after', after('joined'), 'ms');
  await figure(t, 'beyond it: the last sees both others after', after('seen'), 'ms');
  assert.ok(after('seen') < BACK_MS * LADEN, JSON.stringify({ lapsed, times }));

  const status = await (await workers[1].admin('GET', `rooms/${room}`)).json();
  assert.equal(status.peers, 3);
  assert.ok(status.epoch > before.epoch, JSON.stringify([before, status]));
  await pause(1_000);
  for (const rows of await Promise.all(members.map((member) => member.receive(3_000)))) {
    assert.deepEqual([videos(rows).length, audios(rows).length], [2, 2], JSON.stringify(rows));
    for (const { fps } of videos(rows)) assert.ok(fps >= 12, JSON.stringify(rows));
    assert.equal(sum(rows, 'lost'), 0, JSON.stringify(rows));
  }
  for (const member of members) {
    const { length } = await member.joins();
    assert.equal(length, 2, 'a join before and one after');
    const states = (await member.events('state')).map(({ state }) => state);
    assert.deepEqual(states, ['reconnecting', 'connected']);
    assert.deepEqual(await member.events('closed', 'peerLeft'), []);
  }
  await members[0].page.evaluate(() => call.room.chat('all here?'));
  await members[2].told({ type: 'chat', text: 'all here?' });
});
