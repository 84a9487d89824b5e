/** The server's clock, seen from here (RFC 5905, section 8). */

import type { TimeResult } from './protocol/index.js';

/** One exchange. */
interface Sample {
  offsetMs: number;
  rttMs: number;
}

/** Samples kept: the fastest of them is believed, since delay only ever adds error. */
const SAMPLES = 8;
/** The first few follow each other quickly, so that the offset is soon good. */
const FIRST_SAMPLES = 5;
const FIRST_INTERVAL_MS = 200;
const INTERVAL_MS = 30_000;

/** Offset and round trip of one exchange: sent `t0`, received and answered `t1` and `t2`, back `t3`. */
export function sampleOf({ t0, t1, t2 }: TimeResult, t3: number): Sample {
  return { offsetMs: (t1 - t0 + (t2 - t3)) / 2, rttMs: Math.max(0, t3 - t0 - (t2 - t1)) };
}

/** Tells the server's time. */
export class ServerClock {
  readonly #ask: (t0: number) => Promise<TimeResult>;
  readonly #now: () => number;
  #samples: Sample[] = [];
  #taken = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ask: (t0: number) => Promise<TimeResult>, now: () => number) {
    this.#ask = ask;
    this.#now = now;
  }

  /** What to add to this machine's time to get the server's, in milliseconds. */
  get offsetMs(): number {
    return this.#best()?.offsetMs ?? 0;
  }

  /** The round trip of signalling, in milliseconds, once measured. */
  get rttMs(): number | null {
    return this.#best()?.rttMs ?? null;
  }

  /** The server's time, in milliseconds since the Unix epoch. */
  now(): number {
    return this.#now() + this.offsetMs;
  }

  /** Measures once. */
  async measure(): Promise<void> {
    const result = await this.#ask(this.#now());
    this.#samples = [...this.#samples, sampleOf(result, this.#now())].slice(-SAMPLES);
  }

  /** Measures from now on. After a move to another server: with another clock. */
  start(): void {
    this.stop();
    this.#samples = [];
    this.#taken = 0;
    this.#tick();
  }

  /** Measures no more; keeps what it knows. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  #tick(): void {
    // A failed exchange is one sample less; the connection is watched elsewhere.
    this.measure().catch(() => undefined);
    this.#taken += 1;
    const interval = this.#taken < FIRST_SAMPLES ? FIRST_INTERVAL_MS : INTERVAL_MS;
    this.#timer = setTimeout(() => this.#tick(), interval);
  }

  #best(): Sample | undefined {
    return this.#samples.reduce<Sample | undefined>(
      (best, sample) => (best && best.rttMs <= sample.rttMs ? best : sample),
      undefined,
    );
  }
}
