/** Asks the admin API of the worker that serves this page. */

import type { Page, Role } from './types.js';

const ROOT = '/admin/v1';
const KEY = 'troupe.console.token';
const PAGES_MAX = 20;

/** What the API refuses, in its words. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly type: string,
    detail: string,
  ) {
    super(detail);
  }
}

interface ProblemBody {
  type?: string;
  title?: string;
  detail?: string;
}

export class Api {
  constructor(readonly token: string) {}

  /** What the token says of its bearer; it is judged by the worker alone. */
  get claims(): { sub: string; role: Role } {
    try {
      const body = (this.token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
      const claims = JSON.parse(atob(body)) as { sub?: string; troupe?: { admin?: Role } };
      return { sub: claims.sub ?? '', role: claims.troupe?.admin ?? 'viewer' };
    } catch {
      return { sub: '', role: 'viewer' };
    }
  }

  /** Whether the token's role is at least this one. */
  may(role: Role): boolean {
    const order: Role[] = ['viewer', 'operator', 'admin'];
    return order.indexOf(this.claims.role) >= order.indexOf(role);
  }

  async raw(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set('authorization', `Bearer ${this.token}`);
    const response = await fetch(`${ROOT}/${path}`, { ...init, headers, cache: 'no-store' });
    if (response.ok) return response;
    const body = (await response.json().catch(() => ({}))) as ProblemBody;
    const type = body.type ?? String(response.status);
    throw new Problem(response.status, type, body.detail ?? body.title ?? type);
  }

  async get<T>(path: string): Promise<T> {
    return (await (await this.raw(path)).json()) as T;
  }

  async send(method: string, path: string, body?: unknown): Promise<Response> {
    const init: RequestInit = { method };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers = { 'content-type': 'application/json' };
    }
    return this.raw(path, init);
  }

  /** All items of a list; of very long ones the beginning. */
  async list<T>(path: string): Promise<T[]> {
    const items: T[] = [];
    let cursor: string | null | undefined;
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const more = cursor ? `&cursor=${encodeURIComponent(cursor)}` : '';
      const answer: Page<T> = await this.get(`${path}?limit=1000${more}`);
      items.push(...answer.items);
      cursor = answer.cursor;
      if (!cursor) break;
    }
    return items;
  }
}

/** The token of the address, which then forgets it, or that of this tab. */
export function findToken(): string | null {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given) {
    history.replaceState(null, '', location.pathname);
    keepToken(given);
    return given;
  }
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** Keeps the token as long as the tab lives. */
export function keepToken(token: string | null): void {
  try {
    if (token === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, token);
  } catch {
    // A browser that keeps nothing asks again after a reload.
  }
}
