import assert from 'node:assert/strict';
import { test } from 'node:test';

import { TroupeError } from '@troupe/client';

import { arrange } from '../src/call/layout.js';
import type { Tile } from '../src/call/tiles.js';
import { stageTile } from '../src/call/tiles.js';
import { NO_INVITATION } from '../src/access.js';
import { explain, explainDevice } from '../src/messages.js';
import { hueOf, initials, slug } from '../src/names.js';
import { readRoute, roomPath } from '../src/route.js';

const at = (path: string) => readRoute(new URL(path, 'https://t.test'));

test('an address names room, invitation and how a kiosk joins', () => {
  const route = at('/r/team.1?auto=1&name=Ada&camera=640x360@15&layers=1&codec=vp9#token=a.b.c');
  assert.equal(route.room, 'team.1');
  assert.equal(route.token, 'a.b.c');
  assert.equal(route.name, 'Ada');
  assert.deepEqual(route.kiosk, {
    auto: true,
    camera: { width: 640, height: 360, frameRate: 15 },
    cameraOff: false,
    microphoneOff: false,
    layers: 1,
    codec: 'vp9',
    svc: null,
  });
});

test('a wrong address is a lobby', () => {
  assert.equal(at('/').room, null);
  assert.equal(at('/r/a%20b').room, null);
  assert.equal(at('/r/a/b').room, null);
  assert.equal(at('/r/x?camera=big&layers=7&codec=mp3').kiosk.camera, null);
  assert.equal(at('/r/x?layers=7').kiosk.layers, null);
  assert.equal(at(roomPath('a-b')).room, 'a-b');
});

test('names become identities, initials and colours', () => {
  assert.equal(slug('Zoë  Müller!'), 'zoe-muller');
  assert.equal(slug('李雷'), '');
  assert.ok(slug('x'.repeat(80)).length <= 40);
  assert.equal(initials('Ada Lovelace'), 'AL');
  assert.equal(initials('grace_brewster_hopper'), 'GH');
  assert.equal(initials(' '), '?');
  assert.equal(initials('李雷'), '李');
  assert.equal(hueOf('ada'), hueOf('ada'));
  assert.ok(hueOf('ada') >= 0 && hueOf('ada') < 360);
});

test('tiles fill what there is and never spill over', () => {
  for (const [width, height] of [[1280, 600], [390, 640], [800, 800], [2000, 300]] as const) {
    for (let count = 1; count <= 26; count += 1) {
      const grid = arrange(count, width, height, 10);
      const rows = Math.ceil(count / grid.columns);
      assert.ok(grid.columns * grid.width + (grid.columns - 1) * 10 <= width, `${count} in ${width}`);
      assert.ok(rows * grid.height + (rows - 1) * 10 <= height, `${count} in ${height}`);
      assert.ok(grid.width > 0 && grid.height > 0);
    }
  }
  assert.equal(arrange(2, 1280, 600, 10).columns, 2);
  assert.equal(arrange(2, 390, 640, 10).columns, 1);
  assert.equal(arrange(4, 1280, 700, 10).columns, 2);
  assert.equal(arrange(1, 0, 0, 10).width, 0);
});

test('the stage belongs to whom one picked, else to the newest screen of others', () => {
  const tile = (key: string, source: Tile['source'], self = false): Tile => ({
    key,
    peerId: key,
    name: key,
    self,
    source,
    video: null,
    audio: null,
    reconnecting: false,
  });
  const tiles = [tile('me', 'screen', true), tile('a', 'camera'), tile('b', 'screen')];
  assert.equal(stageTile(tiles, null)?.key, 'b');
  assert.equal(stageTile(tiles, 'a')?.key, 'a');
  assert.equal(stageTile(tiles, 'gone')?.key, 'b');
  assert.equal(stageTile(tiles.slice(0, 2), null), null);
});

test('every failure has words of its own', () => {
  const words = (type: ConstructorParameters<typeof TroupeError>[0], reason?: string): string =>
    explain(new TroupeError(type, 'raw', reason === undefined ? {} : { reason })).title;
  assert.match(words('room_full'), /full/);
  assert.match(words('unauthorized'), /not valid/);
  assert.match(words('forbidden', NO_INVITATION), /invitation/);
  assert.match(words('ended', 'kicked'), /removed/);
  assert.match(words('ended', 'replaced'), /somewhere else/);
  assert.match(words('draining'), /restart/);
  assert.equal(explain(new TroupeError('internal', 'raw')).text, 'raw');
  assert.match(
    explainDevice('The camera', new TroupeError('insecure_context', 'raw')).text,
    /https/,
  );
});
