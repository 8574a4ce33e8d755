/** A cell's market over time as lines of points: what each chart shows, and where lines break. */

import type { Round, Statistic } from "../api/types";
import { orderedResources } from "../format/units";
import { shareOfBound } from "./market";

export interface TrendPoint {
  at: number;
  value: number;
}

/** A spread around the line: from the tenth to the ninetieth percentile. */
export interface TrendSpread {
  at: number;
  low: number;
  high: number;
}

export interface TrendWindow {
  label: string;
  ms: number;
  stepS: number;
}

export const WINDOWS: readonly TrendWindow[] = [
  { label: "15 min", ms: 15 * 60_000, stepS: 15 },
  { label: "1 h", ms: 3_600_000, stepS: 60 },
  { label: "6 h", ms: 6 * 3_600_000, stepS: 300 },
  { label: "24 h", ms: 24 * 3_600_000, stepS: 1_200 },
];

const CHART_MS_MIN = 60_000;

export interface ResourceTrend {
  resource: string;
  median: TrendPoint[];
  spread: TrendSpread[];
  free: TrendPoint[];
  asked: TrendPoint[];
  filled: TrendPoint[];
}

export interface CellTrend {
  forwarded: TrendPoint[];
  demands: TrendPoint[];
  resources: ResourceTrend[];
}

type Measured = "price_p50_micros" | "depth_free" | "depth_asked" | "fill_rate";

/** Each point stands at the middle of its step. Resources that nobody trades are left out. */
export function trendOf(rows: readonly Statistic[], stepS: number): CellTrend {
  const middle = (row: Statistic) => Date.parse(row.at) + (stepS * 1_000) / 2;
  const traded = rows.filter((row) => row.depth_free || row.depth_asked);
  const resources = orderedResources(traded.map((row) => row.resource));
  const [first] = resources;
  // Demands and forwarding are the cell's: they are the same in the rows of every resource.
  const own = rows.filter((row) => row.resource === first);
  return {
    demands: own.map((row) => ({ at: middle(row), value: row.demands })),
    forwarded: own.flatMap((row) =>
      row.share_forwarded === null ? [] : { at: middle(row), value: row.share_forwarded },
    ),
    resources: resources.map((resource) => {
      const of = rows.filter((row) => row.resource === resource);
      const line = (name: Measured): TrendPoint[] =>
        of.flatMap((row) => {
          const value = row[name];
          return value === null ? [] : { at: middle(row), value };
        });
      return {
        resource,
        median: line("price_p50_micros"),
        spread: of.flatMap((row) =>
          row.price_p10_micros === null || row.price_p90_micros === null
            ? []
            : { at: middle(row), low: row.price_p10_micros, high: row.price_p90_micros },
        ),
        free: line("depth_free"),
        asked: line("depth_asked"),
        filled: line("fill_rate"),
      };
    }),
  };
}

/** Where the charts begin: with the window, or with a younger market's first point. */
export function trendFrom(trend: CellTrend, from: number, to: number): number {
  const first = Math.min(
    ...[trend.demands, ...trend.resources.map((each) => each.median)].flatMap(
      (points) => points[0]?.at ?? [],
    ),
  );
  return Number.isFinite(first) ? Math.max(from, Math.min(first, to - CHART_MS_MIN)) : from;
}

/** What each round reached of its bound, oldest first. */
export const boundTrend = (rounds: readonly Round[]): TrendPoint[] =>
  rounds
    .filter((round) => round.bound > 0)
    .map((round) => ({ at: Date.parse(round.created_at), value: shareOfBound(round) }))
    .sort((a, b) => a.at - b.at);

/** Runs of points without a pause longer than ``pauseMs``: what lies between was not measured. */
export function runsWithout<T extends { at: number }>(
  points: readonly T[],
  pauseMs: number,
): T[][] {
  const runs: T[][] = [];
  for (const point of points) {
    const run = runs.at(-1);
    const last = run?.at(-1);
    if (run && last && point.at - last.at <= pauseMs) run.push(point);
    else runs.push([point]);
  }
  return runs;
}

export interface Range {
  low: number;
  high: number;
}

/** The range that holds all ``values``; with some room where they are all alike. */
export function rangeOf(values: readonly number[], fixed: Partial<Range> = {}): Range {
  const low = fixed.low ?? Math.min(...values);
  const high = fixed.high ?? Math.max(...values);
  if (high > low) return { low, high };
  const room = Math.abs(high) * 0.05 || 1;
  return { low: fixed.low ?? low - room, high: fixed.high ?? high + room };
}
