/** Publishing: local tracks, the m-lines that carry them, and the layers that somebody watches. */

import type { CameraCapture, MicrophoneCapture, ScreenCapture } from './capture.js';
import { captureCamera, captureMicrophone, captureScreen } from './capture.js';
import type { Backup, Encoding, VideoEncodingOptions } from './encodings.js';
import { backupFor, encodingsFor, preferCodec } from './encodings.js';
import { TroupeError } from './errors.js';
import type { LocalTrackHost, Recapture } from './local-track.js';
import { LocalTrack } from './local-track.js';
import type { Codec, OfferedTrack, Track, TrackSource } from './protocol/index.js';
import { SenderParameters, activate, bound, remake } from './sender-parameters.js';

/** Choices for publishing. */
export interface PublishOptions extends VideoEncodingOptions {
  /** What it shows; a camera or a microphone unless said otherwise. */
  source?: TrackSource;
  /** A name for others to see. */
  name?: string;
  /** What the encoder gives up first where it cannot have all; the browser's choice otherwise. */
  degradationPreference?: DegradationPreference;
  /**
   * Sends sound twice (RED, RFC 2198), so that a lost packet is not heard. On for a microphone, off
   * for all else, unless said otherwise; a receiver on a clean path gets it once.
   */
  redundant?: boolean;
}

/** As in WebRTC 1.0, 5.2; the last is younger than the type. */
export type DegradationPreference =
  | RTCDegradationPreference
  | 'maintain-framerate-and-resolution';

/** What a publisher needs of the room. */
export interface PublisherHost {
  /** The connection to publish on. */
  connection(): RTCPeerConnection;
  negotiate(): Promise<void>;
  mute(trackId: string, muted: boolean): Promise<unknown>;
  unpublish(trackId: string): Promise<unknown>;
  published(track: LocalTrack): void;
  unpublished(track: LocalTrack): void;
}

interface Publication {
  track: LocalTrack;
  encodings: Encoding[];
  codec: Codec;
  /** What it goes on in where somebody cannot decode it. */
  backup: Backup | null;
  redundant: boolean;
  degradation: DegradationPreference | null;
  transceiver: RTCRtpTransceiver | null;
  /** On the connection before, which goes on until the new one has proven itself. */
  previous: RTCRtpTransceiver | null;
  /** The rids that somebody watches; `null` while the server has not said. */
  watched: string[] | null;
  /** Bits per second to keep layers under, by rid. */
  bounds: Record<string, number>;
  /** What m-lines can be used again for: the same kind with the same layers. */
  shape: string;
}

/** An m-line whose track was unpublished. */
interface Spare {
  transceiver: RTCRtpTransceiver;
  shape: string;
}

/** Speech needs no more; music gets by. */
const AUDIO_BPS = 48_000;
const SCREEN_AUDIO_BPS = 128_000;

/** Keeps what this peer publishes, across peer connections. */
export class Publisher implements LocalTrackHost {
  readonly #host: PublisherHost;
  /** Tracks that an operator has muted, and their user has not. */
  readonly #silenced = new WeakSet<LocalTrack>();
  readonly #publications: Publication[] = [];
  #spares: Spare[] = [];
  readonly #parameters = new WeakMap<RTCRtpSender, SenderParameters>();
  /** Layers of tracks whose ids are not known here yet. */
  readonly #early = new Map<string, [string[], Record<string, number>]>();
  /** Those of them that somebody cannot decode. */
  readonly #refused = new Set<string>();

  constructor(host: PublisherHost) {
    this.#host = host;
  }

  /** What is published. */
  get tracks(): LocalTrack[] {
    return this.#publications.map(({ track }) => track);
  }

  /** Opens and publishes a camera. */
  async camera(options: CameraCapture & PublishOptions): Promise<LocalTrack> {
    const recapture: Recapture = (deviceId) =>
      captureCamera(deviceId === undefined ? options : { ...options, deviceId });
    const media = options.media ?? (await recapture());
    return this.publish(media, { ...options, source: 'camera' }, recapture);
  }

  /** Opens and publishes a microphone. */
  async microphone(options: MicrophoneCapture & PublishOptions): Promise<LocalTrack> {
    const recapture: Recapture = (deviceId) =>
      captureMicrophone(deviceId === undefined ? options : { ...options, deviceId });
    const media = options.media ?? (await recapture());
    return this.publish(media, { ...options, source: 'microphone' }, recapture);
  }

