/** The tiles: an even grid, or one on the stage and the others beside it. */

import type { Room, RoomStats } from '@troupe/client';
import type { ComponentChildren, VNode } from 'preact';
import { useCallback, useLayoutEffect, useRef, useState } from 'preact/hooks';

import { LinkIcon } from '../icons.js';
import { arrange } from './layout.js';
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

const GAP = 10;

export function Stage({ room, tiles, picked, stats, onPin, onInvite }: StageProps): VNode {
  const staged = stageTile(tiles, picked);
  const speaking = new Set(room.speakers.map(({ peerId }) => peerId));
  const view = (tile: Tile): VNode => (
    <TileView
      key={tile.key}
      tile={tile}
      speaking={speaking.has(tile.peerId)}
      pinned={tile.key === picked}
      staged={tile === staged}
      quality={room.qualityOf(tile.peerId)}
      stats={stats}
      onPin={onPin}
    />
  );
  if (staged) {
    const others = tiles.filter((tile) => tile !== staged).slice(0, TILES_MAX);
    return (
      <div class="stage split">
        <div class="stage-main">{view(staged)}</div>
        {others.length > 0 && <div class="stage-strip">{others.map(view)}</div>}
      </div>
    );
  }
  const shown = tiles.slice(0, TILES_MAX);
  const more = tiles.length - shown.length + room.audience;
  const alone = tiles.length === 1 && room.audience === 0;
  const count = shown.length + (more > 0 ? 1 : 0) + (alone ? 1 : 0);
  return (
    <GridView count={count}>
      {shown.map(view)}
      {more > 0 && (
        <article class="tile more" aria-label={`${more} more people`}>
          <div class="tile-avatar">
            <span class="initials">+{more}</span>
          </div>
        </article>
      )}
      {alone && (
        <article class="tile alone">
          <h2>Nobody else is here yet</h2>
          <p>The call begins when somebody opens the same room.</p>
          {onInvite && (
            <button type="button" class="secondary" onClick={onInvite}>
              <LinkIcon size={18} /> Copy the link
            </button>
          )}
        </article>
      )}
    </GridView>
  );
}

function GridView({ count, children }: { count: number; children: ComponentChildren }): VNode {
  const box = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const measure = useCallback(() => {
    const element = box.current;
    if (!element) return;
    const style = getComputedStyle(element);
    const pad = (side: string): number => Number.parseFloat(style.getPropertyValue(`padding-${side}`));
    setSize({
      width: element.clientWidth - pad('left') - pad('right'),
      height: element.clientHeight - pad('top') - pad('bottom'),
    });
  }, []);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const grid = arrange(count, size.width, size.height, GAP);
  const style = {
    '--tile-width': `${grid.width}px`,
    '--tile-height': `${grid.height}px`,
    '--gap': `${GAP}px`,
  };
  return (
    <div class="stage grid" ref={box} style={style}>
      {children}
    </div>
  );
}
