/** A room as its caller sees it. */

import type { CameraCapture, MicrophoneCapture, ScreenCapture } from './capture.js';
import { DataChannels } from './channels.js';
import { ServerClock } from './clock.js';
import { TroupeError } from './errors.js';
import { Emitter } from './events.js';
import type { LocalTrack } from './local-track.js';
import type { MediaState } from './media.js';
import { Media } from './media.js';
import { Mover } from './mover.js';
import type { ConnectOptions, Settings } from './options.js';
import { settingsOf } from './options.js';
import { onPage } from './page.js';
import type {
  ChatResult,
  JoinResult,
  LeaveReason,
  Notifications,
  Peer,
  QualityParams,
  SendResult,
  SlotState,
  Speaker,
} from './protocol/index.js';
import type { PublishOptions } from './publisher.js';
import { Publisher } from './publisher.js';
import type { RemoteTrack, TrackWish } from './remote-track.js';
import type { RoomEvents, RoomState } from './room-events.js';
import { Roster } from './roster.js';
import { Session } from './session.js';
import type { Notification, SocketOptions } from './signaling.js';
import { signalingUrl } from './signaling.js';
import type { RoomStats } from './stats.js';
import { StatsReader } from './stats.js';
import { Subscriptions } from './subscriptions.js';

type Handlers = { [K in keyof Notifications]?: (params: Notifications[K]) => void };

/** How often the path is measured to choose channels for data, in milliseconds. */
const MEASURE_INTERVAL_MS = 2_000;

/** A room that one is in. Made by [`connect`]. */
export class Room extends Emitter<RoomEvents> {
  /** Messages between peers on data channels. */
  readonly data = new DataChannels();
  /** The server's clock. */
  readonly clock: ServerClock;
  readonly #settings: Settings;
  readonly #publisher: Publisher;
  readonly #media: Media;
  readonly #subscriptions: Subscriptions;
  readonly #roster: Roster;
  readonly #mover: Mover;
  readonly #stats = new StatsReader();
  readonly #path = new StatsReader();
  readonly #handlers = this.#handlersOf();
  readonly #qualities = new Map<string, QualityParams>();
  #session: Session;
  #joined: JoinResult | null = null;
  #state: RoomState = 'connected';
  #interruption: TroupeError | null = null;
  #audience = 0;
  #speakers: Speaker[] = [];
  #offPageHide: (() => void) | undefined;
  #measuring: ReturnType<typeof setInterval> | undefined;

