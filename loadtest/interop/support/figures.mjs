// Figures of a run: printed where they were measured, and kept in out/figures.jsonl.

import { appendFile, mkdir } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';

const OUT = fileURLToPath(new URL('../out/', import.meta.url));

/** Tells a figure of the test `t`. */
export async function figure(t, name, value, unit = '') {
  const rounded = typeof value === 'number' ? Math.round(value * 100) / 100 : value;
  t.diagnostic(`${name}: ${rounded}${unit && ` ${unit}`}`);
  const spec = basename(process.argv[1] ?? '', '.test.mjs');
  const row = { spec, test: t.name, name, value: rounded, unit, at: new Date().toISOString() };
  await mkdir(OUT, { recursive: true });
  await appendFile(`${OUT}figures.jsonl`, `${JSON.stringify(row)}\n`);
}

/** The middle one. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** The smallest of a column. */
export const least = (rows, column) => Math.min(...rows.map((row) => row[column]));
/** The sum of a column. */
export const sum = (rows, column) => rows.reduce((total, row) => total + row[column], 0);
