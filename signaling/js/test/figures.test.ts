import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Backoff } from '../src/backoff.js';
import { ServerClock, sampleOf } from '../src/clock.js';
import { bitrateFor, encodingsFor, preferCodec } from '../src/encodings.js';
import { TroupeError, deviceError } from '../src/errors.js';
import { AdaptiveReliability } from '../src/reliability.js';
import { signalingUrl } from '../src/signaling.js';

const HD = { width: 1280, height: 720, frameRate: 30 };

test('waits double up to their cap, the first is short', () => {
  const backoff = new Backoff(500, 8_000, () => 1);
  const waits = Array.from({ length: 7 }, () => backoff.next());
  assert.deepEqual(waits, [200, 500, 1_000, 2_000, 4_000, 8_000, 8_000]);
  backoff.reset();
  assert.equal(backoff.next(), 200);
});

test('offset and round trip follow from four times', () => {
  // 1,000 ms ahead, 30 ms there, 10 ms in the server, 30 ms back.
  assert.deepEqual(sampleOf({ t0: 0, t1: 1_030, t2: 1_040 }, 70), { offsetMs: 1_000, rttMs: 60 });
});

test('the fastest sample is believed', async () => {
  let now = 0;
  const delays = [200, 20, 400];
  const clock = new ServerClock(
    (t0) => {
      const there = delays.shift() ?? 0;
      now += there;
      return Promise.resolve({ t0, t1: t0 + there + 5_000, t2: t0 + there + 5_000 });
    },
    () => now,
  );
  assert.equal(clock.rttMs, null);
  for (let index = 0; index < 3; index += 1) await clock.measure();
  assert.equal(clock.rttMs, 20);
  assert.equal(clock.offsetMs, 5_010);
  assert.equal(clock.now(), now + 5_010);
});

test('a camera is sent in three layers, lowest first', () => {
  const encodings = encodingsFor(HD, {});
  assert.deepEqual(
    encodings.map(({ rid, scaleResolutionDownBy }) => [rid, scaleResolutionDownBy]),
    [['q', 4], ['h', 2], ['f', 1]],
  );
  const rates = encodings.map(({ maxBitrate }) => maxBitrate ?? 0);
  assert.equal(rates[2], 1_700_000);
  assert.ok(rates[0]! < rates[1]! && rates[1]! < rates[2]);
  assert.ok(encodings.every(({ scalabilityMode }) => scalabilityMode === undefined));
});

test('one layer, SVC and newer codecs have their own shapes', () => {
  assert.deepEqual(encodingsFor(HD, { layers: 1, maxBitrate: 500_000, maxFramerate: 15 }), [
    { maxFramerate: 15, maxBitrate: 500_000 },
  ]);
  const [svc, ...others] = encodingsFor(HD, { codec: 'vp9', scalabilityMode: 'L3T3_KEY' });
  assert.equal(svc!.scalabilityMode, 'L3T3_KEY');
  assert.equal(others.length, 0);
  assert.equal(svc!.maxBitrate, 1.5 * bitrateFor(HD, 'vp9'), 'two more layers in one stream');
  const [flat] = encodingsFor(HD, { codec: 'av1', scalabilityMode: 'L1T3' });
  assert.equal(flat!.maxBitrate, bitrateFor(HD, 'av1'));
  const av1 = encodingsFor(HD, { codec: 'av1', layers: 2 });
  assert.deepEqual(av1.map(({ rid, scalabilityMode }) => [rid, scalabilityMode]), [
    ['h', 'L1T3'],
    ['f', 'L1T3'],
  ]);
  assert.ok(bitrateFor(HD, 'av1') < bitrateFor(HD, 'vp9'));
  assert.ok(bitrateFor({ ...HD, frameRate: 15 }, 'vp8') > bitrateFor(HD, 'vp8') / 2);
});

test('the wanted codec goes first and none is lost', () => {
  const codecs = ['video/VP8', 'video/rtx', 'video/H264', 'video/VP9'].map((mimeType) => ({ mimeType }));
  const order = preferCodec(codecs, 'vp9').map(({ mimeType }) => mimeType);
  assert.deepEqual(order, ['video/VP9', 'video/VP8', 'video/rtx', 'video/H264']);
  assert.equal(preferCodec(codecs, 'av1').length, 4);
});

test('topics move to the lossy channel on a path that is bad twice over', () => {
  const adaptive = new AdaptiveReliability();
  adaptive.update({ loss: 0.3, rttMs: 50 });
  assert.equal(adaptive.reliable, true);
  adaptive.update({ loss: 0.16, rttMs: 201 });
  assert.equal(adaptive.reliable, false);
  adaptive.update({ loss: 0.1, rttMs: 190 });
  assert.equal(adaptive.reliable, false);
  adaptive.update({ loss: 0.05, rttMs: 190 });
  assert.equal(adaptive.reliable, true);
});

test('a server is named by its origin or by its whole URL', () => {
  assert.equal(signalingUrl('https://t.test'), 'wss://t.test/v1/signal');
  assert.equal(signalingUrl('http://t.test:8080/', 'r'), 'ws://t.test:8080/v1/signal?room=r');
  assert.equal(signalingUrl('wss://t.test/eu/v1/signal?x=1#y'), 'wss://t.test/eu/v1/signal?x=1');
  assert.equal(signalingUrl('/', undefined, 'https://p.test/r/a'), 'wss://p.test/v1/signal');
});

test('device errors have words of their own', () => {
  const named = (name: string): Error => Object.assign(new Error('x'), { name });
  assert.equal(deviceError(named('NotAllowedError')).type, 'permission_denied');
  assert.equal(deviceError(named('NotFoundError')).type, 'device_not_found');
  assert.equal(deviceError(named('NotReadableError')).type, 'device_in_use');
  assert.equal(deviceError(named('TypeError')).type, 'browser_unsupported');
  const known = new TroupeError('insecure_context', 'x');
  assert.equal(deviceError(known), known);
});
