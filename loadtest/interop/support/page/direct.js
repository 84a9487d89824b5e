// Runs in the page: a plain call from one browser to another, and what its viewer got. No SDK and no
// server: what libwebrtc does by itself, to compare with.

import { camera, inbound, outbound, pause } from './probe.js';

/** The connection of this page, once there is one. */
export let connection;

async function described() {
  await connection.setLocalDescription();
  if (connection.iceGatheringState !== 'complete') {
    await new Promise((resolve) => {
      connection.addEventListener('icegatheringstatechange', () => {
        if (connection.iceGatheringState === 'complete') resolve();
      });
    });
  }
  return connection.localDescription.sdp;
}

/** Offers the fake camera and microphone. */
export async function offer({ width, height, frameRate, maxBitrate }) {
  connection = new RTCPeerConnection();
  const stream = await camera(width, height, frameRate);
  for (const track of stream.getTracks()) {
    const sendEncodings = track.kind === 'video' ? [{ maxBitrate }] : [{}];
    connection.addTransceiver(track, { direction: 'sendonly', streams: [stream], sendEncodings });
  }
  return described();
}

/** Answers and shows what comes. */
export async function answer(sdp) {
  connection = new RTCPeerConnection();
  const video = Object.assign(document.createElement('video'), {
    autoplay: true,
    muted: true,
    playsInline: true,
  });
  document.querySelector('#stage').append(video);
  connection.ontrack = ({ track, streams }) => {
    video.srcObject = streams[0];
    // What is not played is not decoded.
    if (track.kind === 'audio') Object.assign(new Audio(), { srcObject: streams[0] }).play();
  };
  await connection.setRemoteDescription({ type: 'offer', sdp });
  return described();
}

/** Takes the answer. */
export async function accept(sdp) {
  await connection.setRemoteDescription({ type: 'answer', sdp });
}

const ROWS = {
  video: [
    'bytesReceived',
    'framesDecoded',
    'freezeCount',
    'totalFreezesDuration',
    'packetsLost',
    'nackCount',
    'pliCount',
    'jitterBufferDelay',
    'jitterBufferEmittedCount',
  ],
  audio: ['bytesReceived', 'concealedSamples', 'silentConcealedSamples', 'totalSamplesReceived'],
};

async function totals(of) {
  const rows = Object.values(await inbound(of));
  const sum = (kind, name) =>
    rows.filter((row) => row.kind === kind).reduce((all, row) => all + (row[name] ?? 0), 0);
  const entries = Object.entries(ROWS).map(([kind, names]) => [
    kind,
    Object.fromEntries(names.map((name) => [name, sum(kind, name)])),
  ]);
  return Object.fromEntries(entries);
}

/** How tall the picture is, 0 without one, and which frames came. */
async function picture(of) {
  const rows = Object.values(await inbound(of)).filter(({ kind }) => kind === 'video');
  const shown = rows.sort((a, b) => (b.framesDecoded ?? 0) - (a.framesDecoded ?? 0))[0];
  return shown?.frameHeight ?? 0;
}

/** What a viewer gets in `seconds`: gains of the browser's counters, and the height each half second. */
export async function received(of, seconds) {
  const before = await totals(of);
  const heights = [];
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    heights.push(await picture(of));
    await pause(500);
  }
  const after = await totals(of);
  const gains = Object.entries(after).map(([kind, row]) => [
    kind,
    Object.fromEntries(Object.entries(row).map(([name, all]) => [name, all - before[kind][name]])),
  ]);
  return { ...Object.fromEntries(gains), heights };
}

/** Bits per second of each layer that is sent, over `seconds`. */
export async function sentRates(of, seconds) {
  const read = async () =>
    Object.fromEntries(
      (await outbound(of))
        .filter(({ kind }) => kind === 'video')
        .map(({ rid, bytesSent }) => [rid ?? 'video', bytesSent]),
    );
  const before = await read();
  await pause(seconds * 1000);
  const after = await read();
  return Object.fromEntries(
    Object.entries(after).map(([rid, bytes]) => [rid, ((bytes - before[rid]) * 8) / seconds]),
  );
}

/** What `follow` has seen, in order. */
export const followed = [];

const FOLLOWED = {
  'inbound-rtp': ['frameHeight', 'framesDecoded', 'bytesReceived', 'nackCount', 'pliCount', 'totalFreezesDuration'],
  'outbound-rtp': ['rid', 'active', 'frameHeight', 'framesPerSecond', 'bytesSent', 'targetBitrate', 'keyFramesEncoded', 'qualityLimitationReason'],
};

/**
 * Notes four times a second what a connection's video does, from now on; with a `room`, also what the
 * server thinks of it and, from `frames`, what it was told. Times are of the system's clock.
 */
export async function follow(of, room, frames = []) {
  let told = frames.length;
  for (;;) {
    const rows = [...(await of.getStats()).values()];
    const video = rows
      .filter(({ type, kind }) => kind === 'video' && type in FOLLOWED)
      .map((row) => Object.fromEntries(FOLLOWED[row.type].map((name) => [name, row[name]])));
    const notices = frames
      .slice(told)
      .filter(({ method }) => ['slots', 'publishLayers', 'quality'].includes(method));
    told = frames.length;
    const server = await room?.stats().catch(() => undefined);
    followed.push({ at: Date.now(), video, notices, server });
    await pause(250);
  }
}
