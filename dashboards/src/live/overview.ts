/**
 * What an event changes in the overview at once, before the next load makes it exact.
 *
 * Pure: (overview, event) → overview. Only what an event states is patched; sums that would have
 * to be guessed wait for the load that every event also asks for.
 */

import {
  JOB_STATES,
  NODE_STATES,
  type JobState,
  type Overview,
  type PriceRow,
  type SoukEvent,
} from "../api/types";

export function applyEvent(overview: Overview, event: SoukEvent): Overview {
  const [subject, change = ""] = event.kind.split(".", 2);
  if (subject === "job") return moveJob(overview, event, change);
  if (subject === "node") return moveNode(overview, event, change);
  if (typeof event.data.prices === "object") return movePrices(overview, event);
  return overview;
}

function moveJob(overview: Overview, event: SoukEvent, change: string): Overview {
  const named = change === "submitted" ? "queued" : change;
  const state = JOB_STATES.find((one) => one === named);
  if (!state) return overview;
  const before = overview.jobs.recent.find((job) => job.id === event.subject_id);
  if (!before || before.state === state) return overview;
  const count = (of: JobState) => overview.jobs.by_state[of] ?? 0;
  return {
    ...overview,
    jobs: {
      by_state: {
        ...overview.jobs.by_state,
        [before.state]: Math.max(0, count(before.state) - 1),
        [state]: count(state) + 1,
      },
      recent: overview.jobs.recent.map((job) => (job === before ? { ...job, state } : job)),
    },
  };
}

function moveNode(overview: Overview, event: SoukEvent, change: string): Overview {
  const state = NODE_STATES.find((one) => one === change);
  if (!state) return overview;
  return {
    ...overview,
    nodes: overview.nodes.map((node) => (node.id === event.subject_id ? { ...node, state } : node)),
  };
}

function movePrices(overview: Overview, event: SoukEvent): Overview {
  const { cell_id: cellId, prices } = event.data;
  if (typeof prices !== "object" || prices === null) return overview;
  const micros = prices as Record<string, unknown>;
  return {
    ...overview,
    prices: overview.prices.map((row) => {
      const price = row.cell_id === cellId ? micros[row.resource] : undefined;
      if (typeof price !== "number") return row;
      // A round's prices have fractions of a micro; what is stored and charged has none.
      return { ...row, price_micros: Math.round(price), at: event.at };
    }),
  };
}

export interface PricePoint {
  at: number;
  priceMicros: number;
}
export type PriceSeries = ReadonlyMap<string, readonly PricePoint[]>;

export const PRICE_WINDOW_MS = 15 * 60_000;
const POINTS_MAX = 400;

export const seriesKey = (cellId: string, resource: string) => `${cellId} ${resource}`;

/** ``series`` with ``rows`` sorted in, repeats and points out of the window dropped. */
export function addPrices(
  series: PriceSeries,
  rows: readonly PriceRow[],
  now: number,
): PriceSeries {
  const next = new Map(series);
  for (const row of rows) {
    const at = Date.parse(row.at);
    const key = seriesKey(row.cell_id, row.resource);
    const points = next.get(key) ?? [];
    if (Number.isNaN(at) || points.some((point) => point.at === at)) continue;
    next.set(
      key,
      [...points, { at, priceMicros: row.price_micros }].sort((a, b) => a.at - b.at),
    );
  }
  for (const [key, points] of next) next.set(key, inWindow(points, now));
  return next;
}

/** The last point before the window stays: it is the price with which the window opened. */
function inWindow(points: readonly PricePoint[], now: number): readonly PricePoint[] {
  const first = points.findIndex((point) => point.at >= now - PRICE_WINDOW_MS);
  const kept = first < 0 ? points.slice(-1) : points.slice(Math.max(0, first - 1));
  return kept.slice(-POINTS_MAX);
}
