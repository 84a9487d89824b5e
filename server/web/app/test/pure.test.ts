import assert from 'node:assert/strict';
import { test } from 'node:test';

import { TroupeError } from '@troupe/client';

import { gridOf, stageOf } from '../src/call/layout.js';
import type { Rect } from '../src/call/layout.js';
import { LastWish } from '../src/call/last-wish.js';
import type { Tile } from '../src/call/tiles.js';
import { stageTile } from '../src/call/tiles.js';
import { NO_INVITATION } from '../src/access.js';
import { delayText, encoderSettings, readLiveRoute } from '../src/live/address.js';
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

const SIZES = [[1280, 600], [390, 640], [800, 800], [2000, 300], [0, 0]] as const;

/** Whether rectangles lie within a size and do not touch. */
function fits(rects: Rect[], width: number, height: number): boolean {
  const inside = rects.every(
    ({ left, top, width: w, height: h }) =>
      left >= 0 && top >= 0 && left + w <= width && top + h <= height,
  );
  const apart = (a: Rect, b: Rect): boolean =>
    a.left + a.width <= b.left ||
    b.left + b.width <= a.left ||
    a.top + a.height <= b.top ||
    b.top + b.height <= a.top;
  return inside && rects.every((a, i) => rects.every((b, j) => i === j || apart(a, b)));
}

test('tiles of a grid stay inside and apart', () => {
  for (const [width, height] of SIZES.slice(0, -1)) {
    for (let count = 1; count <= 25; count += 1) {
      const rects = gridOf(count, width, height, 10);
      assert.equal(rects.length, count);
      assert.ok(fits(rects, width, height), `${count} in ${width}×${height}`);
      assert.ok(rects[0]!.width > 0);
    }
  }
  const tops = (rects: Rect[]): number => new Set(rects.map(({ top }) => top)).size;
  assert.equal(tops(gridOf(2, 1280, 600, 10)), 1);
  assert.equal(tops(gridOf(2, 390, 640, 10)), 2);
  assert.equal(tops(gridOf(4, 1280, 700, 10)), 2);
  assert.equal(gridOf(3, 0, 0, 10).length, 3);
});

test('a stage leaves room for as many others as fit', () => {
  for (const [width, height] of SIZES.slice(0, 3)) {
    for (const count of [0, 1, 3, 12]) {
      const { stage, strip } = stageOf(count, width, height, 10);
      assert.ok(fits([stage, ...strip], width, height), `${count} in ${width}×${height}`);
      assert.ok(strip.length <= count && (count === 0 || strip.length > 0));
    }
  }
  assert.equal(stageOf(0, 1280, 600, 10).stage.width, 1280);
  assert.equal(stageOf(2, 1280, 600, 10).strip[0]!.left, 1280 - 230);
  assert.equal(stageOf(5, 1280, 600, 10).strip.length, 5);
  assert.ok(stageOf(9, 1280, 600, 10).strip.length < 9);
  assert.equal(stageOf(9, 390, 640, 10).strip[0]!.top, 640 - 92);
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

test('of what is wished while something runs, the last of each kind is done', async () => {
  const wishes = new LastWish<string>();
  const done: string[] = [];
  const gates: (() => void)[] = [];
  const work = (name: string) => async () => {
    await new Promise<void>((resolve) => gates.push(resolve));
    done.push(name);
  };
  const first = wishes.run('camera', 'turn', work('on'));
  for (const name of ['off', 'on again', 'off again']) void wishes.run('camera', 'turn', work(name));
  void wishes.run('camera', 'choose', work('another'));
  void wishes.run('microphone', 'turn', work('mute'));
  assert.deepEqual(wishes.busy, ['camera', 'microphone']);
  for (let turn = 0; turn < 20; turn += 1) {
    gates.shift()?.();
    await Promise.resolve();
  }
  await first;
  assert.deepEqual(done, ['on', 'mute', 'off again', 'another']);
  assert.deepEqual(wishes.busy, []);
});

test('live pages know their stream, and what encoders are told', () => {
  const live = (path: string) => readLiveRoute(new URL(path, 'https://t.test'));
  const watch = live('/watch/show/cam-1?by=hls#token=a.b.c')!;
  assert.deepEqual(
    [watch.page, watch.room, watch.stream, watch.token, watch.by],
    ['watch', 'show', 'cam-1', 'a.b.c', 'hls'],
  );
  assert.equal(live('/go-live/show/cam#ingest=x')!.ingest, 'x');
  for (const wrong of ['/watch/show', '/watch/a%20b/c', '/r/show', '/watch/a/b/c', '/']) {
    assert.equal(live(wrong), null);
  }
  const settings = encoderSettings(new URL('https://t.test/x'), 1935, watch, 'T');
  assert.equal(settings.server, 'rtmp://t.test/show');
  assert.equal(settings.key, 'cam-1?token=T');
  assert.equal(settings.whip, 'https://t.test/whip/show');
  assert.match(settings.ffmpeg, /-f flv "rtmp:\/\/t\.test\/show\/cam-1\?token=T"$/);
  assert.match(encoderSettings(new URL('http://h:8080'), 1940, watch, '').server, /^rtmp:\/\/h:1940\//);
  assert.deepEqual([0.184, 12.4, null, -1].map(delayText), ['0.18 s', '12 s', '', '']);
});
