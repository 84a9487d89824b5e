/** Data between peers: two channels, topics on them, and which topic takes which. */

import {
  Assembler,
  LOSSY_BYTES_MAX,
  RELIABLE_BYTES_MAX,
  WHOLE_BYTES_MAX,
  checkTopic,
  partTopic,
  partsOf,
  readMessage,
  topicOfPart,
  writeMessage,
} from './data.js';
import { TroupeError } from './errors.js';
import { Emitter } from './events.js';
import type { DataHeader } from './protocol/index.js';
import type { PathQuality } from './reliability.js';
import { AdaptiveReliability } from './reliability.js';

/** A message that came. */
export interface DataMessage {
  /** Who sent it; `null` when the server itself did. */
  from: string | null;
  /** Whom it was sent to: `room` or `peer:ID`. */
  to: string;
  topic: string;
  /** Counts the sender's messages of this topic. */
  seq: number;
  reliable: boolean;
  payload: Uint8Array;
  /** The payload as text. */
  text(): string;
  /** The payload as JSON. */
  json(): unknown;
}

/** Choices for one message. */
export interface DataOptions {
  /** `room`, the default, or `peer:ID`. */
  to?: string;
  /** `true` and `false` fix the channel; left open, the library chooses by loss and delay. */
  reliable?: boolean;
}

/** What the channels tell. */
export interface DataEvents {
  message: DataMessage;
  /** Both channels are open. */
  open: undefined;
}

/** More than this in the browser's own queue, and the rest waits here. */
const BUFFER_BYTES_MAX = 256 * 1024;
/** Messages that may wait for the reliable channel. */
const QUEUE_MAX = 1_024;
/** A header and the fixed bytes before it, in bytes, at most. */
const OVERHEAD_MAX = 512;

interface Queued {
  header: DataHeader;
  payload: Uint8Array;
  done: () => void;
  failed: (error: TroupeError) => void;
}

/** Sends and receives messages; survives its peer connection. */
export class DataChannels extends Emitter<DataEvents> {
  #reliable: RTCDataChannel | null = null;
  #lossy: RTCDataChannel | null = null;
  /** Opened, and not in use yet. */
  #next: { pc: RTCPeerConnection; reliable: RTCDataChannel; lossy: RTCDataChannel } | null = null;
  #maxMessage = RELIABLE_BYTES_MAX;
  #queue: Queued[] = [];
  #whole = 0;
  readonly #adaptive = new AdaptiveReliability();
  readonly #sequences = new Map<string, number>();
  readonly #assembler = new Assembler();

