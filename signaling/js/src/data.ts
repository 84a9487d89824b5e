/** Messages on data channels as bytes: the envelope, and parts of what is too large for one. */

import { TroupeError } from './errors.js';
import type { DataHeader } from './protocol/index.js';

/** The version in the first byte. */
export const DATA_VERSION = 1;
/** Longest message on the lossy channel, in bytes. */
export const LOSSY_BYTES_MAX = 16 * 1024;
/** Longest message on the reliable channel, in bytes. */
export const RELIABLE_BYTES_MAX = 256 * 1024;
/** Longest topic, in bytes, one less than on the wire: parts need a mark. */
export const TOPIC_BYTES_MAX = 63;
/** Payload of one part: small enough that other topics get their turn in between. */
export const PART_BYTES = 64 * 1024;
/** Largest payload that can be sent or will be put together, in bytes. */
export const WHOLE_BYTES_MAX = 64 * 1024 * 1024;

/** Topics that start so carry parts; an application's own cannot. */
const PART_MARK = '~';
const FIXED = 3;
const PART_HEADER = 12;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Writes `u8 version, u16 header length, JSON header, payload`. */
export function writeMessage(header: DataHeader, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const json = encoder.encode(JSON.stringify(header));
  const message = new Uint8Array(FIXED + json.length + payload.length);
  new DataView(message.buffer).setUint16(1, json.length);
  message[0] = DATA_VERSION;
  message.set(json, FIXED);
  message.set(payload, FIXED + json.length);
  return message;
}

/** Reads a message, or nothing where it is not one. */
export function readMessage(
  bytes: ArrayBuffer,
): { header: DataHeader; payload: Uint8Array } | null {
  if (bytes.byteLength < FIXED) return null;
  const view = new DataView(bytes);
  const end = FIXED + view.getUint16(1);
  if (view.getUint8(0) !== DATA_VERSION || end > bytes.byteLength) return null;
  try {
    const text = decoder.decode(new Uint8Array(bytes, FIXED, end - FIXED));
    const header = JSON.parse(text) as Partial<DataHeader> | null;
    if (typeof header?.topic !== 'string' || typeof header.seq !== 'number') return null;
    return { header: header as DataHeader, payload: new Uint8Array(bytes, end) };
  } catch {
    return null;
  }
}

/** Refuses a topic that the wire does not carry. */
export function checkTopic(topic: string): void {
  if (topic.startsWith(PART_MARK)) {
    throw new TroupeError('invalid_params', `A topic cannot start with ${PART_MARK}`);
  }
  if (encoder.encode(topic).length > TOPIC_BYTES_MAX) {
    throw new TroupeError('too_large', `A topic has at most ${TOPIC_BYTES_MAX} bytes`);
  }
}

/** The topic under which the parts of a topic travel. */
export const partTopic = (topic: string): string => PART_MARK + topic;

/** The topic whose part this is, if it is one. */
export function topicOfPart(topic: string): string | null {
  return topic.startsWith(PART_MARK) ? topic.slice(PART_MARK.length) : null;
}

/** Cuts a payload into parts: `u32 whole, u32 index, u32 count`, then the bytes. */
export function* partsOf(whole: number, payload: Uint8Array): Generator<Uint8Array> {
  const count = Math.max(1, Math.ceil(payload.length / PART_BYTES));
  for (let index = 0; index < count; index += 1) {
    const slice = payload.subarray(index * PART_BYTES, (index + 1) * PART_BYTES);
    const part = new Uint8Array(PART_HEADER + slice.length);
    const view = new DataView(part.buffer);
    view.setUint32(0, whole);
    view.setUint32(4, index);
    view.setUint32(8, count);
    part.set(slice, PART_HEADER);
    yield part;
  }
}

interface Assembly {
  whole: number;
  count: number;
  parts: Uint8Array[];
}

/**
 * Puts parts together. The reliable channel keeps their order, so a gap means that the sender's
 * connection was replaced: what came of that payload is dropped.
 */
export class Assembler {
  readonly #assemblies = new Map<string, Assembly>();

  /** Takes the next part of one sender and topic. Returns the payload with its last part. */
  take(key: string, part: Uint8Array): Uint8Array | null {
    if (part.length < PART_HEADER) return null;
    const view = new DataView(part.buffer, part.byteOffset, PART_HEADER);
    const [whole, index, count] = [view.getUint32(0), view.getUint32(4), view.getUint32(8)];
    const fits = count > 0 && count <= Math.ceil(WHOLE_BYTES_MAX / PART_BYTES);
    if (index === 0 && fits) this.#assemblies.set(key, { whole, count, parts: [] });
    const assembly = this.#assemblies.get(key);
    if (!assembly) return null;
    if (assembly.whole !== whole || assembly.count !== count || assembly.parts.length !== index) {
      this.#assemblies.delete(key);
      return null;
    }
    assembly.parts.push(part.subarray(PART_HEADER));
    if (assembly.parts.length < count) return null;
    this.#assemblies.delete(key);
    return join(assembly.parts);
  }

  /** Forgets what has come of one sender. */
  forget(prefix: string): void {
    for (const key of [...this.#assemblies.keys()]) {
      if (key.startsWith(prefix)) this.#assemblies.delete(key);
    }
  }
}

function join(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
