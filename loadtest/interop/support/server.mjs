// Starts the real server on ports of its own and stops it again.

import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { freePort } from './ports.mjs';
import { sign } from './tokens.mjs';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const BINARY = process.env.TROUPE_BIN ?? join(ROOT, 'target/debug/troupe');
const START_MS_MAX = 20_000;

/** The first of `count` neighbouring UDP ports that are free now. */
async function freeUdpPorts(count, address) {
  for (;;) {
    const base = 20_000 + Math.floor(Math.random() * 10_000);
    const sockets = [];
    try {
      for (let index = 0; index < count; index += 1) {
        const socket = createSocket('udp4');
        sockets.push(socket);
        socket.bind(base + index, address);
        await once(socket, 'listening');
      }
      return base;
    } catch {
      continue;
    } finally {
      sockets.forEach((socket) => socket.close());
    }
  }
}

/** Where clients find the media of a server that is `shaped`. */
export const SHAPED_ADDRESS = '127.0.0.2';

/** One port, UDP alone, and the shaper's address as the only candidate. */
const SHAPED = {
  TROUPE_WEBRTC__PUBLIC_ADDRESSES: SHAPED_ADDRESS,
  TROUPE_WEBRTC__SHARDS: '1',
  TROUPE_WEBRTC__TCP: 'false',
};

/**
 * Starts `troupe serve --dev`.
 * @param {object} options `address`: where media is bound; `shaped`: a shaper must stand before its
 * media; `env` overrides configuration; `wrap` are words before the server's own, which become it,
 * `args` come behind them.
 */
export async function startServer({
  shards = 2,
  address = '127.0.0.1',
  shaped,
  env = {},
  wrap = [],
  args = [],
} = {}) {
  const [http, admin] = [await freePort(), await freePort()];
  const media = await freeUdpPorts(shards, address);
  const data = await mkdtemp(join(tmpdir(), 'troupe-'));
  const [program, ...words] = [...wrap, BINARY, 'serve', '--dev', ...args];
  const child = spawn(program, words, {
    cwd: data,
    env: {
      ...process.env,
      TROUPE_HTTP__LISTEN: `127.0.0.1:${http}`,
      TROUPE_ADMIN__LISTEN: `127.0.0.1:${admin}`,
      TROUPE_WEBRTC__ADDRESS: address,
      TROUPE_WEBRTC__PORT: String(media),
      TROUPE_WEBRTC__TCP_PORT: String(media),
      TROUPE_WEBRTC__SHARDS: String(shards),
      ...(shaped ? SHAPED : {}),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const log = [];
  const keep = (chunk) => {
    log.push(chunk.toString());
    if (process.env.TROUPE_SERVER_LOG) process.stderr.write(chunk);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const server = new Server(child, log, { http, admin, media, shards, data });
  await server.ready();
  return server;
}

class Server {
  constructor(child, log, ports) {
    this.child = child;
    this.log = log;
    this.ports = ports;
    this.url = `http://127.0.0.1:${ports.http}`;
    this.adminUrl = `http://127.0.0.1:${ports.admin}`;
  }

  /** Waits until the server says that it is ready. */
  async ready() {
    const end = Date.now() + START_MS_MAX;
    while (Date.now() < end) {
      if (this.child.exitCode !== null) break;
      const ready = await fetch(`${this.adminUrl}/readyz`).catch(() => undefined);
      if (ready?.ok) return;
      await pause(50);
    }
    this.child.kill('SIGKILL');
    throw new Error(`the server did not become ready:\n${this.log.join('')}`);
  }

  /** A token for a room and identity, as an application would sign it. */
  token(room, identity) {
    return sign({ room, identity });
  }

  /** Asks the admin API, with a body where there is one. */
  async admin(method, path, body) {
    const token = sign({ room: '*', identity: 'operator', troupe: { admin: 'admin' } });
    const headers = { authorization: `Bearer ${token}` };
    if (body !== undefined) headers['content-type'] = 'application/json';
    return fetch(`${this.adminUrl}/admin/v1/${path}`, {
      method,
      headers,
      body: body && JSON.stringify(body),
    });
  }

  /** All metrics as a map from name with labels to value. */
  async metrics() {
    const text = await (await fetch(`${this.adminUrl}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line && !line.startsWith('#'));
    return new Map(
      lines.map((line) => {
        const space = line.lastIndexOf(' ');
        return [line.slice(0, space), Number(line.slice(space + 1))];
      }),
    );
  }

  /** Sum of all series of one metric. */
  async metric(name) {
    const metrics = await this.metrics();
    let sum = 0;
    for (const [key, value] of metrics) {
      if (key === name || key.startsWith(`${name}{`)) sum += value;
    }
    return sum;
  }

  /** CPU seconds used so far, user and system (proc(5), fields 14 and 15). */
  async cpuSeconds() {
    const stat = await readFile(`/proc/${this.child.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  /** Ends the server by SIGTERM and returns its exit code. */
  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const exit = once(this.child, 'exit');
      this.child.kill('SIGTERM');
      const late = setTimeout(() => this.child.kill('SIGKILL'), 10_000);
      await exit;
      clearTimeout(late);
    }
    await rm(this.ports.data, { recursive: true, force: true });
    return this.child.exitCode;
  }
}
