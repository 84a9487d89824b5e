// Runs in the page: what a viewer sees and hears while the room moves from worker to worker.

import * as call from './call.js';
import { inbound } from './probe.js';

/** When each picture was presented, by the video's place on the page. */
const shown = new Map();
/** When each picture came out of a decoder, by track. */
const decoded = new Map();
const moved = [];
let connection;
/** What connections that are no longer heard came to, and where the present one began. */
let before = { madeUp: 0, lost: 0 };
let base = before;

/** Samples made up of one track, on the average, and packets of all that did not come. */
function sound(rows) {
  const heard = Object.values(rows).filter(({ kind }) => kind === 'audio');
  const sum = (of) => heard.reduce((all, row) => all + of(row), 0);
  const made = sum((row) => row.concealedSamples - row.silentConcealedSamples);
  const lost = sum((row) => row.packetsLost);
  return { madeUp: made / heard.length, lost };
}

const plus = (one, other, sign = 1) => ({
  madeUp: one.madeUp + sign * other.madeUp,
  lost: one.lost + sign * other.lost,
});

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
  base = sound(await inbound(connection));
  call.room.on('migrated', async ({ worker }) => {
    const [old, next] = [connection, call.room.peerConnection];
    moved.push({ at: performance.now(), worker });
    connection = next;
    const [last, first] = await Promise.all([inbound(old), inbound(next)]);
    before = plus(before, plus(sound(last), base, -1));
    base = sound(first);
  });
}

/** The workers that the room has moved to. */
export const workers = () => moved.map(({ worker }) => worker);

const longest = (times, from, to) => {
  const within = [from, ...times.filter((at) => at > from && at < to), to];
  return Math.max(...within.slice(1).map((at, index) => at - within[index]));
};

/** Since the start: sound made up, in ms of each track that is heard, and packets of sound lost. */
export async function soundSoFar() {
  const all = plus(before, plus(sound(await inbound(connection)), base, -1));
  return { madeUpMs: all.madeUp / 48, lost: all.lost };
}

/** Gaps in ms within a span of performance.now(), one a picture, and the moves in it. */
export function figures(from, to) {
  const gaps = (all) => [...all.values()].map((times) => longest(times, from, to));
  return {
    shown: gaps(shown),
    decoded: gaps(decoded),
    moves: moved.filter(({ at }) => at >= from && at <= to).length,
  };
}
