import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { PublishOptions } from '../src/publisher.js';
import { Publisher } from '../src/publisher.js';
import { FakeMedia, FakePeerConnection, FakeSender } from './support/media.js';

/** A publisher whose server takes every track as `t` and its number of m-line. */
function publishing(): { publisher: Publisher; pc: FakePeerConnection; move: () => Promise<void> } {
  let pc = new FakePeerConnection();
  const negotiate = (): Promise<void> => {
    pc.assignMids();
    const accepted = pc.transceivers.map(({ mid }) => ({ mid: mid ?? '', trackId: `t${mid}` }));
    publisher.accepted(accepted);
    return Promise.resolve();
  };
  const publisher = new Publisher({
    connection: () => pc.asPeerConnection,
    negotiate,
    mute: () => Promise.resolve(),
    unpublish: () => Promise.resolve(),
    published: () => undefined,
    unpublished: () => undefined,
  });
  const move = async (): Promise<void> => {
    pc = new FakePeerConnection();
    await publisher.moveTo(pc.asPeerConnection);
    await negotiate();
  };
  return { publisher, get pc() { return pc; }, move };
}

async function camera(options: PublishOptions = {}): Promise<
  ReturnType<typeof publishing> & { readonly sender: FakeSender }
> {
  const made = publishing();
  const { publisher, move } = made;
  await publisher.publish(new FakeMedia('video').asTrack, options);
  return {
    publisher,
    move,
    get pc() { return made.pc; },
    get sender() { return made.pc.transceivers[0]!.sender; },
  };
}

test('an operator mutes and unmutes, but not what its user has muted', async () => {
  const { publisher } = publishing();
  const track = await publisher.publish(new FakeMedia('audio').asTrack, {});
  const told: boolean[] = [];
  track.on('muted', (muted) => told.push(muted));
  publisher.muteByOperator('nobody', true);
  publisher.muteByOperator('t0', true);
  const enabled = (): boolean | undefined => track.mediaStreamTrack?.enabled;
  assert.equal(enabled(), false);
  publisher.muteByOperator('t0', false);
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal(enabled(), true);
  await track.mute();
  publisher.muteByOperator('t0', true);
  publisher.muteByOperator('t0', false);
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal(track.muted, true);
  assert.deepEqual(told, [true, false, true]);
});

test('layers that nobody watches rest, and wake again', async () => {
  const { publisher, sender } = await camera();
  const told: string[][] = [];
  publisher.tracks[0]!.on('layers', (layers) => told.push(layers));
  assert.deepEqual(sender.active, ['q', 'h', 'f']);
  await publisher.setLayers('t0', ['q']);
  assert.deepEqual(sender.active, ['q']);
  await publisher.setLayers('t0', []);
  assert.deepEqual(sender.active, []);
  await publisher.setLayers('t0', ['q', 'h', 'f']);
  assert.deepEqual(sender.active, ['q', 'h', 'f']);
  assert.deepEqual(told, [['q'], [], ['q', 'h', 'f']]);
});

test('a layer that nobody can take whole is kept under what they can, and freed again', async () => {
  const { publisher, sender } = await camera();
  const rates = (): (number | undefined)[] => sender.encodings.map(({ maxBitrate }) => maxBitrate);
  const made = rates();
  assert.equal(made.length, 3);
  await publisher.setLayers('t0', ['f'], { f: 850_000 });
  assert.deepEqual(rates(), [made[0], made[1], 850_000]);
  assert.deepEqual(sender.active, ['f']);
  await publisher.setLayers('t0', ['f'], { f: 850_000 });
  assert.equal(sender.sets, 1, 'what is so already is not done again');
  await publisher.setLayers('t0', ['h'], { h: 9_000_000 });
  assert.deepEqual(rates(), made, 'a bound never raises');
  await publisher.setLayers('t0', ['f'], { f: 640_000 });
  await publisher.setLayers('t0', ['f']);
  assert.deepEqual(rates(), made);
});

test('an encoding without a name can be bound as well', async () => {
  const { publisher, sender } = await camera({ layers: 1, maxBitrate: 500_000 });
  await publisher.setLayers('t0', ['f'], { '': 100_000 });
  assert.equal(sender.encodings[0]!.maxBitrate, 100_000);
  await publisher.setLayers('t0', ['f']);
  assert.equal(sender.encodings[0]!.maxBitrate, 500_000);
});

test('words that come together are obeyed one by one, the last wins', async () => {
  const { publisher, sender } = await camera();
  const words = [['q'], [], ['q', 'h'], ['f'], ['q', 'f']];
  await Promise.all(words.map((active) => publisher.setLayers('t0', active)));
  assert.deepEqual(sender.active, ['q', 'f']);
  assert.equal(sender.sets, 1, 'what was taken back before its turn is not done at all');
});

