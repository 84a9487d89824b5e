// Runs in the page: a member of a room by way of the SDK, and what it noticed.

import * as Troupe from '/sdk/index.js';

import { camera, until, watch } from './probe.js';

export { Troupe };

/** Everything that the room told, in order: `{ at, type, … }` with `at` in ms. */
export const events = [];
/** Every frame that came by the WebSocket, parsed. */
export const frames = [];
/** The room, once entered. */
export let room;

const TOLD = {
  state: (state) => ({ state }),
  media: ({ state, error }) => ({ state, error: error?.type ?? null }),
  closed: ({ error }) => ({ error: error?.type ?? null, reason: error?.reason ?? null }),
  peerJoined: ({ peerId }) => ({ peerId }),
  peerLeft: ({ peer, reason }) => ({ peerId: peer.peerId, reason }),
  peerUpdated: ({ peerId, state, metadata }) => ({ peerId, state, metadata }),
  trackPublished: ({ id, peerId, kind }) => ({ trackId: id, peerId, kind }),
  trackUnpublished: ({ id, peerId, kind }) => ({ trackId: id, peerId, kind }),
  chat: ({ from, text }) => ({ from, text }),
  reactions: (reactions) => ({ reactions }),
  message: ({ from, to, topic, payload }) => ({ from, to, topic, payload }),
  data: ({ from, to, topic, seq, reliable, payload }) => ({
    from,
    to,
    topic,
    seq,
    reliable,
    bytes: payload.length,
    sum: payload.reduce((sum, byte) => (sum * 31 + byte) % 65_521, 0),
  }),
};

function listen(to) {
  for (const [type, told] of Object.entries(TOLD)) {
    to.on(type, (event) => events.push({ at: performance.now(), type, ...told(event) }));
  }
}

/** A WebSocket whose incoming frames are kept for the test to read. */
function recordedSocket(url, protocol) {
  const socket = new WebSocket(url, protocol);
  socket.addEventListener('message', ({ data }) => frames.push(JSON.parse(data)));
  return socket;
}

/** Shows a video, as an application would. */
function show(track) {
  if (track.kind !== 'video') return;
  const video = document.createElement('video');
  Object.assign(video, { muted: true, playsInline: true, width: 160, height: 90 });
  document.querySelector('#stage').append(track.attach(video));
  track.on('ended', () => video.remove());
}

/**
 * Enters a room; more options are the SDK's. Elements are small here, so their size counts only
 * where a spec says so.
 */
export async function enter(url, token, options = {}) {
  const environment = { webSocket: recordedSocket, ...options.environment };
  room = await Troupe.connect(url, { token, videoSlots: 3, adaptive: false, ...options, environment });
  listen(room);
  room.tracks.forEach(show);
  room.on('trackPublished', show);
  return { peerId: room.peerId, peers: room.peers.length };
}

/** Publishes the fake camera and microphone; the options are those of `publishCamera`. */
export async function publish(options = {}) {
  const { width = 640, height = 360, frameRate = 15, layers = 1, ...rest } = options;
  const [sound, picture] = (await camera(width, height, frameRate)).getTracks();
  await room.publishMicrophone({ media: sound });
  // Two cores with four browsers are busy: without this the encoder makes pictures smaller, and what
  // a spec counts is not what it asked for.
  const degradationPreference = 'maintain-framerate-and-resolution';
  const size = { width, height, frameRate };
  await room.publishCamera({ media: picture, ...size, layers, degradationPreference, ...rest });
}

/** Waits until this many videos of others are decoded. */
export async function seen(count, ms = 15_000) {
  const decoded = async () => {
    const rows = room.peerConnection ? await watch(room.peerConnection, 50) : [];
    const shown = rowsOfTracks(rows).filter((row) => row.kind === 'video');
    return shown.filter((row) => row.total > 0).length >= count;
  };
  await until(decoded, ms, `${count} decoded videos`);
}

/** What is shown of whom, out of rows by mid. */
function rowsOfTracks(rows) {
  return room.tracks.flatMap((track) => {
    const row = rows.find(({ mid }) => mid === track.slot?.mid);
    return row ? [{ peerId: track.peerId, trackId: track.id, ...row }] : [];
  });
}

/** Watches what is received for `ms`: a row for each track that a slot shows. */
export async function receive(ms) {
  return rowsOfTracks(await watch(room.peerConnection, ms));
}

/** Leaves, and forgets what was noticed. */
export async function leave() {
  await room?.leave();
  document.querySelector('#stage').replaceChildren();
  events.length = 0;
  frames.length = 0;
}

/**
 * Enters as a viewer; the times in ms from the call until the room was joined and until the first
 * picture of anybody was on the page.
 */
export async function enterAndSee(url, token, options) {
  const started = performance.now();
  const first = new Promise((resolve) => {
    const stage = document.querySelector('#stage');
    const observer = new MutationObserver(() => {
      for (const video of stage.querySelectorAll('video')) {
        video.requestVideoFrameCallback(() => resolve(performance.now() - started));
      }
    });
    observer.observe(stage, { childList: true });
  });
  await enter(url, token, options);
  const joinedMs = performance.now() - started;
  return { joinedMs, firstFrameMs: await first };
}