  /**
   * Opens the channels on a connection; the next offer carries them. `beside`: those in use stay
   * so until [`adopt`](DataChannels.adopt); messages come by both.
   */
  open(pc: RTCPeerConnection, beside = false): void {
    const reliable = pc.createDataChannel('reliable', { ordered: true });
    const lossy = pc.createDataChannel('lossy', { ordered: false, maxRetransmits: 0 });
    for (const channel of [reliable, lossy]) {
      channel.binaryType = 'arraybuffer';
      channel.onopen = () => {
        if (this.isOpen) this.emit('open', undefined);
        if (channel === this.#reliable) this.#start(pc);
      };
      channel.onmessage = (event) => this.#receive(event.data, channel === reliable);
    }
    reliable.bufferedAmountLowThreshold = BUFFER_BYTES_MAX / 2;
    reliable.onbufferedamountlow = () => this.#flush();
    this.#next = { pc, reliable, lossy };
    if (!beside) this.adopt();
  }

  /** Sends by the channels that were opened last. */
  adopt(): void {
    if (!this.#next) return;
    const { pc, reliable, lossy } = this.#next;
    this.#next = null;
    this.#reliable = reliable;
    this.#lossy = lossy;
    if (reliable.readyState === 'open') this.#start(pc);
  }

  /** Whether messages leave at once. */
  get isOpen(): boolean {
    return this.#reliable?.readyState === 'open' && this.#lossy?.readyState === 'open';
  }

  /** Takes a measurement of the path. */
  measured(quality: PathQuality): void {
    this.#adaptive.update(quality);
  }

  /**
   * Sends a message on a topic: bytes, text, or a value as JSON. Resolves to `true` when it was
   * handed to the network, and to `false` when it was dropped, which only the lossy channel does.
   * A payload too large for one message is split; others see it whole.
   */
  async send(topic: string, payload: unknown, options: DataOptions = {}): Promise<boolean> {
    checkTopic(topic);
    const bytes = bytesOf(payload);
    const to = options.to ?? 'room';
    const fits = bytes.length + OVERHEAD_MAX <= LOSSY_BYTES_MAX;
    const reliable = options.reliable ?? (this.#adaptive.reliable || !fits);
    if (!reliable) {
      if (!fits) throw new TroupeError('too_large', 'Lossy messages have at most 16 KiB');
      return this.#sendLossy({ to, topic, seq: this.#count(topic) }, bytes);
    }
    if (bytes.length > WHOLE_BYTES_MAX) {
      throw new TroupeError('too_large', 'A payload has at most 64 MiB');
    }
    if (bytes.length + OVERHEAD_MAX <= this.#maxMessage) {
      await this.#enqueue({ to, topic, seq: this.#count(topic) }, bytes);
      return true;
    }
    const whole = this.#whole++;
    const name = partTopic(topic);
    const parts = [...partsOf(whole, bytes)];
    if (this.#queue.length + parts.length > QUEUE_MAX) throw queueFull();
    await Promise.all(
      parts.map((part) => this.#enqueue({ to, topic: name, seq: this.#count(name) }, part)),
    );
    return true;
  }

  /** Fails what waits. */
  close(): void {
    const error = new TroupeError('closed', 'The room was left');
    for (const queued of this.#queue.splice(0)) queued.failed(error);
  }

  #count(topic: string): number {
    const seq = this.#sequences.get(topic) ?? 0;
    this.#sequences.set(topic, seq + 1);
    return seq;
  }

  #sendLossy(header: DataHeader, payload: Uint8Array): boolean {
    const channel = this.#lossy;
    // What is late is worthless here: rather dropped than queued.
    if (channel?.readyState !== 'open' || channel.bufferedAmount > BUFFER_BYTES_MAX) return false;
    channel.send(writeMessage(header, payload));
    return true;
  }

  #enqueue(header: DataHeader, payload: Uint8Array): Promise<void> {
    if (this.#queue.length >= QUEUE_MAX) return Promise.reject(queueFull());
    return new Promise((done, failed) => {
      this.#queue.push({ header, payload, done, failed });
      this.#flush();
    });
  }

  #start(pc: RTCPeerConnection): void {
    const max = pc.sctp?.maxMessageSize ?? RELIABLE_BYTES_MAX;
    // Zero and infinity both mean that the other side sets no limit (RFC 8841, section 6.1).
    this.#maxMessage = max > 0 ? Math.min(RELIABLE_BYTES_MAX, max) : RELIABLE_BYTES_MAX;
    this.#flush();
  }

  #flush(): void {
    const channel = this.#reliable;
    if (channel?.readyState !== 'open') return;
    while (channel.bufferedAmount < BUFFER_BYTES_MAX) {
      const queued = this.#queue.shift();
      if (!queued) return;
      channel.send(writeMessage(queued.header, queued.payload));
      queued.done();
    }
  }

  #receive(data: unknown, reliable: boolean): void {
    const message = data instanceof ArrayBuffer ? readMessage(data) : null;
    if (!message) return;
    const { header } = message;
    const whole = topicOfPart(header.topic);
    if (whole === null) {
      this.#deliver(header, header.topic, message.payload, reliable);
      return;
    }
    const payload = this.#assembler.take(`${header.from ?? ''} ${whole}`, message.payload);
    if (payload) this.#deliver(header, whole, payload, reliable);
  }

  /** Forgets the unfinished payloads of a peer that is gone. */
  forget(peerId: string): void {
    this.#assembler.forget(`${peerId} `);
  }

  #deliver(header: DataHeader, topic: string, payload: Uint8Array, reliable: boolean): void {
    const text = (): string => new TextDecoder().decode(payload);
    this.emit('message', {
      from: header.from ?? null,
      to: header.to,
      topic,
      seq: header.seq,
      reliable,
      payload,
      text,
      json: () => JSON.parse(text()) as unknown,
    });
  }
}

function queueFull(): TroupeError {
  return new TroupeError('overloaded', 'Too many messages wait to be sent');
}

function bytesOf(payload: unknown): Uint8Array {
  if (payload instanceof Uint8Array) return payload;
  if (payload instanceof ArrayBuffer) return new Uint8Array(payload);
  const text = typeof payload === 'string' ? payload : JSON.stringify(payload);
  return new TextEncoder().encode(text);
}
