/** The worker before this one: held until everybody has left it. */

import { follow } from './migration.js';
import type { MigrationHost } from './migration.js';
import type { JoinResult, Methods, MigrateParams } from './protocol/index.js';
import type { Session } from './session.js';
import type { Notification } from './signaling.js';

/** What moving needs of the room. */
export interface MoverHost extends Pick<
  MigrationHost,
  'layers' | 'tracks' | 'media' | 'publisher' | 'data'
> {
  /** The session in use. */
  session(): Session;
  /** A session that resumes with this token there. */
  open(url: string, token: string): Session;
  /** Whether the room was left. */
  closed(): boolean;
  /** From here on this session is the room's. */
  take(session: Session, result: JoinResult, early: Notification[]): void;
}

/** What people say: it comes by the worker that they are on. */
const SPOKEN = new Set<string>(['chat', 'message', 'reactions']);

/** Follows a room from worker to worker. */
export class Mover {
  readonly #host: MoverHost;
  #leaving: Session | null = null;

  constructor(host: MoverHost) {
    this.#host = host;
  }

  /** What others must hear wherever they are goes by the old session until all have left it. */
  get talk(): Session {
    return this.#leaving ?? this.#host.session();
  }

  /** Asks this worker, and tells the one before, where there is one. */
  both<M extends keyof Methods>(
    method: M,
    params: Methods[M]['params'],
  ): Promise<Methods[M]['result']> {
    this.#leaving?.request(method, params).catch(() => undefined);
    return this.#host.session().request(method, params);
  }

  /** Whether a notification counts though it comes from the worker before. */
  heeds(session: Session, { method }: Notification): boolean {
    return session === this.#leaving && SPOKEN.has(method);
  }

  /** Follows the room. */
  async migrate({ url, token, deadlineMs }: MigrateParams): Promise<void> {
    const host = this.#host;
    const old = host.session();
    // A move that the next one overtakes has done its work.
    this.#release();
    // Without an address the worker stays, and another shard of it takes the room.
    const next = host.open(url || old.url, token);
    const { layers, tracks, media, publisher, data } = host;
    const parts = { layers, tracks, media, publisher, data };
    const wanted = (): boolean => host.session() === old && !host.closed();
    const adopt = (result: JoinResult, early: Notification[]): void => {
      this.#leaving = old;
      host.take(next, result, early);
      void this.#settle();
    };
    const left = (): void => {
      if (this.#leaving === old) this.#release();
    };
    await follow(old, next, { ...parts, wanted, adopt, left }, deadlineMs);
  }

  /** Leaves the worker before, when the room is left. */
  async leave(): Promise<void> {
    await this.#leaving?.leave();
    this.#leaving = null;
  }

  /** What was published while media moved follows. */
  async #settle(): Promise<void> {
    const { media, publisher } = this.#host;
    const { link } = media;
    if (link && (await publisher.settle(link.pc))) {
      await link.connection.negotiate().catch(() => undefined);
    }
  }

  #release(): void {
    const leaving = this.#leaving;
    if (!leaving) return;
    this.#leaving = null;
    this.#host.data.adopt();
    this.#host.media.release();
    leaving.abandon();
  }
}
