/** Figures of the call: a panel for the whole, a line for each tile. */

import type { Room, RoomStats, TrackStats } from '@troupe/client';
import type { VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';

import type { Tile } from './tiles.js';

const INTERVAL_MS = 1_000;

/** Reads figures each second while they are wanted. */
export function useFigures(room: Room, wanted: boolean): RoomStats | null {
  const [stats, setStats] = useState<RoomStats | null>(null);
  useEffect(() => {
    if (!wanted) {
      setStats(null);
      return undefined;
    }
    let current = true;
    const read = async (): Promise<void> => {
      const next = await room.stats().catch(() => null);
      if (current && next) setStats(next);
    };
    void read();
    const timer = setInterval(() => void read(), INTERVAL_MS);
    return () => {
      current = false;
      clearInterval(timer);
    };
  }, [room, wanted]);
  return stats;
}

/** `1.24 Mb/s`, `380 kb/s`. */
export function bitrate(bps: number): string {
  return bps >= 1_000_000 ? `${(bps / 1_000_000).toFixed(2)} Mb/s` : `${Math.round(bps / 1_000)} kb/s`;
}

const percent = (part: number): string => `${(part * 100).toFixed(part < 0.1 ? 1 : 0)} %`;
const milliseconds = (value: number | null): string => (value === null ? '–' : `${Math.round(value)} ms`);

function picture({ width, height, fps }: Pick<TrackStats, 'width' | 'height' | 'fps'>): string {
  if (width === null || height === null) return 'no picture';
  return `${width}×${height}${fps === null ? '' : ` · ${Math.round(fps)} fps`}`;
}

function layerName(stats: TrackStats): string | null {
  const spatial = stats.layer?.spatial;
  if (spatial === null || spatial === undefined) return null;
  const temporal = stats.layer?.temporal;
  return `S${spatial}${temporal === null || temporal === undefined ? '' : `T${temporal}`}`;
}

/** The figures of a tile's tracks. */
export function TileFigures({ tile, stats }: { tile: Tile; stats: RoomStats }): VNode | null {
  const of = (id: string | null | undefined): TrackStats | undefined =>
    id ? stats.tracks.find(({ trackId }) => trackId === id) : undefined;
  const [video, audio] = [of(tile.video?.id), of(tile.audio?.id)];
  if (!video && !audio) return null;
  return (
    <dl class="tile-figures">
      {video && (
        <>
          <dt>Video</dt>
          <dd>
            {[video.codec, picture(video), layerName(video)].filter(Boolean).join(' · ')}
            <br />
            {bitrate(video.bps)} · loss {percent(video.loss)}
            {video.freezes > 0 && ` · ${video.freezes} freezes`}
          </dd>
          {video.layers.length > 1 &&
            video.layers.map((layer) => (
              <dd key={layer.rid}>
                {layer.rid} {layer.active ? `${picture(layer)} · ${bitrate(layer.bps)}` : 'rests'}
              </dd>
            ))}
        </>
      )}
      {audio && (
        <>
          <dt>Audio</dt>
          <dd>
            {audio.codec} · {bitrate(audio.bps)} · loss {percent(audio.loss)}
            {audio.jitterMs !== null && ` · jitter ${milliseconds(audio.jitterMs)}`}
          </dd>
        </>
      )}
    </dl>
  );
}

/** The figures of the whole call. */
export function CallFigures({ room, stats }: { room: Room; stats: RoomStats }): VNode {
  const { server } = stats;
  const rows: [string, string][] = [
    ['Round trip', milliseconds(stats.rttMs ?? server?.rttMs ?? null)],
    ['Receiving', bitrate(stats.receivedBps)],
    ['Sending', bitrate(stats.sentBps)],
    ['Loss', percent(stats.loss)],
    ['Downlink estimate', server ? bitrate(server.estimateBps) : '–'],
    [
      'Uplink estimate',
      stats.availableOutgoingBps === null ? '–' : bitrate(stats.availableOutgoingBps),
    ],
    ['Quality', server ? percent(server.quality) : '–'],
    ['Clock offset', milliseconds(room.clock.offsetMs)],
    ['Worker', room.worker],
  ];
  return (
    <aside class="figures" aria-label="Call statistics">
      <dl>
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </aside>
  );
}
