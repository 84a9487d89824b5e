// What workers are deployed by: Helm renders the chart, Kubernetes' schemas and the server itself
// judge what comes of it (python/deploy.py says how).

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const BINARY = process.env.TROUPE_BIN ?? join(ROOT, 'target/debug/troupe');
const SCRIPT = join(ROOT, 'loadtest/interop/python/deploy.py');
const PYTHON = join(ROOT, 'loadtest/interop/.venv/bin/python');

test('the chart, the compose file and the image fit the server', { timeout: 120_000 }, async (t) => {
  const words = [SCRIPT, BINARY, join(ROOT, 'control-plane/deploy')];
  const { stdout } = await promisify(execFile)(PYTHON, words, { encoding: 'utf8' });
  const { chart, secured, workers, libraries } = JSON.parse(stdout);
  t.diagnostic(stdout.trim());
  const always = ['ConfigMap', 'PodDisruptionBudget', 'Service', 'Service', 'StatefulSet'];
  const usual = ['Certificate', 'Certificate', 'NetworkPolicy', 'Secret', ...always].sort();
  assert.deepEqual(chart, {
    default: usual,
    autoscaled: ['HorizontalPodAutoscaler', ...usual].sort(),
    plain: always,
    readable: usual,
    secured: usual,
    believing: usual,
    moved: usual,
  });
  const etcd = (...words) => words.map((word) => `TROUPE_CLUSTER__ETCD__${word}`);
  const usually = { admin: 'https', etcd: etcd('ENDPOINTS') };
  assert.deepEqual(secured, {
    default: usually,
    autoscaled: usually,
    plain: { ...usually, admin: 'http' },
    readable: { ...usually, admin: 'http' },
    secured: { ...usually, etcd: etcd('CA', 'CERTIFICATE', 'ENDPOINTS', 'KEY', 'SERVER_NAME') },
    believing: { ...usually, etcd: etcd('CA', 'ENDPOINTS') },
    moved: usually,
  });
  assert.deepEqual(workers, ['worker-1', 'worker-2', 'worker-3']);
  assert.deepEqual(libraries, ['libavcodec59', 'libavutil57', 'libswresample4', 'libswscale6']);
});
