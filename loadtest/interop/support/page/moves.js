// Runs in the page: what a viewer sees and hears while the room moves from worker to worker.

import * as call from './call.js';
import { inbound } from './probe.js';

/** When each picture was presented, by the video's place on the page. */
const shown = new Map();
/** When each picture came out of a decoder, by track. */
const decoded = new Map();
const moved = [];
let connection;
/** Sound made up on connections that are no longer heard, in samples. */
let madeUp = 0;
let base = 0;

const concealed = (rows) =>
  Object.values(rows)
    .filter(({ kind }) => kind === 'audio')
    .reduce((sum, row) => sum + row.concealedSamples - row.silentConcealedSamples, 0);

function follow(video) {
  const times = [];
  shown.set(video, times);
  const look = (now) => {
    times.push(now);
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
}

/** Notes every picture of a track from the moment that it is shown. */
async function count(track) {
  const media = track.mediaStreamTrack;
  if (!media || track.kind !== 'video') return;
  const times = decoded.get(track.id) ?? [];
  decoded.set(track.id, times);
  const reader = new MediaStreamTrackProcessor({ track: media }).readable.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    value.close();
    // Only what is on the page counts, whatever other connections still bring.
    if (track.mediaStreamTrack === media) times.push(performance.now());
  }
}

/** Begins to watch. */
export async function watch() {
  document.querySelectorAll('#stage video').forEach(follow);
  for (const track of call.room.tracks) {
    void count(track);
    track.on('replaced', () => void count(track));
  }
  connection = call.room.peerConnection;
  base = concealed(await inbound(connection));
  call.room.on('migrated', async ({ worker }) => {
    const [old, next] = [connection, call.room.peerConnection];
    moved.push({ at: performance.now(), worker });
    connection = next;
    const [before, after] = await Promise.all([inbound(old), inbound(next)]);
    madeUp += concealed(before) - base;
    base = concealed(after);
  });
}

/** The workers that the room has moved to. */
export const workers = () => moved.map(({ worker }) => worker);

const longest = (times, from, to) => {
  const within = [from, ...times.filter((at) => at > from && at < to), to];
  return Math.max(...within.slice(1).map((at, index) => at - within[index]));
};

/** Gaps in ms within a span of performance.now(), one a picture, and sound made up since the start. */
export async function figures(from, to) {
  const gaps = (all) => [...all.values()].map((times) => longest(times, from, to));
  const now = concealed(await inbound(connection)) - base;
  return {
    shown: gaps(shown),
    decoded: gaps(decoded),
    madeUpMs: (madeUp + now) / 48,
    moves: moved.filter(({ at }) => at >= from && at <= to).length,
  };
}
