/** The parameters of one sender, changed one at a time. */

import type { Encoding } from './encodings.js';

/** Changes parameters in place; says whether that made a difference. */
export type Change = (parameters: RTCRtpSendParameters) => boolean;

/**
 * A sender takes parameters only as it gave them last, so two changes at once would spoil each other
 * (WebRTC 1.0, 5.2). Each waits for the one before; one that fails does not keep the next from being
 * tried.
 */
export class SenderParameters {
  readonly #sender: RTCRtpSender;
  #last: Promise<void> = Promise.resolve();

  constructor(sender: RTCRtpSender) {
    this.#sender = sender;
  }

  /** Makes a change; the parameters are read when its turn has come. */
  change(change: Change): Promise<void> {
    const done = this.#last.then(async () => {
      const parameters = this.#sender.getParameters();
      if (change(parameters)) await this.#sender.setParameters(parameters);
    });
    this.#last = done.catch(() => undefined);
    return done;
  }
}

/**
 * Lets the encodings run that are named and the others rest; `null` wakes all. One encoding alone,
 * as with SVC, has no name: it rests while nothing is named.
 */
export function activate(encodings: RTCRtpEncodingParameters[], rids: string[] | null): boolean {
  const known = rids?.some((rid) => encodings.some((encoding) => encoding.rid === rid));
  let changed = false;
  for (const encoding of encodings) {
    // Names that mean nothing here must not silence everything.
    const wanted = rids === null || (known ? rids.includes(encoding.rid ?? '') : rids.length > 0);
    if (encoding.active !== wanted) changed = true;
    encoding.active = wanted;
  }
  return changed;
}

/** Takes over how a picture is encoded; which encodings run stays as it is. */
export function remake(encodings: RTCRtpEncodingParameters[], made: Encoding[]): void {
  encodings.forEach((encoding, index) => {
    const { active } = encoding;
    Object.assign(encoding, made[index], { active });
  });
}

/**
 * Keeps the named encodings under a rate, in bits per second; the others get back the rates that
 * they were made with. Says whether anything changed.
 */
export function bound(
  encodings: RTCRtpEncodingParameters[],
  made: RTCRtpEncodingParameters[],
  rates: Record<string, number>,
): boolean {
  let changed = false;
  encodings.forEach((encoding, index) => {
    const own = made[index]?.maxBitrate;
    const most = Math.min(own ?? Infinity, rates[encoding.rid ?? ''] ?? Infinity);
    const wanted = Number.isFinite(most) ? most : undefined;
    if (encoding.maxBitrate === wanted) return;
    changed = true;
    if (wanted === undefined) delete encoding.maxBitrate;
    else encoding.maxBitrate = wanted;
  });
  return changed;
}
