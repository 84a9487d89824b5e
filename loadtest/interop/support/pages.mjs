// Serves the test page, its scripts and the built SDK on a port of its own. The page thus comes from
// another origin than the server under test, as with most applications.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const SDK =
  process.env.TROUPE_SDK ?? fileURLToPath(new URL('../../../signaling/js/dist/', import.meta.url));
const PAGE = fileURLToPath(new URL('./page/', import.meta.url));
const HLS = fileURLToPath(new URL('../node_modules/hls.js/dist/', import.meta.url));
const MODULES = fileURLToPath(new URL('../../../signaling/js/node_modules/', import.meta.url));
const TYPES = { '.mjs': 'text/javascript', '.html': 'text/html; charset=utf-8', '.js': 'text/javascript' };

function fileOf(url) {
  const path = normalize(new URL(url, 'http://page').pathname);
  if (path.startsWith('/hls/')) return join(HLS, path.slice('/hls/'.length));
  if (path.startsWith('/modules/')) return join(MODULES, path.slice('/modules/'.length));
  return path.startsWith('/sdk/') ? join(SDK, path.slice('/sdk/'.length)) : join(PAGE, path);
}

async function answer(request, response) {
  const file = fileOf(request.url);
  const type = TYPES[extname(file)];
  const body = type && (await readFile(file).catch(() => undefined));
  response.writeHead(body ? 200 : 404, { 'content-type': type ?? 'text/plain' });
  response.end(body);
}

/** Starts it; the result has the page's `url` and `close()`. */
export async function servePages() {
  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}/page.html`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
