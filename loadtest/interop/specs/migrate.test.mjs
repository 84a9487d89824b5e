// A room moves from worker to worker in the middle of a call, and nobody notices.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { startChromium } from '../support/chromium.mjs';
import { clusterEnv, startEtcd } from '../support/etcd.mjs';
import { figure, median } from '../support/figures.mjs';
import { publisher } from '../support/member.mjs';
import { startServer } from '../support/server.mjs';

const MOVES = 10;
const SHARD_MOVES = 2;
/** What is asked for: a picture's gap beyond that of the call left alone, and sound made up. */
const GAP_MS = 150;
const AUDIO_MS = 20;
/** Two cores with three browsers, two workers and a store: five times that is asserted. */
const LADEN = 5;
const SPAN_MS = 2_500;

let etcd;
let workers;
let browser;

before(async () => {
  etcd = await startEtcd();
  workers = await Promise.all([0, 1].map(() => startServer({ env: { ...clusterEnv(etcd), TROUPE_WEBRTC__SHARDS: '2' } })));
  browser = await startChromium({ fps: 15 });
});

after(async () => {
  await browser?.close();
  await Promise.all((workers ?? []).map((worker) => worker.stop()));
  await etcd?.stop();
});

/** The figures of all pages over the same `ms`, in which `during` is done. */
async function over(members, ms, during = () => undefined) {
  const now = ({ page }) => page.evaluate(() => performance.now());
  const times = () => Promise.all(members.map(now));
  const began = await times();
  await Promise.all([pause(ms), during()]);
  const ended = await times();
  return Promise.all(
    members.map(({ page }, index) =>
      page.evaluate(([from, to]) => moves.figures(from, to), [began[index], ended[index]]),
    ),
  );
}

async function move(room, members, from, to) {
  const count = await members[0].page.evaluate(() => moves.workers().length);
  const response = await from.admin('POST', `rooms/${room}/migrate`, {});
  assert.equal(response.status, 202, await response.text());
  const all = members.map(({ page }) =>
    page.evaluate((count) => {
      return probe.until(() => moves.workers().length > count, 12_000, 'moved');
    }, count),
  );
  await Promise.all(all);
  // The next move waits until this one is over.
  for (let left = 100; left > 0; left -= 1) {
    const { items } = await (await from.admin('GET', 'migrations')).json();
    const status = await to.admin('GET', `rooms/${room}`);
    if (items.length === 0 && status.ok) return;
    await pause(100);
  }
  throw new Error('the move does not end');
}

/** To the other shard of the worker that has the room. */
async function moveShard(room, members, worker) {
  const count = await members[0].page.evaluate(() => moves.workers().length);
  const response = await worker.admin('POST', `rooms/${room}/shard`);
  const { from, to } = await response.json();
  assert.equal(response.status, 202);
  assert.notEqual(from, to);
  const all = members.map(({ page }) =>
    page.evaluate((count) => {
      return probe.until(() => moves.workers().length > count, 12_000, 'moved');
    }, count),
  );
  await Promise.all(all);
  // Until only the new shard has them.
  for (let left = 100; (await worker.metric('troupe_actor_peers')) > members.length; left -= 1) {
    assert.ok(left > 0, 'the old shard lets go');
    await pause(100);
  }
  const { shards } = await (await worker.admin('GET', `rooms/${room}`)).json();
  assert.deepEqual(shards, [to]);
}

const worst = (rows, key) => Math.max(...rows.flatMap((row) => row[key]));

test('ten moves in a row in a call of three', async (t) => {
  const room = 'wander';
  const publish = { width: 320, height: 180, frameRate: 15 };
  const members = [];
  for (const name of ['ana', 'bob', 'eve']) {
    members.push(await publisher(browser, workers[0], room, name, { publish }));
  }
  await Promise.all(members.map((member) => member.seen(2)));
  await pause(2_000);
  await Promise.all(members.map(({ page }) => page.evaluate(() => moves.watch())));
  const tracks = () => members[0].page.evaluate(() => call.room.tracks.map(({ id }) => id).sort());
  const [known, told] = [await tracks(), await Promise.all(members.map((m) => m.events()))];
  await pause(300);

  const control = await over(members, 2 * SPAN_MS);
  const quiet = { shown: worst(control, 'shown'), decoded: worst(control, 'decoded') };
  const began = control.map(({ madeUpMs }) => madeUpMs);
  await figure(t, 'longest gap of the call left alone, shown', quiet.shown, 'ms');
  await figure(t, 'longest gap of the call left alone, decoded', quiet.decoded, 'ms');
  await figure(t, 'sound made up in the call left alone', Math.max(...began), 'ms');

  const rows = [];
  for (let index = 0; index < MOVES; index += 1) {
    const [from, to] = index % 2 === 0 ? workers : [...workers].reverse();
    rows.push(await over(members, SPAN_MS, () => move(room, members, from, to)));
  }
  const aside = [];
  for (let index = 0; index < SHARD_MOVES; index += 1) {
    aside.push(await over(members, SPAN_MS, () => moveShard(room, members, workers[MOVES % 2])));
  }
  for (const key of ['shown', 'decoded']) {
    const longest = aside.map((row) => worst(row, key));
    await figure(t, `longest gap of a picture, shard to shard, ${key}`, Math.max(...longest), 'ms');
  }
  const gaps = (key) => rows.flatMap((row) => row.flatMap((page) => page[key]));
  for (const key of ['shown', 'decoded']) {
    const all = gaps(key).sort((a, b) => a - b);
    await figure(t, `longest gap a picture and move, ${key}: median`, median(all), 'ms');
    await figure(t, `… 90th percentile`, all[Math.floor(all.length * 0.9)], 'ms');
    await figure(t, `… longest of ${all.length}`, all.at(-1), 'ms');
  }
  const last = aside.at(-1);
  const made = last.map(({ madeUpMs }, index) => (madeUpMs - began[index]) / (MOVES + SHARD_MOVES));
  await figure(t, 'sound made up a move, worst page', Math.max(...made), 'ms');

  rows.push(...aside);
  for (const row of rows) assert.deepEqual(row.map(({ moves }) => moves), [1, 1, 1]);
  assert.deepEqual(await tracks(), known);
  const heard = await Promise.all(members.map((member) => member.events()));
  for (const [index, events] of heard.entries()) {
    const coming = ['peerJoined', 'peerLeft', 'trackPublished', 'trackUnpublished', 'state'];
    const news = events.slice(told[index].length).filter(({ type }) => coming.includes(type));
    assert.deepEqual(news, [], 'nobody comes, goes or reconnects');
  }
  for (const key of ['shown', 'decoded']) {
    const longest = worst(rows.flat(), key);
    assert.ok(longest <= quiet[key] + LADEN * GAP_MS, JSON.stringify(gaps(key)));
  }
  assert.ok(Math.max(...made) <= LADEN * AUDIO_MS, JSON.stringify(made));
  await members[0].page.evaluate(() => call.room.chat('still here'));
  await members[2].told({ type: 'chat', text: 'still here' });
});
