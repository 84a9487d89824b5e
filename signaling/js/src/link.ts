/** One media path to a worker: a peer connection with its slots, its channels and our tracks on it. */

import type { DataChannels } from './channels.js';
import { MediaConnection } from './connection.js';
import { Emitter } from './events.js';
import type { TroupeError } from './errors.js';
import type { Settings } from './options.js';
import type { IceServer, OfferResult, SlotState } from './protocol/index.js';
import type { Publisher } from './publisher.js';
import type { Session } from './session.js';
import { SlotTable } from './slots.js';

/** What a link is made of. */
export interface LinkParts {
  settings: Settings;
  session: Session;
  iceServers: IceServer[];
  publisher: Publisher;
  data: DataChannels;
}

/** What a link tells. */
export interface LinkEvents {
  connected: undefined;
  interrupted: undefined;
  broken: { error: TroupeError };
  /** These tracks' slots changed. */
  slots: Set<string>;
}

/** A peer connection for as long as it lives; a room goes through several. */
export class MediaLink extends Emitter<LinkEvents> {
  readonly pc: RTCPeerConnection;
  readonly connection: MediaConnection;
  readonly slots: SlotTable;
  readonly #parts: LinkParts;
  #closed = false;

  constructor(parts: LinkParts) {
    super();
    this.#parts = parts;
    const { settings, session, iceServers, publisher } = parts;
    this.pc = settings.environment.peerConnection({
      bundlePolicy: 'max-bundle',
      iceServers: iceServers.map(iceServer),
      ...settings.rtcConfiguration,
    });
    this.slots = new SlotTable(this.pc, settings.videoSlots, settings.extraAudioSlots);
    const channel = {
      get isActive() {
        return session.isActive;
      },
      offer: (params: Parameters<typeof session.request<'offer'>>[1]) =>
        session.request('offer', params, 15_000),
      candidate: (candidate: string, sdpMid: string | null) =>
        session.request('candidate', { candidate, sdpMid }),
    };
    this.connection = new MediaConnection(this.pc, channel, {
      tracks: () => publisher.describe(this.pc),
      pairs: () => this.slots.pairs(),
    });
    this.connection.on('connected', () => this.emit('connected', undefined));
    this.connection.on('interrupted', () => this.emit('interrupted', undefined));
    this.connection.on('broken', (event) => this.emit('broken', event));
    this.connection.on('negotiated', (result) => {
      publisher.accepted(acceptedTracks(result));
      this.#told(this.slots.settle());
    });
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Connects, with everything that is published; `beside`: another link is in use until later. */
  async start(beside = false): Promise<void> {
    this.#parts.data.open(this.pc, beside);
    await this.#parts.publisher.moveTo(this.pc);
    await this.connection.negotiate();
  }

  /** Takes news of slots. */
  applySlots(states: SlotState[]): void {
    this.#told(this.slots.apply(states));
  }

  close(): void {
    this.#closed = true;
    this.connection.close();
  }

  #told(touched: Set<string>): void {
    if (touched.size > 0) this.emit('slots', touched);
  }
}

/** The tracks that a server names in its answer; older ones tell by `trackPublished` alone. */
function acceptedTracks(result: OfferResult): { mid: string; trackId: string }[] {
  return (result as { tracks?: { mid: string; trackId: string }[] }).tracks ?? [];
}

function iceServer({ urls, username, credential }: IceServer): RTCIceServer {
  const server: RTCIceServer = { urls };
  if (username) server.username = username;
  if (credential) server.credential = credential;
  return server;
}
