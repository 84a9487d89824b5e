/** One WebSocket to a worker: JSON-RPC 2.0 requests out, answers and notifications in. */

import { TroupeError } from './errors.js';
import { Emitter } from './events.js';
import type { Methods, Notifications, RpcError } from './protocol/index.js';
import { SUBPROTOCOL } from './protocol/index.js';

/** A notification of the server. */
export type Notification = {
  [K in keyof Notifications]: { method: K; params: Notifications[K] };
}[keyof Notifications];

/** Makes sockets; for tests and for runtimes without a global `WebSocket`. */
export type WebSocketFactory = (url: string, protocol: string) => WebSocket;

/** How long to wait, and what for. */
export interface SocketOptions {
  webSocket: WebSocketFactory;
  /** Until the socket is open, in milliseconds. */
  openTimeoutMs: number;
  /** Until a request is answered, in milliseconds. */
  requestTimeoutMs: number;
}

/** What the socket tells. */
export interface SocketEvents {
  notification: Notification;
  /** Said once, however the socket ended. */
  closed: { code: number; reason: string };
}

interface Pending {
  resolve: (result: never) => void;
  reject: (error: TroupeError) => void;
  timer: ReturnType<typeof setTimeout>;
}

interface Frame {
  id?: number | string | null;
  method?: string;
  params?: unknown;
  result?: unknown;
  error?: RpcError;
}

/** Where signalling lives below a server's address. */
const SIGNAL_PATH = '/v1/signal';

/**
 * The WebSocket URL for what a user or a server names: `https://host`, `wss://host/v1/signal`, or
 * a path of this page. Other query parameters are kept.
 */
export function signalingUrl(address: string, room?: string, base?: string): string {
  const url = new URL(address, base ?? (globalThis as { location?: Location }).location?.href);
  url.protocol = url.protocol.replace(/^http/, 'ws');
  if (url.pathname === '/' || url.pathname === '') url.pathname = SIGNAL_PATH;
  if (room !== undefined) url.searchParams.set('room', room);
  url.hash = '';
  return url.href;
}

/** An open connection. It does not reconnect; [`Session`](./session.ts) does. */
export class SignalingSocket extends Emitter<SocketEvents> {
  readonly #socket: WebSocket;
  readonly #requestTimeoutMs: number;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #closed = false;

  private constructor(socket: WebSocket, requestTimeoutMs: number) {
    super();
    this.#socket = socket;
    this.#requestTimeoutMs = requestTimeoutMs;
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#end(event.code, event.reason);
  }

  /** Connects. */
  static open(url: string, options: SocketOptions): Promise<SignalingSocket> {
    return new Promise((resolve, reject) => {
      const socket = options.webSocket(url, SUBPROTOCOL);
      const fail = (type: 'timeout' | 'unreachable', message: string): void => {
        clearTimeout(timer);
        socket.onopen = socket.onclose = socket.onerror = null;
        socket.close();
        reject(new TroupeError(type, message));
      };
      const timer = setTimeout(
        () => fail('timeout', 'The server does not answer'),
        options.openTimeoutMs,
      );
      socket.onopen = () => {
        clearTimeout(timer);
        socket.onopen = socket.onerror = null;
        resolve(new SignalingSocket(socket, options.requestTimeoutMs));
      };
      socket.onclose = () => fail('unreachable', 'The server cannot be reached');
    });
  }

  /** Whether it is still open. */
  get isOpen(): boolean {
    return !this.#closed;
  }

  /** Asks, and waits for the answer. */
  request<M extends keyof Methods>(
    method: M,
    params: Methods[M]['params'],
    timeoutMs = this.#requestTimeoutMs,
  ): Promise<Methods[M]['result']> {
    if (this.#closed) {
      return Promise.reject(new TroupeError('connection_lost', 'The connection is closed'));
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new TroupeError('timeout', `No answer to ${method}`));
      }, timeoutMs);
      this.#pending.set(id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
    });
  }

  /** Closes it. Waiting requests fail with `connection_lost`. */
  close(code = 1000, reason = ''): void {
    if (this.#closed) return;
    this.#socket.close(code, reason);
    // A dead network may hold the closing handshake back for minutes; nobody waits for it.
    this.#end(code, reason);
  }

  #receive(data: unknown): void {
    let frame: Frame;
    try {
      frame = JSON.parse(String(data)) as Frame;
    } catch {
      return;
    }
    if (typeof frame.method === 'string') {
      const { method, params } = frame;
      this.emit('notification', { method, params } as Notification);
      return;
    }
    const pending = typeof frame.id === 'number' ? this.#pending.get(frame.id) : undefined;
    if (!pending) return;
    this.#pending.delete(frame.id as number);
    clearTimeout(pending.timer);
    if (frame.error) pending.reject(TroupeError.fromRpc(frame.error));
    else pending.resolve(frame.result as never);
  }

  #end(code: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.onmessage = this.#socket.onclose = null;
    for (const pending of this.#pending.values()) {
      clearTimeout(pending.timer);
      pending.reject(new TroupeError('connection_lost', 'The connection was lost'));
    }
    this.#pending.clear();
    this.emit('closed', { code, reason });
  }
}
