/** A tile: a person or a screen, with everything one wants to know at a glance. */

import type { QualityParams, RoomStats } from '@troupe/client';
import type { VNode } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

import { MicrophoneOffIcon, PinIcon } from '../icons.js';
import { hueOf, initials } from '../names.js';
import { TileFigures } from './figures.js';
import type { Tile } from './tiles.js';
import { isLocal, useTrack } from './use-events.js';

interface TileViewProps {
  tile: Tile;
  speaking: boolean;
  pinned: boolean;
  /** On the stage: shown whole rather than cropped when it is a screen. */
  staged: boolean;
  quality: QualityParams | null;
  stats: RoomStats | null;
  onPin: (key: string) => void;
}

/** Why there is no picture, where there should be one. */
function obstacle(tile: Tile): string | null {
  const { video } = tile;
  if (tile.reconnecting) return 'Reconnecting …';
  if (!video || video.muted || isLocal(video)) return null;
  if (video.slot?.state === 'unsupported') return `This browser cannot play ${video.codec.toUpperCase()}`;
  if (video.slot?.state === 'paused' && video.slot.reason === 'bandwidth') {
    return 'Paused: your connection is too slow';
  }
  return null;
}

function hasPicture({ video }: Tile): boolean {
  if (!video || video.muted || !video.mediaStreamTrack) return false;
  if (isLocal(video)) return true;
  const { slot } = video;
  // What paused because nobody looked shows its last picture until the next one comes.
  return slot?.state === 'live' || (slot?.state === 'paused' && slot.reason !== 'bandwidth');
}

export function TileView(props: TileViewProps): VNode {
  const { tile, speaking, pinned, staged, quality, stats, onPin } = props;
  useTrack(tile.video);
  useTrack(tile.audio);
  const picture = hasPicture(tile);
  const trouble = obstacle(tile);
  const silent = tile.source === 'camera' && (!tile.audio || tile.audio.muted);
  const classes = ['tile', tile.source];
  if (speaking && tile.source === 'camera') classes.push('speaking');
  if (tile.self) classes.push('self');
  if (staged) classes.push('staged');
  const who = tile.source === 'screen' ? `${tile.name}’s screen` : tile.name;
  const label = tile.self ? `${who} (you)` : who;
  const said = `${label}${silent ? ', muted' : ''}${speaking ? ', speaking' : ''}`;
  return (
    <article
      class={classes.join(' ')}
      aria-label={said}
      data-peer={tile.peerId}
      data-source={tile.source}
      style={{ '--hue': hueOf(tile.peerId) }}
      onDblClick={() => onPin(tile.key)}
    >
      <TileVideo tile={tile} visible={picture} />
      {!picture && (
        <div class="tile-avatar" aria-hidden="true">
          <span class="initials">{initials(tile.name)}</span>
        </div>
      )}
      {trouble !== null && <p class="tile-trouble">{trouble}</p>}
      <footer class="tile-foot">
        <span class="tile-name">
          {silent && <MicrophoneOffIcon size={15} />}
          <span>{label}</span>
        </span>
        {quality && tile.source === 'camera' && <QualityBars quality={quality} />}
      </footer>
      <button
        type="button"
        class="tile-pin"
        aria-pressed={pinned}
        aria-label={pinned ? `Unpin ${who}` : `Pin ${who}`}
        title={pinned ? 'Unpin' : 'Pin'}
        onClick={() => onPin(tile.key)}
      >
        <PinIcon size={18} />
      </button>
      {stats && <TileFigures tile={tile} stats={stats} />}
    </article>
  );
}

function TileVideo({ tile, visible }: { tile: Tile; visible: boolean }): VNode {
  const element = useRef<HTMLVideoElement>(null);
  const { video } = tile;
  useEffect(() => {
    const target = element.current;
    if (!target || !video) return undefined;
    // Sound has elements of its own: a video that is muted may always play.
    target.muted = true;
    video.attach(target);
    return () => video.detach(target);
  }, [video]);
  const mirrored = tile.self && tile.source === 'camera';
  const classes = [mirrored ? 'mirrored' : '', visible ? '' : 'hidden'];
  return (
    <video
      ref={element}
      class={classes.filter(Boolean).join(' ')}
      autoplay
      playsInline
      muted
    />
  );
}

const REASONS: Record<QualityParams['reason'], string> = {
  none: '',
  loss: ': packets are lost',
  latency: ': high delay',
  bandwidth: ': little bandwidth',
  no_media: ': nothing arrives',
};

function QualityBars({ quality }: { quality: QualityParams }): VNode {
  const bars = quality.score >= 0.8 ? 3 : quality.score >= 0.5 ? 2 : 1;
  const word = ['', 'poor', 'fair', 'good'][bars] ?? '';
  const text = `Connection ${word}${REASONS[quality.reason]}`;
  return (
    <span class={`quality bars-${bars}`} role="img" aria-label={text} title={text}>
      <i />
      <i />
      <i />
    </span>
  );
}
