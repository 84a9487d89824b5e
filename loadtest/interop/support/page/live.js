// Runs in the page: a picture that says when it was drawn, and players that read it back.

import { until } from './probe.js';

const [WIDTH, HEIGHT, CELL] = [640, 360, 40];
const BITS = 28;
const CHECK = 4;

/** The bits of a time in ms, and four that tell whether they were read right. */
function codeOf(ms) {
  const value = ms % 2 ** BITS;
  let check = 0;
  for (let rest = value; rest > 0; rest = Math.floor(rest / 16)) check = (check + (rest % 16)) % 16;
  const number = BigInt(value) * 2n ** BigInt(CHECK) + BigInt(check);
  return [...number.toString(2).padStart(BITS + CHECK, '0')].map(Number);
}

function place(index) {
  const across = WIDTH / CELL;
  return [(index % across) * CELL, Math.floor(index / across) * CELL];
}

/** A camera whose picture says when it was drawn, with a tone of 440 Hz. */
export function timecode(fps) {
  const canvas = Object.assign(document.createElement('canvas'), { width: WIDTH, height: HEIGHT });
  document.querySelector('#stage').append(canvas);
  const context = canvas.getContext('2d');
  const draw = () => {
    const now = Date.now();
    context.fillStyle = '#446';
    context.fillRect(0, 0, WIDTH, HEIGHT);
    codeOf(now).forEach((bit, index) => {
      context.fillStyle = bit ? '#fff' : '#000';
      context.fillRect(...place(index), CELL, CELL);
    });
    context.fillStyle = '#8a4';
    context.fillRect((now / 5) % WIDTH, 200, 60, 60);
  };
  draw();
  setInterval(draw, 1000 / fps);
  const audio = new AudioContext();
  const tone = new OscillatorNode(audio, { frequency: 440 });
  const sink = audio.createMediaStreamDestination();
  tone.connect(sink);
  tone.start();
  return new MediaStream([
    ...canvas.captureStream(fps).getVideoTracks(),
    ...sink.stream.getAudioTracks(),
  ]);
}

/** Lets a connection's video be of one codec alone. */
export function only(codec) {
  const { codecs } = RTCRtpSender.getCapabilities('video');
  const wanted = codecs.filter(({ mimeType }) => mimeType.toLowerCase() === `video/${codec}`);
  const add = RTCPeerConnection.prototype.addTransceiver;
  RTCPeerConnection.prototype.addTransceiver = function (...choices) {
    const transceiver = add.apply(this, choices);
    const { kind } = transceiver.receiver.track;
    if (kind === 'video') transceiver.setCodecPreferences(wanted);
    return transceiver;
  };
}

function read(video, context) {
  context.drawImage(video, 0, 0, WIDTH, HEIGHT);
  const { data } = context.getImageData(0, 0, WIDTH, 2 * CELL);
  let number = 0n;
  for (let index = 0; index < BITS + CHECK; index += 1) {
    const [x, y] = place(index);
    const red = data[4 * ((y + CELL / 2) * WIDTH + x + CELL / 2)];
    number = number * 2n + (red > 128 ? 1n : 0n);
  }
  const value = Number(number >> BigInt(CHECK));
  const bits = codeOf(value);
  const right = BigInt(`0b${bits.join('')}`) === number;
  return right ? value : undefined;
}

/** How old each picture of a `<video>` is when it is shown, for `ms`. */
export function ages(video, ms) {
  const canvas = Object.assign(document.createElement('canvas'), { width: WIDTH, height: HEIGHT });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const [all, end] = [[], performance.now() + ms];
  return new Promise((resolve) => {
    const look = () => {
      const drawn = read(video, context);
      if (drawn !== undefined) all.push((Date.now() - drawn) % 2 ** BITS);
      if (performance.now() < end) video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
    setTimeout(() => resolve(all.map((age) => (age + 2 ** BITS) % 2 ** BITS)), ms + 500);
  });
}

/** Plays LL-HLS by hls.js; resolves with the time to the first picture. */
export async function playHls(url) {
  const { default: Hls } = await import('/hls/hls.mjs');
  const video = Object.assign(document.createElement('video'), { autoplay: true });
  document.querySelector('#stage').append(video);
  const started = performance.now();
  const hls = new Hls({ lowLatencyMode: true });
  const errors = [];
  hls.on(Hls.Events.ERROR, (_, { details, fatal }) => errors.push(`${details}${fatal ? '!' : ''}`));
  hls.loadSource(url);
  hls.attachMedia(video);
  Object.assign(window, { hls, player: video, errors });
  const seen = new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  await Promise.race([seen, until(() => errors.some((it) => it.endsWith('!')), 30_000, 'a picture')]);
  return performance.now() - started;
}

/** Goes to where a live playlist is now. */
export async function goLive() {
  window.player.currentTime = window.hls.liveSyncPosition;
  await new Promise((resolve) => setTimeout(resolve, 1_000));
}

/** The loudest frequency that a `<video>` plays, in Hz, and how loud it is in dB. */
export async function heard(video, ms) {
  const audio = new AudioContext();
  const analyser = new AnalyserNode(audio, { fftSize: 8192 });
  audio.createMediaElementSource(video).connect(analyser).connect(audio.destination);
  await new Promise((resolve) => setTimeout(resolve, ms));
  const levels = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(levels);
  const peak = levels.indexOf(Math.max(...levels));
  return { frequency: (peak * audio.sampleRate) / analyser.fftSize, level: levels[peak] };
}
