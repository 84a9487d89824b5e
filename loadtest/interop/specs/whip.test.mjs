// A page publishes by WHIP (RFC 9725) and another plays by WHEP: RTCPeerConnection and fetch, nothing
// of ours, from a page of another origin.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startChromium } from '../support/chromium.mjs';
import { figure } from '../support/figures.mjs';
import { startServer } from '../support/server.mjs';

const FIRST_FRAME_MS_MAX = 1_500;

let server;
let browser;

before(async () => {
  server = await startServer();
  browser = await startChromium({ fps: 15 });
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

function publish(page, room, identity) {
  return page.evaluate(
    async ({ url, token }) => {
      window.session = await probe.whip(url, token, await probe.camera(640, 360, 15));
      await probe.connected(window.session.connection);
    },
    { url: `${server.url}/whip/${room}`, token: server.token(room, identity) },
  );
}

function play(page, room, identity, query = '') {
  return page.evaluate(
    async ({ url, token }) => {
      const started = performance.now();
      window.session = await probe.whep(url, token);
      return probe.firstFrame(window.session.stream, started);
    },
    { url: `${server.url}/whep/${room}${query}`, token: server.token(room, identity) },
  );
}

/** What the page's session receives in `ms`, by kind. */
async function receive(page, ms) {
  const rows = await page.evaluate((ms) => probe.watch(window.session.connection, ms), ms);
  return Object.fromEntries(rows.map((row) => [row.kind, row]));
}

test('WHIP in, WHEP out', async (t) => {
  const [sender, viewer] = [await browser.page(), await browser.page()];
  await publish(sender, 'studio', 'camera-1');
  await sender.waitForTimeout(1_000);
  const firstFrameMs = await play(viewer, 'studio', 'viewer-1', '?peer=camera-1');
  await figure(t, 'WHEP: POST → first frame', firstFrameMs, 'ms');
  assert.ok(firstFrameMs < FIRST_FRAME_MS_MAX);

  await viewer.waitForTimeout(1_500);
  const { video, audio } = await receive(viewer, 5_000);
  await figure(t, 'decodes', video.fps, 'fps');
  assert.ok(video.fps >= 12, JSON.stringify(video));
  assert.equal(video.width, 640);
  assert.equal(video.lost, 0);
  assert.ok(audio.energy > 0, 'sound is heard');

  const session = await sender.evaluate(() => window.session);
  assert.match(new URL(session.location).pathname, /^\/whip\/studio\/[^/]+$/);
  assert.match(session.etag, /^"[^"]+"$/);
  const ended = await sender.evaluate(
    async () => (await fetch(window.session.location, { method: 'DELETE' })).status,
  );
  assert.equal(ended, 200);
  await viewer.waitForTimeout(500);
  const silent = await receive(viewer, 1_000);
  assert.equal(silent.video.frames, 0, 'nothing flows after DELETE');
  const again = await fetch(session.location, { method: 'DELETE' });
  assert.equal(again.status, 404);
  await Promise.all([sender.context().close(), viewer.context().close()]);
});

test('an encoder that comes back takes its own place', async (t) => {
  const [first, second, viewer] = await Promise.all([1, 2, 3].map(() => browser.page()));
  await publish(first, 'studio-2', 'camera-1');
  await play(viewer, 'studio-2', 'viewer-1');
  await first.context().close();
  await publish(second, 'studio-2', 'camera-1');
  const started = Date.now();
  await viewer.evaluate(() =>
    probe.until(
      async () => (await probe.watch(window.session.connection, 300)).some(({ fps }) => fps > 5),
      15_000,
      'pictures of the second encoder',
    ),
  );
  await figure(t, 'encoder back → pictures again', Date.now() - started, 'ms');
  const { video } = await receive(viewer, 3_000);
  assert.ok(video.fps >= 12, JSON.stringify(video));
  await Promise.all([second.context().close(), viewer.context().close()]);
});

test('trickle and ICE restart by PATCH', async (t) => {
  const [sender, viewer] = [await browser.page(), await browser.page()];
  await publish(sender, 'studio-3', 'camera-1');
  await play(viewer, 'studio-3', 'viewer-1');
  const patched = await sender.evaluate(() => probe.restart(window.session));
  t.diagnostic(`PATCH: ${JSON.stringify(patched)}`);
  assert.equal(patched.stale, 412, 'another ETag');
  assert.equal(patched.missing, 428, 'no ETag');
  assert.equal(patched.trickle, 204);
  assert.equal(patched.restart, 200);
  assert.notEqual(patched.etagAfter, patched.etagBefore);
  const { video } = await receive(viewer, 3_000);
  assert.ok(video.fps >= 12, JSON.stringify(video));
  assert.equal(video.freezes, 0, JSON.stringify(video));
  await Promise.all([sender.context().close(), viewer.context().close()]);
});

test('errors as the RFC asks', async () => {
  const url = `${server.url}/whip/studio`;
  const post = (headers, body) => fetch(url, { method: 'POST', headers, body });
  const bearer = { authorization: `Bearer ${server.token('studio', 'camera-2')}` };
  const sdp = { 'content-type': 'application/sdp' };

  assert.equal((await post({ ...bearer, 'content-type': 'text/plain' }, 'v=0')).status, 415);
  const garbage = await post({ ...bearer, ...sdp }, 'not SDP at all');
  assert.equal(garbage.status, 400);
  assert.match(garbage.headers.get('content-type'), /^application\/problem\+json/);
  assert.equal((await garbage.json()).type, 'urn:troupe:error:bad_sdp');
  assert.equal((await post({ ...bearer, ...sdp }, 'x'.repeat(300_000))).status, 413);
  assert.equal((await fetch(url, { headers: bearer })).status, 405);

  const options = await fetch(url, { method: 'OPTIONS' });
  assert.equal(options.status, 204);
  assert.equal(options.headers.get('accept-post'), 'application/sdp');
  const preflight = await fetch(url, {
    method: 'OPTIONS',
    headers: {
      origin: 'https://elsewhere.example',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type',
    },
  });
  assert.ok(preflight.ok);
  assert.ok(preflight.headers.get('access-control-allow-origin'));
});

test('WHEP of a room where nobody publishes waits for somebody', async (t) => {
  const [viewer, sender] = [await browser.page(), await browser.page()];
  const first = play(viewer, 'empty', 'viewer-1');
  await viewer.waitForTimeout(1_000);
  await publish(sender, 'empty', 'camera-1');
  const started = Date.now();
  await first;
  await figure(t, 'first publisher → first frame', Date.now() - started, 'ms');
  await Promise.all([sender.context().close(), viewer.context().close()]);
});
