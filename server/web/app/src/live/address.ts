/** What the addresses of the live pages say, and what encoders need to be told. */

import { isName } from '../route.js';

/** How a stream is played. */
export type Way = 'whep' | 'hls';

/** `/watch/{room}/{stream}` or `/go-live/{room}/{stream}`. */
export interface LiveRoute {
  page: 'watch' | 'go-live';
  room: string;
  stream: string;
  /** An invitation to watch. */
  token: string | null;
  /** A token to publish with, for the page of who goes live. */
  ingest: string | null;
  /** One way alone, where the address wants it. */
  by: Way | null;
}

/** Reads an address; `null` where it is none of these pages. */
export function readLiveRoute(url: URL): LiveRoute | null {
  const path = /^\/(watch|go-live)\/([^/]+)\/([^/]+)\/?$/.exec(url.pathname);
  if (!path) return null;
  const [room = '', stream = ''] = [path[2], path[3]].map((part) => decodeURIComponent(part ?? ''));
  if (!isName(room) || !isName(stream)) return null;
  const hidden = new URLSearchParams(url.hash.slice(1));
  const by = url.searchParams.get('by');
  return {
    page: path[1] === 'watch' ? 'watch' : 'go-live',
    room,
    stream,
    token: hidden.get('token'),
    ingest: hidden.get('ingest'),
    by: by === 'whep' || by === 'hls' ? by : null,
  };
}

/** What an encoder is told. */
export interface EncoderSettings {
  server: string;
  key: string;
  whip: string;
  ffmpeg: string;
}

/** The settings for OBS, ffmpeg and WHIP that publish a stream. `rtmp` is a port. */
export function encoderSettings(
  origin: URL,
  rtmp: number,
  { room, stream }: Pick<LiveRoute, 'room' | 'stream'>,
  token: string,
): EncoderSettings {
  const port = rtmp === 1935 ? '' : `:${rtmp}`;
  const server = `rtmp://${origin.hostname}${port}/${room}`;
  const key = `${stream}?token=${token}`;
  const ffmpeg = [
    'ffmpeg -re -f lavfi -i testsrc2=size=1280x720:rate=30',
    '-f lavfi -i sine=frequency=440:sample_rate=48000',
    '-c:v libx264 -preset veryfast -tune zerolatency -bf 0 -g 60 -pix_fmt yuv420p -b:v 2500k',
    `-c:a aac -b:a 128k -f flv "${server}/${key}"`,
  ].join(' \\\n  ');
  return { server, key, whip: `${origin.origin}/whip/${room}`, ffmpeg };
}

/** A delay in words: `0.18 s`, or nothing where it is not known. */
export function delayText(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds) || seconds < 0) return '';
  return seconds < 10 ? `${seconds.toFixed(2)} s` : `${Math.round(seconds)} s`;
}
