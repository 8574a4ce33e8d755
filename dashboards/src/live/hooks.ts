/** How components read the live picture, the clock and single resources. */

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
import type { SoukEvent } from "../api/types";
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

/**
 * ``load()`` now, after each event that ``wakes`` says concerns it, and every ``idleMs`` (0: not).
 * What was loaded for another ``key`` is never shown.
 */
export function useLoaded<T>(
  key: string,
  load: () => Promise<T>,
  options: { wakes?: (event: SoukEvent) => boolean; idleMs?: number } = {},
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
