// A second stack: Firefox and Chromium in one room, each seen and heard by the other.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startChromium } from '../support/chromium.mjs';
import { figure } from '../support/figures.mjs';
import { firefoxPath, outwardAddress, startFirefox } from '../support/firefox.mjs';
import { audios, publisher, videos } from '../support/member.mjs';
import { startServer } from '../support/server.mjs';

const address = outwardAddress();
const skip =
  ((await firefoxPath()) === undefined && 'no Firefox on this machine') ||
  (address === undefined && 'Firefox sends no checks to loopback, and nothing else is here') ||
  false;
if (skip) console.log(`firefox: skipped: ${skip}`);

let server;
let chromium;
let firefox;

before(async () => {
  if (skip) return;
  server = await startServer({ address });
  chromium = await startChromium({ fps: 15 });
  firefox = await startFirefox();
});

after(async () => {
  await firefox?.close();
  await chromium?.close();
  await server?.stop();
});

test('Firefox and Chromium see and hear each other', { skip }, async (t) => {
  const fox = await publisher(firefox, server, 'mixed', 'fox');
  const chrome = await publisher(chromium, server, 'mixed', 'chrome');
  t.diagnostic(await firefox.version());
  await Promise.all([fox.seen(1), chrome.seen(1)]);
  await chrome.page.waitForTimeout(2_000);
  const received = await Promise.all([fox.receive(6_000), chrome.receive(6_000)]);
  for (const [index, rows] of received.entries()) {
    const [[video], [audio]] = [videos(rows), audios(rows)];
    await figure(t, `${['Firefox', 'Chromium'][index]} decodes`, video.fps, 'fps');
    assert.equal(video.codec, 'VP8');
    assert.ok(video.fps >= 12, JSON.stringify(video));
    assert.ok(audio.energy > 0, JSON.stringify(audio));
    assert.equal(video.freezes || 0, 0, JSON.stringify(video));
    assert.equal(video.lost, 0, JSON.stringify(video));
  }
});

test('data and an ICE restart with Firefox', { skip }, async (t) => {
  const fox = await publisher(firefox, server, 'mixed-data', 'fox');
  const chrome = await publisher(chromium, server, 'mixed-data', 'chrome');
  for (const { page } of [fox, chrome]) {
    await page.evaluate(() => probe.until(() => call.room.data.isOpen, 15_000, 'data channels'));
  }
  await fox.page.evaluate(() => call.room.data.send('hello', 'from fox', { reliable: true }));
  await chrome.told({ type: 'data', topic: 'hello', from: 'fox' });
  await chrome.page.evaluate(() => call.room.data.send('hello', 'back', { reliable: true }));
  await fox.told({ type: 'data', topic: 'hello', from: 'chrome' });

  await Promise.all([fox.seen(1), chrome.seen(1)]);
  const ufrags = await fox.page.evaluate(async () => {
    const pc = call.room.peerConnection;
    const ufrag = () => /a=ice-ufrag:(\S+)/.exec(pc.currentRemoteDescription.sdp)[1];
    const before = ufrag();
    pc.restartIce();
    // Any negotiation carries the restart.
    await call.room.addVideoSlots(1);
    await probe.until(() => pc.iceConnectionState === 'connected', 10_000, 'connected again');
    return [before, ufrag()];
  });
  assert.notEqual(ufrags[0], ufrags[1]);
  const [[there], [here]] = [videos(await chrome.receive(3_000)), videos(await fox.receive(3_000))];
  await figure(t, 'Chromium decodes Firefox after its ICE restart', there.fps, 'fps');
  assert.ok(there.fps >= 12 && here.fps >= 12, JSON.stringify([there, here]));
});