  /** Asks for a screen and publishes it, and its sound where there is one. */
  async screen(options: ScreenCapture & PublishOptions): Promise<LocalTrack[]> {
    const tracks = await captureScreen(options);
    const frameRate = options.frameRate ?? 15;
    return Promise.all(
      tracks.map((media) => {
        const source: TrackSource = media.kind === 'video' ? 'screen' : 'screen-audio';
        if (media.kind === 'video' && media.contentHint === '') media.contentHint = 'detail';
        const defaults = { layers: 1, maxFramerate: frameRate } as const;
        return this.publish(media, { ...defaults, ...options, source }, null);
      }),
    );
  }

  /** Publishes any track. Resolves when the server has taken it. */
  async publish(
    media: MediaStreamTrack,
    options: PublishOptions,
    recapture: Recapture | null = null,
  ): Promise<LocalTrack> {
    if (this.#publications.some(({ track }) => track.mediaStreamTrack === media)) {
      throw new TroupeError('conflict', 'This track is published already');
    }
    const audio = media.kind === 'audio';
    const source = options.source ?? (audio ? 'microphone' : 'camera');
    const track = new LocalTrack(this, media, source, options.name ?? null, recapture);
    const encodings = audio ? audioEncodings(source) : encodingsFor(sizeOf(media), options);
    const codec = audio ? 'opus' : (options.codec ?? 'vp8');
    const redundant = audio && (options.redundant ?? source === 'microphone');
    const shape = shapeOf(redundant ? 'red' : track.kind, codec, encodings);
    const publication: Publication = {
      track,
      encodings,
      codec,
      backup: audio ? null : backupFor(sizeOf(media), options),
      redundant,
      degradation: options.degradationPreference ?? null,
      shape,
      transceiver: null,
      previous: null,
      watched: null,
      bounds: {},
    };
    this.#publications.push(publication);
    try {
      await this.#place(publication, this.#host.connection());
      await this.#host.negotiate();
    } catch (error) {
      this.#remove(publication);
      track.end();
      throw error;
    }
    this.#host.published(track);
    return track;
  }

  /** Puts everything on a new connection, in the order of publishing; an offer must follow. */
  async moveTo(pc: RTCPeerConnection): Promise<void> {
    this.#spares = [];
    this.#early.clear();
    this.#refused.clear();
    for (const publication of this.#publications) {
      publication.previous = publication.transceiver;
      await this.#place(publication, pc);
    }
  }

  /** Back to the connection before: the one that was moved to came to nothing. */
  async moveBack(): Promise<void> {
    this.#spares = [];
    for (const publication of this.#publications) {
      if (!publication.previous) continue;
      publication.transceiver = publication.previous;
      publication.previous = null;
      await publication.transceiver.sender.replaceTrack(publication.track.mediaStreamTrack);
    }
  }

