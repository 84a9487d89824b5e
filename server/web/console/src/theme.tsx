/** Switches between the system's colours, dark and light. */

import type { VNode } from 'preact';
import { useState } from 'preact/hooks';

type Theme = 'system' | 'dark' | 'light';
const ORDER: Theme[] = ['system', 'dark', 'light'];
const KEY = 'troupe.console.theme';

export function loadTheme(): Theme {
  try {
    return ORDER.find((theme) => theme === localStorage.getItem(KEY)) ?? 'system';
  } catch {
    return 'system';
  }
}

export function applyTheme(theme: Theme): void {
  const { dataset } = document.documentElement;
  if (theme === 'system') delete dataset['theme'];
  else dataset['theme'] = theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // It then holds for this page alone.
  }
}

export function ThemeButton(): VNode {
  const [theme, setTheme] = useState(loadTheme);
  const next = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length] ?? 'system';
  const change = (): void => {
    setTheme(next);
    applyTheme(next);
  };
  return (
    <button type="button" class="plain" onClick={change} aria-label={`Colours: ${theme}. Change to ${next}`}>
      {theme === 'system' ? 'Auto' : theme === 'dark' ? 'Dark' : 'Light'}
    </button>
  );
}
