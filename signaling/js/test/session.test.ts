import assert from 'node:assert/strict';
import { test } from 'node:test';

import { TroupeError } from '../src/errors.js';
import type { JoinResult } from '../src/protocol/index.js';
import type { SessionOptions } from '../src/session.js';
import { Session } from '../src/session.js';
import { FakeServer, joinResult, joinScript } from './support/server.js';

const URL_A = 'wss://a.test/v1/signal';

function session(server: FakeServer, more: Partial<SessionOptions> = {}): Session {
  const base = { url: URL_A, token: 'secret', socket: server.options, giveUpAfterMs: 5_000 };
  return new Session({ ...base, ...more });
}

const rejectsWith = (promise: Promise<unknown>, type: string): Promise<void> =>
  assert.rejects(promise, (error) => error instanceof TroupeError && error.type === type);

test('a join carries the token, a nonce and the subprotocol', async () => {
  const server = new FakeServer();
  const one = session(server, { name: 'Ada' });
  const result = await one.start();
  assert.equal(result.peerId, 'me');
  assert.equal(server.last.protocol, 'troupe.v1');
  const [join] = server.last.requests;
  assert.equal(join!.params['token'], 'secret');
  assert.equal(join!.params['name'], 'Ada');
  assert.match(String(join!.params['nonce']), /^[\w-]{1,64}$/);
  await one.leave();
});

test('a lost socket is taken up again with the resume token', async () => {
  const server = new FakeServer();
  const one = session(server);
  await one.start();
  const joined = new Promise((resolve) => one.on('joined', resolve));
  const lost: string[] = [];
  one.on('reconnecting', ({ error }) => lost.push(error.type));
  server.last.drop();
  assert.equal(one.isActive, false);
  await rejectsWith(one.request('chat', { text: 'x' }), 'connection_lost');
  const { result } = (await joined) as { result: { resumed: boolean } };
  assert.equal(result.resumed, true);
  assert.deepEqual(lost, ['connection_lost']);
  const [join] = server.last.requests;
  assert.equal(join!.params['resume'], 'resume-1');
  assert.equal('token' in join!.params, false);
  await one.leave();
});

test('moved is followed with the same token and nonce', async () => {
  const server = new FakeServer();
  server.script = (socket, { id }) => {
    if (socket.url.startsWith('wss://a.')) {
      socket.refuse(id, 'moved', { url: 'wss://b.test/v1/signal' });
    } else {
      socket.reply(id, joinResult());
    }
  };
  const one = session(server, { url: `${URL_A}?room=lobby` });
  await one.start();
  assert.equal(server.last.url, 'wss://b.test/v1/signal?room=lobby');
  const [first, second] = server.sockets.map((socket) => socket.requests[0]!.params);
  assert.deepEqual(first, second);
  await one.leave();
});

test('an expired token is fetched anew, once', async () => {
  const server = new FakeServer();
  let fetched = 0;
  server.script = (socket, { id, params }) => {
    if (params['token'] === 'token-2') socket.reply(id, joinResult());
    else socket.refuse(id, 'unauthorized');
  };
  const one = session(server, { token: () => Promise.resolve(`token-${(fetched += 1)}`) });
  await one.start();
  assert.equal(fetched, 2);
  await one.leave();
  const two = session(server, { token: () => Promise.resolve('stale') });
  await rejectsWith(two.start(), 'unauthorized');
});

test('a refusal is told at once, an unreachable server is tried again', async () => {
  const server = new FakeServer();
  server.script = (socket, { id }) => socket.refuse(id, 'room_full');
  await rejectsWith(session(server).start(), 'room_full');
  assert.equal(server.sockets.length, 1);
  server.script = joinScript();
  server.refuseNext = 1;
  const one = session(server);
  await one.start();
  assert.equal(server.sockets.length, 3);
  await one.leave();
});

test('whoever is kicked does not come back', async () => {
  const server = new FakeServer();
  const one = session(server);
  await one.start();
  const closed = new Promise<{ error: TroupeError | null }>((resolve) => one.on('closed', resolve));
  server.last.notify('closing', { reason: 'kicked' });
  const { error } = await closed;
  assert.equal(error?.type, 'ended');
  assert.equal(error.reason, 'kicked');
  assert.equal(server.sockets.length, 1);
});

test('a draining worker is left for the next endpoint', async () => {
  const server = new FakeServer();
  const one = session(server);
  await one.start();
  const joined = new Promise((resolve) => one.on('joined', resolve));
  server.last.notify('closing', { reason: 'draining' });
  await joined;
  assert.equal(server.last.url, 'wss://b.test/v1/signal');
  await one.leave();
});

test('where nobody answers is not gone back to, whoever still names it', async () => {
  const server = new FakeServer();
  const one = session(server);
  await one.start();
  let asked = 0;
  server.gone = 'wss://a.';
  server.script = (socket, { id }) => {
    asked += 1;
    if (asked < 4) socket.refuse(id, 'moved', { url: URL_A });
    else socket.reply(id, joinResult({ worker: 'w2' }));
  };
  const joined = new Promise<{ result: JoinResult }>((resolve) => one.on('joined', resolve));
  server.last.drop();
  assert.equal((await joined).result.worker, 'w2');
  const places = server.sockets.slice(1).map(({ url }) => url.slice(0, 8));
  assert.deepEqual(places, ['wss://a.', 'wss://b.', 'wss://b.', 'wss://b.', 'wss://b.']);
  await one.leave();
});

test('after an outage of our own `moved` is followed at once', async () => {
  const server = new FakeServer();
  const one = session(server);
  await one.start();
  server.script = (socket, { id }) => {
    if (socket.url.startsWith('wss://b.')) socket.refuse(id, 'moved', { url: URL_A });
    else socket.reply(id, joinResult({ resumed: true }));
  };
  // Neither answers, then both do.
  server.refuseNext = 3;
  const joined = new Promise((resolve) => one.on('joined', resolve));
  server.last.drop();
  await joined;
  const places = server.sockets.slice(1).map(({ url }) => url.slice(0, 8));
  assert.deepEqual(places, ['wss://a.', 'wss://b.', 'wss://a.', 'wss://b.', 'wss://a.']);
  await one.leave();
});

test('a crashed media thread is told of', async () => {
  const server = new FakeServer();
  const one = session(server);
  await one.start();
  const joined = new Promise<{ mediaLost: boolean }>((resolve) => one.on('joined', resolve));
  server.last.notify('closing', { reason: 'shard_restarted' });
  assert.equal((await joined).mediaLost, true);
  await one.leave();
});

test('pings that stay unanswered drop the socket', async () => {
  const server = new FakeServer();
  const heartbeat = { intervalMs: 10, missed: 2 };
  const join = joinScript({ heartbeat });
  server.script = (socket, request) => {
    if (request.method !== 'ping') join(socket, request);
  };
  const one = session(server);
  await one.start();
  await new Promise((resolve) => one.on('reconnecting', resolve));
  assert.deepEqual(server.sockets[0]!.closedWith, { code: 1000, reason: 'no pong' });
  const pings = server.sockets[0]!.requests.filter(({ method }) => method === 'ping');
  assert.equal(pings.length, 2);
  await one.leave();
});
