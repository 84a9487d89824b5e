/** A stream as it is watched: the picture, how it comes, and how late it is. */

import type { VNode } from 'preact';
import { useRef, useState } from 'preact/hooks';

import { explain } from '../messages.js';
import { TroupeError } from '@troupe/client';
import type { LiveRoute } from './address.js';
import { delayText } from './address.js';
import type { Watching } from './use-player.js';
import { usePlayer } from './use-player.js';

const WAYS = { whep: 'WebRTC', hls: 'LL-HLS' };

function sign(watching: Watching): string {
  switch (watching.at) {
    case 'starting':
      return 'Connecting…';
    case 'waiting':
      return 'Not live yet';
    case 'failed':
      return 'No picture';
    case 'playing':
      return [`Live by ${WAYS[watching.by]}`, delayText(watching.delay)].filter(Boolean).join(' · ');
  }
}

function words(watching: Watching): string | null {
  if (watching.at === 'waiting') return 'It begins by itself when the stream does.';
  if (watching.at !== 'failed') return null;
  const { error } = watching;
  return error instanceof TroupeError ? explain(error).text : 'We go on trying.';
}

/** Plays a stream. `small`: beside something else. */
export function Picture({ route, small = false }: { route: LiveRoute; small?: boolean }): VNode {
  const video = useRef<HTMLVideoElement>(null);
  const watching = usePlayer(video, route);
  const [muted, setMuted] = useState(true);
  const text = words(watching);
  const way = watching.at === 'playing' ? watching.by : undefined;
  return (
    <figure class={small ? 'live small' : 'live'} data-at={watching.at} data-by={way}>
      <video ref={video} autoplay playsInline muted={muted} aria-label={`Stream ${route.stream}`} />
      {text && <p class="live-words">{text}</p>}
      <figcaption>
        <span class="live-sign" role="status">
          {sign(watching)}
        </span>
        <button type="button" class="secondary" onClick={() => setMuted(!muted)}>
          {muted ? 'Sound on' : 'Sound off'}
        </button>
        {!small && (
          <button
            type="button"
            class="secondary"
            onClick={() => void video.current?.requestFullscreen()}
          >
            Full screen
          </button>
        )}
      </figcaption>
    </figure>
  );
}
