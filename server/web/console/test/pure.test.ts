import assert from 'node:assert/strict';
import { test } from 'node:test';

import { path } from '../src/chart.js';
import { begun, seen } from '../src/cluster.js';
import { linksOf, parse, readingOf, sampleOf, sum } from '../src/figures.js';
import { place } from '../src/graph.js';
import { cut, eventOf } from '../src/stream.js';
import type { Migration, WorkerRecord } from '../src/types.js';
import { listed } from '../src/views/flags.js';

test('a stream is cut into whole blocks', () => {
  const { blocks, rest } = cut('id: 1\nevent: a\ndata: {"type":"a"}\n\n: alive\n\nid: 2');
  assert.equal(blocks.length, 2);
  assert.equal(rest, 'id: 2');
  assert.equal(eventOf(blocks[0]!)?.type, 'a');
  assert.equal(eventOf(blocks[1]!), null);
  assert.equal(eventOf('data: no json'), null);
  assert.equal(eventOf('event: lost\ndata: {}'), null);
});

test('rates come from two readings', () => {
  const text = (n: number): string =>
    [
      '# HELP troupe_actor_rooms rooms',
      'troupe_actor_rooms 3',
      `troupe_rtp_packets_total{shard="0",direction="in",kind="audio"} ${100 * n}`,
      `troupe_rtp_packets_total{shard="1",direction="in",kind="video"} ${200 * n}`,
      `troupe_rtp_packets_total{shard="0",direction="out",kind="audio"} ${50 * n}`,
      `troupe_process_cpu_seconds_total ${n}`,
      'troupe_relay_rtt_seconds{worker="wk_b"} 0.002',
      `troupe_relay_bytes_total{worker="wk_b",direction="out"} ${1000 * n}`,
    ].join('\n');
  const [before, after] = [parse(text(1)), parse(text(3))];
  assert.equal(sum(after, 'troupe_rtp_packets_total', { shard: '1' }), 600);
  const [first, second] = [readingOf(before, 0), readingOf(after, 2_000)];
  const sample = sampleOf(after, second, first);
  assert.deepEqual(sample, { at: 2_000, cpu: 1, packetsIn: 300, packetsOut: 50, rooms: 3, peers: 0 });
  assert.deepEqual(linksOf(after, second, first), [{ to: 'wk_b', rttMs: 2, bitsPerSecond: 8_000 }]);
});

test('a move is seen through its steps', () => {
  const move: Migration = {
    ...{ room: 'r', from: 'a', to: 'b', phase: 'planned', plannedAtMs: 1, deadlineMs: 9 },
    reason: 'operator',
  };
  let moves = seen([], [move], 10);
  moves = seen(moves, [{ ...move, phase: 'moving' }], 20);
  moves = seen(moves, [], 30);
  moves = seen(moves, [], 40);
  assert.deepEqual(moves.map((it) => [it.phase, it.steps, it.ended]), [
    ['moving', { planned: 10, moving: 20 }, 30],
  ]);
});

test('a move that is over before anybody looks is seen all the same', () => {
  const move: Migration = {
    ...{ room: 'r', from: 'a', to: 'b', phase: 'planned', plannedAtMs: 1, deadlineMs: 9 },
    reason: 'operator',
  };
  const moves = begun([], move, 10);
  assert.equal(begun(moves, move, 11), moves, 'once');
  assert.equal(seen(moves, [], 20)[0]?.ended, 20);
});

test('the graph places each room under its worker', () => {
  const worker = (id: string): WorkerRecord => ({
    ...{ id, url: '', region: '', ready: true, draining: false, rooms: 1, loadPermille: 0 },
    ...{ admin: null, here: false },
  });
  const owned = ['x', 'y', 'z'].map((name) => ({
    ...{ name, worker: name === 'z' ? 'b' : 'a', epoch: 1, migrating: false },
  }));
  const { placed } = place([worker('a'), worker('b')], owned, []);
  assert.deepEqual(placed.map((it) => it.rooms.map(({ room }) => room.name)), [['x', 'y'], ['z']]);
  for (const { x, width, rooms } of placed) {
    for (const room of rooms) assert.ok(room.x > x && room.x < x + width);
  }
});

test('a line fills its chart', () => {
  assert.equal(path([], 0, 1, 1), '');
  assert.equal(path([[0, 0], [10, 5]], 0, 10, 5), 'M0.0,94.0L320.0,4.0');
});

test('the switches are listed before anybody has written them', () => {
  const flag = { name: 'beta', switch: false, enabled: true, percent: 5, rooms: [], peers: [] };
  const names = listed([flag]).map(({ name, known }) => `${name} ${known}`);
  assert.deepEqual(names, [
    'beta true',
    'chat-off false',
    'joins-off false',
    'layers-capped false',
    'video-off false',
  ]);
});
