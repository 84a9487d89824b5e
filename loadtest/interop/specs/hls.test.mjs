// A browser publishes by WHIP, and what it sends is watched by HTTP: hls.js in a browser, ffmpeg and
// ffprobe on the command line, and a recording that outlives its server.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

import { startChromium } from '../support/chromium.mjs';
import { figure, median } from '../support/figures.mjs';
import { startServer } from '../support/server.mjs';
import { sign } from '../support/tokens.mjs';

const FPS = 25;
/** What players are shown at least of the pictures that the browser sent in as much time. */
const SENT_SHARE_MIN = 0.75;
/** What HLS and DASH show at least of the pictures that MP4 shows in the same time. */
const SHARE_MIN = 0.85;
const FIRST_PICTURE_MS_MAX = 7_500;
const LOOKS = 3;
const LATENCY_P95_MS_MAX = 2_500;
const run = promisify(execFile);

let server;
let browser;
let stage;

async function publish(room, codec) {
  const page = await browser.page();
  await page.evaluate(
    async ({ url, token, fps, codec }) => {
      live.only(codec);
      window.session = await probe.whip(url, token, live.timecode(fps));
      await probe.connected(window.session.connection);
    },
    { url: `${server.url}/whip/${room}`, token: server.token(room, 'cam'), fps: FPS, codec },
  );
  return page;
}

const play = (room) => sign({ room, identity: 'viewer', troupe: { play: true } });
const live = (room, file) => `${server.url}/live/${room}/${file}`;
const url = (room, file) => `${live(room, file)}?access_token=${play(room)}`;

/** Pictures and sounds that ffprobe decodes in some seconds of a stream. */
async function decoded(input, seconds) {
  const { stdout } = await run(
    'ffprobe',
    [
      '-v', 'error', '-count_frames', '-read_intervals', `%+${seconds}`,
      '-show_entries', 'stream=codec_name,codec_type,nb_read_frames,width', '-of', 'json', input,
    ],
    { timeout: 60_000 },
  );
  const streams = JSON.parse(stdout).streams;
  return Object.fromEntries(streams.map((stream) => [stream.codec_type, stream]));
}

/** Pictures that a publisher has sent, and when: in ms by its clock. */
async function sent(page) {
  return page.evaluate(async () => {
    const stats = [...(await window.session.connection.getStats()).values()];
    const video = stats.find(({ type, kind }) => type === 'outbound-rtp' && kind === 'video');
    return { frames: video.framesSent, at: video.timestamp };
  });
}

