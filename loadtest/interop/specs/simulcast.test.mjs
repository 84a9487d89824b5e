// One publishes 720p in three layers: who wants it all gets it, who asks for less gets less.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startChromium } from '../support/chromium.mjs';
import { figure } from '../support/figures.mjs';
import { enter, publisher, videos } from '../support/member.mjs';
import { startServer } from '../support/server.mjs';

// The encoder needs this long to trust its path with three layers.
const RAMP_MS = 20_000;
const PUBLISH = { width: 1280, height: 720, frameRate: 30, layers: 3 };

let server;
let browser;
let sender;
let large;
let small;

before(async () => {
  server = await startServer();
  browser = await startChromium({ fps: 30 });
  sender = await publisher(browser, server, 'layers', 'sender', { publish: PUBLISH });
  large = await enter(browser, server, 'layers', 'large');
  small = await enter(browser, server, 'layers', 'small');
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Waits until the one video is `width` wide; returns how long that took. */
function wide(member, width, ms) {
  return member.page.evaluate(
    async ({ width, ms }) => {
      const started = performance.now();
      const fits = async () => {
        const rows = await call.receive(100);
        return rows.some((row) => row.kind === 'video' && row.width === width && row.frames > 0);
      };
      await probe.until(fits, ms, `a video ${width} wide`);
      return performance.now() - started;
    },
    { width, ms },
  );
}

/** Asks for no more than this width. */
function wish(member, maxWidth) {
  return member.page.evaluate(async (maxWidth) => {
    const track = call.room.tracks.find(({ kind }) => kind === 'video');
    await call.room.pin(track, maxWidth ? { maxWidth } : {});
  }, maxWidth);
}

/** The layers that the page sends now. */
function sent() {
  return sender.page.evaluate(async () => {
    const before = await probe.outbound(call.room.peerConnection);
    await probe.pause(1_000);
    const after = await probe.outbound(call.room.peerConnection);
    return after
      .filter(({ kind }) => kind === 'video')
      .map(({ rid, id, framesSent, frameWidth }) => {
        const earlier = before.find((row) => row.id === id);
        return { rid, frameWidth, frames: framesSent - (earlier?.framesSent ?? 0) };
      });
  });
}

test('two decode 720p at 20 fps or more', async (t) => {
  const both = [large, small].map((viewer) => wide(viewer, 1280, RAMP_MS));
  const times = await Promise.all(both).finally(async () => {
    t.diagnostic(`sent: ${JSON.stringify(await sent())}`);
  });
  await figure(t, 'entered → 1280 wide', Math.max(...times), 'ms');
  const cpu = await server.cpuSeconds();
  const received = await Promise.all([large, small].map((viewer) => viewer.receive(8_000)));
  await figure(t, 'server CPU, one 720p to two', ((await server.cpuSeconds()) - cpu) / 0.08, '%');
  const [[first], [second]] = received.map(videos);
  for (const viewer of [large, small]) {
    const seen = await viewer.page.evaluate(async () => (await call.room.stats()).server);
    t.diagnostic(`the server of ${viewer.identity}: ${JSON.stringify(seen)}`);
  }
  for (const row of [first, second]) {
    await figure(t, 'decodes', row.fps, 'fps');
    assert.ok(row.fps >= 20, JSON.stringify(row));
    assert.equal(row.width, 1280);
    assert.equal(row.freezes, 0, JSON.stringify(row));
  }
});

/** Asks for the small layer and for all again; how often the picture froze, and the other's. */
async function thereAndBack(t) {
  const both = [small, large];
  const before = await Promise.all(both.map(freezes));
  const from = await Promise.all(both.map(clock));
  await wish(small, 320);
  await figure(t, 'wish → 320 wide', await wide(small, 320, 10_000), 'ms');
  const [[little], [whole]] = [
    videos(await small.receive(3_000)),
    videos(await large.receive(1_000)),
  ];
  assert.equal(little.width, 320);
  assert.ok(little.fps >= 20, JSON.stringify(little));
  assert.equal(whole.width, 1280, 'the other keeps what it wants');

  await wish(small, undefined);
  await figure(t, 'wish → 1280 wide', await wide(small, 1280, RAMP_MS), 'ms');
  const [again] = videos(await small.receive(3_000));
  assert.equal(again.width, 1280);
  assert.ok(again.fps >= 20, JSON.stringify(again));
  const gaps = await Promise.all(both.map((viewer, at) => gap(viewer, from[at])));
  await figure(t, 'longest gap of the one that switched', gaps[0], 'ms');
  await figure(t, '… of the other meanwhile', gaps[1], 'ms');
  const after = await Promise.all(both.map(freezes));
  return after.map((count, at) => count - before[at]);
}

test('one asks for 320 across, and later for all again', async (t) => {
  await Promise.all([small, large].map(({ page }) => page.evaluate(() => moves.watch())));
  // An encoder that gets no processor time spoils a look for both; a switch spoils it for one.
  for (let looks = 1; ; looks += 1) {
    const [mine, others] = await thereAndBack(t);
    if (mine === 0) return;
    assert.ok(others > 0, `froze ${mine} times, and the other's picture never`);
    assert.ok(looks < 3, 'the publisher froze in every look');
  }
});

const clock = ({ page }) => page.evaluate(() => performance.now());

/** The longest time without a new picture since then, in ms. */
function gap({ page }, from) {
  return page.evaluate((from) => {
    return Math.max(...moves.figures(from, performance.now()).decoded);
  }, from);
}

function freezes(member) {
  return member.page.evaluate(async () => {
    const rows = Object.values(await probe.inbound(call.room.peerConnection));
    return rows.reduce((total, row) => total + (row.freezeCount ?? 0), 0);
  });
}
