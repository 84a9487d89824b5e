/** Figures of a call: what the browser measures, joined with what the server sees. */

import type { MediaKind, StatsResult } from './protocol/index.js';

/** One simulcast or SVC layer that is sent. */
export interface SentLayer {
  rid: string | null;
  active: boolean;
  bps: number;
  width: number | null;
  height: number | null;
  fps: number | null;
  /** Why the encoder does less than it could, in the browser's words. */
  limitation: string | null;
}

/** Figures of one track. */
export interface TrackStats {
  trackId: string | null;
  mid: string | null;
  direction: 'send' | 'receive';
  kind: MediaKind;
  /** As the browser names it, such as `VP8`. */
  codec: string | null;
  bps: number;
  /** Part of the packets lost since the last reading, 0 to 1. */
  loss: number;
  packetsLost: number;
  jitterMs: number | null;
  width: number | null;
  height: number | null;
  fps: number | null;
  /** Decoded or encoded since the start. */
  frames: number;
  freezes: number;
  /** 0 to 1, audio alone. */
  audioLevel: number | null;
  /** The layer that the server forwards into this slot. */
  layer: { spatial: number | null; temporal: number | null } | null;
  /** What is sent, lowest first. */
  layers: SentLayer[];
}

/** Figures of the whole call. */
export interface RoomStats {
  /** Round trip of media, in milliseconds. */
  rttMs: number | null;
  /** Bits per second that the browser believes it can send. */
  availableOutgoingBps: number | null;
  sentBps: number;
  receivedBps: number;
  /** Part of what is sent that is lost, 0 to 1, or of what is received where that is more. */
  loss: number;
  tracks: TrackStats[];
  /** What the server sees of this peer; `null` while signalling is down. */
  server: StatsResult | null;
}

type Report = Record<string, unknown> & { id: string; type: string; timestamp: number };

interface Previous {
  at: number;
  bytes: number;
  packets: number;
  lost: number;
}

const number = (value: unknown): number => (typeof value === 'number' ? value : 0);
const maybe = (value: unknown): number | null => (typeof value === 'number' ? value : null);
const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);

/** Reads figures and remembers the last reading, since rates are differences. */
export class StatsReader {
  #previous = new Map<string, Previous>();

  /** `trackOf` names the track of an m-line. */
  async read(
    pc: RTCPeerConnection,
    server: StatsResult | null,
    trackOf: (mid: string) => string | null,
  ): Promise<RoomStats> {
    const reports = new Map<string, Report>();
    (await pc.getStats()).forEach((report: Report) => reports.set(report.id, report));
    const all = [...reports.values()];
    const next = new Map<string, Previous>();
    const received = all
      .filter(({ type }) => type === 'inbound-rtp')
      .filter((report) => number(report['packetsReceived']) > 0)
      .map((report) => this.#received(report, reports, next, server, trackOf));
    const sent = this.#sent(all, reports, next, trackOf);
    this.#previous = next;
    const pair = all.find(
      ({ type, nominated, state }) =>
        type === 'candidate-pair' && nominated === true && state === 'succeeded',
    );
    const rtt = maybe(pair?.['currentRoundTripTime']);
    const tracks = [...sent, ...received];
    const sum = (list: TrackStats[]): number => list.reduce((total, { bps }) => total + bps, 0);
    return {
      rttMs: rtt === null ? null : rtt * 1_000,
      availableOutgoingBps: maybe(pair?.['availableOutgoingBitrate']),
      sentBps: sum(sent),
      receivedBps: sum(received),
      loss: Math.max(0, ...tracks.map(({ loss }) => loss)),
      tracks,
      server,
    };
  }

  #received(
    report: Report,
    reports: Map<string, Report>,
    next: Map<string, Previous>,
    server: StatsResult | null,
    trackOf: (mid: string) => string | null,
  ): TrackStats {
    const mid = text(report['mid']);
    const slot = server?.slots.find((one) => one.mid === mid);
    const packets = number(report['packetsReceived']);
    const lost = number(report['packetsLost']);
    const rates = this.#rates(report, number(report['bytesReceived']), packets, lost, next);
    const jitter = maybe(report['jitter']);
    return {
      ...base(report, reports, mid, mid === null ? null : trackOf(mid)),
      ...rates,
      direction: 'receive',
      packetsLost: lost,
      jitterMs: jitter === null ? null : jitter * 1_000,
      frames: number(report['framesDecoded']),
      layer: slot ? { spatial: slot.spatial ?? null, temporal: slot.temporal ?? null } : null,
      layers: [],
    };
  }

