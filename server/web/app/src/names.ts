/** Names of people and rooms, and what is made of them. */

const IDENTITY_KEY = 'troupe.identity';

/** Letters and digits of a name, as an identity may hold them. */
export function slug(name: string): string {
  const plain = name.normalize('NFKD').replace(/[\u0300-\u036f]/g, '');
  const words = plain.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '');
  return words.slice(0, 40).replace(/-+$/, '');
}

function randomWord(length: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  return Array.from(bytes, (byte) => 'abcdefghjkmnpqrstuvwxyz23456789'[byte % 31]).join('');
}

/**
 * Who this tab is. The same after a reload, so that it takes its own place again and not a second
 * one; another tab is another person.
 */
export function identityFor(name: string): string {
  let tab = sessionStorage.getItem(IDENTITY_KEY);
  if (!tab) {
    tab = randomWord(6);
    sessionStorage.setItem(IDENTITY_KEY, tab);
  }
  const base = slug(name);
  return base === '' ? `guest-${tab}` : `${base}-${tab}`;
}

/** A new room's name that can be read aloud. */
export function inventRoom(): string {
  return `${randomWord(3)}-${randomWord(4)}-${randomWord(3)}`;
}

/** One or two letters for a picture that is not there. */
export function initials(name: string): string {
  const words = name.trim().split(/[\s._-]+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  const text = letters.map((word) => String.fromCodePoint(word?.codePointAt(0) ?? 0x3f)).join('');
  return text.toUpperCase();
}

/** A hue of one's own, in degrees: the same for the same name everywhere. */
export function hueOf(text: string): number {
  let hash = 7;
  for (const letter of text) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) % 3_600;
  return hash / 10;
}
