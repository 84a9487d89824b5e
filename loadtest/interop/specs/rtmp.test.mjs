// ffmpeg publishes by RTMP; Chromium watches by WHEP, and ffmpeg plays the same bytes by RTMP.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

import { startChromium } from '../support/chromium.mjs';
import { figure, median } from '../support/figures.mjs';
import { freePort } from '../support/ports.mjs';
import { FFMPEG, H264, LIVE, hashes, newFfmpeg, rtmpUrl, run } from '../support/rtmp.mjs';
import { publishTags, tagsOf } from '../support/rtmp-writer.mjs';
import { startServer } from '../support/server.mjs';
import { sign } from '../support/tokens.mjs';

// Five times the aim of 500 ms would hide a lost keyframe cache, whose cost is up to 2 s.
const FIRST_FRAME_MS_MAX = 1_500;

let server;
let browser;
let port;
let folder;

before(async () => {
  port = await freePort();
  folder = await mkdtemp(join(tmpdir(), 'troupe-rtmp-'));
  server = await startServer({ env: { TROUPE_RTMP__LISTEN: `127.0.0.1:${port}` } });
  browser = await startChromium();
});

after(async () => {
  await browser?.close();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Starts to publish and waits until frames have come for a while. */
async function publish(binary, room, args, seconds = 3) {
  const before = await server.metric('troupe_ingest_frames_total');
  const pushes = run(binary, [...args, '-f', 'flv', rtmpUrl(port, room, 'cam')]);
  const end = Date.now() + 15_000;
  while ((await server.metric('troupe_ingest_frames_total')) - before < seconds * 30) {
    assert.equal(pushes.child.exitCode, null, pushes.errors);
    assert.ok(Date.now() < end, `no frames came: ${pushes.errors}`);
    await pause(100);
  }
  return pushes;
}

function play(page, room) {
  return page.evaluate(
    async ({ url, token }) => {
      const started = performance.now();
      window.session = await probe.whep(url, token);
      return probe.firstFrame(window.session.stream, started);
    },
    { url: `${server.url}/whep/${room}?peer=cam`, token: server.token(room, 'viewer') },
  );
}

async function watch(page, ms) {
  const rows = await page.evaluate((ms) => probe.watch(window.session.connection, ms), ms);
  return Object.fromEntries(rows.map((row) => [row.kind, row]));
}

test('H.264 reaches a browser, at once', async (t) => {
  const pushes = await publish(FFMPEG, 'studio', [...LIVE, ...H264]);
  const times = [];
  for (let round = 0; round < 3; round += 1) {
    const page = await browser.page();
    times.push(await play(page, 'studio'));
    if (round === 2) {
      await page.waitForTimeout(1_500);
      const { video: seen, audio: heard } = await watch(page, 4_000);
      await figure(t, 'decodes', seen.fps, 'fps');
      assert.ok(seen.fps >= 25, JSON.stringify(seen));
      assert.deepEqual([seen.codec, seen.width, seen.lost], ['H264', 640, 0]);
      assert.equal(seen.freezes, 0);
      await figure(t, 'sound: concealed of all samples', heard.concealed / heard.samples);
      assert.ok(heard.energy > 0, 'AAC is heard as Opus');
    }
    await page.context().close();
    await pause(700);
  }
  await figure(t, 'RTMP → WHEP: POST → first frame, median', median(times), 'ms');
  await figure(t, 'RTMP → WHEP: POST → first frame, worst', Math.max(...times), 'ms');
  assert.ok(Math.max(...times) < FIRST_FRAME_MS_MAX, String(times));
  await pushes.stop();
});

test('B-frames reach a browser in order', async (t) => {
  const reordered = H264.map((arg, at) => (H264[at - 1] === '-bf' ? '2' : arg));
  const tuned = reordered.map((arg) => (arg === 'zerolatency' ? 'film' : arg));
  const preset = tuned.map((arg) => (arg === 'ultrafast' ? 'superfast' : arg));
  const pushes = await publish(FFMPEG, 'reordered', [...LIVE, ...preset]);
  const page = await browser.page();
  await figure(t, 'B-frames: POST → first frame', await play(page, 'reordered'), 'ms');
  await page.waitForTimeout(1_500);
  const { video: seen } = await watch(page, 4_000);
  await figure(t, 'B-frames: decodes', seen.fps, 'fps');
  assert.ok(seen.fps >= 20, JSON.stringify(seen));
  await page.context().close();
  await pushes.stop();
});

test('what is played by RTMP is what was published', async () => {
  const clip = join(folder, 'clip.flv');
  const makes = run(FFMPEG, [...LIVE.filter((arg) => arg !== '-re'), '-t', '12', ...H264, clip]);
  assert.equal(await makes.done, 0, makes.errors);
  const original = new Set(await hashes(FFMPEG, clip));
  const pushes = await publish(FFMPEG, 'film', ['-re', '-i', clip, '-c', 'copy']);
  const played = await hashes(FFMPEG, rtmpUrl(port, 'film', 'cam', { play: true }), 4);
  await pushes.stop();
  const [pictures, sounds] = ['0:', '1:'].map((of) => played.filter((it) => it.startsWith(of)));
  assert.ok(pictures.length >= 100 && sounds.length >= 150, `${pictures.length} ${sounds.length}`);
  assert.deepEqual(played.filter((frame) => !original.has(frame)), []);
});

test('a browser is played by RTMP, with its sound as AAC', async (t) => {
  const page = await browser.page();
  await page.evaluate(
    async ({ url, token }) => {
      window.live.only('h264');
      window.session = await probe.whip(url, token, window.live.timecode(25));
      await probe.connected(window.session.connection);
    },
    { url: `${server.url}/whip/stage`, token: server.token('stage', 'cam') },
  );
  await pause(1_000);
  const file = join(folder, 'stage.mkv');
  const url = rtmpUrl(port, 'stage', 'cam', { play: true });
  const encoded = async () => {
    const rows = await page.evaluate(() => probe.outbound(window.session.connection));
    const { framesEncoded: frames, timestamp: at } = rows.find((row) => row.kind === 'video');
    return { frames, at };
  };
  const before = await encoded();
  const plays = run(FFMPEG, ['-i', url, '-t', '6', '-c', 'copy', file]);
  assert.equal(await plays.done, 0, plays.errors);
  const after = await encoded();
  const rate = (1_000 * (after.frames - before.frames)) / (after.at - before.at);
  const sound = ['-ss', '2', '-i', file, '-map', '0:a', '-ac', '1', '-ar', '48000', '-t', '2'];
  const shows = ['-show_entries', 'stream=codec_name,width,nb_read_frames', '-of', 'json'];
  const { stdout } = await promisify(execFile)('ffprobe', ['-v', 'error', '-count_frames', ...shows, file]);
  const [video, audio] = JSON.parse(stdout).streams;
  t.diagnostic(JSON.stringify({ video, audio }));
  assert.deepEqual([video.codec_name, video.width, audio.codec_name], ['h264', 640, 'aac']);
  // A browser short of processor time draws fewer; what it made in those six seconds is there.
  assert.ok(Number(video.nb_read_frames) >= 6 * rate * 0.8, `${rate} fps were encoded`);
  const options = { encoding: 'buffer', maxBuffer: 1 << 24 };
  const decode = ['-v', 'error', ...sound, '-f', 's16le', '-'];
  const samples = (await promisify(execFile)(FFMPEG, decode, options)).stdout;
  let rises = 0;
  for (let at = 2; at < samples.length; at += 2) {
    rises += samples.readInt16LE(at - 2) < 0 && samples.readInt16LE(at) >= 0 ? 1 : 0;
  }
  const frequency = (rises * 48_000) / (samples.length / 2);
  await figure(t, 'tone of a browser, played by RTMP', frequency, 'Hz');
  assert.ok(Math.abs(frequency - 440) < 10, `${frequency} Hz`);
  await page.context().close();
});

test('AV1 by enhanced RTMP reaches a browser', async (t) => {
  const av1 = ['-c:v', 'libsvtav1', '-preset', '12', '-svtav1-params', 'pred-struct=1:lp=1'];
  const args = [...LIVE, ...av1, '-g', '60', '-pix_fmt', 'yuv420p', '-c:a', 'libopus'];
  const pushes = await publish(newFfmpeg(), 'av1', args);
  const page = await browser.page();
  await figure(t, 'AV1: POST → first frame', await play(page, 'av1'), 'ms');
  await page.waitForTimeout(1_000);
  const { video: seen, audio: heard } = await watch(page, 3_000);
  assert.equal(seen.codec, 'AV1');
  assert.ok(seen.fps >= 15, JSON.stringify(seen));
  assert.ok(heard.energy > 0, 'Opus is heard as it came');
  await page.context().close();
  await pushes.stop();
});

test('H.265 by enhanced RTMP is played as it came', async () => {
  const clip = join(folder, 'hevc.flv');
  const hevc = ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'bframes=0:keyint=30'];
  const rest = ['-t', '8', ...hevc, '-pix_fmt', 'yuv420p', '-c:a', 'aac', clip];
  const makes = run(newFfmpeg(), [...LIVE.filter((arg) => arg !== '-re'), ...rest]);
  assert.equal(await makes.done, 0, makes.errors);
  const original = new Set(await hashes(newFfmpeg(), clip));
  const pushes = await publish(newFfmpeg(), 'hevc', ['-re', '-i', clip, '-c', 'copy'], 2);
  const played = await hashes(newFfmpeg(), rtmpUrl(port, 'hevc', 'cam', { play: true }), 2);
  await pushes.stop();
  assert.ok(played.length >= 100, String(played.length));
  assert.deepEqual(played.filter((frame) => !original.has(frame)), []);
});

test('an encoder that comes back takes its own place', async (t) => {
  const first = await publish(FFMPEG, 'again', [...LIVE, ...H264]);
  const page = await browser.page();
  await play(page, 'again');
  await first.stop('SIGKILL');
  const started = Date.now();
  const second = await publish(FFMPEG, 'again', [...LIVE, ...H264], 0.5);
  const total = async () => (await watch(page, 50)).video.total;
  const before = await total();
  while ((await total()) < before + 5) assert.ok(Date.now() - started < 10_000, 'goes on');
  await figure(t, 'killed → pictures again, encoder started anew', Date.now() - started, 'ms');
  await page.context().close();
  await second.stop();
});

test('another clock, times that wrap, no sound, another size: viewers go on', async (t) => {
  // The 32 bits of milliseconds end five seconds after the second one has begun.
  const wraps = ['-output_ts_offset', '4294962.3'];
  const larger = LIVE.map((arg) => arg.replace('640x360', '960x540'));
  const page = await browser.page();
  for (const [what, args, width] of [
    ['plain', [...LIVE, ...H264], 640],
    ['wrapping', [...LIVE, ...H264, ...wraps], 640],
    ['larger, no sound', [...larger, ...H264, '-an'], 960],
  ]) {
    // Each takes the place of the one before, under the eyes of the same viewer.
    const pushes = await publish(FFMPEG, 'odd', args, 2);
    if (what === 'plain') await play(page, 'odd');
    await page.waitForTimeout(what === 'wrapping' ? 4_000 : 1_000);
    const { video: seen } = await watch(page, 2_000);
    await figure(t, `${what}: decodes`, seen.fps, 'fps');
    assert.ok(seen.fps >= 20, `${what}: ${JSON.stringify(seen)}`);
    assert.equal(seen.width, width);
    await pushes.stop('SIGKILL');
  }
  await page.context().close();
});

test('RTMPS takes and plays the same', async () => {
  const [plain, secure] = [await freePort(), await freePort()];
  const env = { TROUPE_RTMP__LISTEN: `127.0.0.1:${plain}`, TROUPE_RTMP__TLS_LISTEN: `127.0.0.1:${secure}` };
  // With a certificate of its own, made at the start.
  const own = await startServer({ env, args: ['--lan'] });
  const clip = join(folder, 'secure.flv');
  const makes = run(FFMPEG, [...LIVE.filter((arg) => arg !== '-re'), '-t', '8', ...H264, clip]);
  assert.equal(await makes.done, 0, makes.errors);
  const original = new Set(await hashes(FFMPEG, clip));
  const to = (options) => rtmpUrl(secure, 'safe', 'cam', options).replace('rtmp:', 'rtmps:');
  const pushes = run(FFMPEG, ['-re', '-i', clip, '-c', 'copy', '-f', 'flv', to()]);
  const end = Date.now() + 10_000;
  while ((await own.metric('troupe_ingest_frames_total')) < 60) {
    assert.ok(Date.now() < end, pushes.errors);
    await pause(100);
  }
  const played = await hashes(FFMPEG, to({ play: true }), 2);
  await pushes.stop();
  await own.stop();
  assert.ok(played.length >= 100, String(played.length));
  assert.deepEqual(played.filter((frame) => !original.has(frame)), []);
});

/** When the times of a source become odd, and when it is looked at, in ms. */
const [ODD_MS, LOOK_MS, LOOK_FOR_MS, ODD_FPS] = [3_500, 5_000, 2_000, 15];

/** What a source may do to its times, as docs/rtmp.md has it. */
const ODDITIES = {
  'leaps an hour ahead': ({ time }) => (time < ODD_MS ? time : time + 3_600_000),
  'leaps an hour back': ({ time }) => (time < ODD_MS ? time + 3_600_000 : time),
  'stands still': ({ time }) => Math.min(time, ODD_MS),
  'runs back each second': ({ time }) => (time % 1_000 > 700 ? time - 400 : time),
  wraps: ({ time }) => time + 2 ** 32 - ODD_MS,
  'brings its sound late': ({ kind, time }) => (kind === 'audio' && time < ODD_MS ? undefined : time),
  'brings sound alone': ({ kind, time }) => (kind === 'audio' ? time : undefined),
  'brings pictures alone': ({ kind, time }) => (kind === 'video' ? time : undefined),
};

test('whatever a source does to its times, viewers go on', async (t) => {
  const clip = join(folder, 'odd.flv');
  const small = LIVE.map((arg) => arg.replace('640x360:rate=30', `320x180:rate=${ODD_FPS}`));
  const codecs = H264.map((arg, at) => (H264[at - 1] === '-g' ? String(ODD_FPS) : arg));
  const makes = run(FFMPEG, [...small.filter((arg) => arg !== '-re'), '-t', '9', ...codecs, clip]);
  assert.equal(await makes.done, 0, makes.errors);
  const tags = tagsOf(await readFile(clip));
  const names = Object.keys(ODDITIES);
  const rooms = names.map((_, at) => `odd-${at}`);
  const started = Date.now();
  const sources = await Promise.all(
    names.map((name, at) => publishTags(rtmpUrl(port, rooms[at], 'cam'), tags, ODDITIES[name])),
  );
  await pause(700);
  const late = rooms[names.indexOf('brings its sound late')];
  const begun = await server.admin('POST', 'recordings', { room: late, stream: 'cam' });
  const { id } = await begun.json();
  const page = await browser.page();
  const places = rooms.map((room) => ({
    url: `${server.url}/whep/${room}?peer=cam`,
    token: server.token(room, 'viewer'),
  }));
  await page.evaluate(async (places) => {
    const all = places.map(({ url, token }) => probe.whep(url, token));
    window.sessions = await Promise.all(all);
    for (const { stream } of window.sessions) {
      const video = Object.assign(document.createElement('video'), { autoplay: true, muted: true });
      document.querySelector('#stage').append(video);
      video.srcObject = stream;
    }
  }, places);
  await pause(started + LOOK_MS - Date.now());
  const seen = await page.evaluate(
    (ms) => Promise.all(window.sessions.map(({ connection }) => probe.watch(connection, ms))),
    LOOK_FOR_MS,
  );
  await page.context().close();
  for (const [at, name] of names.entries()) {
    const { video, audio } = Object.fromEntries(seen[at].map((row) => [row.kind, row]));
    await figure(t, `a source ${name}: decodes`, video?.fps ?? 0, 'fps');
    await figure(t, `a source ${name}: packets of sound`, audio?.packets ?? 0, `in ${LOOK_FOR_MS} ms`);
    const all = JSON.stringify({ name, video, audio });
    if (name !== 'brings sound alone') assert.ok(video.fps >= ODD_FPS / 2, all);
    if (name !== 'brings pictures alone') assert.ok(audio.packets >= LOOK_FOR_MS / 40, all);
  }
  // The sound that came late has a file with it, from the keyframe after it at the latest.
  await server.admin('POST', `recordings/${id}/stop`);
  await Promise.all(sources.map((source) => source.stop()));
  const { files } = await (await server.admin('GET', `recordings/${id}`)).json();
  const kinds = files.map((file) => file.tracks.map(({ kind }) => kind).join(' '));
  assert.deepEqual(kinds, ['video', 'video audio']);
  const after = files[1].startedMs - files[0].startedMs;
  await figure(t, 'recording: sound begins after the pictures', after, 'ms');
  assert.ok(Math.abs(after - ODD_MS) < 1_200, JSON.stringify(files));
});

/** Until something is so, in ms. */
async function passes(check, what, limit = 8_000) {
  const started = Date.now();
  while (!(await check())) {
    assert.ok(Date.now() - started < limit, what);
    await pause(50);
  }
  return Date.now() - started;
}

test('what a token began ends when it is revoked', async (t) => {
  const grants = { publish: false, subscribe: false, data: false };
  const token = (identity, jti, more) =>
    sign({ room: 'revoked', identity, claims: { jti }, troupe: { ...grants, ...more } });
  const ingest = token('cam', 'encoder-1', { ingest: true });
  const watch = token('viewer', 'viewer-1', { play: true });
  const into = rtmpUrl(port, 'revoked', 'cam', { token: ingest });
  const pushes = run(FFMPEG, [...LIVE, ...H264, '-f', 'flv', into]);
  await passes(async () => (await server.metric('troupe_ingest_connections')) > 0, pushes.errors);
  await pause(2_500);
  const from = rtmpUrl(port, 'revoked', 'cam', { play: true, token: watch });
  const plays = run(FFMPEG, ['-i', from, '-c', 'copy', '-f', 'null', '-']);
  const live = `${server.url}/live/revoked/cam`;
  const flv = await fetch(`${live}.flv?access_token=${watch}`);
  assert.equal(flv.status, 200);
  let over = false;
  const reads = (async () => {
    for await (const chunk of flv.body) assert.ok(chunk.length > 0);
  })();
  void reads.catch(() => undefined).finally(() => (over = true));
  const index = await (await fetch(`${live}/index.m3u8?access_token=${watch}`)).text();
  const playlist = `${live}/${index.split('\n').find((line) => line.startsWith('video.m3u8'))}`;
  assert.equal((await fetch(playlist)).status, 200);
  assert.deepEqual([plays.child.exitCode, over], [null, false]);
  const revoke = (body) => server.admin('POST', 'tokens/revoke', body);
  assert.ok((await revoke({ jti: 'viewer-1' })).ok);
  const ended = () => plays.child.exitCode !== null && over;
  await figure(t, 'revoked → players closed', await passes(ended, 'players end'), 'ms');
  assert.equal((await fetch(playlist)).status, 401);
  assert.equal(pushes.child.exitCode, null, 'the publisher goes on');
  assert.ok((await revoke({ jti: 'encoder-1', end: true })).ok);
  const gone = await passes(() => pushes.child.exitCode !== null, 'the publisher ends');
  await figure(t, 'revoked → publisher closed', gone, 'ms');
  const again = run(FFMPEG, [...LIVE, ...H264, '-t', '1', '-f', 'flv', into]);
  assert.notEqual(await again.done, 0);
});

test('a bad token is refused with a reason', async () => {
  for (const token of ['', 'nonsense']) {
    const url = rtmpUrl(port, 'studio', 'thief', { token });
    const pushes = run(FFMPEG, [...LIVE, ...H264, '-f', 'flv', url]);
    assert.notEqual(await pushes.done, 0);
    assert.match(pushes.errors, /not authorized|Unauthorized|Operation not permitted|I\/O error/i);
  }
  assert.equal(await server.metric('troupe_ingest_connections'), 0);
});
