/** Slots: recvonly m-lines that the server fills, and which of them shows which track. */

import type { MediaKind, SlotState } from './protocol/index.js';

/** One m-line that can show a track. */
export interface Slot {
  readonly kind: MediaKind;
  readonly transceiver: RTCRtpTransceiver;
  state: SlotState | null;
  /** Pinned by us: the server does not refill it on its own. */
  pinned: boolean;
}

/** A header extension as it is about to be negotiated (WebRTC Extensions, 5.2). */
interface HeaderExtension {
  uri: string;
  direction: RTCRtpTransceiverDirection;
}

/** Younger than the type, and absent in many browsers. */
interface Negotiable {
  getHeaderExtensionsToNegotiate?: () => HeaderExtension[];
  setHeaderExtensionsToNegotiate?: (extensions: HeaderExtension[]) => void;
}

/** Names which layers a frame needs (RTP payload format for AV1, appendix A). */
const DESCRIPTOR =
  'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension';

/**
 * Asks for what some layers of an SVC stream cannot be decoded without. Browsers offer it unasked
 * only for what they send.
 */
function wantDescriptor(transceiver: RTCRtpTransceiver): void {
  const negotiable = transceiver as Negotiable;
  const extensions = negotiable.getHeaderExtensionsToNegotiate?.();
  if (!extensions?.some(({ uri }) => uri === DESCRIPTOR)) return;
  const wanted = extensions.map(
    (extension): HeaderExtension =>
      extension.uri === DESCRIPTOR ? { ...extension, direction: 'sendrecv' } : extension,
  );
  negotiable.setHeaderExtensionsToNegotiate?.(wanted);
}

/** The slots of one peer connection. */
export class SlotTable {
  readonly #pc: RTCPeerConnection;
  readonly #slots: Slot[] = [];
  /** News of slots whose mid is not known yet. */
  readonly #early = new Map<string, SlotState>();
  readonly #pairs: [Slot, Slot][] = [];
  #extended = false;

  /** Adds transceivers: pairs of an audio and a video slot, then audio slots of their own. */
  constructor(pc: RTCPeerConnection, videoSlots: number, extraAudioSlots: number) {
    this.#pc = pc;
    this.#addPairs(videoSlots);
    for (let index = 0; index < extraAudioSlots; index += 1) this.#add('audio');
  }

  /** Adds pairs; an offer must follow. */
  addPairs(count: number): void {
    this.#extended = true;
    this.#addPairs(count);
  }

  /** All slots. */
  get all(): readonly Slot[] {
    return this.#slots;
  }

  /** The pairs as mids, where they are not the i-th audio and the i-th video slot any more. */
  pairs(): [string, string][] | null {
    if (!this.#extended) return null;
    return this.#pairs.flatMap(([audio, video]): [string, string][] => {
      const [a, v] = [audio.transceiver.mid, video.transceiver.mid];
      return a !== null && v !== null ? [[a, v]] : [];
    });
  }

  /** Takes news of the server. Returns the ids of tracks that are concerned. */
  apply(states: SlotState[]): Set<string> {
    const touched = new Set<string>();
    for (const state of states) {
      const slot = this.byMid(state.mid);
      if (!slot) {
        this.#early.set(state.mid, state);
        continue;
      }
      if (slot.state?.trackId) touched.add(slot.state.trackId);
      if (state.trackId) touched.add(state.trackId);
      slot.state = state;
    }
    return touched;
  }

  /** Mids are known now: what came too early counts. */
  settle(): Set<string> {
    const early = [...this.#early.values()].filter((state) => this.byMid(state.mid));
    for (const state of early) this.#early.delete(state.mid);
    return this.apply(early);
  }

  /** The slot of an m-line. */
  byMid(mid: string): Slot | undefined {
    return this.#slots.find((slot) => slot.transceiver.mid === mid);
  }

  /** The slot that shows a track. */
  byTrack(trackId: string): Slot | undefined {
    return this.#slots.find((slot) => slot.state?.trackId === trackId);
  }

  /**
   * Where to pin a track: the slot that shows it already, else an empty one, else the last that is
   * neither pinned nor `taken`. The later a slot, the less recent its speaker.
   */
  placeFor(trackId: string, kind: MediaKind, taken = new Set<Slot>()): Slot | undefined {
    const known = this.#slots.filter((slot) => slot.kind === kind && slot.transceiver.mid !== null);
    const free = known.filter((slot) => !slot.pinned && !taken.has(slot));
    return (
      known.find((slot) => slot.state?.trackId === trackId && !taken.has(slot)) ??
      free.find((slot) => !slot.state?.trackId) ??
      free.at(-1)
    );
  }

  #addPairs(count: number): void {
    for (let index = 0; index < count; index += 1) {
      this.#pairs.push([this.#add('audio'), this.#add('video')]);
    }
  }

  #add(kind: MediaKind): Slot {
    const transceiver = this.#pc.addTransceiver(kind, { direction: 'recvonly' });
    if (kind === 'video') wantDescriptor(transceiver);
    const slot: Slot = { kind, transceiver, state: null, pinned: false };
    this.#slots.push(slot);
    return slot;
  }
}
