/**
 * Media over QUIC by WebTransport: publish from WebCodecs, play to a canvas.
 *
 * An entry of its own, `@troupe/client/moq`, with `@moq/net` beside it; the main entry has no
 * dependencies.
 */

import { Connection } from '@moq/net';

import { TroupeError } from '../errors.js';
import { play, type MoqPlayer, type PlayOptions } from './play.js';
import { publish, type MoqPublisher, type PublishOptions } from './publish.js';

export type { MoqPlayer, PlayOptions, PlayStats } from './play.js';
export type { MoqPublisher, PublishOptions, PublishStats } from './publish.js';

/** Where and as whom. */
export interface MoqOptions {
  /** The room. */
  room: string;
  /** A token with the grant `ingest` to publish, `play` to play; or what fetches one. */
  token: string | (() => Promise<string>);
  /** Gives the attempt up. */
  signal?: AbortSignal;
}

/** One session with a room. */
export interface MoqSession {
  /** The draft that was agreed on. */
  readonly version: string;
  /** Ends with the session. */
  readonly closed: Promise<void>;
  /** Publishes a stream under the token's identity. */
  publish(options: PublishOptions): Promise<MoqPublisher>;
  /** Plays the stream of an identity. */
  play(identity: string, options: PlayOptions): MoqPlayer;
  /** Ends it. */
  close(): void;
}

interface Reach {
  port: number;
  certificateHashes: string[];
}

/**
 * Opens a session. `server` is the HTTP address of a worker, which tells the port of QUIC and, where
 * it made its certificate itself, what to pin.
 */
export async function connect(server: string | URL, options: MoqOptions): Promise<MoqSession> {
  if (!('WebTransport' in globalThis)) {
    throw new TroupeError('browser_unsupported', 'this browser has no WebTransport');
  }
  const [reach, token] = await Promise.all([
    ask(server, options.signal),
    typeof options.token === 'string' ? options.token : options.token(),
  ]);
  const url = new URL(server);
  url.protocol = 'https:';
  url.port = String(reach.port);
  url.pathname = `/${options.room}`;
  url.search = new URLSearchParams({ token }).toString();
  const connection = await open(url, reach, options.signal);
  return {
    version: connection.version,
    closed: connection.closed,
    publish: (publishing) => publish(connection, identityOf(token), publishing),
    play: (identity, playing) => play(connection, identity, playing),
    close: () => connection.close(),
  };
}

async function ask(server: string | URL, signal: AbortSignal | undefined): Promise<Reach> {
  const answer = await fetch(new URL('/v1/quic', server), signal ? { signal } : {}).catch(
    (cause: unknown) => {
      throw new TroupeError('unreachable', 'the server cannot be reached', { cause });
    },
  );
  if (!answer.ok) throw new TroupeError('unreachable', 'the server does not speak QUIC');
  return (await answer.json()) as Reach;
}

async function open(
  url: URL,
  reach: Reach,
  signal: AbortSignal | undefined,
): Promise<Connection.Established> {
  const hashes = reach.certificateHashes.map((value) => ({ value }));
  try {
    return await Connection.connect(url, {
      webtransport: hashes.length > 0 ? { serverCertificateHashes: hashes } : {},
      websocket: { enabled: false },
      ...(signal ? { signal } : {}),
    });
  } catch (cause) {
    throw new TroupeError('unreachable', 'the session was not let in', { cause });
  }
}

/** What the token says it is for; the server judges it. */
function identityOf(token: string): string {
  const claims = token.split('.')[1] ?? '';
  const text = atob(claims.replaceAll('-', '+').replaceAll('_', '/'));
  const { sub } = JSON.parse(text) as { sub?: unknown };
  if (typeof sub !== 'string') throw new TroupeError('unauthorized', 'the token names nobody');
  return sub;
}
