/** Switches between the system's theme, dark and light. */

import type { VNode } from 'preact';
import { useState } from 'preact/hooks';

import { ThemeIcon } from './icons.js';
import type { Preferences } from './preferences.js';
import { applyTheme, loadPreferences, savePreferences } from './preferences.js';

const ORDER: Preferences['theme'][] = ['system', 'dark', 'light'];
const LABELS = { system: 'as the system', dark: 'dark', light: 'light' };

export function ThemeButton(): VNode {
  const [theme, setTheme] = useState(() => loadPreferences().theme);
  const next = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length] ?? 'system';
  const change = (): void => {
    setTheme(next);
    savePreferences({ theme: next });
    applyTheme(next);
  };
  return (
    <button
      type="button"
      class="quiet"
      onClick={change}
      title={`Colours: ${LABELS[theme]}`}
      aria-label={`Colours: ${LABELS[theme]}. Change to ${LABELS[next]}`}
    >
      <ThemeIcon size={20} />
    </button>
  );
}
