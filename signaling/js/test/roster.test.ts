import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Peer, Room, Track } from '../src/protocol/index.js';
import { Roster } from '../src/roster.js';

function recorded(): { roster: Roster; log: string[] } {
  const log: string[] = [];
  const roster = new Roster({
    peerJoined: ({ peerId }) => log.push(`+${peerId}`),
    peerLeft: ({ peerId }, reason) => log.push(`-${peerId} ${reason}`),
    peerUpdated: ({ peerId, state }) => log.push(`~${peerId} ${state}`),
    trackPublished: ({ id }) => log.push(`+${id}`),
    trackUnpublished: ({ id }) => log.push(`-${id}`),
  });
  return { roster, log };
}

const peer = (peerId: string): Peer => ({ peerId, state: 'active' });
const track = (trackId: string, peerId: string): Track => ({
  trackId,
  peerId,
  kind: 'video',
  codec: 'vp8',
  source: 'camera',
  muted: false,
  live: false,
});
const room = (peers: Peer[], tracks: Track[]): Room => ({
  name: 'r',
  metadata: null,
  peers,
  tracks,
  audience: 0,
});

test('a whole room tells what is new and what is gone', () => {
  const { roster, log } = recorded();
  roster.reset(room([peer('ada'), peer('me')], [track('t1', 'ada'), track('t9', 'me')]), 'me');
  assert.deepEqual(log.splice(0), ['+ada', '+t1']);
  const kept = roster.track('t1');
  roster.reset(room([peer('bob'), peer('ada')], [track('t1', 'ada'), track('t2', 'bob')]), 'me');
  assert.deepEqual(log.splice(0), ['+bob', '~ada active', '+t2']);
  assert.equal(roster.track('t1'), kept);
  roster.reset(room([], []), 'me');
  assert.deepEqual(log, ['-t1', '-t2', '-ada left', '-bob left']);
});

test('in a room that opened anew all have ten seconds to come back', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { roster, log } = recorded();
  const both = room([peer('ada'), peer('bob')], [track('t1', 'ada'), track('t2', 'bob')]);
  roster.reset(both, 'me');
  log.length = 0;
  roster.reset(room([], []), 'me', true);
  const away = ['-t1', '-t2', '~ada reconnecting', '~bob reconnecting'];
  assert.deepEqual(log.splice(0), away);
  roster.joined(peer('bob'));
  assert.deepEqual(log.splice(0), ['~bob active']);
  t.mock.timers.tick(9_999);
  assert.deepEqual(roster.peers.map(({ peerId }) => peerId), ['ada', 'bob']);
  t.mock.timers.tick(1);
  assert.deepEqual(log, ['-ada timeout']);
  roster.reset(room([], []), 'me', true);
  roster.clear();
  t.mock.timers.tick(10_000);
  assert.deepEqual(log, ['-ada timeout', '~bob reconnecting']);
});

test('whoever leaves takes the tracks along', () => {
  const { roster, log } = recorded();
  roster.reset(room([peer('ada')], [track('t1', 'ada')]), 'me');
  const one = roster.track('t1');
  roster.published({ ...track('t1', 'ada'), live: true });
  assert.equal(one?.live, true);
  roster.updated({ peerId: 'ada', state: 'reconnecting' });
  roster.left('ada', 'timeout');
  roster.left('ada', 'timeout');
  assert.deepEqual(log, ['+ada', '+t1', '~ada reconnecting', '-t1', '-ada timeout']);
  assert.equal(one.ended, true);
});
