// Layers that nobody watches are not sent, and what nobody sees is not received.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startChromium } from '../support/chromium.mjs';
import { figure } from '../support/figures.mjs';
import { Member, enter, publisher } from '../support/member.mjs';
import { startServer } from '../support/server.mjs';

const PUBLISH = { width: 1280, height: 720, frameRate: 30, layers: 3 };
const ALL = ['q', 'h', 'f'];
// Aimed at 2 s and 300 ms.
const STOP_MS_MAX = 10_000;
const RESUME_MS_MAX = 1_500;
/** How long the library waits before it says that a tile is hidden. */
const HIDE_MS = 1_000;
// The encoder needs this long to trust its path with three layers.
const RAMP_MS = 20_000;

let server;
let browser;
let sender;
let viewer;

before(async () => {
  server = await startServer();
  browser = await startChromium({ fps: 30 });
  sender = await publisher(browser, server, 'dynacast', 'sender', { publish: PUBLISH });
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** When layers stopped, by the machine's clock. */
function stopped(rids, ms = STOP_MS_MAX) {
  return sender.page.evaluate(
    ([rids, ms]) => layers.stopped(call.room.peerConnection, rids, ms),
    [rids, ms],
  );
}

/** When layers were sent again. */
function flows(rids, ms = STOP_MS_MAX) {
  return sender.page.evaluate(
    ([rids, ms]) => layers.flows(call.room.peerConnection, rids, ms),
    [rids, ms],
  );
}

/** Pictures of each layer in a second. */
function gained() {
  return sender.page.evaluate(() => layers.gained(call.room.peerConnection, 1_000));
}

/** Styles the viewer's video; returns when that was. */
function style(css) {
  return viewer.page.evaluate((css) => {
    Object.assign(document.querySelector('#stage video').style, css);
    return performance.timeOrigin + performance.now();
  }, css);
}

/** When the viewer has decoded another picture. */
function decoded(ms = STOP_MS_MAX) {
  return viewer.page.evaluate(async (ms) => {
    const count = async () => {
      const rows = Object.values(await probe.inbound(call.room.peerConnection));
      return rows.reduce((all, row) => all + (row.framesDecoded ?? 0), 0);
    };
    const before = await count();
    await probe.until(async () => (await count()) > before, ms, 'a decoded picture');
    return performance.timeOrigin + performance.now();
  }, ms);
}

/** Frames and bytes that the viewer received of video in `ms`. */
function received(ms) {
  return viewer.page.evaluate(async (ms) => {
    const video = async () => {
      const rows = Object.values(await probe.inbound(call.room.peerConnection));
      const sum = (name) =>
        rows.filter(({ kind }) => kind === 'video').reduce((all, row) => all + row[name], 0);
      return [sum('framesReceived'), sum('bytesReceived')];
    };
    const before = await video();
    await probe.pause(ms);
    const after = await video();
    return { frames: after[0] - before[0], bytes: after[1] - before[1] };
  }, ms);
}

test('a track that nobody watches is not sent', async (t) => {
  const published = Date.now();
  await figure(t, 'published → nothing sent', (await stopped(ALL)) - published, 'ms');
  assert.deepEqual(await gained(), { q: 0, h: 0, f: 0 });
});

test('a viewer wakes it, and a small tile needs one layer', async (t) => {
  viewer = new Member(await browser.page(), server, 'dynacast', 'viewer');
  const token = server.token('dynacast', 'viewer');
  const { joinedMs, firstFrameMs } = await viewer.page.evaluate(
    ({ url, token }) => call.enterAndSee(url, token, { adaptive: true }),
    { url: server.url, token },
  );
  await figure(t, 'joined → first picture of a resting track', firstFrameMs - joinedMs, 'ms');
  const seen = Date.now();
  await figure(t, 'small tile → upper layers stop', (await stopped(['h', 'f'])) - seen, 'ms');
  const frames = await gained();
  assert.equal(frames.h + frames.f, 0, JSON.stringify(frames));
  assert.ok(frames.q >= 10, JSON.stringify(frames));
});

test('a tile that is enlarged wakes the large layer', async (t) => {
  const waking = flows(['f']);
  const at = await style({ width: '1280px', height: '720px' });
  const ms = (await waking) - at;
  await figure(t, 'enlarged, 200 ms for resizing → the layer is sent', ms, 'ms');
  assert.ok(ms < RESUME_MS_MAX, `${ms}`);
  await viewer.page.evaluate(async (ms) => {
    const wide = async () => (await call.receive(100)).some(({ width }) => width === 1280);
    await probe.until(wide, ms, 'a video 1280 wide');
  }, RAMP_MS);
  await figure(t, 'enlarged → 1280 wide', Date.now() - at, 'ms');
  const resting = await stopped(['q', 'h']);
  await figure(t, 'enlarged → lower layers stop', Math.max(0, resting - at), 'ms');
});

test('a hidden tile gets nothing, and one that is shown again at once', async (t) => {
  const hidden = await style({ display: 'none' });
  const rested = await stopped(ALL, HIDE_MS + STOP_MS_MAX);
  await figure(t, 'hidden → nothing sent', rested - hidden, 'ms');
  const { frames, bytes } = await received(2_000);
  await figure(t, 'received in 2 s while hidden', bytes, 'bytes');
  assert.equal(frames, 0);
  const state = await viewer.page.evaluate(() =>
    call.room.tracks.filter(({ kind }) => kind === 'video').map(({ slot }) => slot),
  );
  assert.deepEqual([state[0].state, state[0].reason ?? null], ['paused', null]);

  const waking = sender.page.evaluate(
    (ms) =>
      Promise.any(
        ['q', 'h', 'f'].map((rid) => layers.flows(call.room.peerConnection, [rid], ms)),
      ),
    STOP_MS_MAX,
  );
  const seeing = decoded();
  const shown = await style({ display: '' });
  const resumed = (await waking) - shown;
  await figure(t, 'shown → a layer is sent', resumed, 'ms');
  await figure(t, 'shown → first picture', (await seeing) - shown, 'ms');
  assert.ok(resumed < RESUME_MS_MAX, `${resumed}`);
});

test('when the last viewer leaves, all of it rests', async (t) => {
  const left = Date.now();
  await viewer.leave();
  await figure(t, 'left → nothing sent', (await stopped(ALL)) - left, 'ms');
  const again = await enter(browser, server, 'dynacast', 'again');
  await again.seen(1);
  assert.ok(Object.values(await gained()).some((frames) => frames >= 10));
});
