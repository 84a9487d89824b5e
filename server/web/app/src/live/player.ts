/** Players of one stream: by WHEP, and by LL-HLS where that does not work. */

import type Hls from 'hls.js';

/** Something that plays into a `<video>`. */
export interface Player {
  /** How far what is shown is behind what was captured, in seconds, where it is known. */
  delay: () => Promise<number | null>;
  /** Calls back once, when it does not go on. */
  onEnd: (ended: () => void) => void;
  close: () => void;
}

/** The stream is not there now; trying again later makes sense. */
export class NotLive extends Error {}

/** How long a player may take until it shows a picture. */
const FIRST_PICTURE_MS = 6_000;
/** Seconds between the epochs of NTP (1900) and Unix. */
const NTP_UNIX_S = 2_208_988_800;

function within<T>(promise: Promise<T>, ms: number, what: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(late));
  });
}

function firstPicture(video: HTMLVideoElement): Promise<void> {
  return new Promise((resolve) => video.requestVideoFrameCallback(() => resolve()));
}

async function gathered(connection: RTCPeerConnection): Promise<void> {
  if (connection.iceGatheringState === 'complete') return;
  await new Promise<void>((resolve) => {
    connection.addEventListener('icegatheringstatechange', () => {
      if (connection.iceGatheringState === 'complete') resolve();
    });
  });
}

/** By the sender's clock where the browser tells it, else what buffers and the way add. */
async function delayOf(connection: RTCPeerConnection): Promise<number | null> {
  let delay: number | null = null;
  let way = 0;
  for (const row of (await connection.getStats()).values() as Iterable<Record<string, unknown>>) {
    const number = (name: string): number => (typeof row[name] === 'number' ? row[name] : 0);
    if (row['type'] === 'candidate-pair' && row['nominated'] === true) {
      way = number('currentRoundTripTime') / 2;
    }
    if (row['type'] !== 'inbound-rtp' || row['kind'] !== 'video') continue;
    const shown = number('estimatedPlayoutTimestamp') / 1_000 - NTP_UNIX_S;
    const told = Date.now() / 1_000 - shown;
    const emitted = number('jitterBufferEmittedCount');
    const held = emitted > 0 ? number('jitterBufferDelay') / emitted : 0;
    delay = told > 0 && told < 60 ? told : held + way;
  }
  return delay;
}

/** Plays by WHEP; rejects where no picture comes. */
export async function playWhep(
  video: HTMLVideoElement,
  { room, stream, token }: { room: string; stream: string; token: string },
): Promise<Player> {
  const connection = new RTCPeerConnection();
  const media = new MediaStream();
  connection.addEventListener('track', ({ track, receiver }) => {
    media.addTrack(track);
    if ('jitterBufferTarget' in receiver) receiver.jitterBufferTarget = 0;
  });
  connection.addTransceiver('audio', { direction: 'recvonly' });
  connection.addTransceiver('video', { direction: 'recvonly' });
  let location: string | null = null;
  const authorization = `Bearer ${token}`;
  const close = (): void => {
    connection.close();
    if (location !== null) {
      // The page may be going: the request must outlive it.
      void fetch(location, { method: 'DELETE', headers: { authorization }, keepalive: true });
    }
    video.srcObject = null;
  };
  try {
    await connection.setLocalDescription();
    await gathered(connection);
    const path = `/whep/${encodeURIComponent(room)}?peer=${encodeURIComponent(stream)}`;
    const response = await fetch(path, {
      method: 'POST',
      headers: { 'content-type': 'application/sdp', authorization },
      body: connection.localDescription?.sdp ?? '',
    });
    if (response.status === 404) throw new NotLive('nobody publishes that');
    if (response.status !== 201) throw new Error(`WHEP: ${response.status}`);
    location = response.headers.get('location');
    await connection.setRemoteDescription({ type: 'answer', sdp: await response.text() });
    video.srcObject = media;
    await within(firstPicture(video), FIRST_PICTURE_MS, 'a picture by WHEP');
  } catch (error) {
    close();
    throw error;
  }
  return {
    delay: () => delayOf(connection),
    onEnd: (ended) => {
      connection.addEventListener('connectionstatechange', () => {
        if (['failed', 'closed'].includes(connection.connectionState)) ended();
      });
      for (const track of media.getTracks()) track.addEventListener('ended', ended);
    },
    close,
  };
}

/** Plays LL-HLS; what plays it is loaded only now. Rejects where no picture comes. */
export async function playHls(
  video: HTMLVideoElement,
  { room, stream, token }: { room: string; stream: string; token: string },
): Promise<Player> {
  const base = `/live/${encodeURIComponent(room)}/${encodeURIComponent(stream)}/index.m3u8`;
  const url = `${base}?access_token=${encodeURIComponent(token)}`;
  const response = await fetch(url);
  if (response.status === 404) throw new NotLive('nobody publishes that');
  if (!response.ok) throw new Error(`HLS: ${response.status}`);
  const { default: Player } = await import('hls.js');
  if (!Player.isSupported()) return playNative(video, url);
  // The page's policy allows no scripts made on the fly, and fragmented MP4 needs no worker.
  const hls: Hls = new Player({ lowLatencyMode: true, enableWorker: false });
  let ended = (): void => undefined;
  const failed = new Promise<never>((_, reject) => {
    hls.on(Player.Events.ERROR, (_event, { details, fatal }) => {
      if (!fatal) return;
      reject(new Error(details));
      ended();
    });
  });
  hls.on(Player.Events.BUFFER_EOS, () => ended());
  hls.loadSource(url);
  hls.attachMedia(video);
  const close = (): void => hls.destroy();
  try {
    const seen = within(firstPicture(video), 2 * FIRST_PICTURE_MS, 'a picture by HLS');
    await Promise.race([seen, failed]);
  } catch (error) {
    close();
    throw error;
  }
  failed.catch(() => undefined);
  return {
    delay: () => {
      const shown = hls.playingDate?.getTime();
      return Promise.resolve(shown === undefined ? null : (Date.now() - shown) / 1_000);
    },
    onEnd: (callback) => (ended = callback),
    close,
  };
}

/** Where a browser plays HLS by itself and has no Media Source Extensions. */
async function playNative(video: HTMLVideoElement, url: string): Promise<Player> {
  video.src = url;
  const close = (): void => video.removeAttribute('src');
  await within(firstPicture(video), 2 * FIRST_PICTURE_MS, 'a picture by HLS');
  return {
    delay: () => {
      const end = video.seekable.length > 0 ? video.seekable.end(video.seekable.length - 1) : NaN;
      return Promise.resolve(Number.isNaN(end) ? null : end - video.currentTime);
    },
    onEnd: (ended) => video.addEventListener('ended', ended, { once: true }),
    close,
  };
}
