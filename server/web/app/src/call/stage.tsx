/** The tiles: an even grid, or one on the stage and the others beside it. */

import type { Room, RoomStats } from '@troupe/client';
import type { RefObject, VNode } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';

import { LinkIcon } from '../icons.js';
import type { Rect } from './layout.js';
import { gridOf, stageOf } from './layout.js';
import { TileView } from './tile-view.js';
import type { Tile } from './tiles.js';
import { TILES_MAX, stageTile } from './tiles.js';

interface StageProps {
  room: Room;
  tiles: Tile[];
  picked: string | null;
  stats: RoomStats | null;
  onPin: (key: string) => void;
  /** Copies the room's link; absent where links need an invitation. */
  onInvite: (() => void) | null;
}

/** A tile and where it stands. */
interface Placed {
  tile: Tile;
  rect: Rect;
}

/** What stands on the stage. */
interface Scene {
  placed: Placed[];
  /** Where the number of those is shown for whom there is no room. */
  more: { count: number; rect: Rect } | null;
  /** Where the invitation stands while one is alone. */
  alone: Rect | null;
}

const GAP = 10;

export function Stage({ room, tiles, picked, stats, onPin, onInvite }: StageProps): VNode {
  const box = useRef<HTMLDivElement>(null);
  const size = useSize(box);
  const staged = stageTile(tiles, picked);
  const speaking = new Set(room.speakers.map(({ peerId }) => peerId));
  const { placed, more, alone } = staged
    ? split(tiles, staged, size, room.audience)
    : even(tiles, size, room.audience);
  // All tiles are children of one element, in one order: whoever goes to the stage keeps the
  // element, and with it the picture.
  return (
    <div class={staged ? 'stage split' : 'stage'} ref={box}>
      {placed.map(({ tile, rect }) => (
        <div
          key={tile.key}
          class={tile === staged ? 'place stage-main' : 'place'}
          style={px(rect)}
        >
          <TileView
            tile={tile}
            speaking={speaking.has(tile.peerId)}
            pinned={tile.key === picked}
            staged={tile === staged}
            quality={room.qualityOf(tile.peerId)}
            stats={stats}
            onPin={onPin}
          />
        </div>
      ))}
      {more && (
        <div key="more" class="place" style={px(more.rect)}>
          <p class="more tile-avatar" aria-label={`${more.count} more people`}>
            <span class="initials">+{more.count}</span>
          </p>
        </div>
      )}
      {alone && (
        <section key="alone" class="place alone" style={px(alone)}>
          <h2>Nobody else is here yet</h2>
          <p>The call begins when somebody opens the same room.</p>
          {onInvite && (
            <button type="button" class="secondary" onClick={onInvite}>
              <LinkIcon size={18} /> Copy the link
            </button>
          )}
        </section>
      )}
    </div>
  );
}

/** A rectangle as a style. */
function px({ left, top, width, height }: Rect): Record<string, string> {
  return { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` };
}

interface Size {
  width: number;
  height: number;
}

/** Gives tiles their places; where there are more than places, the last place tells how many. */
function seat(tiles: Tile[], rects: Rect[], unseen: number): Pick<Scene, 'placed' | 'more'> {
  const all = tiles.length + unseen;
  const crowded = all > rects.length || unseen > 0;
  const seated = crowded ? rects.slice(0, -1) : rects;
  const placed = seated.flatMap((rect, index) => {
    const tile = tiles[index];
    return tile ? [{ tile, rect }] : [];
  });
  const last = rects.at(-1);
  return { placed, more: crowded && last ? { count: all - placed.length, rect: last } : null };
}

function even(tiles: Tile[], { width, height }: Size, audience: number): Scene {
  const lonely = tiles.length === 1 && audience === 0;
  const wanted = tiles.length + (audience > 0 || lonely ? 1 : 0);
  const rects = gridOf(Math.min(wanted, TILES_MAX), width, height, GAP);
  if (!lonely) return { ...seat(tiles, rects, audience), alone: null };
  return { ...seat(tiles, rects.slice(0, 1), 0), alone: rects[1] ?? null };
}

function split(tiles: Tile[], staged: Tile, { width, height }: Size, audience: number): Scene {
  const others = tiles.filter((tile) => tile !== staged);
  const wanted = others.length + (audience > 0 ? 1 : 0);
  const { stage, strip } = stageOf(wanted, width, height, GAP);
  const { placed, more } = seat(others, strip, audience);
  const rects = new Map(placed.map(({ tile, rect }) => [tile, rect]));
  rects.set(staged, stage);
  // In the order of `tiles`, so that nobody's element moves.
  const inOrder = tiles.flatMap((tile) => {
    const rect = rects.get(tile);
    return rect ? [{ tile, rect }] : [];
  });
  return { placed: inOrder, more, alone: null };
}

/** The size of an element, as it changes. */
function useSize(box: RefObject<HTMLDivElement | null>): Size {
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const measure = (): void =>
      setSize({ width: element.clientWidth, height: element.clientHeight });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return size;
}