  /** One entry an m-line, its encodings as layers. */
  #sent(
    all: Report[],
    reports: Map<string, Report>,
    next: Map<string, Previous>,
    trackOf: (mid: string) => string | null,
  ): TrackStats[] {
    const byMid = new Map<string, TrackStats>();
    // By index and not by size: a layer that rests has none.
    const encodings = all
      .filter(({ type }) => type === 'outbound-rtp')
      .sort((a, b) => number(a['encodingIndex']) - number(b['encodingIndex']));
    for (const report of encodings) {
      const mid = text(report['mid']) ?? report.id;
      const remote = reports.get(text(report['remoteId']) ?? '');
      const lost = number(remote?.['packetsLost']);
      const bytes = number(report['bytesSent']);
      const rates = this.#rates(report, bytes, number(report['packetsSent']), lost, next);
      const layer: SentLayer = {
        rid: text(report['rid']),
        active: report['active'] !== false,
        bps: rates.bps,
        width: maybe(report['frameWidth']),
        height: maybe(report['frameHeight']),
        fps: maybe(report['framesPerSecond']),
        limitation: text(report['qualityLimitationReason']),
      };
      const stats = byMid.get(mid) ?? {
        ...base(report, reports, text(report['mid']), trackOf(mid)),
        bps: 0,
        loss: 0,
        direction: 'send',
        packetsLost: 0,
        jitterMs: null,
        frames: 0,
        layer: null,
        layers: [],
      };
      stats.layers.push(layer);
      stats.bps += rates.bps;
      stats.loss = Math.max(stats.loss, number(remote?.['fractionLost']));
      stats.packetsLost += lost;
      stats.frames = Math.max(stats.frames, number(report['framesEncoded']));
      if (layer.active && number(layer.height) >= number(stats.height)) {
        Object.assign(stats, { width: layer.width, height: layer.height, fps: layer.fps });
      }
      byMid.set(mid, stats);
    }
    return [...byMid.values()];
  }

  #rates(
    report: Report,
    bytes: number,
    packets: number,
    lost: number,
    next: Map<string, Previous>,
  ): { bps: number; loss: number } {
    const now = { at: report.timestamp, bytes, packets, lost };
    next.set(report.id, now);
    const before = this.#previous.get(report.id);
    if (!before || now.at <= before.at) return { bps: 0, loss: 0 };
    const gone = Math.max(0, lost - before.lost);
    const came = Math.max(0, packets - before.packets);
    return {
      bps: Math.round((Math.max(0, bytes - before.bytes) * 8_000) / (now.at - before.at)),
      loss: gone + came > 0 ? gone / (gone + came) : 0,
    };
  }
}

/** What both directions have in common. */
function base(
  report: Report,
  reports: Map<string, Report>,
  mid: string | null,
  trackId: string | null,
): Pick<
  TrackStats,
  'trackId' | 'mid' | 'kind' | 'codec' | 'width' | 'height' | 'fps' | 'freezes' | 'audioLevel'
> {
  const codec = text(reports.get(text(report['codecId']) ?? '')?.['mimeType']);
  return {
    trackId,
    mid,
    kind: report['kind'] === 'audio' ? 'audio' : 'video',
    codec: codec?.split('/')[1] ?? null,
    width: maybe(report['frameWidth']),
    height: maybe(report['frameHeight']),
    fps: maybe(report['framesPerSecond']),
    freezes: number(report['freezeCount']),
    audioLevel: maybe(report['audioLevel']),
  };
}
