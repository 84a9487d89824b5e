/** A worker that answers in memory, one script a socket. */

import type { JoinResult } from '../../src/protocol/index.js';
import type { SocketOptions } from '../../src/signaling.js';

/** A request as the server sees it. */
export interface Request {
  id: number;
  method: string;
  params: Record<string, unknown>;
}

/** The server's end of one socket. */
export class FakeSocket {
  onopen: (() => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  readonly requests: Request[] = [];
  closedWith: { code: number; reason: string } | null = null;

  constructor(
    readonly url: string,
    readonly protocol: string,
    private readonly server: FakeServer,
  ) {}

  send(text: string): void {
    const request = JSON.parse(text) as Request;
    this.requests.push(request);
    queueMicrotask(() => this.server.answer(this, request));
  }

  close(code = 1000, reason = ''): void {
    this.closedWith ??= { code, reason };
  }

  reply(id: number, result: unknown): void {
    this.#deliver({ jsonrpc: '2.0', id, result });
  }

  refuse(id: number, type: string, detail: object = {}): void {
    this.#deliver({ jsonrpc: '2.0', id, error: { code: -32000, message: type, data: { type, ...detail } } });
  }

  notify(method: string, params: object): void {
    this.#deliver({ jsonrpc: '2.0', method, params });
  }

  /** The network goes away. */
  drop(code = 1006): void {
    this.onclose?.({ code, reason: '' });
  }

  #deliver(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
}

type Script = (socket: FakeSocket, request: Request) => void;

/** Hands out sockets and answers what their script answers. */
export class FakeServer {
  readonly sockets: FakeSocket[] = [];
  /** Sockets refused before the next is let in. */
  refuseNext = 0;
  /** Where nobody answers: the beginning of its URL. */
  gone: string | null = null;
  script: Script = joinScript();

  readonly options: SocketOptions = {
    webSocket: (url, protocol) => {
      const socket = new FakeSocket(url, protocol, this);
      this.sockets.push(socket);
      const silent = this.gone !== null && url.startsWith(this.gone);
      const refused = silent || this.refuseNext > 0;
      if (refused && !silent) this.refuseNext -= 1;
      queueMicrotask(() => {
        if (refused) socket.onclose?.({ code: 1006, reason: '' });
        else socket.onopen?.();
      });
      return socket as unknown as WebSocket;
    },
    openTimeoutMs: 1_000,
    requestTimeoutMs: 1_000,
  };

  get last(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error('nobody has connected');
    return socket;
  }

  answer(socket: FakeSocket, request: Request): void {
    this.script(socket, request);
  }
}

/** What `join` answers. */
export function joinResult(more: Partial<JoinResult> = {}): JoinResult {
  return {
    peerId: 'me',
    sessionId: 'pe_1',
    resumeToken: 'resume-1',
    resumed: false,
    room: { name: 'lobby', metadata: null, peers: [], tracks: [], audience: 0 },
    iceServers: [],
    heartbeat: { intervalMs: 5_000, missed: 2 },
    worker: 'w1',
    endpoints: ['wss://a.test/v1/signal', 'wss://b.test/v1/signal'],
    ...more,
  };
}

/** Lets everybody in, and resumes whoever asks. */
export function joinScript(more: Partial<JoinResult> = {}): Script {
  return (socket, { id, method, params }) => {
    if (method === 'join') socket.reply(id, joinResult({ resumed: 'resume' in params, ...more }));
    else socket.reply(id, {});
  };
}
