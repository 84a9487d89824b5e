// A page publishes by WHIP and another plays by WHEP: RTCPeerConnection and fetch, nothing of ours.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { sdkPage, startChromium } from '../support/chromium.mjs';
import { startServer } from '../support/server.mjs';

let server;
let browser;

before(async () => {
  server = await startServer();
  browser = await startChromium();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

async function publish(page, room, identity) {
  const token = await server.token(room, identity);
  await page.evaluate(
    async ({ url, token }) => {
      window.session = await probe.whip(url, token, await probe.camera(640, 360, 15));
    },
    { url: `${server.url}/whip/${room}`, token },
  );
}

async function play(page, room, identity, query = '') {
  const token = await server.token(room, identity);
  return page.evaluate(
    async ({ url, token }) => {
      const started = performance.now();
      window.session = await probe.whep(url, token);
      return probe.firstFrame(window.session.stream, started);
    },
    { url: `${server.url}/whep/${room}${query}`, token },
  );
}

test('WHIP in, WHEP out', async () => {
  const [sender, viewer] = [await sdkPage(browser, server), await sdkPage(browser, server)];
  await publish(sender, 'studio', 'camera-1');
  const firstFrameMs = await play(viewer, 'studio', 'viewer-1', '?peer=camera-1');
  console.log(`WHEP: POST to first frame ${Math.round(firstFrameMs)} ms`);

  const rows = await viewer.evaluate(() => probe.watch(window.session.connection, 5000));
  const video = rows.find((row) => row.kind === 'video');
  const audio = rows.find((row) => row.kind === 'audio');
  assert.ok(video.fps >= 12, `decoded ${video.fps} fps`);
  assert.equal(video.width, 640);
  assert.ok(audio.energy > 0, 'sound is heard');

  const ended = await sender.evaluate(async (token) => {
    const { location } = window.session;
    const headers = { authorization: `Bearer ${token}` };
    return (await fetch(location, { method: 'DELETE', headers })).status;
  }, await server.token('studio', 'camera-1'));
  assert.equal(ended, 200);
  const silent = await viewer.evaluate(async () => {
    await probe.pause(500);
    const [row] = (await probe.watch(window.session.connection, 1000)).filter(
      ({ kind }) => kind === 'video',
    );
    return row.frames;
  });
  assert.equal(silent, 0, 'nothing flows after DELETE');
  await Promise.all([sender.context().close(), viewer.context().close()]);
});

test('WHIP answers what the RFC asks of errors', async () => {
  const url = `${server.url}/whip/studio`;
  const post = (headers, body) => fetch(url, { method: 'POST', headers, body });
  const token = await server.token('studio', 'camera-2');
  const bearer = { authorization: `Bearer ${token}` };
  const sdp = { 'content-type': 'application/sdp' };

  const wrongType = await post({ ...bearer, 'content-type': 'text/plain' }, 'v=0');
  assert.equal(wrongType.status, 415);
  const noToken = await post(sdp, 'v=0');
  assert.equal(noToken.status, 401);
  assert.match(noToken.headers.get('content-type'), /application\/problem\+json/);
  const garbage = await post({ ...bearer, ...sdp }, 'not SDP at all');
  assert.equal(garbage.status, 400);
  assert.match((await garbage.json()).type, /bad_sdp/);
  const wrongRoom = await fetch(`${server.url}/whip/elsewhere`, {
    method: 'POST',
    headers: { ...bearer, ...sdp },
    body: 'v=0',
  });
  assert.equal(wrongRoom.status, 403);
});