  /**
   * The connection that was moved to is the one in use: what was published meanwhile follows, and
   * mutings are said again. Whether an offer must follow.
   */
  async settle(pc: RTCPeerConnection): Promise<boolean> {
    const here = new Set(pc.getTransceivers());
    const missing = this.#publications.filter(
      ({ transceiver }) => !transceiver || !here.has(transceiver),
    );
    for (const publication of this.#publications) {
      const { track } = publication;
      publication.previous = null;
      if (missing.includes(publication)) await this.#place(publication, pc);
      else if (track.id !== null) {
        this.#host.mute(track.id, track.muted).catch(() => undefined);
      }
    }
    return missing.length > 0;
  }

  /** What goes along with an offer of this connection. */
  describe(pc: RTCPeerConnection): OfferedTrack[] {
    const senders = new Set(pc.getTransceivers());
    return this.#publications.flatMap(({ track, transceiver }): OfferedTrack[] => {
      if (!transceiver || !senders.has(transceiver) || transceiver.mid === null) return [];
      const offered: OfferedTrack = { mid: transceiver.mid, source: track.source };
      if (track.name !== null) offered.name = track.name;
      return [offered];
    });
  }

  /** Learns the `trackId`s of tracks of one's own by their m-lines. */
  accepted(tracks: { mid: string; trackId: string }[]): void {
    for (const { mid, trackId } of tracks) {
      const publication = this.#publications.find(({ transceiver }) => transceiver?.mid === mid);
      if (publication) this.#name(publication.track, trackId);
    }
  }

  /** Learns the `trackId` of a track of one's own by what it is. */
  identify(info: Pick<Track, 'trackId' | 'kind' | 'source'> & { name?: string | null }): void {
    if (this.byId(info.trackId)) return;
    const name = info.name ?? null;
    const match = (fresh: boolean): LocalTrack | undefined =>
      this.tracks.find((track) => {
        const same = track.kind === info.kind && track.source === info.source;
        return same && track.name === name && (!fresh || track.id === null);
      });
    const track = match(true) ?? match(false);
    if (track) this.#name(track, info.trackId);
  }

  #name(track: LocalTrack, trackId: string): void {
    if (track.id === trackId) return;
    track.setId(trackId);
    // Muted while the server did not know it yet, or on a connection that is gone.
    if (track.muted) this.#host.mute(trackId, true).catch(() => undefined);
    const early = this.#early.get(trackId);
    this.#early.delete(trackId);
    if (early) this.setLayers(trackId, ...early).catch(() => undefined);
    if (this.#refused.delete(trackId)) this.fallBack(trackId).catch(() => undefined);
  }

  /** The track with this id. */
  byId(trackId: string): LocalTrack | undefined {
    return this.tracks.find((track) => track.id === trackId);
  }

  /** The m-line of a track. */
  transceiverOf(track: LocalTrack): RTCRtpTransceiver | null {
    return this.#of(track)?.transceiver ?? null;
  }

  /**
   * Sends the layers that somebody watches and lets the others rest. Where nobody can take a layer
   * whole, its encoder is kept under what the best of them can. Muting does not come into it: a
   * muted track keeps what was said for when it speaks again.
   */
  async setLayers(
    trackId: string,
    active: string[],
    bounds: Record<string, number> = {},
  ): Promise<void> {
    const track = this.byId(trackId);
    const publication = track && this.#of(track);
    if (!publication) {
      if (this.tracks.some(({ id }) => id === null)) this.#early.set(trackId, [active, bounds]);
      return;
    }
    publication.watched = active;
    publication.bounds = bounds;
    const sender = publication.transceiver?.sender;
    if (!sender) return;
    // What is said while an earlier word waits its turn takes that one's place.
    await this.#parametersOf(sender).change(({ encodings }) => {
      const bounded = bound(encodings, publication.encodings, publication.bounds);
      return activate(encodings, publication.watched) || bounded;
    });
    track.emit('layers', active);
  }

  /**
   * Somebody cannot decode a track: it goes on in its backup codec for everybody. What rested for
   * want of anybody who can wakes with it, since the server learns the new codec from what comes.
   */
  async fallBack(trackId: string): Promise<void> {
    const publication = this.#publications.find(({ track }) => track.id === trackId);
    if (!publication) this.#refused.add(trackId);
    const { backup, transceiver } = publication ?? {};
    if (!publication || !backup || !transceiver) return;
    publication.backup = null;
    publication.codec = backup.codec;
    publication.encodings = backup.encodings;
    publication.shape = shapeOf('video', backup.codec, backup.encodings);
    const woken = (publication.watched?.length ?? 1) === 0;
    if (woken) publication.watched = null;
    await this.#parametersOf(transceiver.sender).change(({ encodings }) => {
      remake(encodings, backup.encodings);
      bound(encodings, backup.encodings, publication.bounds);
      activate(encodings, publication.watched);
      return true;
    });
    prefer(transceiver, 'video', backup.codec);
    await this.#host.negotiate();
    publication.track.emit('codec', backup.codec);
  }

  #parametersOf(sender: RTCRtpSender): SenderParameters {
    let parameters = this.#parameters.get(sender);
    if (!parameters) this.#parameters.set(sender, (parameters = new SenderParameters(sender)));
    return parameters;
  }

  /** @internal */
  async setMuted(track: LocalTrack, muted: boolean): Promise<void> {
    if (!muted) this.#silenced.delete(track);
    if (track.id !== null) await this.#host.mute(track.id, muted);
  }

  /**
   * An operator has muted or unmuted one of our tracks, if it is one. What its user has muted stays
   * muted.
   */
  muteByOperator(trackId: string, muted: boolean): void {
    const track = this.byId(trackId);
    if (!track) return;
    if (muted) {
      if (!track.muted) this.#silenced.add(track);
      track.mute().catch(() => undefined);
    } else if (this.#silenced.delete(track)) {
      track.unmute().catch(() => undefined);
    } else if (track.muted) {
      this.#host.mute(trackId, true).catch(() => undefined);
    }
  }

  /** @internal */
  async replaceMedia(track: LocalTrack, media: MediaStreamTrack | null): Promise<void> {
    await this.#of(track)?.transceiver?.sender.replaceTrack(media);
  }

  /** @internal */
  async unpublish(track: LocalTrack): Promise<void> {
    const publication = this.#of(track);
    if (!publication) return;
    this.#remove(publication);
    track.end();
    this.#host.unpublished(track);
    if (track.id !== null) await this.#host.unpublish(track.id);
    await this.#host.negotiate();
  }

  /** Ends everything. */
  close(): void {
    for (const { track } of this.#publications.splice(0)) track.end();
  }

  #of(track: LocalTrack): Publication | undefined {
    return this.#publications.find((publication) => publication.track === track);
  }

  /** Puts a track on an m-line, with every layer awake until the server says who is watched. */
  async #place(publication: Publication, pc: RTCPeerConnection): Promise<void> {
    const { track, encodings, codec, shape, degradation, redundant } = publication;
    const media = track.mediaStreamTrack;
    const spare = this.#spares.findIndex((one) => one.shape === shape);
    const [reused] = spare >= 0 ? this.#spares.splice(spare, 1) : [];
    publication.watched = null;
    publication.bounds = {};
    if (reused) {
      publication.transceiver = reused.transceiver;
      reused.transceiver.direction = 'sendonly';
      await reused.transceiver.sender.replaceTrack(media);
    } else {
      publication.transceiver = pc.addTransceiver(media ?? track.kind, {
        direction: 'sendonly',
        sendEncodings: structuredClone(encodings),
      });
      const wanted = track.kind === 'video' ? codec : redundant ? 'red' : null;
      if (wanted) prefer(publication.transceiver, track.kind, wanted);
    }
    const parameters = this.#parametersOf(publication.transceiver.sender);
    if (reused) {
      await parameters.change((now) => {
        now.encodings.forEach((encoding, index) => Object.assign(encoding, encodings[index]));
        activate(now.encodings, publication.watched);
        return true;
      });
    }
    if (!degradation) return;
    // A preference that a browser does not know is no reason not to publish.
    const told = parameters.change((now) => {
      now.degradationPreference = degradation as RTCDegradationPreference;
      return true;
    });
    await told.catch(() => undefined);
  }

  /** Silences an m-line and keeps it for the next track of its shape. */
  #remove(publication: Publication): void {
    const index = this.#publications.indexOf(publication);
    if (index >= 0) this.#publications.splice(index, 1);
    const { transceiver, shape } = publication;
    if (!transceiver || transceiver.currentDirection === 'stopped') return;
    transceiver.direction = 'inactive';
    transceiver.sender.replaceTrack(null).catch(() => undefined);
    this.#spares.push({ transceiver, shape });
  }
}

function prefer(
  transceiver: RTCRtpTransceiver,
  kind: 'audio' | 'video',
  codec: Codec | 'red',
): void {
  // Absent in Firefox before 128; it then offers VP8 first anyhow.
  if (!('setCodecPreferences' in transceiver)) return;
  const codecs = RTCRtpSender.getCapabilities(kind)?.codecs ?? [];
  if (codecs.length > 0) transceiver.setCodecPreferences(preferCodec(codecs, codec));
}

function audioEncodings(source: TrackSource): Encoding[] {
  return [{ maxBitrate: source === 'microphone' ? AUDIO_BPS : SCREEN_AUDIO_BPS }];
}

function sizeOf(media: MediaStreamTrack): { width: number; height: number; frameRate: number } {
  const { width, height, frameRate } = media.getSettings();
  return { width: width ?? 1280, height: height ?? 720, frameRate: frameRate ?? 30 };
}

function shapeOf(kind: string, codec: Codec, encodings: Encoding[]): string {
  return `${kind} ${codec} ${encodings.map(({ rid, scalabilityMode }) => `${rid ?? ''}:${scalabilityMode ?? ''}`).join()}`;
}
