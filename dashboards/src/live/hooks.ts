/** How components read the live picture, the clock, resources and lists, and ask for changes. */

import {
  createContext,
  useContext,
  useEffect,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";
import { platformNow } from "../api/http";
import { asProblem, type Problem } from "../api/problem";
import type { Page, SoukEvent } from "../api/types";
import { Refresher } from "./refresher";
import type { Live, LiveStore } from "./store";

export const LiveContext = createContext<LiveStore | null>(null);

export function useLiveStore(): LiveStore {
  const store = useContext(LiveContext);
  if (!store) throw new Error("useLiveStore outside of a signed-in page");
  return store;
}

export function useLive(): Live {
  const store = useLiveStore();
  return useSyncExternalStore(store.subscribe, store.get);
}

const tickers = new Set<() => void>();
let ticking: ReturnType<typeof setInterval> | undefined;

function subscribeToSeconds(listener: () => void): () => void {
  tickers.add(listener);
  ticking ??= setInterval(() => tickers.forEach((tick) => tick()), 1_000);
  return () => {
    tickers.delete(listener);
    if (tickers.size > 0) return;
    clearInterval(ticking);
    ticking = undefined;
  };
}

/** The platform's time in whole seconds, as ms; renders again when it changes. */
export function useNow(): number {
  return useSyncExternalStore(subscribeToSeconds, () => Math.floor(platformNow() / 1_000) * 1_000);
}

export interface Loaded<T> {
  data: T | null;
  problem: Problem | null;
  refresh: () => void;
}

interface LoadOptions {
  wakes?: (event: SoukEvent) => boolean;
  idleMs?: number;
}

/**
 * ``load()`` now, after each event that ``wakes`` says concerns it, and every ``idleMs`` (0: not).
 * What was loaded for another ``key`` is never shown.
 */
export function useLoaded<T>(
  key: string,
  load: () => Promise<T>,
  options: LoadOptions = {},
): Loaded<T> {
  const store = useLiveStore();
  const [held, setHeld] = useState<{ key: string; data: T | null; problem: Problem | null }>({
    key,
    data: null,
    problem: null,
  });
  const latest = useRef({ load, wakes: options.wakes });
  latest.current = { load, wakes: options.wakes };
  const refresher = useRef<Refresher | null>(null);
  const idleMs = options.idleMs ?? 0;
  useEffect(() => {
    let current = true;
    const run = async () => {
      try {
        const data = await latest.current.load();
        if (current) setHeld({ key, data, problem: null });
      } catch (error) {
        const problem = asProblem(error);
        if (current) setHeld((was) => ({ key, data: was.key === key ? was.data : null, problem }));
      }
    };
    const loader = new Refresher(run, 400, idleMs);
    refresher.current = loader;
    loader.request();
    const stop = store.onEvent((event) => {
      if (latest.current.wakes?.(event)) loader.request();
    });
    return () => {
      current = false;
      loader.stop();
      stop();
    };
  }, [key, idleMs, store]);
  const fresh = held.key === key;
  return {
    data: fresh ? held.data : null,
    problem: fresh ? held.problem : null,
    refresh: () => refresher.current?.request(),
  };
}

export interface Pages<T> extends Loaded<T[]> {
  /** Loads the next older page; null after the oldest. */
  more: (() => void) | null;
}

/**
 * A list whose first page is kept fresh like ``useLoaded``; older pages stay as they were loaded.
 * For one list: what shows another has a React key of its own.
 */
export function usePages<T extends { id: string }>(
  key: string,
  load: (cursor: string | null) => Promise<Page<T>>,
  options: LoadOptions = {},
): Pages<T> {
  const first = useLoaded(key, () => load(null), options);
  const [older, setOlder] = useState<Page<T> | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const newest = first.data?.items ?? null;
  const seen = new Set(newest?.map((item) => item.id));
  const rest = (older?.items ?? []).filter((item) => !seen.has(item.id));
  const cursor = (older ?? first.data)?.next_cursor ?? null;
  const more = async () => {
    try {
      const page = await load(cursor);
      setOlder({ ...page, items: [...(older?.items ?? newest ?? []), ...page.items] });
      setProblem(null);
    } catch (error) {
      setProblem(asProblem(error));
    }
  };
  return {
    data: newest && [...newest, ...rest],
    problem: problem ?? first.problem,
    refresh: () => {
      setProblem(null);
      first.refresh();
    },
    more: cursor === null ? null : () => void more(),
  };
}

export interface Deed {
  /** Why the last one was refused. */
  problem: Problem | null;
  run: (change: () => Promise<unknown>) => void;
}

/** What a person asks to be changed; ``after`` each, whether it was done or refused. */
export function useDeed(after: () => void): Deed {
  const [problem, setProblem] = useState<Problem | null>(null);
  const run = async (change: () => Promise<unknown>) => {
    try {
      await change();
      setProblem(null);
    } catch (error) {
      setProblem(asProblem(error));
    }
    after();
  };
  return { problem, run: (change) => void run(change) };
}
