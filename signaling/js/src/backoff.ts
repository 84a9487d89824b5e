/** How long to wait before trying again. */

/** Exponential, capped, with jitter, so that a restarted server is not met by all at once. */
export class Backoff {
  #attempt = 0;

  constructor(
    private readonly firstMs: number,
    private readonly capMs: number,
    private readonly random: () => number = Math.random,
  ) {}

  /** Attempts since the last success. */
  get attempt(): number {
    return this.#attempt;
  }

  /** The next wait in milliseconds: hardly any at first, since most losses are blips. */
  next(): number {
    const attempt = this.#attempt++;
    if (attempt === 0) return this.random() * 200;
    const ceiling = Math.min(this.capMs, this.firstMs * 2 ** (attempt - 1));
    return ceiling * (0.5 + this.random() / 2);
  }

  /** It worked. */
  reset(): void {
    this.#attempt = 0;
  }
}
