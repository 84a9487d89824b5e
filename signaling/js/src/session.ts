/** A peer's session in a room: joins, pings, and takes the session up again when its socket is lost. */

import { Backoff } from './backoff.js';
import { TroupeError, isTransient } from './errors.js';
import { Emitter } from './events.js';
import type { TokenSource } from './options.js';
import { onPage } from './page.js';
import type {
  CloseReason,
  ClosingParams,
  JoinParams,
  JoinResult,
  Methods,
} from './protocol/index.js';
import type { Notification, SocketOptions } from './signaling.js';
import { SignalingSocket } from './signaling.js';

/** What a session needs. */
export interface SessionOptions {
  /** The URL of signalling, `?room=` included. */
  url: string;
  /** The join token; not needed with `resume`. */
  token?: TokenSource;
  /** A resume token to begin with, after `migrate`. */
  resume?: string;
  name?: string | undefined;
  metadata?: unknown;
  socket: SocketOptions;
  /** How long to go on trying when the connection is lost, in milliseconds. */
  giveUpAfterMs: number;
}

/** What a session tells. */
export interface SessionEvents {
  /** At each join but the first, which [`Session.start`] returns. */
  joined: JoinedAgain;
  /** The socket is lost; media may well go on. */
  reconnecting: { error: TroupeError };
  notification: Notification;
  /** Over, once: by `leave` (no error) or for good (an error). */
  closed: { error: TroupeError | null };
}

/** A join after a loss. */
export interface JoinedAgain {
  result: JoinResult;
  /** The server said that the media transport is gone: connect media anew even if `resumed`. */
  mediaLost: boolean;
}

/** Reasons after which coming back is not wanted. */
const FINAL: CloseReason[] = ['kicked', 'replaced', 'room_closed', 'revoked', 'malformed'];
/** Reasons that say that the media transport is gone. */
const MEDIA_LOST: CloseReason[] = ['transport_failed', 'shard_restarted'];
/** Longer than a worker and its neighbours can bounce a client. */
const MOVES_MAX = 5;
/** For so long after nobody answered there, `moved` to a place is taken for old news. */
const SILENT_MS = 3_000;
/** The first connection has nothing to lose by failing soon. */
const FIRST_GIVE_UP_MS = 10_000;

interface Lost {
  closing: ClosingParams | null;
}

/** Keeps one identity in one room. */
export class Session extends Emitter<SessionEvents> {
  readonly #options: SessionOptions;
  /** Short enough to be back soon after another worker has taken the room of one that died. */
  readonly #backoff = new Backoff(500, 3_000);
  /** Between two questions to who still names a worker that is gone: its lease ends in seconds. */
  readonly #patience = new Backoff(250, 1_000);
  /** Where nobody answered, and when. */
  readonly #silent = new Map<string, number>();
  #socket: SignalingSocket | null = null;
  #endpoints: string[];
  #url: string;
  #token: string | null = null;
  #nonce = crypto.randomUUID();
  #resume: string | null;
  #ended = false;
  #retired = false;
  #wake: (() => void) | null = null;

  constructor(options: SessionOptions) {
    super();
    this.#options = options;
    this.#url = options.url;
    this.#endpoints = [];
    this.#resume = options.resume ?? null;
  }

  /** Joins. Fails with the reason when the server refuses or cannot be reached. */
  async start(): Promise<JoinResult> {
    try {
      const { socket, result } = await this.#enter(FIRST_GIVE_UP_MS);
      void this.#keep(socket, result);
      return result;
    } catch (error) {
      this.#ended = true;
      throw error;
    }
  }

  /** Where it is, or was last. */
  get url(): string {
    return this.#url;
  }

  /** Whether requests can be made now. */
  get isActive(): boolean {
    return this.#socket?.isOpen ?? false;
  }

  /** Asks the server; fails with `connection_lost` while the socket is down. */
  request<M extends keyof Methods>(
    method: M,
    params: Methods[M]['params'],
    timeoutMs?: number,
  ): Promise<Methods[M]['result']> {
    if (!this.#socket) {
      const type = this.#ended ? 'closed' : 'connection_lost';
      return Promise.reject(new TroupeError(type, 'There is no connection'));
    }
    return this.#socket.request(method, params, timeoutMs);
  }

