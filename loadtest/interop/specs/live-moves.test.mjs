// What is recorded, packaged and played of a room goes on when the room moves to another worker.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { startChromium } from '../support/chromium.mjs';
import { clusterEnv, startEtcd } from '../support/etcd.mjs';
import { figure } from '../support/figures.mjs';
import { publisher } from '../support/member.mjs';
import { FFMPEG, run } from '../support/rtmp.mjs';
import { startServer } from '../support/server.mjs';
import { sign } from '../support/tokens.mjs';

const ROOM = 'kept';
/** A track goes on at a keyframe of its next source; five times as long is asserted. */
const GAP_S = 0.2;
const LADEN = 5;
const [SEGMENT_S, RELOAD_S] = [2, 2];

let certificates;
let etcd;
let workers;
let browser;
let members;

before(async () => {
  certificates = await mkdtemp(join(tmpdir(), 'troupe-cluster-'));
  etcd = await startEtcd();
  const env = {
    ...clusterEnv(etcd),
    TROUPE_CLUSTER__LISTEN: '127.0.0.1:0',
    TROUPE_CLUSTER__TLS__DIRECTORY: certificates,
    // What all players take.
    TROUPE_WEBRTC__CODECS: '["opus", "h264"]',
  };
  workers = await Promise.all([0, 1].map(() => startServer({ env })));
  browser = await startChromium({ fps: 15 });
  for (const worker of workers) {
    for (let left = 200; (await worker.metric('troupe_relay_links')) < 1; left -= 1) {
      assert.ok(left > 0, 'the workers are linked');
      await pause(100);
    }
  }
  members = [];
  for (const name of ['ana', 'bob']) {
    const publish = { width: 320, height: 180, frameRate: 15 };
    members.push(await publisher(browser, workers[0], ROOM, name, { publish }));
  }
  await Promise.all(members.map((member) => member.seen(1)));
  await Promise.all(members.map(({ page }) => page.evaluate(() => moves.watch())));
});

after(async () => {
  await browser?.close();
  await Promise.all((workers ?? []).map((worker) => worker.stop()));
  await etcd?.stop();
  await rm(certificates, { recursive: true, force: true });
});

const owner = async (worker) => (await (await worker.admin('GET', `rooms/${ROOM}`)).json()).worker;

async function move(from, to) {
  const before = await owner(from);
  const count = await members[0].page.evaluate(() => moves.workers().length);
  const response = await from.admin('POST', `rooms/${ROOM}/migrate`, {});
  assert.equal(response.status, 202, await response.text());
  const followed = members.map(({ page }) =>
    page.evaluate((count) => {
      return probe.until(() => moves.workers().length > count, 12_000, 'moved');
    }, count),
  );
  await Promise.all(followed);
  for (let left = 200; left > 0; left -= 1) {
    const { items } = await (await from.admin('GET', 'migrations')).json();
    if (items.length === 0 && (await owner(to)) !== before) return;
    await pause(100);
  }
  throw new Error('the move does not end');
}

/** What is recorded of each publisher, once all of it has pictures and sound: the last files. */
async function recorded(id) {
  const [first] = workers;
  let view;
  for (let left = 200; left > 0; left -= 1) {
    view = await (await first.admin('GET', `recordings/${id}`)).json();
    const last = members.map(({ identity }) => view.files.findLast(isOf(identity)));
    if (last.every((file) => file?.tracks.length === 2)) return last.map(({ name }) => name);
    await pause(100);
  }
  const peers = await (await first.admin('GET', `rooms/${ROOM}/peers`)).json();
  throw new Error(`no sound: ${JSON.stringify([view, peers])}`);
}

const isOf = (identity) => (file) => file.name.startsWith(`${identity}-`);

