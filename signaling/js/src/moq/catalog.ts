/** The catalog of a broadcast: its tracks as WebCodecs describes decoders. */

/** The track that carries it. */
export const CATALOG_TRACK = 'catalog.json';

/** One track. */
export interface Rendition {
  /** The codec as WebCodecs names it. */
  codec: string;
  container: { kind: string };
  /** The codec's configuration record, in hexadecimal digits. */
  description?: string;
  codedWidth?: number;
  codedHeight?: number;
  sampleRate?: number;
  numberOfChannels?: number;
}

/** What a broadcast has, by the names of its tracks. */
export interface Catalog {
  video?: { renditions: Record<string, Rendition> };
  audio?: { renditions: Record<string, Rendition> };
}

/** Bytes as a catalog writes them. */
export function hex(bytes: AllowSharedBufferSource): string {
  const view = ArrayBuffer.isView(bytes)
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes);
  return Array.from(view, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The bytes that a catalog wrote. */
export function unhex(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length >> 1);
  for (let at = 0; at < bytes.length; at += 1) {
    bytes[at] = Number.parseInt(text.slice(2 * at, 2 * at + 2), 16);
  }
  return bytes;
}

/** The first track of a kind that can be read, with its name. */
export function firstOf(
  section: { renditions: Record<string, Rendition> } | undefined,
): [string, Rendition] | undefined {
  const readable = Object.entries(section?.renditions ?? {});
  return readable.find(([, rendition]) => rendition.container.kind === 'legacy');
}
