// Generated from the schema of the `signaling` crate by scripts/generate.mjs. Do not edit.

export type * from './types.js';
export type * from './methods.js';
export type * from './notifications.js';

/** The WebSocket subprotocol that names this version. */
export const SUBPROTOCOL = "troupe.v1";
