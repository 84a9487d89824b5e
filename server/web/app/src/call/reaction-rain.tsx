/** Reactions that rise over the call. */

import type { Room } from '@troupe/client';
import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

import { ReactionDrawing } from '../reactions.js';

interface Drop {
  id: number;
  kind: string;
  left: number;
  delay: number;
}

/** More than these at once would hide the call; the count is shown by their crowd. */
const OF_ONE_KIND_MAX = 8;
const ON_SCREEN_MAX = 40;
const LIFE_MS = 4_000;

export function ReactionRain({ room }: { room: Room }): VNode {
  const [drops, setDrops] = useState<Drop[]>([]);
  const next = useRef(0);
  useEffect(
    () =>
      room.on('reactions', (reactions) => {
        const fresh = reactions.flatMap(({ kind, count }) =>
          Array.from({ length: Math.min(count, OF_ONE_KIND_MAX) }, () => ({
            id: next.current++,
            kind,
            left: 8 + Math.random() * 84,
            delay: Math.random() * 700,
          })),
        );
        setDrops((all) => [...all, ...fresh].slice(-ON_SCREEN_MAX));
        const ids = new Set(fresh.map(({ id }) => id));
        setTimeout(() => setDrops((all) => all.filter(({ id }) => !ids.has(id))), LIFE_MS);
      }),
    [room],
  );
  return (
    <div class="rain" aria-hidden="true">
      {drops.map(({ id, kind, left, delay }) => (
        <span key={id} style={{ left: `${left}%`, animationDelay: `${delay}ms` }}>
          <ReactionDrawing kind={kind} size={40} />
        </span>
      ))}
    </div>
  );
}
