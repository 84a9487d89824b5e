/** How a video is encoded: simulcast layers or SVC, and bitrates that fit the picture. */

import type { Codec } from './protocol/index.js';

/** Codecs of video. */
export type VideoCodec = Exclude<Codec, 'opus'>;

/** Choices about the encoding of a video. */
export interface VideoEncodingOptions {
  /** VP8 unless said otherwise. */
  codec?: VideoCodec;
  /**
   * What a video goes on in once somebody is in the room who cannot decode it; `null`: nothing, they
   * see no picture. VP8, or H.264 for what is VP8, unless said otherwise: browsers have both.
   */
  backupCodec?: VideoCodec | null;
  /** Simulcast layers: 1, 2 or 3. Three for a camera, one for a screen. */
  layers?: 1 | 2 | 3;
  /** SVC in one stream in place of simulcast, such as `L3T3_KEY`; VP9 and AV1 alone. */
  scalabilityMode?: string;
  /** Bits per second of the whole picture at its largest. */
  maxBitrate?: number;
  /** Pictures a second. */
  maxFramerate?: number;
}

/** What is known of the picture. */
export interface PictureSize {
  width: number;
  height: number;
  frameRate: number;
}

/** What `addTransceiver` takes; `scalabilityMode` is younger than the type. */
export type Encoding = RTCRtpEncodingParameters & { scalabilityMode?: string };

/** Simulcast names, lowest first, and by how much each is scaled down. */
const RIDS = [
  { rid: 'q', scale: 4 },
  { rid: 'h', scale: 2 },
  { rid: 'f', scale: 1 },
];

/** What VP8 and H.264 need for 1280 × 720 at 30 pictures a second to look good. */
const HD_BPS = 1_700_000;
const HD_PIXELS = 1280 * 720;

/** Newer codecs do with less. */
const EFFICIENCY: Record<VideoCodec, number> = { vp8: 1, h264: 1, vp9: 0.75, av1: 0.65, h265: 0.7 };

/** What spatial layers in one stream cost more than the picture alone, by their number. */
const LAYERED = [1, 1.25, 1.5];

/** How many spatial layers a mode has, such as three for `L3T3_KEY`. */
function spatialLayers(mode: string | undefined): number {
  return Number(/^[LS]([1-3])/.exec(mode ?? '')?.[1] ?? 1);
}

/** Bits per second for a picture: less than proportional to its pixels and its rate. */
export function bitrateFor(size: PictureSize, codec: VideoCodec): number {
  const pixels = (size.width * size.height) / HD_PIXELS;
  const rate = Math.max(size.frameRate, 5) / 30;
  const bps = HD_BPS * EFFICIENCY[codec] * pixels ** 0.8 * rate ** 0.6;
  return Math.max(60_000, Math.round(bps / 1_000) * 1_000);
}

/** The encodings to publish a picture with. */
export function encodingsFor(size: PictureSize, options: VideoEncodingOptions): Encoding[] {
  const codec = options.codec ?? 'vp8';
  const layered = LAYERED[spatialLayers(options.scalabilityMode) - 1] ?? 1;
  const top = options.maxBitrate ?? Math.round(bitrateFor(size, codec) * layered);
  const layers = options.scalabilityMode === undefined ? (options.layers ?? 3) : 1;
  const common: Encoding = {};
  if (options.maxFramerate !== undefined) common.maxFramerate = options.maxFramerate;
  if (layers === 1) {
    const one: Encoding = { ...common, maxBitrate: top };
    if (options.scalabilityMode !== undefined) one.scalabilityMode = options.scalabilityMode;
    return [one];
  }
  const full = bitrateFor(size, codec);
  return RIDS.slice(RIDS.length - layers).map(({ rid, scale }) => {
    const scaled = { ...size, width: size.width / scale, height: size.height / scale };
    const encoding: Encoding = {
      ...common,
      rid,
      scaleResolutionDownBy: scale,
      maxBitrate: Math.round((bitrateFor(scaled, codec) / full) * top),
    };
    // Chromium makes simulcast of these two only where each encoding says its mode.
    if (codec === 'vp9' || codec === 'av1') encoding.scalabilityMode = 'L1T3';
    return encoding;
  });
}

/** What a video is sent in where its own codec is not for everybody. */
export interface Backup {
  codec: VideoCodec;
  /** As many as before, with the same names. */
  encodings: Encoding[];
}

/** What a picture falls back to; `null` where the caller wants nothing of the kind. */
export function backupFor(size: PictureSize, options: VideoEncodingOptions): Backup | null {
  const own = options.codec ?? 'vp8';
  const codec = options.backupCodec === undefined ? (own === 'vp8' ? 'h264' : 'vp8') : options.backupCodec;
  if (codec === null || codec === own) return null;
  const { scalabilityMode, ...plain } = options;
  const layers = scalabilityMode === undefined ? plain.layers : 1;
  const encodings = encodingsFor(size, { ...plain, codec, ...(layers ? { layers } : {}) });
  // A mode that was named goes away only for another.
  const temporal = scalabilityMode !== undefined || own === 'vp9' || own === 'av1';
  return {
    codec,
    encodings: temporal ? encodings.map((one) => ({ ...one, scalabilityMode: 'L1T3' })) : encodings,
  };
}

/** The codecs a browser has, the wanted one first. What is not there is no reason to fail. */
export function preferCodec<T extends { mimeType: string }>(codecs: T[], wanted: Codec | 'red'): T[] {
  const mime = `/${wanted}`;
  const first = codecs.filter(({ mimeType }) => mimeType.toLowerCase().endsWith(mime));
  return [...first, ...codecs.filter((codec) => !first.includes(codec))];
}
