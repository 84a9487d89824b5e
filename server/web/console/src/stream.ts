/** Server-sent events with a token in the head, which EventSource cannot send. */

import type { Api } from './api.js';
import type { TroupeEvent } from './types.js';

const AGAIN_MS = 1_000;

/** Cuts a text into whole blocks and what is left. */
export function cut(text: string): { blocks: string[]; rest: string } {
  const blocks = text.split('\n\n');
  const rest = blocks.pop() ?? '';
  return { blocks, rest };
}

/** The event of one block, if it holds one of ours. */
export function eventOf(block: string): TroupeEvent | null {
  const data = block
    .split('\n')
    .filter((line) => line.startsWith('data: '))
    .map((line) => line.slice('data: '.length))
    .join('\n');
  if (data === '') return null;
  try {
    const event = JSON.parse(data) as Partial<TroupeEvent>;
    return typeof event.type === 'string' ? (event as TroupeEvent) : null;
  } catch {
    return null;
  }
}

interface Listener {
  heard: (event: TroupeEvent) => void;
  /** Whether the stream is open. */
  open: (open: boolean) => void;
}

/** Follows the events of all workers until the signal says to stop. */
export async function follow(api: Api, listener: Listener, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const headers = { accept: 'text/event-stream' };
      const response = await api.raw('events', { headers, signal });
      listener.open(true);
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      let held = '';
      for (;;) {
        const chunk = await reader?.read();
        if (!chunk || chunk.done) break;
        const { blocks, rest } = cut(held + chunk.value);
        held = rest;
        for (const block of blocks) {
          const event = eventOf(block);
          if (event) listener.heard(event);
        }
      }
    } catch {
      // Asked again below.
    }
    listener.open(false);
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}
