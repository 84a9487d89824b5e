import assert from 'node:assert/strict';
import { test } from 'node:test';

import { firstOf, hex, unhex } from '../src/moq/catalog.js';
import { pack, unpack } from '../src/moq/container.js';

test('frames carry their time', () => {
  const data = Uint8Array.of(1, 2, 3);
  for (const micros of [0, 63, 20_000, 1_790_000_000_000_000]) {
    assert.deepEqual(unpack(pack(micros, data)), { micros, data });
  }
});

test('every length of number is read', () => {
  // The examples of RFC 9000, section A.1.
  const read = (...bytes: number[]) => unpack(Uint8Array.from(bytes))?.micros;
  assert.equal(read(0x25), 37);
  assert.equal(read(0x7b, 0xbd), 15_293);
  assert.equal(read(0x9d, 0x7f, 0x3e, 0x7d), 494_878_333);
  assert.equal(read(0x7b), undefined);
  assert.equal(read(), undefined);
});

test('records are written as hexadecimal digits', () => {
  const record = Uint8Array.of(0x01, 0x42, 0xc0, 0x1f);
  assert.equal(hex(record), '0142c01f');
  assert.deepEqual(unhex('0142c01f'), record);
});

test('the first track that can be read is played', () => {
  const track = (kind: string) => ({ codec: 'vp8', container: { kind } });
  const renditions = { a: track('cmaf'), b: track('legacy'), c: track('legacy') };
  assert.equal(firstOf({ renditions })?.[0], 'b');
  assert.equal(firstOf(undefined), undefined);
});
