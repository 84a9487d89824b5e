/** A row of lamps that shows how loud a microphone is. */

import type { VNode } from 'preact';
import { useRef } from 'preact/hooks';

import { useLevel } from './devices.js';

export function LevelMeter({ track }: { track: MediaStreamTrack | null }): VNode {
  const bar = useRef<HTMLDivElement>(null);
  useLevel(track, (level) => bar.current?.style.setProperty('--level', level.toFixed(3)));
  return (
    <div class="meter" ref={bar} role="presentation">
      <div class="meter-fill" />
    </div>
  );
}
