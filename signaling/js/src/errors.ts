/** One error type with a stable word, whether the server, the network or the browser refused. */

import type { ErrorType, RpcError } from './protocol/index.js';

/** Failures that happen on this side of the wire. */
export type LocalErrorType =
  /** The signalling connection is down; it is being taken up again unless the room is closed. */
  | 'connection_lost'
  /** The server cannot be reached. */
  | 'unreachable'
  /** No answer in time. */
  | 'timeout'
  /** The room was left. */
  | 'closed'
  /** The server ended the session; `reason` says why. */
  | 'ended'
  /** No media path to the server: a firewall, or no UDP and no TCP. */
  | 'media_failed'
  /** The page has no secure context, so the browser gives neither camera nor microphone. */
  | 'insecure_context'
  /** The user or the browser said no. */
  | 'permission_denied'
  /** There is no such camera or microphone. */
  | 'device_not_found'
  /** The device is there but cannot be opened, most often because another program has it. */
  | 'device_in_use'
  /** The browser lacks something that is needed. */
  | 'browser_unsupported';

/** What went wrong, as a stable word. */
export type TroupeErrorType = ErrorType | LocalErrorType;

/** What may come with an error. */
export interface TroupeErrorDetail {
  /** When trying again makes sense, in milliseconds from now. */
  retryAfterMs?: number | null | undefined;
  /** Where to go instead, with `moved`. */
  url?: string | null | undefined;
  /** The server's reason, with `ended`. */
  reason?: string | undefined;
  /** What caused it. */
  cause?: unknown;
}

/** Every error that this library throws or reports. */
export class TroupeError extends Error {
  override readonly name = 'TroupeError';
  /** What went wrong. */
  readonly type: TroupeErrorType;
  /** When trying again makes sense, in milliseconds from now. */
  readonly retryAfterMs: number | null;
  /** Where to go instead, with `moved`. */
  readonly url: string | null;
  /** The server's reason, with `ended`. */
  readonly reason: string | null;

  constructor(type: TroupeErrorType, message: string, detail: TroupeErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.type = type;
    this.retryAfterMs = detail.retryAfterMs ?? null;
    this.url = detail.url ?? null;
    this.reason = detail.reason ?? null;
  }

  /** The error of a JSON-RPC answer. */
  static fromRpc(error: RpcError): TroupeError {
    // An old or foreign server may leave `data` out, whatever the schema says.
    const data = error.data as RpcError['data'] | undefined;
    return new TroupeError(data?.type ?? 'internal', error.message, {
      retryAfterMs: data?.retryAfterMs,
      url: data?.url,
    });
  }

  /** Any thrown value as a `TroupeError`. */
  static from(cause: unknown, type: TroupeErrorType = 'internal'): TroupeError {
    if (cause instanceof TroupeError) return cause;
    const message = cause instanceof Error ? cause.message : String(cause);
    return new TroupeError(type, message, { cause });
  }
}

const DEVICE_ERRORS: Record<string, [LocalErrorType, string]> = {
  NotAllowedError: ['permission_denied', 'Access was not allowed'],
  SecurityError: ['permission_denied', 'Access was not allowed'],
  NotFoundError: ['device_not_found', 'There is no such device'],
  OverconstrainedError: ['device_not_found', 'No device fits what was asked'],
  NotReadableError: ['device_in_use', 'The device cannot be opened'],
  AbortError: ['device_in_use', 'The device cannot be opened'],
};

/** What a failed `getUserMedia` or `getDisplayMedia` means (Media Capture and Streams, 10.2). */
export function deviceError(cause: unknown): TroupeError {
  if (cause instanceof TroupeError) return cause;
  const name = cause instanceof Error ? cause.name : '';
  const [type, message] = DEVICE_ERRORS[name] ?? ['browser_unsupported', 'No access to devices'];
  return new TroupeError(type, message, { cause });
}

/** Whether the same request may succeed later without anybody doing anything. */
export function isTransient(error: TroupeError): boolean {
  const transient: TroupeErrorType[] = [
    'connection_lost',
    'unreachable',
    'timeout',
    'rate_limited',
    'draining',
    'overloaded',
    'unavailable',
    'internal',
  ];
  return transient.includes(error.type);
}
