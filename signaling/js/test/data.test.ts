import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  Assembler,
  PART_BYTES,
  checkTopic,
  partTopic,
  partsOf,
  readMessage,
  topicOfPart,
  writeMessage,
} from '../src/data.js';

const bytes = (...values: number[]): Uint8Array => new Uint8Array(values);

test('the bytes are as documented', () => {
  const header = { to: 'room', topic: 'cursor', seq: 7 };
  const message = writeMessage(header, bytes(120, 121));
  const json = JSON.stringify(header);
  const expected = [1, 0, json.length, ...new TextEncoder().encode(json), 120, 121];
  assert.deepEqual([...message], expected);
  assert.deepEqual(readMessage(message.buffer), { header, payload: bytes(120, 121) });
});

test('what is not a message is nothing', () => {
  for (const wrong of [[], [1, 0], [2, 0, 0], [1, 0, 9, 123], [1, 0, 2, 123, 125], [1, 0, 1, 255]]) {
    assert.equal(readMessage(bytes(...wrong).buffer as ArrayBuffer), null, String(wrong));
  }
});

test('topics have limits and parts have a mark', () => {
  checkTopic('x'.repeat(63));
  assert.throws(() => checkTopic('x'.repeat(64)), { type: 'too_large' });
  assert.throws(() => checkTopic('é'.repeat(32)), { type: 'too_large' });
  assert.throws(() => checkTopic('~x'), { type: 'invalid_params' });
  assert.equal(topicOfPart(partTopic('file')), 'file');
  assert.equal(topicOfPart('file'), null);
});

test('a large payload is cut and put together', () => {
  const payload = new Uint8Array(2 * PART_BYTES + 5).map((_, index) => index % 251);
  const parts = [...partsOf(3, payload)];
  assert.equal(parts.length, 3);
  const assembler = new Assembler();
  assert.equal(assembler.take('a', parts[0]!), null);
  assert.equal(assembler.take('b', parts[0]!), null);
  assert.equal(assembler.take('a', parts[1]!), null);
  assert.deepEqual(assembler.take('a', parts[2]!), payload);
  assert.equal(assembler.take('a', parts[2]!), null);
});

test('a gap drops the payload, and the next begins anew', () => {
  const [first, second, third] = [...partsOf(1, new Uint8Array(3 * PART_BYTES))];
  const assembler = new Assembler();
  assembler.take('a', first!);
  assert.equal(assembler.take('a', third!), null);
  assert.equal(assembler.take('a', second!), null);
  const small = [...partsOf(2, bytes(9))];
  assert.deepEqual(assembler.take('a', small[0]!), bytes(9));
  assert.equal(assembler.take('a', bytes(1, 2)), null);
  assembler.take('p f', first!);
  assembler.forget('p ');
  assert.equal(assembler.take('p f', second!), null);
});