  /** Says goodbye and ends. Never fails: the server notices anyhow. */
  async leave(): Promise<void> {
    if (this.#ended) return;
    const socket = this.#socket;
    this.#finish(null);
    try {
      await socket?.request('leave', {}, 1_000);
    } catch {
      // Gone already.
    }
    socket?.close();
  }

  /** Another session takes this one's place: when its socket goes, it is over. */
  retire(): void {
    this.#retired = true;
  }

  /** Drops the session without telling the server, after a migration has taken its place. */
  abandon(): void {
    const socket = this.#socket;
    this.#finish(null);
    socket?.close();
  }

  /** Drops the socket as if the network had; the session is taken up again. */
  reconnect(): void {
    this.#socket?.close(1000, 'reconnect');
    this.#wake?.();
  }

  /** Leaves and joins anew under the same identity, for when the session itself is the trouble. */
  async restart(): Promise<void> {
    const socket = this.#socket;
    await socket?.request('leave', {}, 1_000).catch(() => undefined);
    socket?.close();
  }

  /** New places to reconnect to. */
  setEndpoints(endpoints: string[]): void {
    this.#endpoints = endpoints;
  }

  #finish(error: TroupeError | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket = null;
    this.#wake?.();
    this.emit('closed', { error });
  }

  /** Lives through sockets until the end. */
  async #keep(first: SignalingSocket, joined: JoinResult): Promise<void> {
    let socket = first;
    let heartbeat = joined.heartbeat;
    for (;;) {
      const { closing } = await this.#serve(socket, heartbeat.intervalMs, heartbeat.missed);
      this.#socket = null;
      if (this.#isOver()) return;
      if (this.#retired) {
        this.#finish(null);
        return;
      }
      const reason = closing?.reason;
      if (reason && FINAL.includes(reason)) {
        this.#finish(new TroupeError('ended', `The server ended the session: ${reason}`, { reason }));
        return;
      }
      const error = new TroupeError('connection_lost', 'The connection was lost', { reason });
      this.emit('reconnecting', { error });
      try {
        if (closing?.retryAfterMs) await this.#wait(closing.retryAfterMs);
        if (reason === 'draining' || reason === 'moved') this.#nextEndpoint();
        const again = await this.#enter(this.#options.giveUpAfterMs);
        if (this.#isOver()) return;
        socket = again.socket;
        heartbeat = again.result.heartbeat;
        const mediaLost = reason !== undefined && MEDIA_LOST.includes(reason);
        this.emit('joined', { result: again.result, mediaLost });
      } catch (cause) {
        this.#finish(TroupeError.from(cause));
        return;
      }
    }
  }

  /** Pings until the socket is lost. */
  #serve(socket: SignalingSocket, intervalMs: number, missed: number): Promise<Lost> {
    return new Promise((resolve) => {
      let closing: ClosingParams | null = null;
      let unanswered = 0;
      const ping = setInterval(() => {
        if (unanswered >= missed) {
          socket.close(1000, 'no pong');
          return;
        }
        unanswered += 1;
        socket.request('ping', {}, intervalMs * (missed + 1)).then(
          () => (unanswered = 0),
          () => undefined,
        );
      }, intervalMs);
      socket.on('notification', (notification) => {
        if (notification.method === 'closing') {
          closing = notification.params;
          // The server closes next; what it sent before this has been handled.
          socket.close();
          return;
        }
        if (notification.method === 'endpoints') this.setEndpoints(notification.params.endpoints);
        this.emit('notification', notification);
      });
      socket.on('closed', () => {
        clearInterval(ping);
        resolve({ closing });
      });
      if (!socket.isOpen) {
        clearInterval(ping);
        resolve({ closing });
      }
    });
  }

