/** What the admin API answers, as far as the page shows it. */

export type Role = 'viewer' | 'operator' | 'admin';

export interface WorkerRecord {
  id: string;
  url: string;
  region: string;
  ready: boolean;
  draining: boolean;
  rooms: number;
  loadPermille: number;
  admin: string | null;
  here: boolean;
}

export interface OwnedRoom {
  name: string;
  worker: string;
  epoch: number;
  migrating: boolean;
}

export interface Topology {
  workers: WorkerRecord[];
  rooms: OwnedRoom[];
}

export interface RoomStatus {
  name: string;
  peers: number;
  publishers: number;
  tracks: number;
  openedAt: number;
  worker: string;
  epoch: number;
  shards: number[];
}

export interface Track {
  trackId: string;
  kind: string;
  source: string;
  muted: boolean;
  live: boolean;
}

export interface PeerStatus {
  peerId: string;
  sessionId: string;
  name?: string;
  state: string;
  via: string;
  joinedAt: number;
  tracks: Track[];
  quality?: number;
  qualityReason?: string;
}

export interface Migration {
  room: string;
  from: string;
  to: string;
  phase: string;
  plannedAtMs: number;
  deadlineMs: number;
  reason: string;
}

export interface Flag {
  name: string;
  switch: boolean;
  enabled: boolean;
  percent: number;
  rooms: string[];
  peers: string[];
  description?: string;
  value?: unknown;
}

export interface ConfigState {
  config: Record<string, unknown>;
  live: string[];
  stored: Record<string, unknown>;
  refused: { what: string; problem: string }[];
}

export interface AuditItem {
  chain: string;
  seq: number;
  hash: string;
  entry: {
    at: number;
    actor: string;
    action: string;
    status: number;
    detail?: unknown;
  };
}

export interface TroupeEvent {
  id: number;
  at: number;
  type: string;
  worker: string;
  room?: string;
  data?: unknown;
}

export interface Page<T> {
  items: T[];
  cursor?: string | null;
  missing?: unknown[];
}
