/** What is shown when a call is over, or did not come about. */

import type { TroupeError } from '@troupe/client';
import type { VNode } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

import { Mark, WarningIcon } from './icons.js';
import { explain } from './messages.js';

interface EndedProps {
  room: string;
  error: TroupeError | null;
  onAgain: () => void;
  onLobby: () => void;
}

export function Ended({ room, error, onAgain, onLobby }: EndedProps): VNode {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  const { title, text, retry } = error
    ? explain(error)
    : { title: 'You left the room', text: `${room} goes on without you.`, retry: true };
  return (
    <div class="ended">
      <main class="card">
        <span class={error ? 'ended-sign bad' : 'ended-sign'}>
          {error ? <WarningIcon size={28} /> : <Mark size={32} />}
        </span>
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        <p class="lead" role={error ? 'alert' : undefined}>
          {text}
        </p>
        <div class="row">
          {retry && (
            <button type="button" class="primary" onClick={onAgain}>
              {error ? 'Try again' : 'Go back in'}
            </button>
          )}
          <button type="button" class="secondary" onClick={onLobby}>
            To the lobby
          </button>
        </div>
        {error && <p class="fine">Error: {error.reason ?? error.type}</p>}
      </main>
    </div>
  );
}
