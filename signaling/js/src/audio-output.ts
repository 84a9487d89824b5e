/** Plays remote audio: one hidden element a slot, whoever speaks in it. */

/** What a refused autoplay leads to. */
export type BlockedListener = (blocked: boolean) => void;

/** The loudspeaker of a room. */
export class AudioOutput {
  readonly #onBlocked: BlockedListener;
  readonly #elements = new Map<MediaStreamTrack, HTMLAudioElement>();
  #blocked = false;
  #deviceId = '';

  constructor(onBlocked: BlockedListener) {
    this.#onBlocked = onBlocked;
  }

  /** Whether the browser refuses to play until the user does something. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /**
   * Plays a track. One that is not to be heard yet plays all the same: browsers decode only what
   * plays, and their jitter buffers take a while to find their depth.
   */
  add(track: MediaStreamTrack, heard = true): void {
    const element = new Audio();
    element.muted = !heard;
    element.srcObject = new MediaStream([track]);
    element.autoplay = true;
    this.#elements.set(track, element);
    if (this.#deviceId !== '') route(element, this.#deviceId).catch(() => undefined);
    void this.#play(element);
  }

  /** Lets a track be heard that plays already. */
  hear(track: MediaStreamTrack): void {
    const element = this.#elements.get(track);
    if (element) element.muted = false;
  }

  /** Stops playing a track. */
  remove(track: MediaStreamTrack): void {
    const element = this.#elements.get(track);
    if (element) element.srcObject = null;
    this.#elements.delete(track);
  }

  /** Tries again; call it in a click. */
  async start(): Promise<void> {
    this.#setBlocked(false);
    await Promise.all([...this.#elements.values()].map((element) => this.#play(element)));
  }

  /** Plays through another device, where the browser can. */
  async setDevice(deviceId: string): Promise<void> {
    this.#deviceId = deviceId;
    const elements = [...this.#elements.values()];
    await Promise.all(elements.map((element) => route(element, deviceId)));
  }

  /** How loud, 0 to 1. */
  setVolume(volume: number): void {
    for (const element of this.#elements.values()) element.volume = volume;
  }

  close(): void {
    for (const track of [...this.#elements.keys()]) this.remove(track);
  }

  async #play(element: HTMLAudioElement): Promise<void> {
    try {
      await element.play();
    } catch (error) {
      if (error instanceof DOMException && error.name === 'NotAllowedError') this.#setBlocked(true);
    }
  }

  #setBlocked(blocked: boolean): void {
    if (blocked === this.#blocked) return;
    this.#blocked = blocked;
    this.#onBlocked(blocked);
  }
}

/** Absent on phones, whatever the type says: they have one loudspeaker. */
async function route(element: HTMLAudioElement, deviceId: string): Promise<void> {
  if ('setSinkId' in element) await element.setSinkId(deviceId);
}
