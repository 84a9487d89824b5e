// Panics injected into a running call: what they take down, and what they do not.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import { startChromium } from '../support/chromium.mjs';
import { figure, sum } from '../support/figures.mjs';
import { publisher, videos } from '../support/member.mjs';
import { startServer } from '../support/server.mjs';

const WATCH_MS = 6_000;
const ROOM = 'faults';

let server;
let browser;
let ada;
let ben;

before(async () => {
  server = await startServer({ env: { TROUPE_DEBUG__FAULTS: 'true' } });
  browser = await startChromium({ fps: 15 });
  ada = await publisher(browser, server, ROOM, 'ada');
  ben = await publisher(browser, server, ROOM, 'ben');
});

beforeEach(async () => {
  await Promise.all([ada.seen(1), ben.seen(1)]);
  await settle(ada, ben);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Lets the first two seconds pass, and remembers what must not change. */
async function settle(...members) {
  await ada.page.waitForTimeout(1_500);
  for (const member of members) {
    await member.page.evaluate(() => {
      call.events.length = 0;
      window.before = call.room.peerConnection;
    });
  }
}

async function inject(target, identity) {
  const body = { room: ROOM, target, ...(identity && { identity }) };
  const response = await server.admin('POST', 'debug/fault', body);
  assert.ok(response.ok, `${response.status} ${await response.text()}`);
}

/** What both received while the fault happened. */
async function during(target, identity) {
  const restarts = await server.metric('troupe_actor_restarts_total');
  const watching = Promise.all([ada.receive(WATCH_MS), ben.receive(WATCH_MS)]);
  await ada.page.waitForTimeout(1_500);
  await inject(target, identity);
  const received = await watching;
  return { received, restarts: (await server.metric('troupe_actor_restarts_total')) - restarts };
}

/** No frame is missing: as many as a fake camera makes, none dropped, no packet lost. */
async function unharmed(t, rows) {
  const [video] = videos(rows);
  await figure(t, 'decodes over the fault', video.fps, 'fps');
  assert.ok(video.fps >= 14, JSON.stringify(video));
  assert.equal(video.freezes, 0, JSON.stringify(video));
  assert.equal(video.dropped, 0, JSON.stringify(video));
  assert.equal(sum(rows, 'lost'), 0, JSON.stringify(rows));
  assert.equal(sum(rows, 'concealed'), 0, JSON.stringify(rows));
}

/** The call still obeys: a message, a mute, and a newcomer who sees both. */
async function works(word) {
  await ada.page.evaluate((text) => call.room.chat(text), word);
  await ben.told({ type: 'chat', from: 'ada', text: word });
  await ben.page.evaluate((text) => call.room.chat(text), `${word} too`);
  await ada.told({ type: 'chat', from: 'ben', text: `${word} too` });
  const guest = await publisher(browser, server, ROOM, `guest-${word}`);
  await guest.seen(2);
  await ada.told({ type: 'peerJoined', peerId: `guest-${word}` });
  await guest.leave();
  await ada.told({ type: 'peerLeft', peerId: `guest-${word}` });
  await guest.close();
}

async function sameConnection(member) {
  assert.ok(await member.page.evaluate(() => window.before === call.room.peerConnection));
  assert.deepEqual(await member.events('media', 'peerLeft', 'trackUnpublished'), []);
}

test('a panic in the Room actor: not one frame is lost', async (t) => {
  const { received, restarts } = await during('room');
  assert.equal(restarts, 1, 'the fault fired');
  for (const rows of received) await unharmed(t, rows);
  await sameConnection(ada);
  await sameConnection(ben);
  await works('room');
});

test('a panic in a Peer actor: not one frame is lost', async (t) => {
  const { received, restarts } = await during('peer', 'ada');
  assert.equal(restarts, 1, 'the fault fired');
  for (const rows of received) await unharmed(t, rows);
  await sameConnection(ada);
  await sameConnection(ben);
  await works('peer');
});

test('a panic in one transport: that peer alone connects anew', async (t) => {
  const third = await publisher(browser, server, ROOM, 'third');
  await Promise.all([ada, ben, third].map((member) => member.seen(2)));
  await settle(ada, ben, third);
  const watching = Promise.all([ben.receive(WATCH_MS), third.receive(WATCH_MS)]);
  await ada.page.waitForTimeout(1_000);
  const started = Date.now();
  await inject('transport', 'ada');
  const connected = await ada.page.evaluate(async () => {
    const { room } = call;
    const renewed = () =>
      room.peerConnection !== window.before && room.peerConnection?.connectionState === 'connected';
    await probe.until(renewed, 20_000, 'a new connection');
    return true;
  });
  assert.ok(connected);
  await figure(t, 'transport failed → connected again', Date.now() - started, 'ms');
  for (const rows of await watching) {
    const others = rows.filter(({ peerId }) => peerId !== 'ada');
    await unharmed(t, others);
  }
  await Promise.all([ada, ben, third].map((member) => member.seen(2, 20_000)));
  await figure(t, 'transport failed → all see all again', Date.now() - started, 'ms');
  await sameConnection(third);
  const [back] = videos(await third.receive(3_000)).filter(({ peerId }) => peerId === 'ada');
  assert.ok(back.fps >= 12, JSON.stringify(back));
  assert.deepEqual(await ben.events('peerLeft'), []);
  await third.leave();
  await third.close();
});

test('without debug.faults nobody can do that', async () => {
  const safe = await startServer();
  try {
    const response = await safe.admin('POST', 'debug/fault', { room: ROOM, target: 'room' });
    assert.equal(response.status, 403);
  } finally {
    await safe.stop();
  }
});