before(async () => {
  server = await startServer();
  browser = await startChromium();
  stage = await publish('stage', 'h264');
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

test('hls.js plays LL-HLS of a WebRTC publisher', async (t) => {
  const viewer = await browser.page();
  const first = await viewer.evaluate((url) => window.live.playHls(url), url('stage', 'cam/index.m3u8'));
  await figure(t, 'LL-HLS: request → first picture', first, 'ms');
  assert.ok(first < FIRST_PICTURE_MS_MAX, `${first} ms`);
  await pause(6_000);
  let [ages, p95] = [[], Infinity];
  // A browser that got no processor time for a moment stays behind; whoever watches goes live again.
  for (let look = 0; look < LOOKS && p95 >= LATENCY_P95_MS_MAX; look += 1) {
    if (look > 0) await viewer.evaluate(() => window.live.goLive());
    ages = await viewer.evaluate(() => window.live.ages(window.player, 8_000));
    const sorted = [...ages].sort((a, b) => a - b);
    p95 = sorted[Math.floor(sorted.length * 0.95)] ?? Infinity;
    await figure(t, 'WebRTC → LL-HLS, glass to glass p50', median(ages), 'ms');
    await figure(t, 'WebRTC → LL-HLS, glass to glass p95', p95, 'ms');
    await figure(t, 'pictures shown', ages.length / 8, 'fps');
  }
  const errors = await viewer.evaluate(() => window.errors);
  assert.ok(ages.length > 100, `${ages.length} pictures; ${errors}`);
  const { frequency, level } = await viewer.evaluate(() => window.live.heard(window.player, 1_500));
  await figure(t, 'tone heard', frequency, 'Hz');
  assert.ok(Math.abs(frequency - 440) < 15 && level > -60, `${frequency} Hz at ${level} dB`);
  assert.ok(p95 < LATENCY_P95_MS_MAX, `p95 ${p95} ms`);
  assert.deepEqual(errors.filter((error) => error.endsWith('!')), []);
  await viewer.context().close();
});

test('ffprobe reads FLV, MP4, HLS and DASH', async (t) => {
  let most;
  const start = await sent(stage);
  await pause(3_000);
  // A laden machine draws fewer than 25 a second.
  const least = async (seconds) => {
    const { frames, at } = await sent(stage);
    return ((frames - start.frames) / (at - start.at)) * 1_000 * seconds * SENT_SHARE_MIN;
  };
  // ffmpeg begins each playlist by itself, three segments before its end: where one has just closed
  // a segment and the other has not, sound and pictures begin two seconds apart.
  for (const [file, seconds] of Object.entries({ 'cam.mp4': 3, 'cam/index.m3u8': 5, 'cam/manifest.mpd': 3 })) {
    const { video, audio } = await decoded(url('stage', file), seconds);
    t.diagnostic(`${file}: ${JSON.stringify({ video, audio })}`);
    assert.equal(video.codec_name, 'h264');
    const pictures = Number(video.nb_read_frames);
    most ??= pictures;
    const wanted = await least(3);
    assert.ok(wanted > 0 && pictures > wanted, `${file}: ${pictures} of ${wanted}`);
    assert.ok(pictures > most * SHARE_MIN, `${file}: ${pictures} of ${most}`);
    assert.equal(audio.codec_name, 'opus');
    assert.ok(Number(audio.nb_read_frames) > 75, `${file}: ${audio.nb_read_frames}`);
  }
  // Sound that a browser sends as Opus is AAC there.
  const { video, audio } = await decoded(url('stage', 'cam.flv'), 3);
  t.diagnostic(`cam.flv: ${JSON.stringify({ video, audio })}`);
  assert.deepEqual([video.codec_name, audio.codec_name], ['h264', 'aac']);
  const wanted = await least(3);
  assert.ok(Number(video.nb_read_frames) > wanted, `${video.nb_read_frames} of ${wanted}`);
  assert.ok(Number(audio.nb_read_frames) > 90, audio.nb_read_frames);
});

/** Asks for a continuous stream, and reads its first bytes. */
async function begun(agent, file) {
  const [answer] = await once(get(url('stage', file), { agent }), 'response');
  const [bytes] = await once(answer, 'data');
  answer.destroy();
  return { reused: answer.req.reusedSocket, status: answer.statusCode, headers: answer.headers, bytes };
}

test('a stream is written past its connection where that is new, and through it elsewhere', async () => {
  for (const [file, from, magic] of [['cam.flv', 0, 'FLV'], ['cam.mp4', 4, 'ftyp']]) {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const past = await begun(agent, file);
    const [nothing] = await once(get(live('stage', 'nothing'), { agent }), 'response');
    assert.equal(nothing.statusCode, 404);
    await nothing.resume().toArray();
    const through = await begun(agent, file);
    assert.deepEqual([past.reused, through.reused], [false, true]);
    assert.deepEqual([past.headers.connection, past.headers['transfer-encoding']], ['close', undefined]);
    assert.equal(through.headers['transfer-encoding'], 'chunked');
    for (const { status, headers, bytes } of [past, through]) {
      assert.deepEqual([status, headers['cache-control']], [200, 'no-store']);
      assert.equal(bytes.subarray(from, from + magic.length).toString('latin1'), magic);
    }
  }
});

test('tokens, signed addresses, ranges and caching', async () => {
  const index = live('stage', 'cam/index.m3u8');
  assert.equal((await fetch(index)).status, 401);
  const other = sign({ room: 'other', identity: 'v', troupe: { play: true } });
  assert.equal((await fetch(`${index}?access_token=${other}`)).status, 403);
  const path = '/live/stage/cam';
  const exp = Math.floor(Date.now() / 1000) + 60;
  const text = `GET\n${path}\n${exp}\ndevkey\nn`;
  const sig = createHmac('sha256', 'devsecret').update(text).digest('hex');
  const query = `exp=${exp}&kid=devkey&nonce=n&sig=${sig}&prefix=${encodeURIComponent(path)}`;
  const master = await fetch(`${index}?${query}`);
  assert.equal(master.status, 200);
  const playlist = (await master.text()).split('\n').find((line) => line.startsWith('video.m3u8'));
  assert.match(playlist, /\?session=/);
  const media = await fetch(new URL(playlist, index));
  assert.equal(media.headers.get('cache-control'), 'no-cache');
  const segment = (await media.text()).split('\n').find((line) => /^video_\d+\.m4s/.test(line));
  const whole = await fetch(new URL(segment, index), { headers: { origin: 'http://page.example' } });
  const bytes = Buffer.from(await whole.arrayBuffer());
  assert.equal(whole.headers.get('access-control-allow-origin'), '*');
  assert.match(whole.headers.get('cache-control'), /immutable/);
  const part = await fetch(new URL(segment, index), { headers: { range: 'bytes=8-99' } });
  assert.equal(part.status, 206);
  assert.equal(part.headers.get('content-range'), `bytes 8-99/${bytes.length}`);
  assert.deepEqual(Buffer.from(await part.arrayBuffer()), bytes.subarray(8, 100));
  const etag = whole.headers.get('etag');
  const again = await fetch(new URL(segment, index), { headers: { 'if-none-match': etag } });
  assert.equal(again.status, 304);
  assert.equal((await fetch(url('stage', 'nobody/index.m3u8'))).status, 404);
});

test('a VP8 publisher is refused with a reason', async () => {
  const page = await publish('vp8', 'vp8');
  const refused = await fetch(url('vp8', 'cam/index.m3u8'));
  assert.equal(refused.status, 409);
  assert.match((await refused.json()).detail, /VP8|Vp8/);
  await page.context().close();
});

test('a recording outlives a killed server', async (t) => {
  const own = await startServer();
  const page = await browser.page();
  await page.evaluate(
    async ({ url, token, fps }) => {
      live.only('h264');
      window.session = await probe.whip(url, token, live.timecode(fps));
      await probe.connected(window.session.connection);
    },
    { url: `${own.url}/whip/kept`, token: own.token('kept', 'cam'), fps: FPS },
  );
  await pause(1_000);
  const begun = await own.admin('POST', 'recordings', { room: 'kept', stream: 'cam' });
  assert.equal(begun.status, 201, await begun.clone().text());
  const { id } = await begun.json();
  await pause(8_000);
  const exit = once(own.child, 'exit');
  own.child.kill('SIGKILL');
  await exit;
  const kept = await mkdtemp(join(tmpdir(), 'troupe-kept-'));
  await cp(join(own.ports.data, 'data/recordings', id), kept, { recursive: true });
  const manifest = JSON.parse(await readFile(join(kept, 'manifest.json'), 'utf8'));
  assert.equal(manifest.state, 'active');
  const files = (await readdir(kept)).filter((name) => name.endsWith('.mp4'));
  assert.deepEqual(files, ['cam-00000.mp4']);
  const { video, audio } = await decoded(join(kept, files[0]), 60);
  t.diagnostic(JSON.stringify({ video, audio }));
  await figure(t, 'pictures kept of 8 s before kill -9', Number(video.nb_read_frames), 'frames');
  assert.ok(Number(video.nb_read_frames) > FPS * 5.5, video.nb_read_frames);
  assert.ok(Number(audio.nb_read_frames) > 50 * 5.5, audio.nb_read_frames);
  await rm(kept, { recursive: true });
  await own.stop();
  await page.context().close();
});
