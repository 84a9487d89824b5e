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

async function inject(kind, peer) {
  const response = await server.admin('POST', `rooms/${ROOM}/faults`, { kind, ...(peer && { peer }) });
  assert.equal(response.status, 204, await response.text());
}

/** What both received while the fault happened. */
async function during(kind, peer) {
  const restarts = await server.metric('troupe_actor_restarts_total');
  const [received] = await Promise.all([
    Promise.all([ada.receive(WATCH_MS), ben.receive(WATCH_MS)]),
    ada.page.waitForTimeout(1_500).then(() => inject(kind, peer)),
  ]);
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
  // A busy machine makes the browser's own buffer stretch a few milliseconds though every packet
  // came; a lost 20 ms frame a second would be 2 %.
  const audible = sum(rows, 'concealed') / Math.max(1, sum(rows, 'samples'));
  assert.ok(audible < 0.01, JSON.stringify(rows));
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
  const [received] = await Promise.all([
    Promise.all([ben.receive(WATCH_MS), third.receive(WATCH_MS)]),
    ada.page.waitForTimeout(1_000).then(() => failsOver(t, ben, third)),
  ]);
  for (const rows of received) {
    await unharmed(t, rows.filter(({ peerId }) => peerId !== 'ada'));
  }
  for (const member of [ben, third]) {
    assert.ok(await member.page.evaluate(() => window.before === call.room.peerConnection));
    assert.deepEqual(await member.events('media', 'peerLeft'), []);
  }
  const gone = await third.events('trackUnpublished');
  assert.ok(gone.every(({ peerId }) => peerId === 'ada'), 'nobody else has a part in it');
  const [back] = videos(await third.receive(3_000)).filter(({ peerId }) => peerId === 'ada');
  assert.ok(back.fps >= 12, JSON.stringify(back));
  await third.leave();
  await third.close();
});

/** Fails ada's transport, and waits until she is back and all see her again. */
async function failsOver(t, ...others) {
  const started = Date.now();
  await inject('transport', 'ada');
  await ada.page.evaluate(() => {
    const { room } = call;
    const renewed = () =>
      room.peerConnection !== window.before && room.peerConnection?.connectionState === 'connected';
    return probe.until(renewed, 20_000, 'a new connection');
  });
  await figure(t, 'transport failed → connected again', Date.now() - started, 'ms');
  await Promise.all([ada.seen(2, 20_000), ...others.map((member) => decodesAgain(member, 'ada'))]);
  await figure(t, 'transport failed → all see all again', Date.now() - started, 'ms');
}

async function decodedOf(member, peerId) {
  const rows = videos(await member.receive(300)).filter((row) => row.peerId === peerId);
  return rows.reduce((total, { frames }) => total + frames, 0);
}

async function decodesAgain(member, peerId) {
  const end = Date.now() + 20_000;
  while (Date.now() < end) if ((await decodedOf(member, peerId)) >= 3) return;
  throw new Error(`${member.identity} does not see ${peerId} again`);
}

test('without debug.faults nobody can do that', async () => {
  const safe = await startServer();
  try {
    const response = await safe.admin('POST', `rooms/${ROOM}/faults`, { kind: 'room' });
    assert.equal(response.status, 404);
  } finally {
    await safe.stop();
  }
});
