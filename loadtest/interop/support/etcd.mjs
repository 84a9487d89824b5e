// A real etcd on ports of its own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { freePort } from './ports.mjs';

const START_MS_MAX = 30_000;

/** Starts one member; the result has its `url` and `stop()`. */
export async function startEtcd() {
  const [client, peer] = [await freePort(), await freePort()];
  const data = await mkdtemp(join(tmpdir(), 'troupe-etcd-'));
  const url = `http://127.0.0.1:${client}`;
  const peers = `http://127.0.0.1:${peer}`;
  const child = spawn(
    'etcd',
    [
      ...['--name', 'one', '--log-level', 'error', '--unsafe-no-fsync', '--data-dir', data],
      ...[`--listen-client-urls=${url}`, `--advertise-client-urls=${url}`],
      ...[`--listen-peer-urls=${peers}`, `--initial-advertise-peer-urls=${peers}`],
      `--initial-cluster=one=${peers}`,
    ],
    { stdio: 'ignore' },
  );
  const end = Date.now() + START_MS_MAX;
  for (;;) {
    const health = await fetch(`${url}/health`).catch(() => undefined);
    if (health?.ok) break;
    if (Date.now() > end) throw new Error('etcd does not start');
    await pause(50);
  }
  return {
    url,
    async stop() {
      const exit = once(child, 'exit');
      child.kill('SIGKILL');
      await exit;
      await rm(data, { recursive: true, force: true });
    },
  };
}

/** What a worker needs to know of it, and the key that all workers share. */
export function clusterEnv(etcd) {
  return {
    TROUPE_CLUSTER__STORE: 'etcd',
    TROUPE_CLUSTER__ETCD__ENDPOINTS: `["${etcd.url}"]`,
    TROUPE_CLUSTER__LEASE_TTL: '3s',
    TROUPE_AUTH__CLUSTER_KEY: 'a cluster key of thirty-two bytes',
  };
}
