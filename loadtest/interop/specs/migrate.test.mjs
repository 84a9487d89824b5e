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
/** Frames of sound that a page may lose in a move. */
const LOST_MAX = 1;
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
  const now = ({ page }) =>
    page.evaluate(async () => [performance.now(), await moves.soundSoFar()]);
  const look = () => Promise.all(members.map(now));
  const began = await look();
  await Promise.all([pause(ms), during()]);
  const ended = await look();
  return Promise.all(
    members.map(async ({ page }, index) => {
      const [[from, before], [to, after]] = [began[index], ended[index]];
      const seen = await page.evaluate(([from, to]) => moves.figures(from, to), [from, to]);
      const [madeUpMs, lost] = ['madeUpMs', 'lost'].map((key) => after[key] - before[key]);
      return { ...seen, madeUpMs, lost };
    }),
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

const mean = (all) => all.reduce((sum, it) => sum + it, 0) / all.length;

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

  // Before each move the call is left alone for as long.
  const [control, rows, aside] = [[], [], []];
  for (let index = 0; index < MOVES; index += 1) {
    const [from, to] = index % 2 === 0 ? workers : [...workers].reverse();
    control.push(await over(members, SPAN_MS));
    rows.push(await over(members, SPAN_MS, () => move(room, members, from, to)));
  }
  for (let index = 0; index < SHARD_MOVES; index += 1) {
    aside.push(await over(members, SPAN_MS, () => moveShard(room, members, workers[MOVES % 2])));
  }
  const gaps = (spans, key) => spans.flat().flatMap((page) => page[key]);
  const quiet = {};
  for (const key of ['shown', 'decoded']) {
    quiet[key] = Math.max(...gaps(control, key));
    await figure(t, `longest gap of the call left alone, ${key}`, quiet[key], 'ms');
    const all = gaps(rows, key).sort((a, b) => a - b);
    await figure(t, `longest gap a picture and move, ${key}: median`, median(all), 'ms');
    await figure(t, `… 90th percentile`, all[Math.floor(all.length * 0.9)], 'ms');
    await figure(t, `… longest of ${all.length}`, all.at(-1), 'ms');
    const longest = Math.max(...gaps(aside, key));
    await figure(t, `longest gap of a picture, shard to shard, ${key}`, longest, 'ms');
  }
  const made = (spans) => members.map((_, page) => mean(spans.map((span) => span[page].madeUpMs)));
  const [alone, moved] = [made(control), made(rows)];
  const more = moved.map((ms, page) => ms - alone[page]);
  await figure(t, 'sound made up while left alone, worst page', Math.max(...alone), 'ms');
  await figure(t, 'sound made up in a move, worst page', Math.max(...moved), 'ms');
  await figure(t, '… beyond the same page left alone', Math.max(...more), 'ms');
  const lost = rows.flat().map((page) => page.lost);
  await figure(t, 'packets of sound lost, worst page and move', Math.max(...lost), '');

  rows.push(...aside);
  for (const row of rows) {
    assert.deepEqual(row.map(({ moves }) => moves), [1, 1, 1]);
    for (const { lost } of row) assert.ok(lost <= LOST_MAX, `${lost} packets of sound lost`);
  }
  assert.deepEqual(await tracks(), known);
  const heard = await Promise.all(members.map((member) => member.events()));
  for (const [index, events] of heard.entries()) {
    const coming = ['peerJoined', 'peerLeft', 'trackPublished', 'trackUnpublished', 'state'];
    const news = events.slice(told[index].length).filter(({ type }) => coming.includes(type));
    assert.deepEqual(news, [], 'nobody comes, goes or reconnects');
  }
  for (const key of ['shown', 'decoded']) {
    const all = gaps(rows, key);
    assert.ok(Math.max(...all) <= quiet[key] + LADEN * GAP_MS, JSON.stringify(all));
  }
  assert.ok(Math.max(...more) <= LADEN * AUDIO_MS, JSON.stringify({ alone, moved }));
  await members[0].page.evaluate(() => call.room.chat('still here'));
  await members[2].told({ type: 'chat', text: 'still here' });
});
