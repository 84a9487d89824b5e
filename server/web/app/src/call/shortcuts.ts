/** Keys that work anywhere in the call but in a text. */

import { useEffect, useRef } from 'preact/hooks';

/** What a key does. */
export type Shortcuts = Record<string, () => void>;

/** What the keys are for, as told to the user. */
export const SHORTCUT_HELP: [key: string, meaning: string][] = [
  ['M', 'Microphone on or off'],
  ['V', 'Camera on or off'],
  ['S', 'Share or stop sharing the screen'],
  ['C', 'Chat'],
  ['P', 'People'],
  ['R', 'Reactions'],
  ['I', 'Statistics'],
  ['?', 'This list'],
  ['Esc', 'Close what is open'],
];

export function useShortcuts(shortcuts: Shortcuts): void {
  const latest = useRef(shortcuts);
  latest.current = shortcuts;
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      // An open dialog has the keys to itself; Escape closes it.
      if (document.querySelector('dialog[open]')) return;
      const target = event.target as HTMLElement;
      const typing = target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
      if (typing && event.key !== 'Escape') return;
      const action = latest.current[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!action) return;
      event.preventDefault();
      action();
    };
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  }, []);
}
