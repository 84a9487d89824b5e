// Datagrams that mean nothing, at a given rate, at a media port.

import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';

const TICK_MS = 5;

/** One of a few kinds: noise, and what begins like STUN, DTLS, RTP and RTCP. */
function garbage(index) {
  const bytes = randomBytes(20 + ((index * 37) % 1_180));
  const heads = [undefined, [0x00, 0x01], [0x16, 0xfe, 0xfd], [0x80, 0x60], [0x80, 0xc8]];
  const head = heads[index % heads.length];
  if (head) bytes.set(head);
  // The magic cookie of STUN (RFC 8489, section 5), so that parsing goes further.
  if (index % heads.length === 1) bytes.set([0x21, 0x12, 0xa4, 0x42], 4);
  return bytes;
}

/** Sends `perSecond` datagrams for `ms`; resolves to how many were sent. */
export async function flood(port, { perSecond, ms, host = '127.0.0.1' }) {
  const socket = createSocket('udp4');
  const kinds = Array.from({ length: 500 }, (_, index) => garbage(index));
  const started = performance.now();
  let sent = 0;
  for (;;) {
    const passed = performance.now() - started;
    const due = Math.min(passed, ms) * (perSecond / 1_000);
    while (sent < due) {
      socket.send(kinds[sent % kinds.length], port, host, () => undefined);
      sent += 1;
    }
    if (passed >= ms) break;
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  socket.close();
  return sent;
}
