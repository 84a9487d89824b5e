// A publisher by RTMP that sends an FLV file as it happens, with other times than the file's: what no
// encoder at hand can be made to send.

import { connect } from 'node:net';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';

const CHUNK_BYTES = 60_000;
const [SET_CHUNK_SIZE, AUDIO, VIDEO, COMMAND] = [1, 8, 9, 20];

/** AMF0 of numbers, texts, `null` and plain objects. */
function amf(value) {
  if (value === null) return Buffer.from([5]);
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(9);
    bytes.writeDoubleBE(value, 1);
    return bytes;
  }
  const text = (it) => {
    const bytes = Buffer.from(it);
    return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
  };
  if (typeof value === 'string') return Buffer.concat([Buffer.from([2]), text(value)]);
  const fields = Object.entries(value).flatMap(([name, field]) => [text(name), amf(field)]);
  return Buffer.concat([Buffer.from([3]), ...fields, Buffer.from([0, 0, 9])]);
}

/** A message in chunks, each with its whole header. */
function message(kind, time, stream, body, chunkBytes = CHUNK_BYTES) {
  const [id, long] = [kind === VIDEO ? 6 : kind === AUDIO ? 4 : 3, time >= 0xffffff];
  const head = Buffer.alloc(12);
  head[0] = id;
  head.writeUIntBE(long ? 0xffffff : time, 1, 3);
  head.writeUIntBE(body.length, 4, 3);
  head[7] = kind;
  head.writeUInt32LE(stream, 8);
  const more = Buffer.alloc(long ? 4 : 0);
  if (long) more.writeUInt32BE(time);
  const parts = [head, more];
  for (let at = 0; at < body.length; at += chunkBytes) {
    if (at > 0) parts.push(Buffer.from([0xc0 | id]), more);
    parts.push(body.subarray(at, at + chunkBytes));
  }
  return Buffer.concat(parts);
}

/** The tags of an FLV file. */
export function tagsOf(file) {
  const tags = [];
  for (let at = 13; at + 11 < file.length; ) {
    const size = file.readUIntBE(at + 1, 3);
    const time = file.readUIntBE(at + 4, 3) + file[at + 7] * 2 ** 24;
    tags.push({ kind: file[at], time, body: file.subarray(at + 11, at + 11 + size) });
    at += size + 15;
  }
  return tags.filter(({ kind }) => kind === AUDIO || kind === VIDEO);
}

/**
 * Publishes tags as they happen until they end or `stop()`.
 * @param {string} url as encoders get it
 * @param {function} rewrite the time to send of `{ kind, time }`, or nothing to leave it out
 */
export async function publishTags(url, tags, rewrite) {
  const { hostname, port, pathname, search } = new URL(url.replace('rtmp:', 'http:'));
  const [, app, key] = pathname.split('/');
  const socket = connect(Number(port), hostname);
  const closed = once(socket, 'close');
  socket.on('error', () => undefined);
  let heard = '';
  socket.on('data', (bytes) => (heard += bytes.toString('latin1')));
  const hears = async (check) => {
    while (!check()) {
      if (socket.destroyed) throw new Error('the server hung up');
      await pause(5);
    }
  };
  await once(socket, 'connect');
  socket.write(Buffer.concat([Buffer.from([3]), Buffer.alloc(1_536)]));
  await hears(() => heard.length >= 3_073);
  socket.write(Buffer.from(heard.slice(1, 1_537), 'latin1'));
  const size = Buffer.alloc(4);
  size.writeUInt32BE(CHUNK_BYTES);
  socket.write(message(SET_CHUNK_SIZE, 0, 0, size));
  const say = (stream, ...values) =>
    socket.write(message(COMMAND, 0, stream, Buffer.concat(values.map(amf))));
  say(0, 'connect', 1, { app, type: 'nonprivate', tcUrl: `rtmp://${hostname}:${port}/${app}` });
  await hears(() => heard.includes('NetConnection.Connect.Success'));
  say(0, 'createStream', 2, null);
  say(1, 'publish', 3, null, `${key}${search}`, 'live');
  await hears(() => heard.includes('NetStream.Publish.Start'));
  const started = performance.now();
  let ended = false;
  const held = {};
  const sending = (async () => {
    for (const { kind, time, body } of tags) {
      const late = time - (performance.now() - started);
      if (late > 0) await pause(late);
      if (ended || socket.destroyed) return;
      const config = kind === VIDEO ? body[1] === 0 : body[1] === 0 && body[0] >> 4 === 10;
      const sent = rewrite({ kind: kind === VIDEO ? 'video' : 'audio', time });
      // A track that is left out at first begins with its configuration nevertheless.
      if (sent === undefined && config) held[kind] = body;
      if (sent === undefined) continue;
      const begins = held[kind] ? [held[kind]] : [];
      delete held[kind];
      for (const it of [...begins, body]) socket.write(message(kind, Math.round(sent) % 2 ** 32, 1, it));
    }
  })();
  return {
    sending,
    closed,
    stop: async () => {
      ended = true;
      socket.destroy();
      await sending;
    },
  };
}