/** The times of a file's pictures, or of its pieces of sound, in seconds, as ffmpeg decodes them. */
async function times(file, kind) {
  const pass = kind === 'v' ? ['-fps_mode', 'passthrough', '-enc_time_base', '1:1000'] : [];
  const reads = run(FFMPEG, ['-i', file, '-map', `0:${kind}`, ...pass, '-f', 'framecrc', '-']);
  assert.equal(await reads.done, 0, reads.errors);
  assert.equal(reads.errors, '', file);
  const rate = Number(/#tb 0: 1\/(\d+)/.exec(reads.text)[1]);
  const lines = reads.text.split('\n').filter((line) => line && !line.startsWith('#'));
  return lines.map((line) => Number(line.split(',')[2]) / rate);
}

/** The recording, once it has ended. */
async function ended(at, id) {
  for (let left = 100; left > 0; left -= 1) {
    const view = await (await at.admin('GET', `recordings/${id}`)).json();
    if (view.state === 'done') return view;
    await pause(100);
  }
  throw new Error('the recording does not end');
}

/** Asserts that a file goes on through all of it, and tells the longest gap. */
async function goesOn(t, what, file, lasted) {
  for (const kind of ['v', 'a']) {
    const all = await times(file, kind);
    const gaps = all.slice(1).map((at, index) => at - all[index]);
    const word = kind === 'v' ? 'pictures' : 'sound';
    await figure(t, `${what}: longest gap of ${word}`, Math.round(Math.max(...gaps) * 1_000), 'ms');
    assert.ok(all.at(-1) - all[0] > lasted, `${what}: ${all.at(-1) - all[0]} s of ${lasted}`);
    assert.ok(Math.max(...gaps) < LADEN * GAP_S, `${what}, ${word}: ${JSON.stringify(gaps)}`);
  }
}

test('a room that moves there, back and there again is recorded and played on', async (t) => {
  const [first] = workers;
  const begun = await first.admin('POST', 'recordings', { room: ROOM });
  assert.equal(begun.status, 201, await begun.clone().text());
  const { id } = await begun.json();
  const grants = { publish: false, subscribe: false, data: false, play: true };
  const token = sign({ room: ROOM, identity: 'viewer', troupe: grants });
  const folder = first.ports.data;
  const players = ['ana.flv', 'bob.mp4', 'ana/index.m3u8'].map((name, index) => {
    const file = join(folder, `played-${index}.mkv`);
    const input = `${first.url}/live/${ROOM}/${name}?access_token=${token}`;
    const words = ['-i', input, '-progress', '-', '-stats_period', '0.2', '-c', 'copy', file];
    return { name, file, ffmpeg: run(FFMPEG, words) };
  });
  for (const { name, ffmpeg } of players) {
    for (let left = 200; !/^frame=[1-9]/m.test(ffmpeg.text); left -= 1) {
      assert.ok(left > 0, `${name} plays: ${ffmpeg.errors}`);
      await pause(100);
    }
  }
  // Sound may come late, and then begins a file of its own.
  const names = await recorded(id);
  await pause(1_000);
  const since = Date.now();
  for (const [from, to] of [workers, [...workers].reverse(), workers]) {
    await move(from, to);
    await pause(1_500);
  }
  const lasted = (Date.now() - since) / 1_000;
  for (const { ffmpeg } of players) await ffmpeg.stop('SIGTERM');
  const view = await (await first.admin('GET', `recordings/${id}`)).json();
  assert.equal(view.state, 'active');
  await first.admin('POST', `recordings/${id}/stop`);
  const { files, fault, lostFragments } = await ended(first, id);
  assert.deepEqual([fault, lostFragments], [null, 0]);
  const after = members.map(({ identity }) => files.findLast(isOf(identity)).name);
  assert.deepEqual(after, names, 'no move begins another file');
  for (const name of names) {
    await goesOn(t, `recorded ${name}`, join(folder, 'data/recordings', id, name), lasted);
  }
  for (const { name, file } of players) {
    // This player of HLS takes whole segments, and may wait for the next one as it is ended.
    const behind = name.endsWith('.m3u8') ? SEGMENT_S + RELOAD_S : 0;
    await goesOn(t, `played ${name}`, file, lasted - behind);
  }
});

test('a worker that drains has its recordings go on at another', async (t) => {
  const [first, second] = workers;
  const begun = await second.admin('POST', 'recordings', { room: ROOM, rotationS: 600 });
  const old = await begun.json();
  assert.equal(old.worker, await owner(second), JSON.stringify(old));
  await recorded(old.id);
  await pause(1_000);
  const since = Date.now();
  assert.equal((await second.admin('POST', `workers/${old.worker}/drain`)).status, 202);
  const moved = () => moves.workers().length > 3;
  for (const { page } of members) await page.waitForFunction(moved);
  const before = await ended(first, old.id);
  const all = (await (await first.admin('GET', 'recordings')).json()).items;
  const onward = all.filter(({ continues }) => continues === old.id);
  assert.equal(onward.length, 1, JSON.stringify(all));
  assert.equal(onward[0].worker, await owner(first));
  assert.deepEqual([onward[0].state, onward[0].rotationS], ['active', 600]);
  await recorded(onward[0].id);
  await pause(2_000);
  const lasted = (Date.now() - since) / 1_000;
  await first.admin('POST', `recordings/${onward[0].id}/stop`);
  const after = await ended(first, onward[0].id);
  for (const { identity } of members) {
    const ends = [before.files.findLast(isOf(identity)), after.files.find(isOf(identity))];
    const [last, next] = ends;
    // By the clock of each worker, which is one here.
    const hole = next.startedMs - (last.startedMs + last.durationMs);
    await figure(t, `${identity}: from one recording to the next`, hole, 'ms');
    assert.ok(hole < LADEN * GAP_S * 1_000, JSON.stringify(ends));
    const told = `${identity} before the drain`;
    const folders = workers.map((worker) => join(worker.ports.data, 'data/recordings'));
    await goesOn(t, told, join(folders[1], old.id, last.name), 1);
    const rest = (next.startedMs + next.durationMs - since) / 1_000;
    assert.ok(rest > lasted - 1.5, `${rest} s of ${lasted}`);
    await goesOn(t, `${identity} after it`, join(folders[0], after.id, next.name), 1.5);
  }
});
