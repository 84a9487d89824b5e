/** What a caller may choose when it enters a room, and what holds where it does not. */

import type { WebSocketFactory } from './signaling.js';

/** The join token, or what fetches one: a function is asked again when a token has expired. */
export type TokenSource = string | (() => Promise<string>);

/** Choices for [`connect`](./room.ts). */
export interface ConnectOptions {
  /** The join token. */
  token: TokenSource;
  /** The room, where the token is for many. */
  room?: string;
  /** A display name; the token's, where it has one, wins. */
  name?: string;
  /** Metadata to start with; the token's, where it has some, wins. */
  metadata?: unknown;
  /** How many remote videos can be shown at once: 9. Each brings an audio slot of its own. */
  videoSlots?: number;
  /** Audio slots beyond those paired with a video: 3. */
  extraAudioSlots?: number;
  /**
   * Ask for each video as large as the elements that show it, and for none while they are hidden.
   * On unless said otherwise.
   */
  adaptive?: boolean;
  /** Play remote audio through hidden elements. Turn off to mix it yourself. */
  playAudio?: boolean;
  /** Leave when the page goes away. */
  leaveOnUnload?: boolean;
  /** How long to go on trying to reconnect, in milliseconds: five minutes. */
  giveUpAfterMs?: number;
  /** Where the browser's own are not wanted, or not there. */
  environment?: Partial<Environment>;
  /** Overrides the server's ICE servers and adds to the connection's configuration. */
  rtcConfiguration?: RTCConfiguration;
}

/** What the library takes from its surroundings. */
export interface Environment {
  webSocket: WebSocketFactory;
  peerConnection: (configuration: RTCConfiguration) => RTCPeerConnection;
  /** Milliseconds since the Unix epoch, never stepping back. */
  now: () => number;
}

/** The choices with nothing left open. */
export type Settings = Required<Omit<ConnectOptions, 'room' | 'name' | 'metadata'>> &
  Pick<ConnectOptions, 'room' | 'name' | 'metadata'> & { environment: Environment };

const BROWSER: Environment = {
  webSocket: (url, protocol) => new WebSocket(url, protocol),
  peerConnection: (configuration) => new RTCPeerConnection(configuration),
  now: () => performance.timeOrigin + performance.now(),
};

/** Fills in what was not said. */
export function settingsOf(options: ConnectOptions): Settings {
  return {
    videoSlots: 9,
    extraAudioSlots: 3,
    adaptive: true,
    playAudio: true,
    leaveOnUnload: true,
    giveUpAfterMs: 300_000,
    rtcConfiguration: {},
    ...options,
    environment: { ...BROWSER, ...options.environment },
  };
}
