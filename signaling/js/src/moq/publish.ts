/** A stream of the page as a MoQ broadcast, encoded by WebCodecs. */

import { Broadcast, Time, type Connection, type Group, type Track } from '@moq/net';

import { TroupeError } from '../errors.js';
import { CATALOG_TRACK, hex, type Catalog, type Rendition } from './catalog.js';
import { pack } from './container.js';

/** Microseconds of sound in a group. */
const SOUND_GROUP_US = 100_000;
/** Between two looks at what the path carries. */
const LOOK_MS = 1_000;
/** What is left for sound, and for a path that gets worse. */
const SHARE = 0.8;
const VIDEO_BITRATE_MIN = 150_000;
/** Pictures that may wait for the encoder before further ones are left out. */
const ENCODE_QUEUE_MAX = 3;

/** What and how to publish. */
export interface PublishOptions {
  /** The tracks: the first of each kind is published. */
  stream: MediaStream;
  /** As WebCodecs names it; `vp8` unless told otherwise. Reordered pictures are not taken. */
  videoCodec?: string;
  /** Bits a second at most; less where the path carries less. */
  videoBitrate?: number;
  /** Bits a second. */
  audioBitrate?: number;
  /** Between keyframes, in milliseconds: how long a viewer may wait at most. */
  keyframeEveryMs?: number;
}

/** What was done so far. */
export interface PublishStats {
  videoFrames: number;
  audioFrames: number;
  /** Pictures left out because the encoder was behind. */
  skipped: number;
  /** What the encoder aims at, in bits a second. */
  videoBitrate: number;
}

/** A stream that is published. */
export interface MoqPublisher {
  /** What was done so far. */
  stats(): PublishStats;
  /** Ends the stream; viewers see it leave. */
  close(): void;
}

type ProcessorClass = new (init: { track: MediaStreamTrack }) => {
  readable: ReadableStream<unknown>;
};

/** Times of one kind of frame, on the clock of the page. */
class PageTime {
  #offset: number | undefined;

  micros(timestamp: number): number {
    this.#offset ??= (performance.timeOrigin + performance.now()) * 1_000 - timestamp;
    return this.#offset + timestamp;
  }
}

/** One track of the broadcast. */
class Lane {
  #group: Group.Producer | undefined;
  #began = 0;

  constructor(readonly track: Track.Producer) {}

  write(micros: number, chunk: EncodedVideoChunk | EncodedAudioChunk, begins: boolean): void {
    if (begins) {
      this.#group?.close();
      this.#group = this.track.appendGroup();
      this.#began = micros;
    }
    const data = new Uint8Array(chunk.byteLength);
    chunk.copyTo(data);
    const timestamp = Time.Timestamp.fromMicros(micros);
    this.#group?.writeFrame({ payload: pack(micros, data), timestamp });
  }

  /** Whether sound of that time belongs to another group. */
  isFull(micros: number): boolean {
    return !this.#group || micros - this.#began >= SOUND_GROUP_US;
  }
}

/** Publishes; comes back when the encoders run. */
export async function publish(
  connection: Connection.Established,
  identity: string,
  options: PublishOptions,
): Promise<MoqPublisher> {
  const publishing = new Publishing(connection, options);
  await publishing.start();
  connection.publish(identity as Parameters<typeof connection.publish>[0], publishing.broadcast);
  return publishing;
}

