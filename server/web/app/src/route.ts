/** What the address says: the room, the invitation, and how a kiosk shall join. */

/** How a page joins that nobody touches. */
export interface Kiosk {
  /** Join without the lobby. */
  auto: boolean;
  camera: { width: number; height: number; frameRate: number } | null;
  cameraOff: boolean;
  microphoneOff: boolean;
  layers: 1 | 2 | 3 | null;
  codec: 'vp8' | 'vp9' | 'av1' | 'h264' | 'h265' | null;
  svc: string | null;
}

/** An address of this page. */
export interface Route {
  room: string | null;
  name: string | null;
  token: string | null;
  kiosk: Kiosk;
}

/** What rooms and identities are made of. */
const NAME = /^[A-Za-z0-9_.-]{1,64}$/;

/** Whether a text can be the name of a room. */
export function isName(text: string): boolean {
  return NAME.test(text);
}

function oneOf<T extends string>(value: string | null, words: readonly T[]): T | null {
  return words.find((word) => word === value) ?? null;
}

function cameraOf(text: string | null): Kiosk['camera'] {
  const match = /^(\d{2,4})x(\d{2,4})(?:@(\d{1,3}))?$/.exec(text ?? '');
  if (!match) return null;
  return { width: Number(match[1]), height: Number(match[2]), frameRate: Number(match[3] ?? 30) };
}

/** Reads an address: `/r/{room}?auto=1&name=X&camera=640x360@15&layers=1#token=…`. */
export function readRoute(url: URL): Route {
  const query = url.searchParams;
  const path = /^\/r\/([^/]+)\/?$/.exec(url.pathname);
  const room = path ? decodeURIComponent(path[1] ?? '') : null;
  const layers = oneOf(query.get('layers'), ['1', '2', '3']);
  return {
    room: room !== null && isName(room) ? room : null,
    name: query.get('name'),
    token: new URLSearchParams(url.hash.slice(1)).get('token'),
    kiosk: {
      auto: query.get('auto') === '1',
      camera: cameraOf(query.get('camera')),
      cameraOff: query.get('camera') === 'off',
      microphoneOff: query.get('microphone') === 'off',
      layers: layers ? (Number(layers) as 1 | 2 | 3) : null,
      codec: oneOf(query.get('codec'), ['vp8', 'vp9', 'av1', 'h264', 'h265']),
      svc: query.get('svc'),
    },
  };
}

/** The path of a room. */
export function roomPath(room: string): string {
  return `/r/${encodeURIComponent(room)}`;
}
