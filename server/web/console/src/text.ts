/** Numbers and times as people read them. */

export function count(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  return String(Math.round(value));
}

export function bits(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} Mbit/s`;
  if (value >= 1e3) return `${(value / 1e3).toFixed(0)} kbit/s`;
  return `${Math.round(value)} bit/s`;
}

export function clock(ms: number): string {
  return new Date(ms).toLocaleTimeString();
}

export function date(ms: number): string {
  return new Date(ms).toLocaleString();
}

/** `wk_0123456789abcdef` as far as it tells workers apart. */
export function short(worker: string): string {
  return worker.length > 10 ? `${worker.slice(0, 9)}…` : worker;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
