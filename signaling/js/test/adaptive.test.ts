import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { AdaptiveStream, needOf, wishOf } from '../src/adaptive.js';
import type { SlotState, SlotWish, Track } from '../src/protocol/index.js';
import { RemoteTrack } from '../src/remote-track.js';
import { SlotTable } from '../src/slots.js';
import { Subscriptions } from '../src/subscriptions.js';
import { FakePeerConnection } from './support/media.js';
import { FakeElement, install, resize, scroll, watching } from './support/page.js';

let browser: ReturnType<typeof install>;

beforeEach(() => {
  browser = install();
  mock.timers.enable({ apis: ['setTimeout'] });
});

afterEach(() => {
  mock.timers.reset();
  browser.uninstall();
});

function remote(trackId: string, more: Partial<Track> = {}): RemoteTrack {
  return new RemoteTrack({
    trackId,
    peerId: trackId,
    kind: 'video',
    codec: 'vp8',
    source: 'camera',
    muted: false,
    live: true,
    ...more,
  });
}

function element(width: number, height: number): FakeElement {
  const made = new FakeElement(browser.page);
  Object.assign(made, { clientWidth: width, clientHeight: height });
  return made;
}

/** An element that shows a track and is seen. */
function shown(track: RemoteTrack, width: number, height: number): FakeElement {
  const made = element(width, height);
  track.attach(made.asElement);
  scroll(made, true);
  return made;
}

/** Follows one track; what was settled on, in order. */
function following(track: RemoteTrack): { sides: (number | undefined)[]; stream: AdaptiveStream } {
  const sides: (number | undefined)[] = [];
  const stream: AdaptiveStream = new AdaptiveStream(() => sides.push(stream.need(track.id)?.side));
  stream.add(track);
  return { sides, stream };
}

test('a picture is as large as it is drawn, in steps of its shorter side', () => {
  const side = (width: number, height: number, cropped = false, shape = 16 / 9): number =>
    needOf({ width, height, cropped, shape }).side;
  assert.equal(side(640, 360), 360);
  assert.equal(side(660, 371), 360, 'a little stretched');
  assert.equal(side(800, 450), 540);
  assert.equal(side(300, 300), 180, 'with bars above and below');
  assert.equal(side(300, 300, true), 270, 'cropped at its sides');
  assert.equal(side(1000, 180, true), 540, 'cropped above and below');
  assert.equal(side(10_000, 10_000), Infinity);
  const phone = needOf({ width: 640, height: 360, cropped: false, shape: 9 / 16 });
  assert.deepEqual(phone, { side: 180, portrait: true });
  assert.deepEqual(wishOf(phone), { maxWidth: 180 });
  assert.deepEqual(wishOf({ side: 0, portrait: true }), { maxHeight: 0 });
  assert.deepEqual(wishOf({ side: Infinity, portrait: false }), {});
});

test('nothing is said before it is known what is seen, then at once', () => {
  const track = remote('a');
  const { sides } = following(track);
  const video = element(320, 180);
  track.attach(video.asElement);
  assert.deepEqual(sides, []);
  scroll(video, true);
  assert.deepEqual(sides, [180]);
});

test('resizing is said in steps, growth soon, less after a while', () => {
  const track = remote('a');
  const { sides } = following(track);
  const video = shown(track, 320, 180);
  for (let width = 330; width <= 1280; width += 10) {
    resize(video, width, (width * 9) / 16);
    mock.timers.tick(1);
  }
  assert.deepEqual(sides, [180], 'one goes on pulling');
  mock.timers.tick(200);
  assert.deepEqual(sides, [180, 720]);
  resize(video, 640, 360);
  mock.timers.tick(999);
  resize(video, 1280, 720);
  mock.timers.tick(5_000);
  assert.deepEqual(sides, [180, 720], 'it came back in time');
  resize(video, 640, 360);
  mock.timers.tick(1_000);
  assert.deepEqual(sides, [180, 720, 360]);
});

test('hidden pauses after a second, shown resumes at once', () => {
  const track = remote('a');
  const { sides } = following(track);
  const video = shown(track, 320, 180);
  scroll(video, false);
  mock.timers.tick(999);
  assert.deepEqual(sides, [180]);
  mock.timers.tick(1);
  assert.deepEqual(sides, [180, 0]);
  scroll(video, true);
  assert.deepEqual(sides, [180, 0, 180]);
  browser.page.set('hidden');
  mock.timers.tick(1_000);
  assert.deepEqual(sides, [180, 0, 180, 0]);
  browser.page.pictureInPictureElement = video;
  video.tell('enterpictureinpicture');
  assert.deepEqual(sides, [180, 0, 180, 0, 180], 'a window of its own');
  browser.page.pictureInPictureElement = null;
  browser.page.set('visible');
  mock.timers.tick(1_000);
  assert.deepEqual(sides, [180, 0, 180, 0, 180]);
  resize(video, 0, 0);
  mock.timers.tick(1_000);
  assert.equal(sides.at(-1), 0, 'not displayed');
});