test('one stream of SVC rests as a whole', async () => {
  const { publisher, sender } = await camera({ codec: 'vp9', scalabilityMode: 'L3T3_KEY' });
  await publisher.setLayers('t0', []);
  assert.deepEqual(sender.active, []);
  await publisher.setLayers('t0', ['f']);
  assert.deepEqual(sender.active, ['-']);
});

test('names that mean nothing here silence nothing', async () => {
  const { publisher, sender } = await camera();
  await publisher.setLayers('t0', ['hi']);
  assert.deepEqual(sender.active, ['q', 'h', 'f']);
  await publisher.setLayers('t9', []);
  assert.deepEqual(sender.active, ['q', 'h', 'f']);
});

test('muting and layers do not touch each other', async () => {
  const { publisher, sender } = await camera();
  const track = publisher.tracks[0]!;
  await publisher.setLayers('t0', ['q']);
  await track.mute();
  assert.deepEqual(sender.active, ['q']);
  await publisher.setLayers('t0', []);
  await track.unmute();
  assert.deepEqual(sender.active, []);
});

test('what comes before the id is known holds once it is', async () => {
  const made = publishing();
  const pending = made.publisher.publish(new FakeMedia('video').asTrack, {});
  await made.publisher.setLayers('t0', ['h']);
  await pending;
  await Promise.resolve().then(() => Promise.resolve());
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(made.pc.transceivers[0]!.sender.active, ['h']);
});

test('an offer of the same connection keeps what rests, a new connection wakes all', async () => {
  const made = await camera();
  await made.publisher.setLayers('t0', ['q']);
  await made.publisher.publish(new FakeMedia('audio').asTrack, {});
  assert.deepEqual(made.sender.active, ['q']);
  await made.move();
  assert.deepEqual(made.sender.active, ['q', 'h', 'f']);
});

/** What a browser encodes, while the work is done. */
async function withCodecs(names: string[], work: () => Promise<void>): Promise<void> {
  const codecs = names.map((name) => ({ mimeType: `video/${name}` }));
  const RTCRtpSender = { getCapabilities: () => ({ codecs }) };
  Object.assign(globalThis, { RTCRtpSender });
  try {
    await work();
  } finally {
    Reflect.deleteProperty(globalThis, 'RTCRtpSender');
  }
}

test('a track that somebody cannot decode goes on in its backup codec', async () => {
  await withCodecs(['VP8', 'VP9', 'AV1'], async () => {
    const made = await camera({ codec: 'av1', scalabilityMode: 'L3T3_KEY' });
    const [transceiver] = made.pc.transceivers;
    const [track] = made.publisher.tracks;
    const told: string[] = [];
    track!.on('codec', (codec) => told.push(codec));
    assert.equal(transceiver!.preferred, 'video/AV1');
    await made.publisher.setLayers('t0', []);
    await made.publisher.fallBack('t0');
    assert.equal(transceiver!.preferred, 'video/VP8');
    assert.deepEqual(made.sender.active, ['-'], 'it wakes, so that the new codec is seen');
    const [encoding] = made.sender.encodings as { scalabilityMode?: string; maxBitrate?: number }[];
    assert.equal(encoding!.scalabilityMode, 'L1T3');
    assert.equal(encoding!.maxBitrate, 1_700_000);
    await made.publisher.fallBack('t0');
    assert.deepEqual(told, ['vp8'], 'once');
    await made.move();
    assert.equal(made.pc.transceivers[0]!.preferred, 'video/VP8', 'on the next connection too');
  });
});

test('layers that rest stay so over a fall to the backup codec', async () => {
  await withCodecs(['VP8', 'H264'], async () => {
    const made = await camera();
    await made.publisher.setLayers('t0', ['q']);
    await made.publisher.fallBack('t0');
    assert.equal(made.pc.transceivers[0]!.preferred, 'video/H264');
    assert.deepEqual(made.sender.active, ['q']);
  });
});

test('without a backup codec nothing changes', async () => {
  await withCodecs(['VP8', 'VP9'], async () => {
    const made = await camera({ codec: 'vp9', backupCodec: null });
    await made.publisher.fallBack('t0');
    assert.equal(made.pc.transceivers[0]!.preferred, 'video/VP9');
    assert.equal(made.sender.sets, 0);
  });
});

test('an m-line that is used again wakes and takes the new bitrates', async () => {
  const made = await camera();
  await made.publisher.setLayers('t0', []);
  await made.publisher.unpublish(made.publisher.tracks[0]!);
  await made.publisher.publish(new FakeMedia('video').asTrack, { maxBitrate: 900_000 });
  assert.equal(made.pc.transceivers.length, 1);
  assert.deepEqual(made.sender.active, ['q', 'h', 'f']);
  assert.equal(made.sender.encodings.at(-1)!.maxBitrate, 900_000);
});

test('what the encoder gives up first is for the caller to say', async () => {
  const { sender } = await camera({ degradationPreference: 'maintain-resolution' });
  const parameters = sender.getParameters() as { degradationPreference?: string };
  assert.equal(parameters.degradationPreference, 'maintain-resolution');
});
