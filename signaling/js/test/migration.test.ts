import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { MigrationHost } from '../src/migration.js';
import { follow } from '../src/migration.js';
import { Publisher } from '../src/publisher.js';
import { Session } from '../src/session.js';
import { FakeMedia, FakePeerConnection } from './support/media.js';
import { FakeServer, joinScript } from './support/server.js';

const URL_A = 'wss://a.test/v1/signal';
const URL_B = 'wss://b.test/v1/signal';
const DEADLINE_MS = 5_000;

function session(server: FakeServer, url: string, resume?: string): Session {
  const base = { url, token: 'secret', socket: server.options, giveUpAfterMs: 5_000 };
  return new Session(resume === undefined ? base : { ...base, resume });
}

/** A link that connects at once, or never, and shows nothing. */
function link(connected: boolean): object {
  return {
    closed: false,
    connection: { isConnected: connected },
    slots: { all: [], byTrack: () => undefined },
    start: () =>
      connected
        ? new Promise((resolve) => setTimeout(resolve, 20))
        : Promise.reject(new Error('no path')),
    applySlots: () => undefined,
    close: () => undefined,
  };
}

/** A room that notes what is asked of it. */
function host(connected: boolean): { host: MigrationHost; done: string[] } {
  const done: string[] = [];
  const note = (what: string) => (): void => {
    done.push(what);
  };
  const media = { prepare: () => link(connected), adopt: note('media'), discard: note('discard') };
  const parts = {
    wanted: () => true,
    adopt: (_: unknown, early: { method: string }[]) => {
      done.push(`adopt ${early.map(({ method }) => method).join()}`);
    },
    left: note('left'),
    layers: note('layers'),
    tracks: () => [],
    media,
    publisher: {
      moveBack: () => {
        done.push('back');
        return Promise.resolve();
      },
    },
    data: {},
  };
  return { host: parts as unknown as MigrationHost, done };
}

test('media first, then the room, then the old worker is told and waited for', async () => {
  const server = new FakeServer();
  const old = session(server, URL_A);
  await old.start();
  const [at] = server.sockets;
  const lost: unknown[] = [];
  old.on('reconnecting', (event) => lost.push(event));
  const { host: room, done } = host(true);
  const next = session(server, URL_B, 'resume-1');
  next.on('notification', () => undefined);
  const plain = server.script;
  server.script = (socket, request) => {
    plain(socket, request);
    if (request.method === 'join') {
      setTimeout(() => {
        socket.notify('trackPublished', { track: {} });
        socket.notify('publishLayers', { trackId: 't', active: [] });
      }, 1);
    }
  };
  const following = follow(old, next, room, DEADLINE_MS);
  while (!at!.requests.some(({ method }) => method === 'settled')) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.deepEqual(done, ['layers', 'media', 'adopt trackPublished']);
  assert.equal(server.last.requests[0]!.params['resume'], 'resume-1');
  at!.notify('closing', { reason: 'moved' });
  at!.drop(1001);
  assert.equal(await following, true);
  assert.equal(done.at(-1), 'left');
  assert.deepEqual(lost, [], 'the old session does not come back');
  assert.equal(next.isActive, true);
  await next.leave();
});

test('a worker that cannot be reached leaves everything as it was', async () => {
  const server = new FakeServer();
  const old = session(server, URL_A);
  await old.start();
  const { host: room, done } = host(false);
  assert.equal(await follow(old, session(server, URL_B, 'resume-1'), room, DEADLINE_MS), false);
  assert.deepEqual(done, ['discard', 'back']);
  assert.equal(old.isActive, true);
  await old.leave();
});

test('a refused join leaves everything as it was', async () => {
  const server = new FakeServer();
  const old = session(server, URL_A);
  await old.start();
  server.script = (socket, { id }) => socket.refuse(id, 'forbidden');
  const { host: room, done } = host(true);
  assert.equal(await follow(old, session(server, URL_B, 'resume-1'), room, DEADLINE_MS), false);
  assert.deepEqual(done, ['back']);
  assert.equal(old.isActive, true);
  server.script = joinScript();
  await old.leave();
});

test('tracks go back to the connection before, and late ones follow to the next', async () => {
  const [first, second] = [new FakePeerConnection(), new FakePeerConnection()];
  let current = first;
  const muted: [string, boolean][] = [];
  const publisher = new Publisher({
    connection: () => current.asPeerConnection,
    negotiate: () => {
      current.assignMids();
      return Promise.resolve();
    },
    mute: (trackId, mute) => Promise.resolve(muted.push([trackId, mute])),
    unpublish: () => Promise.resolve(),
    published: () => undefined,
    unpublished: () => undefined,
  });
  const track = await publisher.publish(new FakeMedia('audio').asTrack, {});
  track.setId('t1');
  await publisher.moveTo(second.asPeerConnection);
  assert.equal(publisher.transceiverOf(track), second.transceivers[0]);
  await publisher.moveBack();
  assert.equal(publisher.transceiverOf(track), first.transceivers[0]);
  await publisher.moveTo(second.asPeerConnection);
  await track.mute();
  const late = await publisher.publish(new FakeMedia('video').asTrack, {});
  assert.equal(publisher.transceiverOf(late), first.transceivers[1]);
  current = second;
  muted.length = 0;
  assert.equal(await publisher.settle(second.asPeerConnection), true);
  assert.deepEqual(muted, [['t1', true]]);
  assert.ok(second.transceivers.includes(publisher.transceiverOf(late) as never));
});
