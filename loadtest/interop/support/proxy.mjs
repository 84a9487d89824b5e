// A network between a page and the server's signalling that can be cut.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** Starts a proxy; name its `target` port before anybody connects. */
export async function startProxy() {
  const proxy = new Proxy();
  proxy.listener.listen(0, '127.0.0.1');
  await once(proxy.listener, 'listening');
  return proxy;
}

class Proxy {
  target = 0;
  #pairs = new Set();
  #down = false;

  constructor() {
    this.listener = createServer((client) => this.#forward(client));
  }

  get url() {
    return `http://127.0.0.1:${this.listener.address().port}`;
  }

  /** Cuts every connection and lets none through until `restore`. */
  cut() {
    this.#down = true;
    for (const socket of this.#pairs) socket.resetAndDestroy();
    this.#pairs.clear();
  }

  /** Lets connections through again. */
  restore() {
    this.#down = false;
  }

  /** Cuts for this long. */
  async cutFor(ms) {
    this.cut();
    await new Promise((resolve) => setTimeout(resolve, ms));
    this.restore();
  }

  close() {
    this.cut();
    this.listener.close();
  }

  #forward(client) {
    client.on('error', () => undefined);
    if (this.#down) {
      client.resetAndDestroy();
      return;
    }
    const server = connect(this.target, '127.0.0.1');
    server.on('error', () => client.destroy());
    client.pipe(server).pipe(client);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      this.#pairs.add(socket);
      socket.on('close', () => {
        this.#pairs.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
  }
}