class Publishing implements MoqPublisher {
  readonly broadcast = new Broadcast.Producer();
  readonly #catalog = this.broadcast.createTrack(CATALOG_TRACK, { priority: 100 });
  readonly #told: Catalog = {};
  readonly #stats: PublishStats = {
    videoFrames: 0,
    audioFrames: 0,
    skipped: 0,
    videoBitrate: 0,
  };
  readonly #stop = new AbortController();

  constructor(
    readonly connection: Connection.Established,
    readonly options: PublishOptions,
  ) {}

  async start(): Promise<void> {
    const [video] = this.options.stream.getVideoTracks();
    const [audio] = this.options.stream.getAudioTracks();
    if (video) await this.#video(video);
    if (audio) this.#audio(audio);
    void this.connection.closed.then(() => this.close());
  }

  stats(): PublishStats {
    return { ...this.#stats };
  }

  close(): void {
    this.#stop.abort();
    this.broadcast.close();
  }

  #tell(kind: 'video' | 'audio', rendition: Rendition): void {
    this.#told[kind] = { renditions: { [kind]: rendition } };
    this.#catalog.writeJson(this.#told);
  }

  async #video(track: MediaStreamTrack): Promise<void> {
    const { width = 640, height = 360 } = track.getSettings();
    const codec = this.options.videoCodec ?? 'vp8';
    const bitrate = this.options.videoBitrate ?? 1_500_000;
    const config: VideoEncoderConfig = {
      codec,
      width,
      height,
      bitrate,
      latencyMode: 'realtime',
      ...(codec.startsWith('avc') ? { avc: { format: 'avc' as const } } : {}),
    };
    const { supported } = await VideoEncoder.isConfigSupported(config);
    if (!supported) throw new TroupeError('browser_unsupported', `no encoder for ${codec}`);
    this.#stats.videoBitrate = bitrate;
    const lane = new Lane(this.broadcast.createTrack('video', { priority: 60 }));
    const encoder = new VideoEncoder({
      output: (chunk, metadata) => {
        const told = metadata?.decoderConfig;
        if (told) this.#tell('video', videoRendition(told, config));
        this.#stats.videoFrames += 1;
        lane.write(chunk.timestamp, chunk, chunk.type === 'key');
      },
      error: () => this.close(),
    });
    encoder.configure(config);
    this.#adapt(encoder, config);
    const frames = framesOf(track) as ReadableStream<VideoFrame>;
    void this.#read(frames, this.#pictures(encoder));
  }

  /** Hands pictures to the encoder, a keyframe whenever one is due. */
  #pictures(encoder: VideoEncoder): (frame: VideoFrame) => void {
    const every = this.options.keyframeEveryMs ?? 2_000;
    const time = new PageTime();
    let next = 0;
    return (frame) => {
      if (encoder.encodeQueueSize > ENCODE_QUEUE_MAX) {
        this.#stats.skipped += 1;
        return;
      }
      const now = performance.now();
      const keyFrame = now >= next;
      if (keyFrame) next = now + every;
      const timed = new VideoFrame(frame, { timestamp: time.micros(frame.timestamp) });
      encoder.encode(timed, { keyFrame });
      timed.close();
    };
  }

  #audio(track: MediaStreamTrack): void {
    const lane = new Lane(this.broadcast.createTrack('audio', { priority: 80 }));
    const time = new PageTime();
    const encoder = new AudioEncoder({
      output: (chunk) => {
        const micros = time.micros(chunk.timestamp);
        this.#stats.audioFrames += 1;
        lane.write(micros, chunk, lane.isFull(micros));
      },
      error: () => this.close(),
    });
    void this.#read(framesOf(track) as ReadableStream<AudioData>, (data) => {
      if (encoder.state === 'unconfigured') {
        const { sampleRate, numberOfChannels } = data;
        const bitrate = this.options.audioBitrate ?? 64_000;
        encoder.configure({ codec: 'opus', sampleRate, numberOfChannels, bitrate });
        const container = { kind: 'legacy' };
        this.#tell('audio', { codec: 'opus', container, sampleRate, numberOfChannels });
      }
      encoder.encode(data);
    });
  }

  async #read<T extends { close(): void }>(
    frames: ReadableStream<T>,
    take: (frame: T) => void,
  ): Promise<void> {
    const reader = frames.getReader();
    this.#stop.signal.addEventListener('abort', () => void reader.cancel());
    for (;;) {
      const { value, done } = await reader.read();
      if (done || this.#stop.signal.aborted) return;
      try {
        take(value);
      } finally {
        value.close();
      }
    }
  }

  /** Follows what the path carries, where the browser tells. */
  #adapt(encoder: VideoEncoder, config: VideoEncoderConfig): void {
    const most = config.bitrate ?? 0;
    const look = setInterval(() => {
      void this.connection.stats().then(({ estimatedSendRate }) => {
        if (!estimatedSendRate || encoder.state !== 'configured') return;
        const fits = Math.min(most, Math.max(VIDEO_BITRATE_MIN, estimatedSendRate * SHARE));
        const now = this.#stats.videoBitrate;
        // A change costs the encoder's memory of the picture in some browsers.
        if (Math.abs(fits - now) < now * 0.15) return;
        this.#stats.videoBitrate = fits;
        encoder.configure({ ...config, bitrate: fits });
      });
    }, LOOK_MS);
    this.#stop.signal.addEventListener('abort', () => clearInterval(look));
  }
}

function framesOf(track: MediaStreamTrack): ReadableStream<unknown> {
  const { MediaStreamTrackProcessor } = globalThis as unknown as {
    MediaStreamTrackProcessor?: ProcessorClass;
  };
  if (!MediaStreamTrackProcessor) {
    throw new TroupeError('browser_unsupported', 'this browser gives no frames of tracks');
  }
  return new MediaStreamTrackProcessor({ track }).readable;
}

function videoRendition(told: VideoDecoderConfig, config: VideoEncoderConfig): Rendition {
  return {
    codec: told.codec,
    container: { kind: 'legacy' },
    codedWidth: told.codedWidth ?? config.width,
    codedHeight: told.codedHeight ?? config.height,
    ...(told.description ? { description: hex(told.description) } : {}),
  };
}
