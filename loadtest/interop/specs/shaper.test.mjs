// A viewer of three layers of 720p, whose network gets narrow, wide again, and then loses packets.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startChromium } from '../support/chromium.mjs';
import { figure } from '../support/figures.mjs';
import { audios, enter, publisher, videos } from '../support/member.mjs';
import { SHAPED_ADDRESS, startServer } from '../support/server.mjs';
import { startShaper } from '../support/shaper.mjs';

const PUBLISH = { width: 1280, height: 720, frameRate: 30, layers: 3 };
/** Three layers of space with three of time each, counted from 0. */
const TOP = 22;
const WIDE_KBPS = 20_000;
// The fake camera's picture needs hardly more than 1 Mb/s at its largest.
const NARROW_KBPS = 700;
/** When the path becomes narrow, wide again, and when it begins to lose, in seconds. */
const NARROW_S = 25;
const WIDE_S = 39;
const LOSSY_S = 56;
// Aimed at 1 s and 6 s.
const DOWN_MS_MAX = 5_000;
const UP_MS_MAX = 30_000;

let server;
let shaper;
let browser;
let sender;
let viewer;

before(async () => {
  server = await startServer({ shaped: true });
  browser = await startChromium({ fps: 30, peer: SHAPED_ADDRESS });
  shaper = await startShaper(server.ports.media, {
    up: { delay_ms: 20 },
    down: {
      rate_kbps: WIDE_KBPS,
      queue_ms: 300,
      delay_ms: 20,
      steps: [
        { at_s: NARROW_S, rate_kbps: NARROW_KBPS },
        { at_s: WIDE_S, rate_kbps: WIDE_KBPS },
        { at_s: LOSSY_S, loss: 0.05 },
      ],
    },
  });
  sender = await publisher(browser, server, 'shaped', 'sender', { publish: PUBLISH });
  viewer = await enter(browser, server, 'shaped', 'viewer');
  await viewer.seen(1, 20_000);
});

after(async () => {
  shaper?.child.stdin.end();
  await browser?.close();
  await server?.stop();
});

/** Waits for the script to come to `seconds`. */
async function until(seconds) {
  const left = seconds - shaper.seconds;
  assert.ok(left > 0, `the script is past ${seconds} s`);
  await viewer.page.waitForTimeout(left * 1000);
}

/** What comes in `ms`: the one video, the one sound, and what share of the sound was made up. */
async function watch(ms) {
  const rows = await viewer.receive(ms);
  const [[video], [audio]] = [videos(rows), audios(rows)];
  return { video, audio, concealed: audio.concealed / Math.max(1, audio.samples) };
}

test('media goes through the shaper alone', async () => {
  for (const member of [sender, viewer]) {
    const address = await member.page.evaluate(async () => {
      const report = await call.room.peerConnection.getStats();
      const path = [...report.values()].find(({ type }) => type === 'transport');
      const used = report.get(path.selectedCandidatePairId);
      return report.get(used.remoteCandidateId).address;
    });
    assert.equal(address, SHAPED_ADDRESS);
  }
});

/** The (spatial, temporal) layer that the server forwards to the viewer, as one number. */
function layer() {
  return viewer.page.evaluate(async () => {
    const { server } = await call.room.stats();
    const { slot } = call.room.tracks.find(({ kind }) => kind === 'video');
    const shown = server.slots.find(({ mid }) => mid === slot?.mid);
    return (shown?.spatial ?? -1) * 10 + (shown?.temporal ?? 0);
  });
}

/**
 * Waits until the sender gives less than the narrow path carries, or the viewer gets a lower layer;
 * returns how long that took, in milliseconds.
 */
async function fewer() {
  const started = performance.now();
  for (;;) {
    if ((await layer()) < TOP || (await bound()) <= NARROW_KBPS * 1000) {
      return performance.now() - started;
    }
    const waited = performance.now() - started;
    assert.ok(waited <= DOWN_MS_MAX, `neither a lower layer nor a smaller one in ${waited} ms`);
    await viewer.page.waitForTimeout(50);
  }
}

/** What the sender's largest active layer may use by its own parameters, in bits a second. */
function bound() {
  return sender.page.evaluate(() => {
    const senders = call.room.peerConnection.getSenders();
    const { encodings } = senders.find(({ track }) => track?.kind === 'video').getParameters();
    const active = encodings.filter(({ active }) => active);
    return active.at(-1)?.maxBitrate ?? Infinity;
  });
}

/** Waits until the layer `fits`; returns how long that took. */
async function layered(fits, ms, what) {
  const started = performance.now();
  for (;;) {
    const now = await layer();
    if (fits(now)) return performance.now() - started;
    if (performance.now() - started > ms) throw new Error(`${what}: not in ${ms} ms, but ${now}`);
    await viewer.page.waitForTimeout(50);
  }
}

test('a narrow path gets less of the picture, which moves, and whole sound', async (t) => {
  await layered((now) => now === TOP, (NARROW_S - shaper.seconds) * 1000, 'the top layer');
  await until(NARROW_S);
  await figure(t, 'narrow → fewer bits', await fewer(), 'ms');
  await viewer.page.waitForTimeout(2_000);
  const { video, concealed } = await watch(6_000);
  await figure(t, 'narrow: width', video.width, 'px');
  await figure(t, 'narrow: decodes', video.fps, 'fps');
  await figure(t, 'narrow: received', video.kbps, 'kb/s');
  await figure(t, 'narrow: freezes in 6 s', video.freezes);
  await figure(t, 'narrow: sound made up', concealed * 100, '%');
  // A lower layer, or the largest from an encoder that was fitted to this viewer: either way what
  // comes fits the path, and uses a good part of it.
  assert.ok(video.kbps < NARROW_KBPS && video.kbps > NARROW_KBPS / 4, `${video.kbps} kb/s`);
  // The lowest of three temporal layers of 30 pictures a second has 7.5.
  assert.ok(video.fps >= 6, JSON.stringify(video));
  assert.ok(concealed < 0.05, `${concealed}`);
});

test('on a wide path the largest layer comes back', async (t) => {
  await until(WIDE_S);
  const up = await layered((now) => now === TOP, UP_MS_MAX, 'up');
  await figure(t, 'limit lifted → the top layer', up, 'ms');
});

test('with 5 % loss the picture moves and sound is nearly whole', async (t) => {
  if (shaper.seconds < LOSSY_S) await until(LOSSY_S);
  await viewer.page.waitForTimeout(2_000);
  const { video, audio, concealed } = await watch(8_000);
  await figure(t, '5 % loss: width', video.width, 'px');
  await figure(t, '5 % loss: decodes', video.fps, 'fps');
  await figure(t, '5 % loss: freezes in 8 s', video.freezes);
  await figure(t, '5 % loss: sound made up', concealed * 100, '%');
  await figure(t, '5 % loss: sound asked for again', audio.nacks, 'times');
  assert.ok(video.fps >= 10, JSON.stringify(video));
  assert.ok(concealed < 0.05, `${concealed}`);
  await Promise.all([sender.close(), viewer.close()]);
  const { heaviest } = await shaper.stop();
  await figure(t, 'longest wait in the queue', heaviest.down.queue_ms_max, 'ms');
  await figure(t, 'lost on purpose', heaviest.down.lost, 'packets');
  assert.ok(heaviest.down.lost > 0, 'the loss happened');
});
