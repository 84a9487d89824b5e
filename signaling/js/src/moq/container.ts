/** Frames of MoQ tracks: a QUIC variable-length integer of microseconds, then the codec's bytes. */

/** A frame as it travels. */
export function pack(micros: number, data: Uint8Array): Uint8Array {
  const out = new Uint8Array(8 + data.byteLength);
  const view = new DataView(out.buffer);
  // Eight bytes: the two highest bits say so, 62 are left for the number (RFC 9000, section 16).
  view.setBigUint64(0, BigInt(Math.max(0, Math.round(micros))) | (3n << 62n));
  out.set(data, 8);
  return out;
}

/** Its time and the codec's bytes; `undefined` where it ends too early. */
export function unpack(frame: Uint8Array): { micros: number; data: Uint8Array } | undefined {
  const first = frame[0];
  if (first === undefined) return undefined;
  const length = 1 << (first >> 6);
  if (frame.byteLength < length) return undefined;
  let micros = first & 0x3f;
  for (const byte of frame.subarray(1, length)) micros = micros * 256 + byte;
  return { micros, data: frame.subarray(length) };
}