  /** @internal */
  constructor(url: string, options: ConnectOptions) {
    super();
    this.#settings = settingsOf(options);
    this.#session = this.#newSession(signalingUrl(url, options.room));
    this.clock = new ServerClock(
      (t0) => this.#session.request('time', { t0 }),
      this.#settings.environment.now,
    );
    this.#roster = new Roster({
      peerJoined: (peer) => this.emit('peerJoined', peer),
      peerLeft: (peer, reason) => this.#peerLeft(peer, reason),
      peerUpdated: (peer) => this.emit('peerUpdated', peer),
      trackPublished: (track) => this.#trackPublished(track),
      trackUnpublished: (track) => this.#trackUnpublished(track),
    });
    this.#publisher = new Publisher({
      connection: () => this.#link().pc,
      negotiate: () => this.#link().connection.negotiate(),
      mute: (trackId, muted) => this.#mover.both('mute', { trackId, muted }),
      unpublish: (trackId) => this.#mover.both('unpublish', { trackId }),
      published: (track) => this.emit('localTrackPublished', track),
      unpublished: (track) => this.emit('localTrackUnpublished', track),
    });
    this.#media = new Media({
      settings: this.#settings,
      publisher: this.#publisher,
      data: this.data,
      tracks: () => this.#roster.tracks,
      track: (trackId) => this.#roster.track(trackId),
    });
    this.#mover = this.#newMover();
    this.#subscriptions = new Subscriptions(
      {
        slots: () => this.#link().slots,
        tracks: () => this.#roster.tracks,
        subscribe: (params) => this.#session.request('subscribe', params),
        applySlots: (states) => this.#link().applySlots(states),
      },
      this.#settings.adaptive,
    );
    this.#wire();
  }

  /** @internal */
  async enter(): Promise<this> {
    const session = this.#session;
    this.#listen(session);
    const result = await session.start();
    this.#take(result);
    if (this.#settings.leaveOnUnload) {
      this.#offPageHide = onPage('pagehide', ({ persisted }) => {
        if (!persisted) void this.leave();
      });
    }
    this.#measuring = setInterval(() => void this.#measure(), MEASURE_INTERVAL_MS);
    void this.#media.open(session, result.iceServers);
    return this;
  }

  get state(): RoomState {
    return this.#state;
  }

  /** Why signalling was lost the last time; its `reason` is the server's, where it gave one. */
  get interruption(): TroupeError | null {
    return this.#interruption;
  }

  /** Whether media can flow. */
  get mediaState(): MediaState {
    return this.#media.state;
  }

  /** The room's name. */
  get name(): string {
    return this.#joined?.room.name ?? '';
  }

  /** What the application keeps with the room. */
  get metadata(): unknown {
    return this.#joined?.room.metadata ?? null;
  }

  /** Who one is in the room. */
  get peerId(): string {
    return this.#joined?.peerId ?? '';
  }

  /** The worker that serves this session. */
  get worker(): string {
    return this.#joined?.worker ?? '';
  }

  /** The others. */
  get peers(): Peer[] {
    return this.#roster.peers;
  }

  /** Peers that are not named, in a large room. */
  get audience(): number {
    return this.#audience;
  }

  /** What the others publish. */
  get tracks(): RemoteTrack[] {
    return this.#roster.tracks;
  }

  /** What one publishes oneself. */
  get localTracks(): LocalTrack[] {
    return this.#publisher.tracks;
  }

  /** Who speaks, loudest first. */
  get speakers(): Speaker[] {
    return this.#speakers;
  }

  /** Every slot and what it shows. */
  get slots(): SlotState[] {
    const slots = this.#media.link?.slots.all ?? [];
    return slots.flatMap(({ transceiver, state }) => {
      const { mid } = transceiver;
      return mid === null ? [] : [state ?? { mid, trackId: null, state: 'waiting' as const }];
    });
  }

  /** The peer connection, for what this library has no word for. It changes when media moves. */
  get peerConnection(): RTCPeerConnection | null {
    return this.#media.link?.pc ?? null;
  }

  /** What one peer publishes. */
  tracksOf(peerId: string): RemoteTrack[] {
    return this.#roster.tracks.filter((track) => track.peerId === peerId);
  }

  /** How well somebody's media arrives, as last told. */
  qualityOf(peerId: string): QualityParams | null {
    return this.#qualities.get(peerId) ?? null;
  }

  /** Opens and publishes a camera: VP8 in three simulcast layers unless told otherwise. */
  publishCamera(options: CameraCapture & PublishOptions = {}): Promise<LocalTrack> {
    return this.#publisher.camera(options);
  }

  /** Opens and publishes a microphone. */
  publishMicrophone(options: MicrophoneCapture & PublishOptions = {}): Promise<LocalTrack> {
    return this.#publisher.microphone(options);
  }

  /** Asks for a screen and publishes it, and its sound where there is one. */
  publishScreen(options: ScreenCapture & PublishOptions = {}): Promise<LocalTrack[]> {
    return this.#publisher.screen(options);
  }

  /** Publishes any `MediaStreamTrack`. */
  publish(media: MediaStreamTrack, options: PublishOptions = {}): Promise<LocalTrack> {
    return this.#publisher.publish(media, options);
  }

  /** Shows a track whatever the server would choose, no larger than wished. */
  pin(track: RemoteTrack | string, wish: TrackWish = {}): Promise<void> {
    return this.#subscriptions.pin(typeof track === 'string' ? track : track.id, wish);
  }

  /** Leaves it to the server again. */
  unpin(track: RemoteTrack | string): Promise<void> {
    return this.#subscriptions.unpin(typeof track === 'string' ? track : track.id);
  }

  /** Whether a track is pinned. */
  isPinned(track: RemoteTrack | string): boolean {
    return this.#subscriptions.isPinned(typeof track === 'string' ? track : track.id);
  }

  /** Makes room for more videos at once; each brings an audio slot. */
  async addVideoSlots(count: number): Promise<void> {
    const link = this.#link();
    link.slots.addPairs(count);
    this.#settings.videoSlots += count;
    await link.connection.negotiate();
  }

  /** Says something to the room. */
  chat(text: string): Promise<ChatResult> {
    return this.#mover.talk.request('chat', { text });
  }

  /** Reacts, with an emoji or a short word. */
  async react(kind: string): Promise<void> {
    await this.#mover.talk.request('react', { kind });
  }

  /** Sends a JSON value through signalling; `to` is `room` or `peer:ID`. */
  send(topic: string, payload: unknown, to = 'room', reliable = true): Promise<SendResult> {
    return this.#mover.talk.request('send', { to, topic, payload, reliable });
  }

  /** Replaces one's own metadata. */
  async setMetadata(metadata: unknown): Promise<void> {
    await this.#mover.both('setMetadata', { metadata });
  }

  /** Reads figures; rates are over the time since the last reading. */
  async stats(): Promise<RoomStats> {
    const server = await this.#session.request('stats', {}).catch(() => null);
    return this.#stats.read(this.#link().pc, server, (mid) => this.#trackOf(mid));
  }

  /** Plays what the browser refused to play before; call it in a click. */
  startAudio(): Promise<void> {
    return this.#media.audio.start();
  }

  /** Plays through another device, where the browser can. */
  setAudioOutput(deviceId: string): Promise<void> {
    return this.#media.audio.setDevice(deviceId);
  }

  /** Drops the signalling socket as a lost network would; it is taken up again at once. */
  reconnect(): void {
    this.#session.reconnect();
  }

  /** Leaves. */
  async leave(): Promise<void> {
    const left = Promise.all([this.#mover.leave(), this.#session.leave()]);
    this.#close(null);
    await left;
  }

  #newSession(url: string, resume?: string): Session {
    const { token, name, metadata, giveUpAfterMs, environment } = this.#settings;
    const socket: SocketOptions = {
      webSocket: environment.webSocket,
      openTimeoutMs: 8_000,
      requestTimeoutMs: 10_000,
    };
    const base = { url, token, name, metadata, socket, giveUpAfterMs };
    return new Session(resume === undefined ? base : { ...base, resume });
  }

  #newMover(): Mover {
    return new Mover({
      session: () => this.#session,
      open: (url, token) => this.#newSession(signalingUrl(url, this.#settings.room), token),
      closed: () => this.#state === 'closed',
      take: (session, result, early) => {
        this.#session = session;
        this.#listen(session);
        this.#take(result);
        for (const notification of early) this.#notified(notification);
        this.#setState('connected');
        this.emit('migrated', { worker: result.worker });
      },
      layers: (notification) => this.#notified(notification),
      tracks: () => this.#roster.tracks,
      media: this.#media,
      publisher: this.#publisher,
      data: this.data,
    });
  }

  #wire(): void {
    this.#media.on('state', (event) => this.emit('media', event));
    this.#media.on('slots', () => this.emit('slots', undefined));
    this.#media.on('renewed', () => this.#subscriptions.restart());
    this.#media.on('audioBlocked', (blocked) => this.emit('audioBlocked', blocked));
    this.data.on('message', (message) => this.emit('data', message));
  }

  #listen(session: Session): void {
    const current = (): boolean => session === this.#session;
    session.on('notification', (notification) => {
      if (current()) this.#notified(notification);
      else if (this.#mover.heeds(session, notification)) this.#notified(notification);
    });
    session.on('reconnecting', ({ error }) => {
      if (!current()) return;
      this.#interruption = error;
      this.#setState('reconnecting');
    });
    session.on('closed', ({ error }) => {
      if (current()) this.#close(error);
    });
    session.on('joined', ({ result, mediaLost }) => {
      if (!current()) return;
      this.#take(result, !result.resumed && result.worker !== this.#joined?.worker);
      if (result.resumed && !mediaLost) {
        this.#media.resume();
        void this.#catchUp();
      } else {
        void this.#media.open(session, result.iceServers);
      }
      this.#setState('connected');
    });
  }

  /** Takes what `join` told; `anew` after a worker has died, when others are on their way as well. */
  #take(result: JoinResult, anew = false): void {
    this.#joined = result;
    this.#audience = result.room.audience;
    this.#roster.reset(result.room, result.peerId, anew);
    this.clock.start();
  }

  /** Learns what slots show by now, since nobody told while the socket was down. */
  async #catchUp(): Promise<void> {
    const server = await this.#session.request('stats', {}).catch(() => null);
    const link = this.#media.link;
    if (!server || !link) return;
    const states = server.slots.flatMap(({ mid, trackId }): SlotState[] => {
      const known = link.slots.byMid(mid)?.state;
      if ((known?.trackId ?? null) === (trackId ?? null)) return [];
      return [{ mid, trackId: trackId ?? null, state: trackId ? 'live' : 'waiting' }];
    });
    link.applySlots(states);
    this.#subscriptions.flush().catch(() => undefined);
  }

  #notified({ method, params }: Notification): void {
    (this.#handlers[method] as ((params: unknown) => void) | undefined)?.(params);
  }

  /** Notifications by name; `closing` and `endpoints` are the session's own business. */
  #handlersOf(): Handlers {
    return {
      peerJoined: ({ peer }) => this.#roster.joined(peer),
      peerLeft: ({ peerId, reason }) => this.#roster.left(peerId, reason),
      peerUpdated: (params) => this.#roster.updated(params),
      trackPublished: ({ track }) => {
        if (track.peerId === this.peerId) this.#publisher.identify(track);
        else this.#roster.published(track);
      },
      trackUnpublished: ({ trackId }) => this.#roster.unpublished(trackId),
      trackMuted: ({ trackId, muted }) => {
        this.#publisher.muteByOperator(trackId, muted);
        this.#roster.track(trackId)?.setMuted(muted);
      },
      slots: ({ slots }) => this.#media.link?.applySlots(slots),
      speakers: ({ speakers }) => this.emit('speakers', (this.#speakers = speakers)),
      audience: ({ audience }) => this.emit('audience', (this.#audience = audience)),
      quality: (params) => {
        this.#qualities.set(params.peerId, params);
        this.emit('quality', params);
      },
      publishLayers: ({ trackId, active, maxBitrates }) => {
        this.#publisher.setLayers(trackId, active, maxBitrates).catch(() => undefined);
      },
      codecUnsupported: ({ trackId }) => {
        this.#publisher.fallBack(trackId).catch(() => undefined);
      },
      message: (params) => this.emit('message', params),
      chat: (params) => this.emit('chat', params),
      reactions: ({ reactions }) => this.emit('reactions', reactions),
      migrate: (params) => void this.#mover.migrate(params),
    };
  }

  #trackPublished(track: RemoteTrack): void {
    // A slot may have been filled before the track was announced.
    this.#media.place(track);
    this.#subscriptions.follow(track);
    this.emit('trackPublished', track);
  }

  #trackUnpublished(track: RemoteTrack): void {
    this.#subscriptions.forget(track.id);
    this.emit('trackUnpublished', track);
  }

  #peerLeft(peer: Peer, reason: LeaveReason): void {
    this.data.forget(peer.peerId);
    this.#qualities.delete(peer.peerId);
    this.emit('peerLeft', { peer, reason });
  }

  #link(): NonNullable<Media['link']> {
    const { link } = this.#media;
    if (!link || this.#state === 'closed') throw new TroupeError('closed', 'The room was left');
    return link;
  }

  #trackOf(mid: string): string | null {
    const link = this.#media.link;
    const slot = link?.slots.byMid(mid);
    if (slot) return slot.state?.trackId ?? null;
    const own = this.localTracks.find((track) => {
      return this.#publisher.transceiverOf(track)?.mid === mid;
    });
    return own?.id ?? null;
  }

  async #measure(): Promise<void> {
    const pc = this.#media.link?.pc;
    if (!pc) return;
    const { loss, rttMs } = await this.#path.read(pc, null, () => null);
    if (rttMs !== null) this.data.measured({ loss, rttMs });
  }

  #setState(state: RoomState): void {
    if (state === this.#state || this.#state === 'closed') return;
    this.#state = state;
    this.emit('state', state);
  }

  #close(error: TroupeError | null): void {
    if (this.#state === 'closed') return;
    this.#offPageHide?.();
    clearInterval(this.#measuring);
    this.#subscriptions.stop();
    this.clock.stop();
    this.#publisher.close();
    this.data.close();
    this.#media.close();
    this.#roster.clear();
    this.#setState('closed');
    this.emit('closed', { error });
  }
}

/**
 * Enters a room. `url` is the server, such as `https://troupe.example`, or the whole URL of its
 * signalling. Fails with a [`TroupeError`] when the server refuses or cannot be reached.
 */
export function connect(url: string, options: ConnectOptions): Promise<Room> {
  return new Room(url, options).enter();
}
