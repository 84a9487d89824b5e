// One UDP port: RTMP over QUIC by an independent client that moves, MoQ by WebTransport from and to
// Chromium, with our entry and with the MoQ project's own library.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createSocket } from 'node:dgram';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { startChromium } from '../support/chromium.mjs';
import { figure } from '../support/figures.mjs';
import { freePort } from '../support/ports.mjs';
import { FFMPEG, H264, LIVE, hashes, rtmpUrl, run } from '../support/rtmp.mjs';
import { startServer } from '../support/server.mjs';
import { sign } from '../support/tokens.mjs';

const INTEROP = fileURLToPath(new URL('..', import.meta.url));

let server;
let browser;
let quic;
let rtmp;
let folder;

async function freeUdp() {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}

before(async () => {
  [quic, rtmp] = [await freeUdp(), await freePort()];
  folder = await mkdtemp(join(tmpdir(), 'troupe-quic-'));
  server = await startServer({
    env: {
      TROUPE_QUIC__LISTEN: `127.0.0.1:${quic}`,
      TROUPE_RTMP__LISTEN: `127.0.0.1:${rtmp}`,
    },
  });
  browser = await startChromium();
});

after(async () => {
  await browser?.close();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Carries one RTMP connection by aioquic; it moves at these seconds. */
async function bridge(...moves) {
  const port = await freePort();
  const rebinds = moves.flatMap((at) => ['--rebind', String(at)]);
  const words = ['python/rtmp_quic.py', '--tcp', port, '--quic', quic, ...rebinds].map(String);
  const child = spawn('.venv/bin/python', words, { cwd: INTEROP, stdio: ['ignore', 'pipe', 'inherit'] });
  const bridge = { port, child, text: '' };
  child.stdout.on('data', (chunk) => (bridge.text += chunk));
  await once(child.stdout, 'data');
  bridge.ended = once(child, 'exit');
  return bridge;
}

async function until(what, holds) {
  const end = Date.now() + 15_000;
  while (!(await holds())) {
    assert.ok(Date.now() < end, `not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const changes = (to) => server.metric(`troupe_quic_path_changes_total{to="${to}"}`);

/** A page with our entry at `window.moq` and the MoQ project's library at `window.net`. */
async function page() {
  const page = await browser.blank();
  await page.goto(browser.pages.url.replace('page.html', 'moq.html'));
  await page.waitForFunction(() => window.ready);
  return page;
}

function token(room, identity, grant) {
  const none = { publish: false, subscribe: false, data: false };
  return sign({ room, identity, troupe: { ...none, [grant]: true } });
}

test('RTMP over QUIC loses no frame while both ends move', async (t) => {
  const clip = join(folder, 'clip.flv');
  const makes = run(FFMPEG, [...LIVE.filter((arg) => arg !== '-re'), '-t', '8', ...H264, clip]);
  assert.equal(await makes.done, 0, makes.errors);
  const original = (await hashes(FFMPEG, clip)).filter((it) => it.startsWith('0:'));
  assert.equal(original.length, 240);

  const [up, down] = [await bridge(3, 5), await bridge(2)];
  const url = rtmpUrl(up.port, 'moving', 'cam');
  const pushes = run(FFMPEG, ['-re', '-i', clip, '-c', 'copy', '-f', 'flv', url]);
  await until('frames', async () => (await server.metric('troupe_ingest_frames_total')) > 30);
  const playing = hashes(FFMPEG, rtmpUrl(down.port, 'moving', 'cam', { play: true }));
  await until('both are listed', async () => {
    const { items } = await (await server.admin('GET', 'quic')).json();
    return items.length === 2 && items.every((it) => it.protocol === 'rtmp' && it.receivedBytes > 0);
  });
  await until('a step of a path is listed', async () => {
    const { items } = await (await server.admin('GET', 'quic')).json();
    return items.some((it) => it.pathChanges > 0);
  });
  const played = await playing;
  await pushes.done;
  await Promise.all([up.ended, down.ended]);

  const pictures = played.filter((it) => it.startsWith('0:'));
  const from = original.indexOf(pictures[0]);
  await figure(t, 'RTMP over QUIC: pictures after joining', pictures.length);
  assert.ok(pictures.length > 150, String(pictures.length));
  assert.deepEqual(pictures, original.slice(from));
  assert.equal(up.text.split('moved').length - 1, 2, up.text);
  assert.equal(await changes('migrating'), 3);
  assert.equal(await changes('active'), 3);
});

test('Chromium publishes by MoQ, another watches by WHEP', async (t) => {
  const publisher = await page();
  const version = await publisher.evaluate(
    async ({ url, token }) => {
      const stream = await navigator.mediaDevices.getUserMedia({
        video: { width: 640, height: 360 },
        audio: true,
      });
      window.session = await moq.connect(url, { room: 'web', token });
      window.publishing = await window.session.publish({ stream });
      return window.session.version;
    },
    { url: server.url, token: token('web', 'cam', 'ingest') },
  );
  t.diagnostic(`draft ${version}`);
  await until('the stream', async () => (await server.metric('troupe_ingest_frames_total')) > 60);
  const viewer = await browser.page();
  const first = await viewer.evaluate(
    async ({ url, token }) => {
      const started = performance.now();
      window.session = await probe.whep(url, token);
      return probe.firstFrame(window.session.stream, started);
    },
    { url: `${server.url}/whep/web?peer=cam`, token: server.token('web', 'viewer') },
  );
  await figure(t, 'MoQ → WHEP: POST → first frame', first, 'ms');
  const rows = await viewer.evaluate(() => probe.watch(window.session.connection, 3_000));
  const { video, audio } = Object.fromEntries(rows.map((row) => [row.kind, row]));
  await figure(t, 'MoQ → WHEP: decodes', video.fps, 'fps');
  assert.ok(video.fps >= 20, JSON.stringify(video));
  assert.deepEqual([video.codec, video.lost], ['VP8', 0]);
  assert.ok(audio.energy > 0, 'it is heard');

  // The same stream by the MoQ project's library, which shares no code with our server's.
  const stats = await watch(await page(), 'web');
  await figure(t, 'MoQ → MoQ: pictures in 2 s', stats.videoFrames);
  assert.ok(stats.videoFrames >= 40 && stats.audioFrames >= 60, JSON.stringify(stats));
  await viewer.context().close();
  await publisher.context().close();
});

/** Plays `cam` for two seconds. */
function watch(page, room) {
  return page.evaluate(
    async ({ url, room, token }) => {
      const session = await moq.connect(url, { room, token });
      const canvas = document.getElementById('canvas');
      const audioContext = new AudioContext();
      const player = session.play('cam', { canvas, audioContext });
      await probe.until(() => player.stats().videoFrames > 0, 8_000, 'a picture');
      const before = player.stats();
      await probe.pause(2_000);
      const after = player.stats();
      const gained = (name) => after[name] - before[name];
      session.close();
      return {
        videoFrames: gained('videoFrames'),
        audioFrames: gained('audioFrames'),
        errors: after.errors,
        width: after.width,
      };
    },
    { url: server.url, room, token: token(room, 'eve', 'play') },
  );
}

test('an RTMP stream is played by MoQ', async (t) => {
  const pushes = run(FFMPEG, [...LIVE, ...H264, '-f', 'flv', rtmpUrl(rtmp, 'studio', 'cam')]);
  const before = await server.metric('troupe_ingest_frames_total');
  await until('frames', async () => (await server.metric('troupe_ingest_frames_total')) > before + 60);
  const viewer = await page();
  const stats = await watch(viewer, 'studio');
  await figure(t, 'RTMP → MoQ: pictures in 2 s', stats.videoFrames);
  assert.ok(stats.videoFrames >= 50 && stats.audioFrames >= 60, JSON.stringify(stats));
  assert.deepEqual([stats.width, stats.errors], [640, 0]);
  const refused = await viewer.evaluate(
    ({ url, token }) => moq.connect(url, { room: 'studio', token }).catch((error) => error.type),
    { url: server.url, token: token('elsewhere', 'eve', 'play') },
  );
  assert.equal(refused, 'unreachable');
  await viewer.context().close();
  await pushes.stop();
});
