/** One thing at a time, and of what is wished meanwhile the last. Pure. */

type Work = () => Promise<void>;

/** Runs work for a key; while it runs, the last of each kind waits its turn. */
export class LastWish<Key> {
  readonly #waiting = new Map<Key, Map<string, Work>>();

  /** The keys that something runs for. */
  get busy(): Key[] {
    return [...this.#waiting.keys()];
  }

  /** Runs `work`, or has it wait in place of what waits of its kind. `work` must not fail. */
  async run(key: Key, kind: string, work: Work): Promise<void> {
    const waiting = this.#waiting.get(key);
    if (waiting) {
      waiting.delete(kind);
      waiting.set(kind, work);
      return;
    }
    const queue = new Map<string, Work>();
    this.#waiting.set(key, queue);
    let next: [string, Work] | undefined = [kind, work];
    try {
      for (; next; [next] = queue) {
        queue.delete(next[0]);
        await next[1]();
      }
    } finally {
      this.#waiting.delete(key);
    }
  }
}
