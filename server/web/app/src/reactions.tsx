/** Reactions: words on the wire, drawings on the screen. */

import type { VNode } from 'preact';

/** What can be chosen, in this order. */
export const REACTIONS = [
  { kind: 'heart', label: 'Heart' },
  { kind: 'yes', label: 'Thumbs up' },
  { kind: 'laugh', label: 'Laughing' },
  { kind: 'wow', label: 'Surprised' },
  { kind: 'applause', label: 'Applause' },
] as const;

const FACE = <circle cx="16" cy="16" r="12.5" fill="#ffc861" />;
const INK = { fill: 'none', stroke: '#3a2306', 'stroke-width': 2, 'stroke-linecap': 'round' } as const;

const DRAWINGS: Record<string, VNode> = {
  heart: (
    <path
      d="M16 27.5C8 22 3.5 17.5 3.5 12a6.5 6.5 0 0 1 12.5-2.5A6.5 6.5 0 0 1 28.5 12c0 5.5-4.5 10-12.5 15.5z"
      fill="#ff5d6c"
    />
  ),
  yes: (
    <g stroke="#3a2306" stroke-width="1.5" stroke-linejoin="round">
      <path
        d="M11 14.5 16 5c1.9 0 3.1 1.6 2.7 3.5l-.9 4h6.6c1.9 0 3.2 1.7 2.8 3.5l-1.5 7.5c-.3 1.7-1.7 2.8-3.4 2.8H11z"
        fill="#ffc861"
      />
      <rect x="4.5" y="14" width="6" height="13" rx="1.8" fill="#7aa5ff" />
    </g>
  ),
  laugh: (
    <>
      {FACE}
      <path d="M8.5 17.5h15a7.5 7.5 0 0 1-15 0z" fill="#3a2306" />
      <path d="m8.5 12.5 2.3-2 2.3 2M18.9 12.5l2.3-2 2.3 2" {...INK} />
    </>
  ),
  wow: (
    <>
      {FACE}
      <ellipse cx="16" cy="21" rx="3.2" ry="4.2" fill="#3a2306" />
      <circle cx="11.2" cy="12.5" r="1.9" fill="#3a2306" />
      <circle cx="20.8" cy="12.5" r="1.9" fill="#3a2306" />
    </>
  ),
  applause: (
    <>
      <g stroke="#3a2306" stroke-width="1.5" stroke-linejoin="round" fill="#ffc861">
        <rect x="7" y="10.5" width="9.5" height="16" rx="4.7" transform="rotate(-18 11.7 18.5)" />
        <rect x="15.5" y="10.5" width="9.5" height="16" rx="4.7" transform="rotate(18 20.3 18.5)" />
      </g>
      <path d="M16 2.5v4M9 4l1.6 3.4M23 4l-1.6 3.4" {...INK} stroke="#ffb454" />
    </>
  ),
};

/** One reaction; a kind that is not known is shown as its text. */
export function ReactionDrawing({ kind, size = 26 }: { kind: string; size?: number }): VNode {
  const drawing = DRAWINGS[kind];
  if (!drawing) return <span class="reaction-text">{kind.slice(0, 12)}</span>;
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      {drawing}
    </svg>
  );
}
