// TCP ports for what a spec starts.

import { once } from 'node:events';
import { createServer } from 'node:net';

// Below those that the kernel takes for connections, and beside those for media: what is free now
// is not given away before whoever asked has opened it.
const FIRST = 10_000;
const COUNT = 10_000;

const given = new Set();

async function isFree(port) {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}

/** A port that is free now, and that nobody in this process was given before. */
export async function freePort() {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if (given.has(port)) continue;
    given.add(port);
    if (await isFree(port)) return port;
  }
}
