/** Which channel a topic takes when its sender leaves that open. */

/** Loss and delay above which retransmissions come too late to help. */
const LOSS_HIGH = 0.15;
const RTT_HIGH_MS = 200;
/** Well below, so that a path at the edge does not make topics hop. */
const LOSS_LOW = 0.08;
const RTT_LOW_MS = 150;

/** The path to the server, as measured. */
export interface PathQuality {
  /** Part of the packets lost, 0 to 1. */
  loss: number;
  /** Round trip in milliseconds. */
  rttMs: number;
}

/** Decides between `reliable` and `lossy`. */
export class AdaptiveReliability {
  #lossy = false;

  /** Takes a measurement. */
  update({ loss, rttMs }: PathQuality): void {
    if (loss > LOSS_HIGH && rttMs > RTT_HIGH_MS) this.#lossy = true;
    else if (loss < LOSS_LOW || rttMs < RTT_LOW_MS) this.#lossy = false;
  }

  /** Whether a topic that is free to choose should go reliably now. */
  get reliable(): boolean {
    return !this.#lossy;
  }
}
