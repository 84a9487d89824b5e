/** What went wrong, in words for the person in front of the screen. */

import type { LeaveReason, TroupeErrorType } from '@troupe/client';
import { TroupeError } from '@troupe/client';

import { NO_INVITATION } from './access.js';

/** A failure as it is shown. */
export interface Explanation {
  title: string;
  text: string;
  /** Whether trying the same again makes sense. */
  retry: boolean;
}

type Words = Partial<Record<TroupeErrorType, [title: string, text: string, retry?: boolean]>>;

const JOINING: Words = {
  unauthorized: [
    'This invitation is not valid',
    'It may have expired. Ask whoever invited you for a new link.',
  ],
  replayed: [
    'This invitation has been used',
    'It works once only. Ask whoever invited you for a new link.',
  ],
  forbidden: ['You are not invited to this room', 'The link you followed is for another room.'],
  room_full: ['The room is full', 'Wait until somebody leaves, then try again.', true],
  draining: ['The server is about to restart', 'Try again in a minute.', true],
  unreachable: [
    'The server cannot be reached',
    'Check your connection to the internet, then try again.',
    true,
  ],
  connection_lost: [
    'The connection was lost',
    'We tried for a while and could not reach the server any more.',
    true,
  ],
  timeout: ['The server does not answer', 'It may be busy. Try again in a moment.', true],
  rate_limited: ['Too many attempts', 'Wait a moment, then try again.', true],
  overloaded: ['The server is busy', 'Try again in a moment.', true],
  unavailable: ['The server is not ready', 'Try again in a moment.', true],
  tls_required: ['This page must be opened with https://', 'The server refuses plain connections.'],
  not_found: ['There is no such room', 'Rooms on this server are opened by its operator.'],
  browser_unsupported: [
    'This browser cannot make calls',
    'Use a current Chrome, Edge, Firefox or Safari.',
  ],
};

const ENDED: Partial<Record<string, [string, string, boolean?]>> = {
  kicked: ['You were removed from the room', 'An operator ended your part in this call.'],
  replaced: [
    'You joined from somewhere else',
    'The call goes on in the other window. Join again to bring it here.',
    true,
  ],
  room_closed: ['The room was closed', 'Thank you for being there.'],
  revoked: ['Your invitation was withdrawn', 'Ask whoever invited you.'],
  malformed: ['The server did not understand this page', 'Reload the page to get its latest version.', true],
};

/** Why one is not in the room, or not any more. */
export function explain(error: TroupeError): Explanation {
  if (error.reason === NO_INVITATION) {
    return {
      title: 'You need an invitation',
      text: 'Rooms on this server are entered with a personal link, one that ends in #token=….',
      retry: false,
    };
  }
  const found = error.type === 'ended' ? ENDED[error.reason ?? ''] : JOINING[error.type];
  const [title, text, retry] = found ?? ['Something went wrong', error.message, true];
  return { title, text, retry: retry ?? false };
}

const DEVICES: Words = {
  permission_denied: ['is blocked', 'Allow it in the address bar of your browser, then try again.'],
  device_not_found: ['was not found', 'Plug one in, or choose another.'],
  device_in_use: ['cannot be opened', 'Another program may be using it.'],
  insecure_context: [
    'is not available here',
    'Browsers allow it only on https:// pages and on localhost.',
  ],
  browser_unsupported: ['is not available', 'This browser gives pages no access to it.'],
  forbidden: ['is not allowed', 'Your invitation lets you watch, but not be seen or heard.'],
  room_full: ['cannot be shared', 'There are as many speakers in this room as it takes.'],
};

/** Why a device does not work. `device` is what the sentence begins with. */
export function explainDevice(device: string, cause: unknown): Explanation {
  const error = TroupeError.from(cause);
  const [what, text] = DEVICES[error.type] ?? ['does not work', error.message];
  return { title: `${device} ${what}`, text, retry: error.type !== 'insecure_context' };
}

const LEFT: Partial<Record<LeaveReason, string>> = {
  timeout: 'lost the connection',
  kicked: 'was removed',
  transport_failed: 'lost the connection',
};

/** How somebody went. */
export function explainLeaving(name: string, reason: LeaveReason): string {
  return `${name} ${LEFT[reason] ?? 'left'}`;
}
