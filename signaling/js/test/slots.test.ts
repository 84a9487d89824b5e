import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { SlotState, SubscribeParams, Track } from '../src/protocol/index.js';
import { RemoteTrack } from '../src/remote-track.js';
import { SlotTable } from '../src/slots.js';
import { Subscriptions } from '../src/subscriptions.js';
import { FakePeerConnection } from './support/media.js';

function table(video: number, extra: number): { pc: FakePeerConnection; slots: SlotTable } {
  const pc = new FakePeerConnection();
  const slots = new SlotTable(pc.asPeerConnection, video, extra);
  return { pc, slots };
}

const live = (mid: string, trackId: string | null): SlotState => ({ mid, trackId, state: 'live' });

function remote(trackId: string): RemoteTrack {
  const track: Track = {
    trackId,
    peerId: 'ada',
    kind: 'video',
    codec: 'vp8',
    source: 'camera',
    muted: false,
    live: true,
  };
  return new RemoteTrack(track);
}

test('slots are offered in pairs, then audio alone', () => {
  const { pc, slots } = table(2, 1);
  const kinds = pc.transceivers.map(({ kind }) => kind);
  assert.deepEqual(kinds, ['audio', 'video', 'audio', 'video', 'audio']);
  assert.equal(slots.pairs(), null);
  slots.addPairs(1);
  pc.assignMids();
  assert.deepEqual(slots.pairs(), [['0', '1'], ['2', '3'], ['5', '6']]);
});

test('news of slots says which tracks are concerned, early news is kept', () => {
  const { pc, slots } = table(2, 0);
  assert.deepEqual(slots.apply([live('1', 'a')]), new Set());
  pc.assignMids();
  assert.deepEqual(slots.settle(), new Set(['a']));
  assert.equal(slots.byTrack('a')?.transceiver.mid, '1');
  assert.deepEqual(slots.apply([live('1', 'b')]), new Set(['a', 'b']));
  assert.equal(slots.byTrack('a'), undefined);
});

test('a pin takes the slot that shows the track, then an empty one, then the last', () => {
  const { pc, slots } = table(3, 0);
  pc.assignMids();
  slots.apply([live('1', 'a'), live('3', 'b')]);
  const mid = (id: string): string | null | undefined => slots.placeFor(id, 'video')?.transceiver.mid;
  assert.equal(mid('b'), '3');
  assert.equal(mid('c'), '5');
  slots.apply([live('5', 'd')]);
  assert.equal(mid('c'), '5');
  slots.byMid('5')!.pinned = true;
  assert.equal(mid('c'), '3');
});

test('pins are said once, again on a new connection, and taken away', async () => {
  let { pc, slots } = table(2, 0);
  pc.assignMids();
  const said: SubscribeParams[] = [];
  const tracks = [remote('a'), remote('b')];
  const subscriptions = new Subscriptions(
    {
      slots: () => slots,
      tracks: () => tracks,
      subscribe: (params) => {
        said.push(params);
        return Promise.resolve({ slots: params.slots.map(({ mid, trackId }) => live(mid, trackId ?? null)) });
      },
      applySlots: (states) => void slots.apply(states),
    },
    false,
  );
  await Promise.all([subscriptions.pin('a', { maxHeight: 360 }), subscriptions.pin('b', {})]);
  await subscriptions.flush();
  assert.deepEqual(said, [
    { slots: [{ mid: '1', trackId: 'a', maxHeight: 360 }, { mid: '3', trackId: 'b' }] },
  ]);
  await subscriptions.pin('a', { maxHeight: 720 });
  assert.deepEqual(said[1], { slots: [{ mid: '1', trackId: 'a', maxHeight: 720 }] });
  await subscriptions.unpin('b');
  assert.deepEqual(said[2], { slots: [{ mid: '3', trackId: null }] });
  ({ pc, slots } = table(2, 0));
  pc.assignMids();
  subscriptions.restart();
  await subscriptions.flush();
  assert.deepEqual(said[3], { slots: [{ mid: '1', trackId: 'a', maxHeight: 720 }] });
});

test('a track tells when other media carries it, and ends empty', () => {
  const track = remote('a');
  const seen: (MediaStreamTrack | null)[] = [];
  track.on('replaced', (media) => seen.push(media));
  const first = { id: 'm1' } as MediaStreamTrack;
  const second = { id: 'm2' } as MediaStreamTrack;
  track.place(live('1', 'a'), first);
  track.place({ ...live('1', 'a'), state: 'muted' }, first);
  track.place(live('3', 'a'), second);
  assert.deepEqual(seen, [first, second]);
  assert.equal(track.slot?.mid, '3');
  track.end();
  assert.deepEqual(seen, [first, second, null]);
  assert.equal(track.ended, true);
});
