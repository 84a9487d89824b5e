/** What is known of the cluster, kept as it is now. */

import { useCallback, useEffect, useRef, useState } from 'preact/hooks';

import { Problem } from './api.js';
import type { Api } from './api.js';
import type { Link, Reading, Sample } from './figures.js';
import { linksOf, parse, readingOf, sampleOf } from './figures.js';
import { follow } from './stream.js';
import { messageOf } from './text.js';
import type { Migration, RoomStatus, Topology, TroupeEvent } from './types.js';

/** Events come by the dozen; the state behind them is asked for once. */
const GATHER_MS = 120;
const LOOK_MS = 5_000;
const MOVING_MS = 400;
const FIGURES_MS = 2_000;
const SAMPLES_MAX = 150;
const EVENTS_MAX = 200;
const MOVES_MAX = 20;

/** A move as it was seen: when it reached each of its steps. */
export interface SeenMove extends Migration {
  steps: Record<string, number>;
  /** When it was over; absent while it goes on. */
  ended?: number;
}

export interface Cluster {
  topology: Topology;
  rooms: RoomStatus[];
  moves: SeenMove[];
  samples: Map<string, Sample[]>;
  links: Map<string, Link[]>;
  events: TroupeEvent[];
  /** Rises with each event. */
  version: number;
  live: boolean;
  error: string | null;
  signedOut: boolean;
  refresh: () => void;
  /** A move was asked for: it may be over before anybody looks what moves. */
  began: (move: Migration) => void;
}

/** Takes what moves now into what was seen to move. */
export function seen(before: SeenMove[], now: Migration[], at: number): SeenMove[] {
  const same = (a: Migration, b: Migration): boolean =>
    a.room === b.room && a.plannedAtMs === b.plannedAtMs;
  const kept = before.map((move) => {
    const still = now.find((it) => same(it, move));
    if (still) return { ...move, ...still, steps: { [still.phase]: at, ...move.steps } };
    return move.ended === undefined ? { ...move, ended: at } : move;
  });
  const fresh = now.filter((it) => !before.some((move) => same(it, move)));
  const begun = fresh.map((it) => ({ ...it, steps: { [it.phase]: at } }));
  return [...begun, ...kept].slice(0, MOVES_MAX);
}

/** Takes in a move that has begun. */
export function begun(before: SeenMove[], move: Migration, at: number): SeenMove[] {
  const known = before.some((it) => it.room === move.room && it.plannedAtMs === move.plannedAtMs);
  if (known) return before;
  return [{ ...move, steps: { [move.phase]: at } }, ...before].slice(0, MOVES_MAX);
}

type Figures = Pick<Cluster, 'samples' | 'links'>;

function useFigures(api: Api, workers: string[]): Figures {
  const [figures, setFigures] = useState<Figures>({ samples: new Map(), links: new Map() });
  const readings = useRef(new Map<string, Reading>());
  const names = workers.join(' ');
  useEffect(() => {
    const look = async (worker: string): Promise<void> => {
      const all = parse(await (await api.raw(`workers/${worker}/metrics`)).text());
      const now = readingOf(all, Date.now());
      const before = readings.current.get(worker);
      readings.current.set(worker, now);
      if (!before) return;
      setFigures(({ samples, links }) => {
        const kept = [...(samples.get(worker) ?? []), sampleOf(all, now, before)];
        return {
          samples: new Map(samples).set(worker, kept.slice(-SAMPLES_MAX)),
          links: new Map(links).set(worker, linksOf(all, now, before)),
        };
      });
    };
    const all = (): void => {
      for (const worker of names.split(' ').filter(Boolean)) look(worker).catch(() => undefined);
    };
    all();
    const timer = setInterval(all, FIGURES_MS);
    return () => clearInterval(timer);
  }, [api, names]);
  return figures;
}

export function useCluster(api: Api): Cluster {
  const [topology, setTopology] = useState<Topology>({ workers: [], rooms: [] });
  const [rooms, setRooms] = useState<RoomStatus[]>([]);
  const [moves, setMoves] = useState<SeenMove[]>([]);
  const [events, setEvents] = useState<TroupeEvent[]>([]);
  const [version, setVersion] = useState(0);
  const [live, setLive] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const [signedOut, setSignedOut] = useState(false);

  const look = useCallback(async () => {
    try {
      const [topology, rooms, moving] = await Promise.all([
        api.get<Topology>('topology'),
        api.list<RoomStatus>('rooms'),
        api.list<Migration>('migrations'),
      ]);
      setTopology(topology);
      setRooms(rooms);
      setMoves((before) => seen(before, moving, Date.now()));
      setError(null);
    } catch (error) {
      if (error instanceof Problem && error.status === 401) setSignedOut(true);
      setError(messageOf(error));
    }
  }, [api]);

  const pending = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const refresh = useCallback(() => {
    pending.current ??= setTimeout(() => {
      pending.current = undefined;
      void look();
    }, GATHER_MS);
  }, [look]);

  useEffect(() => {
    const stop = new AbortController();
    const heard = (event: TroupeEvent): void => {
      setEvents((before) => [event, ...before].slice(0, EVENTS_MAX));
      setVersion((version) => version + 1);
      refresh();
    };
    const open = (open: boolean): void => {
      setLive(open);
      // What happened meanwhile was told to nobody.
      if (open) refresh();
    };
    void look();
    void follow(api, { heard, open }, stop.signal);
    return () => stop.abort();
  }, [api, look, refresh]);

  const began = useCallback(
    (move: Migration): void => {
      setMoves((before) => begun(before, move, Date.now()));
      refresh();
    },
    [refresh],
  );

  const moving = moves.some((move) => move.ended === undefined);
  useEffect(() => {
    const timer = setInterval(refresh, moving ? MOVING_MS : LOOK_MS);
    return () => clearInterval(timer);
  }, [refresh, moving]);

  const figures = useFigures(api, topology.workers.map(({ id }) => id));
  const state = { topology, rooms, moves, events, version, live, error, signedOut };
  return { ...state, ...figures, refresh, began };
}