  /** Connects and joins, following `moved` and trying again what may pass. */
  async #enter(giveUpAfterMs: number): Promise<{ socket: SignalingSocket; result: JoinResult }> {
    const deadline = Date.now() + giveUpAfterMs;
    let moves = 0;
    let renewed = false;
    for (;;) {
      try {
        const entered = await this.#attempt();
        this.#backoff.reset();
        this.#patience.reset();
        return entered;
      } catch (cause) {
        const error = TroupeError.from(cause);
        if (this.#isOver()) throw new TroupeError('closed', 'The room was left');
        if (error.type === 'moved' && error.url && this.#isSilent(error.url)) {
          const wait = this.#patience.next();
          if (Date.now() + wait > deadline) throw error;
          await this.#wait(wait);
          continue;
        }
        if (error.type === 'moved' && error.url && moves < MOVES_MAX) {
          moves += 1;
          this.#moveTo(error.url);
          continue;
        }
        if (this.#renewable(error) && !renewed) {
          renewed = true;
          continue;
        }
        // A server that says it drains means it: at the first join the user should hear of it.
        const told = this.#endpoints.length === 0 && error.type === 'draining';
        if (!isTransient(error) || told) throw error;
        const wait = Math.max(this.#backoff.next(), error.retryAfterMs ?? 0);
        if (Date.now() + wait > deadline) throw error;
        await this.#wait(wait);
        this.#nextEndpoint();
      }
    }
  }

  /** Whether another token may help, and makes sure that one is used. */
  #renewable(error: TroupeError): boolean {
    if (error.type !== 'unauthorized' && error.type !== 'replayed') return false;
    const resumed = this.#resume !== null;
    this.#resume = null;
    this.#token = null;
    this.#nonce = crypto.randomUUID();
    return resumed ? this.#options.token !== undefined : typeof this.#options.token === 'function';
  }

  async #attempt(): Promise<{ socket: SignalingSocket; result: JoinResult }> {
    const params = await this.#joinParams();
    const socket = await this.#open();
    try {
      const result = await socket.request('join', params);
      this.#resume = result.resumeToken;
      this.#endpoints = result.endpoints;
      this.#socket = socket;
      return { socket, result };
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  async #open(): Promise<SignalingSocket> {
    const { host } = new URL(this.#url);
    try {
      const socket = await SignalingSocket.open(this.#url, this.#options.socket);
      // It was our own way that was cut, to the others as well.
      if (this.#isSilent(this.#url)) this.#silent.clear();
      this.#silent.delete(host);
      return socket;
    } catch (error) {
      this.#silent.set(host, Date.now());
      throw error;
    }
  }

  /** Whether nobody answered there a moment ago. */
  #isSilent(url: string): boolean {
    const since = this.#silent.get(new URL(url, this.#url).host);
    return since !== undefined && Date.now() - since < SILENT_MS;
  }

  async #joinParams(): Promise<JoinParams> {
    const { name, metadata, token } = this.#options;
    const params: JoinParams = { nonce: this.#nonce };
    if (name !== undefined) params.name = name;
    if (metadata !== undefined) params.metadata = metadata;
    if (this.#resume !== null) {
      params.resume = this.#resume;
    } else {
      this.#token ??= typeof token === 'function' ? await token() : (token ?? null);
      if (this.#token !== null) params.token = this.#token;
    }
    return params;
  }

  #moveTo(url: string): void {
    const target = new URL(url, this.#url);
    const room = new URL(this.#url).searchParams.get('room');
    if (room !== null && !target.searchParams.has('room')) target.searchParams.set('room', room);
    this.#url = target.href;
  }

  /** The next of the known endpoints, this worker's own included; rather one that answered. */
  #nextEndpoint(): void {
    const here = this.#endpoints.findIndex((url) => samePlace(url, this.#url));
    const others = [...this.#endpoints.slice(here + 1), ...this.#endpoints.slice(0, here + 1)];
    const next = others.find((url) => !this.#isSilent(url)) ?? others[0];
    if (next !== undefined) this.#moveTo(next);
  }

  #isOver(): boolean {
    return this.#ended;
  }

  /** Waits, but not longer than until the network is back or somebody cannot wait. */
  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        off();
        this.#wake = null;
        resolve();
      };
      const timer = setTimeout(done, ms);
      const off = onPage('online', done);
      this.#wake = done;
    });
  }
}

function samePlace(a: string, b: string): boolean {
  const [left, right] = [new URL(a, b), new URL(b)];
  return left.host === right.host && left.pathname === right.pathname;
}
