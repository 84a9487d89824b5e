// A bad network between browsers and a media port: troupe-shaper, scripted (docs/testing.md).

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { SHAPED_ADDRESS } from './server.mjs';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const BINARY = process.env.TROUPE_SHAPER ?? join(ROOT, 'target/debug/troupe-shaper');

/** A script: what each direction does, as tables of TOML. */
export function script({ seed = 1, up = {}, down = {} }) {
  const table = (name, { steps = [], ...rest }) =>
    [
      `[${name}]`,
      ...Object.entries(rest).map(([key, value]) => `${key} = ${JSON.stringify(value)}`),
      ...steps.flatMap((step) => [
        `[[${name}.steps]]`,
        ...Object.entries(step).map(([key, value]) => `${key} = ${JSON.stringify(value)}`),
      ]),
    ].join('\n');
  return [`seed = ${seed}`, table('up', up), table('down', down), ''].join('\n');
}

/** Stands before a media port of this machine, from now on. */
export async function startShaper(port, choices) {
  const folder = await mkdtemp(join(tmpdir(), 'troupe-shaper-'));
  const [path, report] = [join(folder, 'script.toml'), join(folder, 'report.json')];
  await writeFile(path, script(choices));
  const ends = ['--listen', `${SHAPED_ADDRESS}:${port}`, '--upstream', `127.0.0.1:${port}`];
  const child = spawn(BINARY, [...ends, '--script', path, '--report', report, '--with-stdin'], {
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  const exit = once(child, 'exit');
  const said = await Promise.race([once(child.stderr, 'data'), exit]);
  if (!String(said[0]).startsWith('shaping')) throw new Error(`the shaper said: ${said[0]}`);
  return new Shaper(child, exit, folder, report);
}

class Shaper {
  constructor(child, exit, folder, report) {
    Object.assign(this, { child, exit, folder, report, startedAt: performance.now() });
  }

  /** Seconds since it began, as its script counts. */
  get seconds() {
    return (performance.now() - this.startedAt) / 1000;
  }

  /** Ends it. The report has `heaviest`: the client to whom most bytes went, as a rule the viewer. */
  async stop() {
    this.child.stdin.end();
    await this.exit;
    const report = JSON.parse(await readFile(this.report, 'utf8'));
    await rm(this.folder, { recursive: true, force: true });
    const bytes = ({ down }) => down.rate_kbps.reduce((sum, rate) => sum + rate, 0);
    const [heaviest] = report.flows.sort((a, b) => bytes(b) - bytes(a));
    return { ...report, heaviest };
  }
}
