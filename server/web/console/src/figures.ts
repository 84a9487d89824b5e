/** Figures of a worker: Prometheus text, and rates made from two readings of it. */

export interface Series {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** Reads the text format; what is none of ours is left out. */
export function parse(text: string): Series[] {
  const series: Series[] = [];
  for (const line of text.split('\n')) {
    const found = /^(\w+)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!found) continue;
    const labels: Record<string, string> = {};
    for (const pair of (found[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      labels[pair[1] ?? ''] = pair[2] ?? '';
    }
    series.push({ name: found[1] ?? '', labels, value: Number(found[3]) });
  }
  return series;
}

/** The sum of a metric over all of its series that have these labels. */
export function sum(all: Series[], name: string, labels: Record<string, string> = {}): number {
  const fits = (it: Series): boolean =>
    it.name === name && Object.entries(labels).every(([key, value]) => it.labels[key] === value);
  return all.filter(fits).reduce((total, it) => total + it.value, 0);
}

export interface Link {
  to: string;
  rttMs: number;
  bitsPerSecond: number;
}

/** What is drawn of one worker at one moment. */
export interface Sample {
  at: number;
  cpu: number;
  packetsIn: number;
  packetsOut: number;
  rooms: number;
  peers: number;
}

/** A reading of a worker's counters, from which the next one makes rates. */
export interface Reading {
  at: number;
  cpuSeconds: number;
  packetsIn: number;
  packetsOut: number;
  relayed: Map<string, number>;
}

export function readingOf(all: Series[], at: number): Reading {
  const relayed = new Map<string, number>();
  for (const it of all) {
    const to = it.labels['worker'];
    if (it.name !== 'troupe_relay_bytes_total' || to === undefined) continue;
    relayed.set(to, (relayed.get(to) ?? 0) + it.value);
  }
  return {
    at,
    cpuSeconds: sum(all, 'troupe_process_cpu_seconds_total'),
    packetsIn: sum(all, 'troupe_rtp_packets_total', { direction: 'in' }),
    packetsOut: sum(all, 'troupe_rtp_packets_total', { direction: 'out' }),
    relayed,
  };
}

const rate = (now: number, before: number, seconds: number): number =>
  Math.max(0, now - before) / seconds;

export function sampleOf(all: Series[], now: Reading, before: Reading): Sample {
  const seconds = Math.max(0.001, (now.at - before.at) / 1_000);
  return {
    at: now.at,
    cpu: rate(now.cpuSeconds, before.cpuSeconds, seconds),
    packetsIn: rate(now.packetsIn, before.packetsIn, seconds),
    packetsOut: rate(now.packetsOut, before.packetsOut, seconds),
    rooms: sum(all, 'troupe_actor_rooms'),
    peers: sum(all, 'troupe_actor_peers'),
  };
}

export function linksOf(all: Series[], now: Reading, before: Reading): Link[] {
  const seconds = Math.max(0.001, (now.at - before.at) / 1_000);
  const ends = all.filter((it) => it.name === 'troupe_relay_rtt_seconds');
  return ends.map((it) => {
    const to = it.labels['worker'] ?? '';
    const bytes = rate(now.relayed.get(to) ?? 0, before.relayed.get(to) ?? 0, seconds);
    return { to, rttMs: it.value * 1_000, bitsPerSecond: bytes * 8 };
  });
}
