// A camera made of numbers, encoded by ffmpeg: its picture says when it was drawn, and flashes once a
// second, when there is a beep. What ffmpeg itself takes is told from what leaves it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';

const [WIDTH, HEIGHT, CELL, FPS, RATE] = [640, 360, 40, 30, 48_000];
const [BITS, CHECK] = [28, 4];
const TONE_HZ = 1_000;
/** Pictures of a flash, and samples of a beep. */
const [LIT, LOUD] = [4, Math.round(RATE * 0.12)];

/** The bits of a time in ms, and four that tell whether they were read right: as page/live.js has it. */
function codeOf(ms) {
  const value = ms % 2 ** BITS;
  let check = 0;
  for (let rest = value; rest > 0; rest = Math.floor(rest / 16)) check = (check + (rest % 16)) % 16;
  const number = BigInt(value) * 2n ** BigInt(CHECK) + BigInt(check);
  return [...number.toString(2).padStart(BITS + CHECK, '0')].map(Number);
}

/** One picture, planar YUV 4:2:0. */
function draw(index, now) {
  const frame = Buffer.alloc((WIDTH * HEIGHT * 3) / 2, 128);
  const lit = index % FPS < LIT;
  frame.fill(lit ? 235 : 16, 0, WIDTH * HEIGHT);
  codeOf(now).forEach((bit, at) => {
    const across = WIDTH / CELL;
    const [left, top] = [(at % across) * CELL, Math.floor(at / across) * CELL];
    for (let y = top; y < top + CELL; y += 1) {
      frame.fill(bit ? 235 : 16, y * WIDTH + left, y * WIDTH + left + CELL);
    }
  });
  const at = (index * 8) % (WIDTH - 40);
  for (let y = 300; y < 340; y += 1) frame.fill(120, y * WIDTH + at, y * WIDTH + at + 40);
  return frame;
}

/** The sound of one picture's time. */
function sing(index) {
  const count = RATE / FPS;
  const samples = Buffer.alloc(count * 2);
  for (let at = 0; at < count; at += 1) {
    const sample = index * count + at;
    if (sample % RATE >= LOUD) continue;
    samples.writeInt16LE(Math.round(12_000 * Math.sin((2 * Math.PI * TONE_HZ * sample) / RATE)), at * 2);
  }
  return samples;
}

/** Reads FLV as it comes and calls back with the time of each picture in ms. */
function pictures(stream, seen) {
  let rest = Buffer.alloc(0);
  let head = 13;
  stream.on('data', (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      if (head > 0) {
        if (rest.length < head) return;
        rest = rest.subarray(head);
        head = 0;
      }
      if (rest.length < 11) return;
      const size = rest.readUIntBE(1, 3);
      if (rest.length < size + 15) return;
      if (rest[0] === 9 && rest[12] === 1) seen(rest.readUIntBE(4, 3) | (rest[7] << 24));
      rest = rest.subarray(size + 15);
    }
  });
}

/**
 * Publishes to an RTMP address until `stop()`. `delays` fills with what ffmpeg took for each picture
 * in ms: from when it was drawn until it left.
 */
export function camera(ffmpeg, url, { bframes = 0 } = {}) {
  const input = [
    ...['-thread_queue_size', '64', '-f', 'rawvideo', '-pix_fmt', 'yuv420p'],
    ...['-s', `${WIDTH}x${HEIGHT}`, '-r', String(FPS), '-i', 'pipe:0'],
    ...['-thread_queue_size', '64', '-f', 's16le', '-ar', String(RATE), '-ac', '1', '-i', 'pipe:3'],
  ];
  const tune = bframes > 0 ? [] : ['-tune', 'zerolatency'];
  const codecs = [
    ...['-c:v', 'libx264', '-preset', 'ultrafast', ...tune, '-bf', String(bframes), '-g', '60'],
    ...['-b:v', '1500k', '-c:a', 'aac', '-b:a', '96k', '-ac', '2', '-flags', '+global_header'],
  ];
  // Without a word of buffers: `nobuffer` throws the first picture away, and all come one too early.
  const quick = ['-probesize', '32', '-analyzeduration', '0'];
  const both = `[f=flv:onfail=abort]${url}|[f=flv:flush_packets=1]pipe:1`;
  const args = ['-nostdin', '-v', 'error', ...quick, ...input, ...codecs];
  const child = spawn(ffmpeg, [...args, '-map', '0:v', '-map', '1:a', '-f', 'tee', both], {
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
  });
  const made = { child, delays: [], errors: '' };
  child.stderr.on('data', (chunk) => (made.errors += chunk));
  const drawn = [];
  let first;
  pictures(child.stdout, (ms) => {
    first ??= ms;
    const at = drawn[Math.round(((ms - first) * FPS) / 1_000)];
    if (at !== undefined) made.delays.push(Date.now() - at);
  });
  const [video, audio] = [child.stdin, child.stdio[3]];
  for (const pipe of [video, audio]) pipe.on('error', () => undefined);
  const started = performance.now();
  const timer = setInterval(() => {
    while (drawn.length <= ((performance.now() - started) * FPS) / 1_000) {
      const index = drawn.length;
      drawn.push(Date.now());
      audio.write(sing(index));
      video.write(draw(index, drawn[index]));
    }
  }, 4);
  made.stop = async () => {
    clearInterval(timer);
    if (child.exitCode === null && child.signalCode === null) {
      const closed = once(child, 'close');
      child.kill('SIGKILL');
      await closed;
    }
  };
  return made;
}