test('the largest of several elements counts, and none is a hidden one', () => {
  const track = remote('a');
  const { sides } = following(track);
  const small = shown(track, 320, 180);
  const large = shown(track, 1280, 720);
  mock.timers.tick(200);
  assert.deepEqual(sides, [180, 720]);
  scroll(large, false);
  mock.timers.tick(1_000);
  assert.deepEqual(sides, [180, 720, 180]);
  track.detach(small.asElement);
  track.detach(large.asElement);
  mock.timers.tick(1_000);
  assert.deepEqual(sides, [180, 720, 180, 0]);
  assert.equal(watching(), 0);
});

test('device pixels count', () => {
  browser.page.defaultView.devicePixelRatio = 2;
  const track = remote('a');
  const { sides } = following(track);
  shown(track, 320, 180);
  assert.deepEqual(sides, [360]);
});

test('what is drawn from outside of a document is wanted whole', () => {
  const track = remote('a');
  const { sides } = following(track);
  const video = element(0, 0);
  video.isConnected = false;
  track.attach(video.asElement);
  scroll(video, false);
  browser.page.set('hidden');
  mock.timers.tick(5_000);
  assert.deepEqual(sides, [Infinity]);
});

test('an ended track and a left room let go of everything', () => {
  const track = remote('a');
  const { stream } = following(track);
  shown(track, 320, 180);
  stream.close();
  assert.equal(watching(), 0);
  assert.equal(browser.page.listening, 0);
});

/** Subscriptions over slots, and what they said. */
function subscribing(
  tracks: RemoteTrack[],
  video: number,
  adaptive = true,
): { said: SlotWish[][]; subscriptions: Subscriptions; slots: SlotTable; fail: { next: boolean } } {
  const pc = new FakePeerConnection();
  const slots = new SlotTable(pc.asPeerConnection, video, 0);
  pc.assignMids();
  const said: SlotWish[][] = [];
  const fail = { next: false };
  const subscriptions = new Subscriptions(
    {
      slots: () => slots,
      tracks: () => tracks,
      subscribe: (params) => {
        if (fail.next) return Promise.reject(new Error('not now'));
        said.push(params.slots);
        const states = params.slots.map(({ mid, trackId = null, pin }): SlotState => {
          const state = slots.byMid(mid)?.state;
          if (pin !== false) return { mid, trackId, state: 'live' };
          return state ?? { mid, trackId, state: 'waiting', reason: 'not_found' };
        });
        return Promise.resolve({ slots: states });
      },
      applySlots: (states) => void slots.apply(states),
    },
    adaptive,
  );
  for (const track of tracks) subscriptions.follow(track);
  return { said, subscriptions, slots, fail };
}

/** Lets promises run; timers stand still. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}

test('the server is told what elements need, and nothing is pinned', async () => {
  const [camera, screen] = [remote('a'), remote('b', { source: 'screen' })];
  const { said, slots } = subscribing([camera, screen], 3);
  slots.apply([{ mid: '3', trackId: 'b', state: 'live' }]);
  shown(camera, 320, 180);
  shown(screen, 1280, 720);
  await settled();
  assert.deepEqual(said, [
    [
      { mid: '1', trackId: 'a', maxHeight: 180, pin: false },
      { mid: '3', trackId: 'b', maxHeight: 720, pin: false },
    ],
  ]);
  assert.equal(slots.byTrack('a'), undefined, 'no slot is known to show it');
  assert.equal(slots.all.some(({ pinned }) => pinned), false);
});

test('a size is never said by a slot that is pinned', async () => {
  const [a, b] = [remote('a'), remote('b')];
  const { said, subscriptions } = subscribing([a, b], 1);
  await subscriptions.pin('a', {});
  shown(b, 320, 180);
  await settled();
  assert.deepEqual(said, [
    [{ mid: '1', trackId: 'a' }],
    [{ mid: '0', trackId: 'b', maxHeight: 180, pin: false }],
  ]);
});

test('a pinned track is asked for as large as it is shown, or as the caller says', async () => {
  const track = remote('a');
  const { said, subscriptions } = subscribing([track], 2);
  const video = shown(track, 320, 180);
  await subscriptions.pin('a', {});
  assert.deepEqual(said.at(-1), [{ mid: '1', trackId: 'a', maxHeight: 180 }]);
  await subscriptions.pin('a', { maxWidth: 640 });
  scroll(video, false);
  mock.timers.tick(1_000);
  await settled();
  assert.deepEqual(said.at(-1), [{ mid: '1', trackId: 'a', maxWidth: 640 }], 'hidden or not');
  await subscriptions.unpin('a');
  assert.deepEqual(said.at(-1), [
    { mid: '1', trackId: null },
    { mid: '1', trackId: 'a', maxHeight: 0, pin: false },
  ]);
});

test('turned off, nothing is watched or said', async () => {
  const track = remote('a');
  const { said } = subscribing([track], 2, false);
  shown(track, 320, 180);
  await settled();
  assert.deepEqual(said, []);
  assert.equal(watching(), 0);
});

test('what could not be said is said later', async () => {
  const track = remote('a');
  const { said, fail } = subscribing([track], 1);
  fail.next = true;
  shown(track, 320, 180);
  await settled();
  fail.next = false;
  mock.timers.tick(2_000);
  await settled();
  assert.deepEqual(said, [[{ mid: '1', trackId: 'a', maxHeight: 180, pin: false }]]);
});
