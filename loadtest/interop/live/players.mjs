// What a player costs: many players of one stream of 2 Mb/s, here and at nginx-rtmp, in one run by the
// same players. `npm run players`; build `troupe` and `troupe-players` with --release first.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { freePort } from '../support/ports.mjs';
import { FFMPEG, rtmpUrl, run } from '../support/rtmp.mjs';
import { startServer } from '../support/server.mjs';
import { sign } from '../support/tokens.mjs';

const TARGET = fileURLToPath(new URL('../../../target/release/', import.meta.url));
const PLAYERS = process.env.TROUPE_PLAYERS ?? join(TARGET, 'troupe-players');
const MODULE = '/usr/lib/nginx/modules/ngx_rtmp_module.so';
const COUNT = Number(process.env.PLAYERS ?? 300);
const SECONDS = Number(process.env.PLAYERS_SECONDS ?? 15);
const ROUNDS = Number(process.env.PLAYERS_ROUNDS ?? 3);

process.env.TROUPE_BIN ??= join(TARGET, 'troupe');

const folder = await mkdtemp(join(tmpdir(), 'troupe-players-'));

/** A file to send as it is: 2 Mb/s at 30 pictures a second, a keyframe every two, and AAC. */
async function clip() {
  const file = join(folder, 'clip.flv');
  const sources = ['-f', 'lavfi', '-i', 'testsrc2=size=1280x720:rate=30'];
  const noise = ['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000'];
  const rate = ['-b:v', '1900k', '-minrate', '1900k', '-maxrate', '1900k', '-bufsize', '950k'];
  const video = ['-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '0', '-g', '60', ...rate];
  const rest = ['-nal-hrd', 'cbr', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-b:a', '96k', '-t', '20'];
  const makes = run(FFMPEG, [...sources, ...noise, ...video, ...rest, file]);
  if ((await makes.done) !== 0) throw new Error(makes.errors);
  return file;
}

/** Debian's nginx with its RTMP module: one worker, and nothing else that it could do. */
async function startNginx() {
  const port = await freePort();
  const config = join(folder, 'nginx.conf');
  await writeFile(
    config,
    `load_module ${MODULE}; daemon off; worker_processes 1; pid ${folder}/nginx.pid;
     error_log ${folder}/error.log; events { worker_connections 2048; }
     rtmp { access_log off; server { listen 127.0.0.1:${port}; chunk_size 60000;
       application studio { live on; } } }`,
  );
  const child = spawn('nginx', ['-p', folder, '-c', config], { stdio: 'ignore' });
  await pause(500);
  const children = await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8');
  const pid = Number(children.trim().split(' ')[0]);
  if (!pid) throw new Error(await readFile(`${folder}/error.log`, 'utf8'));
  return {
    port,
    pid,
    stop: async () => {
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
    },
  };
}

async function measure(port, pid, how, count = COUNT) {
  const words = ['--server', `127.0.0.1:${port}`, '--pid', String(pid), ...how];
  const times = ['--players', String(count), '--seconds', String(SECONDS)];
  const child = spawn(PLAYERS, [...words, ...times], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk) => (text += chunk));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`the players ended with ${code}`);
  return JSON.parse(text);
}

/** Sends the clip there, again and again, while `work` runs. */
async function publishing(file, url, work) {
  const loop = ['-re', '-stream_loop', '-1', '-i', file, '-c', 'copy', '-f', 'flv', url];
  const pushes = run(FFMPEG, loop);
  await pause(3_000);
  try {
    return await work();
  } finally {
    await pushes.stop('SIGKILL');
  }
}

const file = await clip();
const rows = [];
const port = await freePort();
const server = await startServer({
  env: { TROUPE_RTMP__LISTEN: `127.0.0.1:${port}`, TROUPE_RTMP__CONNECTIONS_PER_ADDRESS: '1000' },
});
const nginx = await startNginx();
try {
  const play = sign({ room: 'studio', identity: 'viewer', troupe: { play: true } });
  const { pid } = server.child;
  const key = `cam?token=${play}`;
  const path = `/live/studio/cam.flv?access_token=${play}`;
  for (let round = 0; round < ROUNDS; round += 1) {
    const theirs = `rtmp://127.0.0.1:${nginx.port}/studio/cam`;
    await publishing(file, theirs, async () => {
      const words = ['--app', 'studio', '--key', 'cam'];
      rows.push({ server: 'nginx-rtmp', by: 'RTMP', ...(await measure(nginx.port, nginx.pid, words)) });
    });
    await publishing(file, rtmpUrl(port, 'studio', 'cam'), async () => {
      const words = ['--app', 'studio', '--key', key];
      rows.push({ server: 'Troupe', by: 'RTMP', ...(await measure(port, pid, words)) });
      const flv = await measure(server.ports.http, pid, ['--path', path]);
      rows.push({ server: 'Troupe', by: 'HTTP-FLV', ...flv });
    });
  }
} finally {
  await nginx.stop();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
}
console.log('| server | by | players | kb/s each, least | of a core in all | of a core each |');
console.log('| --- | --- | --- | --- | --- | --- |');
for (const { server: name, by, players, leastKbps, percentPerPlayer } of rows) {
  const all = (percentPerPlayer * players).toFixed(1);
  console.log(`| ${name} | ${by} | ${players} | ${leastKbps} | ${all} % | ${percentPerPlayer} % |`);
}
