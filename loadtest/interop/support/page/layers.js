// Runs in the page: which layers of its one video a publisher sends, and since when. Times are those
// of the machine's clock, so that those of two pages compare.

import { outbound, pause } from './probe.js';

const now = () => performance.timeOrigin + performance.now();

/** What was sent of each layer: `{ rid: [frames, bytes] }`; a layer has no row before it begins. */
async function sent(connection) {
  const rows = (await outbound(connection)).filter(({ kind }) => kind === 'video');
  const none = Object.fromEntries(['q', 'h', 'f'].map((rid) => [rid, [0, 0]]));
  const some = rows.map(({ rid, framesSent, bytesSent }) => [rid, [framesSent ?? 0, bytesSent ?? 0]]);
  return { ...none, ...Object.fromEntries(some) };
}

/** Waits until nothing was sent of `rids` for a second; returns when the last of it was. */
export async function stopped(connection, rids, ms) {
  const end = now() + ms;
  let before = await sent(connection);
  let last = now();
  while (now() - last < 1_000) {
    if (now() > end) throw new Error(`still sent after ${ms} ms: ${JSON.stringify(before)}`);
    await pause(20);
    const after = await sent(connection);
    if (rids.some((rid) => after[rid][1] !== before[rid][1])) last = now();
    before = after;
  }
  return last;
}

/** Waits until a picture of each of `rids` was sent; returns when that was seen. */
export async function flows(connection, rids, ms) {
  const [started, end] = [await sent(connection), now() + ms];
  for (;;) {
    const after = await sent(connection);
    if (rids.every((rid) => after[rid][0] > started[rid][0])) return now();
    if (now() > end) throw new Error(`not sent within ${ms} ms: ${JSON.stringify(after)}`);
    await pause(5);
  }
}

/** Pictures sent of each layer in `ms`. */
export async function gained(connection, ms) {
  const before = await sent(connection);
  await pause(ms);
  const after = await sent(connection);
  return Object.fromEntries(
    Object.entries(after).map(([rid, [frames]]) => [rid, frames - before[rid][0]]),
  );
}
