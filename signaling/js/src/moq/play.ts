/** A broadcast of MoQ, decoded by WebCodecs to a canvas and to an audio context. */

import type { Connection } from '@moq/net';

import { CATALOG_TRACK, firstOf, unhex, type Catalog, type Rendition } from './catalog.js';
import { unpack } from './container.js';

/** How old a group may get before it is given up where later ones have come, in milliseconds. */
const PATIENCE_MS = 500;

/** Where to play. */
export interface PlayOptions {
  /** Gets the pictures, in their size. */
  canvas?: HTMLCanvasElement;
  /** Gets the sound. */
  audioContext?: AudioContext;
  /** How long frames wait so that sound and pictures come evenly and together, in milliseconds. */
  delayMs?: number;
}

/** What was done so far. */
export interface PlayStats {
  videoFrames: number;
  audioFrames: number;
  /** Frames that a decoder refused. */
  errors: number;
  width: number;
  height: number;
}

/** A stream that is played. */
export interface MoqPlayer {
  /** What was done so far. */
  stats(): PlayStats;
  /** Ends with the stream. */
  readonly closed: Promise<void>;
  /** Ends it. */
  close(): void;
}

/** Plays the stream of an identity. */
export function play(
  connection: Connection.Established,
  identity: string,
  options: PlayOptions,
): MoqPlayer {
  return new Playing(connection, identity, options);
}

type Path = Parameters<Connection.Established['consume']>[0];

class Playing implements MoqPlayer {
  readonly closed: Promise<void>;
  readonly #broadcast;
  readonly #stats: PlayStats = { videoFrames: 0, audioFrames: 0, errors: 0, width: 0, height: 0 };
  readonly #running = new Map<string, AbortController>();
  /** From the stream's time to the page's, in milliseconds: one for all tracks. */
  #offset: number | undefined;

  constructor(
    connection: Connection.Established,
    identity: string,
    readonly options: PlayOptions,
  ) {
    this.#broadcast = connection.consume(identity as Path);
    this.closed = this.#follow();
  }

  stats(): PlayStats {
    return { ...this.#stats };
  }

  close(): void {
    for (const running of this.#running.values()) running.abort();
    this.#broadcast.close();
  }

  async #follow(): Promise<void> {
    const catalogs = this.#broadcast.subscribe(CATALOG_TRACK, { priority: 100 });
    for (;;) {
      const catalog = (await catalogs.readJson()) as Catalog | undefined;
      if (!catalog) return;
      const [video, audio] = [firstOf(catalog.video), firstOf(catalog.audio)];
      if (video && this.options.canvas) this.#start('video', ...video);
      if (audio && this.options.audioContext) this.#start('audio', ...audio);
    }
  }

  /** Plays a track as a rendition says, instead of what was played of it before. */
  #start(kind: 'video' | 'audio', name: string, rendition: Rendition): void {
    const key = `${kind} ${name} ${JSON.stringify(rendition)}`;
    if (this.#running.has(key)) return;
    for (const [other, running] of this.#running) {
      if (!other.startsWith(`${kind} `)) continue;
      running.abort();
      this.#running.delete(other);
    }
    const stop = new AbortController();
    this.#running.set(key, stop);
    const decode = kind === 'video' ? this.#video(rendition) : this.#audio(rendition);
    void this.#read(name, kind, decode, stop.signal);
  }

  async #read(
    name: string,
    kind: 'video' | 'audio',
    decode: (micros: number, data: Uint8Array, key: boolean) => void,
    stop: AbortSignal,
  ): Promise<void> {
    const priority = kind === 'video' ? 60 : 80;
    const track = this.#broadcast.subscribe(name, { priority, latencyMax: PATIENCE_MS });
    stop.addEventListener('abort', () => track.close());
    const over = () => stop.aborted;
    for (;;) {
      const group = await track.nextGroup().catch(() => undefined);
      if (!group || over()) return;
      let first = true;
      for (;;) {
        const frame = await group.readFrame().catch(() => undefined);
        if (!frame || over()) break;
        const unpacked = unpack(frame.payload);
        if (unpacked) decode(unpacked.micros, unpacked.data, first || kind === 'audio');
        first = false;
      }
    }
  }

  #video(rendition: Rendition) {
    const context = this.options.canvas?.getContext('2d');
    const make = () => {
      const decoder = new VideoDecoder({
        output: (frame) => this.#show(frame, context),
        error: () => (this.#stats.errors += 1),
      });
      decoder.configure({
        codec: rendition.codec,
        optimizeForLatency: true,
        ...(rendition.description ? { description: unhex(rendition.description) } : {}),
      });
      return decoder;
    };
    let decoder: VideoDecoder | undefined;
    return (micros: number, data: Uint8Array, key: boolean) => {
      // After an error it begins anew with a keyframe.
      if (!decoder || decoder.state === 'closed') {
        if (!key) return;
        decoder = make();
      }
      const type = key ? 'key' : 'delta';
      decoder.decode(new EncodedVideoChunk({ type, timestamp: micros, data: data.slice() }));
    };
  }

  #show(frame: VideoFrame, context: CanvasRenderingContext2D | null | undefined): void {
    this.#stats.videoFrames += 1;
    this.#stats.width = frame.displayWidth;
    this.#stats.height = frame.displayHeight;
    const wait = this.#due(frame.timestamp) - performance.now();
    setTimeout(() => {
      if (context) {
        const { canvas } = context;
        if (canvas.width !== frame.displayWidth) canvas.width = frame.displayWidth;
        if (canvas.height !== frame.displayHeight) canvas.height = frame.displayHeight;
        context.drawImage(frame, 0, 0);
      }
      frame.close();
    }, Math.max(0, wait));
  }

  #audio(rendition: Rendition) {
    const context = this.options.audioContext;
    const decoder = new AudioDecoder({
      output: (data) => {
        if (context) this.#sound(data, context);
        data.close();
      },
      error: () => (this.#stats.errors += 1),
    });
    decoder.configure({
      codec: rendition.codec,
      sampleRate: rendition.sampleRate ?? 48_000,
      numberOfChannels: rendition.numberOfChannels ?? 2,
      ...(rendition.description ? { description: unhex(rendition.description) } : {}),
    });
    return (micros: number, data: Uint8Array) => {
      if (decoder.state !== 'configured') return;
      decoder.decode(new EncodedAudioChunk({ type: 'key', timestamp: micros, data: data.slice() }));
    };
  }

  #sound(data: AudioData, context: AudioContext): void {
    this.#stats.audioFrames += 1;
    const buffer = context.createBuffer(
      data.numberOfChannels,
      data.numberOfFrames,
      data.sampleRate,
    );
    for (let channel = 0; channel < data.numberOfChannels; channel += 1) {
      const plane = buffer.getChannelData(channel);
      data.copyTo(plane, { planeIndex: channel, format: 'f32-planar' });
    }
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(context.destination);
    const wait = (this.#due(data.timestamp) - performance.now()) / 1_000;
    source.start(context.currentTime + Math.max(0, wait));
  }

  /** When a frame is due by the page's clock, in milliseconds. */
  #due(micros: number): number {
    const now = performance.now();
    const delay = this.options.delayMs ?? 100;
    const due = (offset: number) => micros / 1_000 + offset;
    this.#offset ??= now + delay - micros / 1_000;
    // The stream's clock leapt, or what came before was an old group in a burst.
    if (Math.abs(due(this.#offset) - now - delay) > 1_000) this.#offset = now + delay - micros / 1_000;
    return due(this.#offset);
  }
}
