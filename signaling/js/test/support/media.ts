/** As much of WebRTC as slots and tracks need. */

/** A sender that takes parameters only as it gave them last, and not two at once. */
export class FakeSender {
  track: unknown = null;
  /** How often parameters were set. */
  sets = 0;
  #parameters: { encodings: RTCRtpEncodingParameters[]; transactionId: string };
  #given: string | null = null;
  #busy = false;

  constructor(encodings: RTCRtpEncodingParameters[]) {
    const copies = encodings.map((encoding) => ({ active: true, ...encoding }));
    this.#parameters = { encodings: copies, transactionId: '0' };
  }

  get encodings(): RTCRtpEncodingParameters[] {
    return this.#parameters.encodings;
  }

  /** The rids that run; an encoding without one is `-`. */
  get active(): string[] {
    return this.encodings.filter(({ active }) => active).map(({ rid }) => rid ?? '-');
  }

  getParameters(): object {
    this.#given = this.#parameters.transactionId;
    return structuredClone(this.#parameters);
  }

  async setParameters(parameters: RTCRtpSendParameters): Promise<void> {
    const stale = parameters.transactionId !== this.#given || this.#busy;
    this.#given = null;
    if (stale) throw new Error('InvalidStateError');
    this.#busy = true;
    await Promise.resolve();
    await Promise.resolve();
    this.#busy = false;
    this.sets += 1;
    this.#parameters = { ...structuredClone(parameters), transactionId: String(this.sets) };
  }

  replaceTrack(track: unknown): Promise<void> {
    this.track = track;
    return Promise.resolve();
  }
}

/** An m-line. */
export interface FakeTransceiver {
  mid: string | null;
  kind: string;
  direction: string;
  receiver: { track: object };
  sender: FakeSender;
  /** As `setCodecPreferences` was told, first one. */
  preferred: string | null;
  /** There where the test says which codecs there are. */
  setCodecPreferences?(codecs: { mimeType: string }[]): void;
}

/** A peer connection that hands out mids as an offer would. */
export class FakePeerConnection {
  readonly transceivers: FakeTransceiver[] = [];

  addTransceiver(
    media: string | { kind: string },
    init: { direction?: string; sendEncodings?: RTCRtpEncodingParameters[] } = {},
  ): object {
    const kind = typeof media === 'string' ? media : media.kind;
    const sender = new FakeSender(init.sendEncodings ?? [{}]);
    if (typeof media !== 'string') sender.track = media;
    const direction = init.direction ?? 'sendrecv';
    const transceiver: FakeTransceiver = {
      mid: null,
      kind,
      direction,
      receiver: { track: { kind } },
      sender,
      preferred: null,
    };
    if ('RTCRtpSender' in globalThis) {
      transceiver.setCodecPreferences = (codecs) => {
        transceiver.preferred = codecs[0]?.mimeType ?? null;
      };
    }
    this.transceivers.push(transceiver);
    return transceiver;
  }

  getTransceivers(): object[] {
    return this.transceivers;
  }

  /** What `setLocalDescription` does. */
  assignMids(): void {
    this.transceivers.forEach((transceiver, index) => (transceiver.mid = String(index)));
  }

  get asPeerConnection(): RTCPeerConnection {
    return this as unknown as RTCPeerConnection;
  }
}

/** What a camera gives. */
export class FakeMedia {
  enabled = true;
  contentHint = '';

  constructor(readonly kind: 'audio' | 'video') {}

  addEventListener(): void {}
  removeEventListener(): void {}
  stop(): void {}

  getSettings(): object {
    return { width: 1280, height: 720, frameRate: 30 };
  }

  get asTrack(): MediaStreamTrack {
    return this as unknown as MediaStreamTrack;
  }
}
