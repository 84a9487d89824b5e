// A recording while its storage is away and while its disk is full: what was acknowledged is kept,
// and the operator is told.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { figure } from '../support/figures.mjs';
import { freePort } from '../support/ports.mjs';
import { FFMPEG, H264, LIVE, rtmpUrl, run } from '../support/rtmp.mjs';
import { startServer } from '../support/server.mjs';

const MOTO = fileURLToPath(new URL('../.venv/bin/moto_server', import.meta.url));
/** A disk of this size, and what something else takes of it. */
const [DISK_KIB, OTHERS_BYTES] = [6_144, 4_000_000];

let server;
let source;
let storage;
let folder;
let s3Port;
let disk;

/** A service that speaks Amazon S3's protocol, with the bucket. */
async function startStorage() {
  const child = spawn(MOTO, ['-H', '127.0.0.1', '-p', String(s3Port)], { stdio: 'ignore' });
  const end = Date.now() + 20_000;
  for (;;) {
    const made = await fetch(`http://127.0.0.1:${s3Port}/kept`, { method: 'PUT' }).catch(() => null);
    if (made?.ok) return child;
    assert.ok(Date.now() < end, 'the storage starts');
    await pause(100);
  }
}

before(async () => {
  const port = await freePort();
  s3Port = await freePort();
  folder = await mkdtemp(join(tmpdir(), 'troupe-disk-'));
  await writeFile(
    `${folder}.toml`,
    `[recording]
     dir = "${folder}"
     [recording.s3]
     endpoint = "http://127.0.0.1:${s3Port}"
     bucket = "kept"
     prefix = "rooms/"
     access_key_id = "key"
     secret_access_key = "secret"`,
  );
  const own = 'mount -t tmpfs -o size=$0k tmpfs "$1" && shift && exec "$@"';
  server = await startServer({
    // A disk of its own, which is small; seen from here by way of the process.
    wrap: ['unshare', '-rm', 'sh', '-c', own, String(DISK_KIB), folder],
    env: {
      TROUPE_RTMP__LISTEN: `127.0.0.1:${port}`,
    },
    args: ['--config', `${folder}.toml`],
  });
  disk = `/proc/${server.child.pid}/root${folder}`;
  source = run(FFMPEG, [...LIVE, ...H264, '-f', 'flv', rtmpUrl(port, 'studio', 'cam')]);
  const end = Date.now() + 15_000;
  while ((await server.metric('troupe_ingest_frames_total')) < 90) {
    assert.ok(Date.now() < end, `no frames: ${source.errors}`);
    await pause(100);
  }
});

after(async () => {
  storage?.kill('SIGKILL');
  await source?.stop('SIGKILL');
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
  await rm(`${folder}.toml`, { force: true });
});

const recording = async (id) => (await server.admin('GET', `recordings/${id}`)).json();

/** The recording as soon as `wanted` holds of it. */
async function seen(id, what, wanted, ms = 20_000) {
  const end = Date.now() + ms;
  for (;;) {
    const view = await recording(id);
    if (wanted(view)) return view;
    assert.ok(Date.now() < end, `${what}: ${JSON.stringify(view)}`);
    await pause(100);
  }
}

async function begin(rotationS) {
  const body = { room: 'studio', stream: 'cam', rotationS };
  const begun = await server.admin('POST', 'recordings', body);
  assert.equal(begun.status, 201, await begun.clone().text());
  return (await begun.json()).id;
}

const spooled = () => server.metric('troupe_egress_spooled_files');
const errors = async (reason) => {
  const all = await server.metrics();
  return all.get(`troupe_egress_recording_errors_total{reason="${reason}"}`) ?? 0;
};

test('files wait for storage that is away, and reach it', async (t) => {
  const id = await begin(10);
  // Rotated at the first keyframe after ten seconds; what is finished cannot be stored.
  const away = await seen(
    id,
    'storage is away',
    ({ fault, files }) => fault === 'storage_unreachable' && files.length >= 2,
    30_000,
  );
  assert.equal(away.state, 'active');
  assert.ok((await errors('storage_unreachable')) >= 1);
  assert.ok(server.log.join('').includes('storage_unreachable'), 'the log says it');
  storage = await startStorage();
  const since = Date.now();
  await server.admin('POST', `recordings/${id}/stop`);
  const kept = await seen(id, 'all stored', ({ state, fault, files }) => {
    return state === 'done' && !fault && files.every((file) => file.stored);
  });
  await figure(t, 'storage back → all stored', Date.now() - since, 'ms');
  assert.equal(await spooled(), 0);
  // The service looks for a signature, and not at it.
  const scope = 'key/20260101/us-east-1/s3/aws4_request';
  const signature = `Credential=${scope}, SignedHeaders=host, Signature=0`;
  const headers = { authorization: `AWS4-HMAC-SHA256 ${signature}` };
  const stored = (name) =>
    fetch(`http://127.0.0.1:${s3Port}/kept/rooms/${id}/${name}`, { headers });
  for (const { name, bytes } of kept.files) {
    const answer = await stored(name);
    assert.equal(answer.status, 200);
    const object = Buffer.from(await answer.arrayBuffer());
    assert.equal(object.length, bytes);
    assert.deepEqual(object, await readFile(join(disk, id, name)));
  }
  const end = Date.now() + 10_000;
  while (!(await stored('manifest.json')).ok) assert.ok(Date.now() < end, 'the manifest follows');
  const manifest = await (await stored('manifest.json')).json();
  assert.deepEqual([manifest.id, manifest.state, manifest.files.length], [id, 'done', kept.files.length]);
  storage.kill('SIGKILL');
  await once(storage, 'exit');
});

/** Pictures that ffprobe decodes in a file. */
async function pictures(file) {
  const count = ['-v', 'quiet', '-count_frames', '-select_streams', 'v', '-of', 'csv=p=0'];
  const { stdout } = await promisify(execFile)('ffprobe', [
    ...count,
    ...['-show_entries', 'stream=nb_read_frames', file],
  ]);
  return Number(stdout);
}

test('a full disk costs what does not fit, and the rest goes on', async (t) => {
  const others = join(disk, 'others');
  await writeFile(others, Buffer.alloc(OTHERS_BYTES));
  const id = await begin(3_600);
  const full = await seen(id, 'the disk is full', ({ fault }) => fault === 'disk_full', 40_000);
  assert.equal(full.state, 'active');
  assert.ok(full.lostFragments >= 1 && (await errors('disk_full')) >= 1);
  assert.ok(server.log.join('').includes('disk_full'), 'the log says it');
  await rm(others);
  const well = await seen(id, 'goes on', ({ fault, files }) => fault !== 'disk_full' && files.length >= 2);
  await pause(3_000);
  await server.admin('POST', `recordings/${id}/stop`);
  const done = await seen(id, 'done', ({ state }) => state === 'done');
  assert.ok(done.files.length >= well.files.length);
  let all = 0;
  for (const { name, bytes, durationMs } of done.files) {
    const file = join(disk, id, name);
    assert.equal((await stat(file)).size, bytes, `${name} is as long as was acknowledged`);
    if (durationMs < 500) continue;
    const count = await pictures(file);
    // Each file plays as far as the manifest says: 30 pictures a second.
    assert.ok(Math.abs(count - (durationMs * 30) / 1_000) <= 3, `${name}: ${count} of ${durationMs} ms`);
    all += count;
  }
  await figure(t, 'pictures kept around a full disk', all, 'frames');
  assert.ok(all > 120, String(all));
});
