// Signalling by hand: a WebSocket that sends what no SDK would.

import { once } from 'node:events';

import WebSocket from 'ws';

/** Opens `/v1/signal` of a server. */
export async function openSocket(server, { query = '' } = {}) {
  const url = `${server.url.replace(/^http/, 'ws')}/v1/signal${query}`;
  const socket = new WebSocket(url, 'troupe.v1', { perMessageDeflate: false });
  const opened = new Socket(socket);
  await once(socket, 'open');
  return opened;
}

class Socket {
  #nextId = 1;

  constructor(socket) {
    this.socket = socket;
    this.frames = [];
    this.waiting = [];
    socket.on('message', (data) => this.#receive(JSON.parse(data.toString())));
    this.closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    socket.on('error', () => undefined);
  }

  /** Sends a text as it is. */
  raw(text) {
    this.socket.send(text);
  }

  /** Asks; the answer is the whole JSON-RPC response. */
  async request(method, params = {}) {
    const id = this.#nextId++;
    const answer = this.next((frame) => frame.id === id);
    this.raw(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
    return answer;
  }

  /** The next frame that fits. */
  next(fits, ms = 10_000) {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`no such frame in ${ms} ms`)), ms);
      this.waiting.push({ fits, resolve: (frame) => (clearTimeout(late), resolve(frame)) });
    });
  }

  #receive(frame) {
    this.frames.push(frame);
    const index = this.waiting.findIndex(({ fits }) => fits(frame));
    if (index >= 0) this.waiting.splice(index, 1)[0].resolve(frame);
  }

  /** Reads nothing any more, as a client does that hangs. */
  stopReading() {
    this.socket.pause();
  }

  end() {
    this.socket.terminate();
  }
}
