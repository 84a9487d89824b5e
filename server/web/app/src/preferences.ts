/** What a browser remembers of its user. */

export interface Preferences {
  name: string;
  cameraId: string;
  microphoneId: string;
  cameraOn: boolean;
  microphoneOn: boolean;
  theme: 'system' | 'dark' | 'light';
}

const KEY = 'troupe.preferences';
const DEFAULTS: Preferences = {
  name: '',
  cameraId: '',
  microphoneId: '',
  cameraOn: true,
  microphoneOn: true,
  theme: 'system',
};

/** Reads them; a browser that keeps nothing gets what holds for a newcomer. */
export function loadPreferences(): Preferences {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<Preferences>;
    return { ...DEFAULTS, ...stored };
  } catch {
    return { ...DEFAULTS };
  }
}

/** Changes some of them. */
export function savePreferences(changes: Partial<Preferences>): void {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...loadPreferences(), ...changes }));
  } catch {
    // Private windows may refuse; the choice then holds for this page alone.
  }
}

/** Applies the theme to the page. */
export function applyTheme(theme: Preferences['theme']): void {
  const { dataset } = document.documentElement;
  if (theme === 'system') delete dataset['theme'];
  else dataset['theme'] = theme;
}
