// Encoders and players of RTMP: Debian's ffmpeg, and the newer one of PyPI's imageio-ffmpeg.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { sign } from './tokens.mjs';

const LIBRARIES = fileURLToPath(new URL('../.venv/lib/', import.meta.url));

/** Debian's ffmpeg. */
export const FFMPEG = process.env.FFMPEG ?? 'ffmpeg';

/** The ffmpeg that speaks enhanced RTMP. */
export function newFfmpeg() {
  if (process.env.FFMPEG_NEW) return process.env.FFMPEG_NEW;
  const [python] = readdirSync(LIBRARIES).filter((name) => name.startsWith('python3'));
  const folder = join(LIBRARIES, python, 'site-packages/imageio_ffmpeg/binaries');
  const binary = readdirSync(folder).find((name) => name.startsWith('ffmpeg-'));
  return join(folder, binary);
}

/** The URL to publish to, or with `play` to play from. */
export function rtmpUrl(port, room, identity, { play = false, token } = {}) {
  const grants = play
    ? { publish: false, subscribe: false, data: false, play: true }
    : { publish: false, subscribe: false, data: false, ingest: true };
  const signed = token ?? sign({ room, identity, troupe: grants });
  return `rtmp://127.0.0.1:${port}/${room}/${identity}?token=${signed}`;
}

/** Moving bars of 640 × 360 at 30 pictures a second, and a tone of 440 Hz, as they happen. */
export const LIVE = [
  ...['-re', '-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=30'],
  ...['-re', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=44100'],
];

/** H.264 without B-frames, a keyframe every two seconds, and AAC. */
export const H264 = [
  ...['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-bf', '0', '-g', '60'],
  ...['-pix_fmt', 'yuv420p', '-b:v', '1M', '-c:a', 'aac', '-b:a', '96k'],
];

/** Starts an ffmpeg; `done` resolves to its exit code, and `text` is what it said. */
export function run(binary, args) {
  const child = spawn(binary, ['-nostdin', '-v', 'error', '-y', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const process = { child, text: '', errors: '' };
  child.stdout.on('data', (chunk) => (process.text += chunk));
  child.stderr.on('data', (chunk) => (process.errors += chunk));
  process.done = once(child, 'close').then(([code]) => code);
  process.stop = async (signal = 'SIGTERM') => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await process.done;
  };
  return process;
}

/** Frames that ffmpeg reads from `input`, as `stream:size:hash`, until it ends or for `seconds`. */
export async function hashes(binary, input, seconds) {
  const limit = seconds === undefined ? [] : ['-t', String(seconds)];
  const reads = run(binary, ['-i', input, ...limit, '-c', 'copy', '-f', 'framehash', '-']);
  const code = await reads.done;
  if (code !== 0) throw new Error(`ffmpeg ended with ${code}: ${reads.errors}`);
  const lines = reads.text.split('\n').filter((line) => line && !line.startsWith('#'));
  return lines.map((line) => {
    const fields = line.split(',').map((field) => field.trim());
    return `${fields[0]}:${fields[4]}:${fields[5]}`;
  });
}
