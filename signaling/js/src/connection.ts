/** The one RTCPeerConnection: the client always offers, the server always answers. */

import type { TroupeErrorType } from './errors.js';
import { TroupeError, isTransient } from './errors.js';
import { Emitter } from './events.js';
import type { OfferParams, OfferResult, OfferedTrack } from './protocol/index.js';
import { askForSound } from './sdp.js';

/** How the connection reaches the server. */
export interface OfferChannel {
  /** Whether requests can be made now. */
  readonly isActive: boolean;
  offer(params: OfferParams): Promise<OfferResult>;
  candidate(candidate: string, sdpMid: string | null): Promise<unknown>;
}

/** What goes along with each offer. Asked when the offer's mids are known. */
export interface OfferContents {
  tracks(): OfferedTrack[];
  pairs(): [string, string][] | null;
}

/** What the connection tells. */
export interface ConnectionEvents {
  /** Media can flow, or flows again. */
  connected: undefined;
  /** Media is interrupted; ICE is being restarted. */
  interrupted: undefined;
  /** This connection will not come back: make another. */
  broken: { error: TroupeError };
  /** An answer was applied. */
  negotiated: OfferResult;
}

/** Answers to what was added, not to the connection. */
const REFUSALS: TroupeErrorType[] = ['forbidden', 'room_full', 'unsupported'];

interface Waiter {
  resolve: () => void;
  reject: (error: TroupeError) => void;
}

/** A blip shorter than this heals by itself more often than not. */
const RESTART_AFTER_MS = 2_000;
/** Connecting, or an ICE restart, takes a few round trips; this is many. */
const CONNECT_TIMEOUT_MS = 15_000;

/** Negotiates one offer at a time and keeps ICE alive. */
export class MediaConnection extends Emitter<ConnectionEvents> {
  readonly pc: RTCPeerConnection;
  readonly #channel: OfferChannel;
  readonly #contents: OfferContents;
  #waiters: Waiter[] = [];
  #running = false;
  #closed = false;
  #restartTimer: ReturnType<typeof setTimeout> | undefined;
  #connectTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(pc: RTCPeerConnection, channel: OfferChannel, contents: OfferContents) {
    super();
    this.pc = pc;
    this.#channel = channel;
    this.#contents = contents;
    pc.addEventListener('icecandidate', ({ candidate }) => this.#trickle(candidate));
    pc.addEventListener('iceconnectionstatechange', () => this.#watchIce());
    pc.addEventListener('connectionstatechange', () => this.#watchConnection());
  }

  /** Whether media can flow now. */
  get isConnected(): boolean {
    return this.pc.connectionState === 'connected';
  }

  /**
   * Offers what the connection looks like now. Resolves once an answer to it, or to a later offer,
   * is applied; while signalling is down it waits for [`resume`](MediaConnection.resume).
   */
  negotiate(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      void this.#run();
    });
  }

  /** Signalling is back: goes on where an offer was left. */
  resume(): void {
    void this.#run();
  }

  /** Looks for a new path to the server. */
  restartIce(): void {
    if (this.#closed) return;
    this.pc.restartIce();
    this.#expectConnection();
    this.negotiate().catch(() => undefined);
  }

  /** Ends it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#restartTimer);
    clearTimeout(this.#connectTimer);
    this.pc.close();
    const error = new TroupeError('closed', 'The connection was closed');
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#waiters.length > 0 && !this.#closed && this.#channel.isActive) {
        await this.#exchange();
      }
    } finally {
      this.#running = false;
    }
  }

  /** One offer and its answer. */
  async #exchange(): Promise<void> {
    // An offer whose answer was lost is sent again as it was: the server may have taken it, and
    // a new one would name the same m-lines differently. Those who wait, wait for the next.
    const repeated = this.pc.signalingState === 'have-local-offer';
    const served = repeated ? [] : this.#waiters.splice(0);
    try {
      if (!repeated) await this.#describe();
      if (this.pc.connectionState === 'new') this.#expectConnection();
      const params: OfferParams = { sdp: this.pc.localDescription?.sdp ?? '' };
      const tracks = this.#contents.tracks();
      if (tracks.length > 0) params.tracks = tracks;
      const pairs = this.#contents.pairs();
      if (pairs) params.pairs = pairs;
      const result = await this.#channel.offer(params);
      await this.pc.setRemoteDescription({ type: 'answer', sdp: result.sdp });
      this.emit('negotiated', result);
      for (const waiter of served) waiter.resolve();
    } catch (cause) {
      await this.#failed(TroupeError.from(cause), served);
    }
  }

  async #describe(): Promise<void> {
    const offer = await this.pc.createOffer();
    try {
      await this.pc.setLocalDescription({ type: 'offer', sdp: askForSound(offer.sdp ?? '') });
    } catch {
      // A browser that takes its own words alone gets them.
      await this.pc.setLocalDescription(offer);
    }
  }

  async #failed(error: TroupeError, served: Waiter[]): Promise<void> {
    if (isTransient(error) && error.type !== 'internal' && !this.#closed) {
      this.#waiters.unshift(...served);
      if (this.#channel.isActive) await pause(error.retryAfterMs ?? 1_000);
      return;
    }
    for (const waiter of served) waiter.reject(error);
    if (this.#closed) return;
    if (this.pc.signalingState === 'have-local-offer') {
      await this.pc.setLocalDescription({ type: 'rollback' }).catch(() => undefined);
    }
    // What the token or the room does not allow says nothing about the connection as it was.
    const refused = REFUSALS.includes(error.type) && this.pc.currentRemoteDescription !== null;
    if (!refused) this.emit('broken', { error });
  }

  #trickle(candidate: RTCIceCandidate | null): void {
    if (!candidate || this.#closed || !this.#channel.isActive) return;
    // The server is ICE-lite and learns our address from our checks: this is a courtesy, and
    // its failure means nothing.
    this.#channel.candidate(candidate.candidate, candidate.sdpMid).catch(() => undefined);
  }

  #watchIce(): void {
    clearTimeout(this.#restartTimer);
    if (this.#closed) return;
    switch (this.pc.iceConnectionState) {
      case 'disconnected':
        this.#restartTimer = setTimeout(() => this.restartIce(), RESTART_AFTER_MS);
        break;
      case 'failed':
        this.restartIce();
        break;
      default:
    }
  }

  #watchConnection(): void {
    if (this.#closed) return;
    switch (this.pc.connectionState) {
      case 'connected':
        clearTimeout(this.#connectTimer);
        this.#connectTimer = undefined;
        this.emit('connected', undefined);
        break;
      case 'disconnected':
        this.emit('interrupted', undefined);
        break;
      case 'failed':
        this.emit('interrupted', undefined);
        // With ICE alive it is DTLS that failed, and that does not heal.
        if (this.pc.iceConnectionState !== 'failed') this.#break();
        break;
      default:
    }
  }

  /** Gives the connection some time to come up. */
  #expectConnection(): void {
    if (this.#connectTimer !== undefined) return;
    this.#connectTimer = setTimeout(() => {
      this.#connectTimer = undefined;
      if (this.isConnected) return;
      // Without signalling no restart can work: it will be tried when that is back.
      if (this.#channel.isActive) this.#break();
      else this.#expectConnection();
    }, CONNECT_TIMEOUT_MS);
  }

  #break(): void {
    this.emit('broken', { error: new TroupeError('media_failed', 'No media path to the server') });
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
