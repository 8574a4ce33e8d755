/** What a plan's figures are called, in which unit they stand, and which way is better. */

import { formatPrice } from "../format/money";
import { formatScore } from "../format/score";
import { formatDuration } from "../format/time";
import { compact, significant } from "../format/units";

interface FigureFormat {
  label: string;
  unit: string;
  format: (value: number) => string;
  /** 1: more is better, −1: less is, 0: neither. */
  better: 1 | -1 | 0;
}

const percent = (share: number) => `${compact(share * 100, 2)} %`;
const credits = (micros: number) => formatPrice(Math.round(micros));

export const FIGURES: Readonly<Record<string, FigureFormat>> = {
  welfare: { label: "Welfare", unit: "score", format: formatScore, better: 1 },
  bound: { label: "Certified bound", unit: "score", format: formatScore, better: 0 },
  gap: { label: "Gap to the bound", unit: "", format: percent, better: -1 },
  slots: { label: "Slots sold", unit: "", format: significant, better: 1 },
  demand_served: { label: "Demand served", unit: "size", format: significant, better: 1 },
  jain: { label: "Evenness (Jain)", unit: "0 to 1", format: significant, better: 1 },
  cost_term: { label: "Cost term", unit: "0 to 1", format: significant, better: 1 },
  qos_term: { label: "QoS term", unit: "0 to 1", format: significant, better: 1 },
  energy_term: { label: "Energy term", unit: "0 to 1", format: significant, better: 1 },
  fairness_term: { label: "Fairness term", unit: "0 to 1", format: significant, better: 1 },
  revenue_micros_per_hour: { label: "Revenue", unit: "cr/h", format: credits, better: 0 },
  reserve_micros_per_hour: { label: "Reserves", unit: "cr/h", format: credits, better: 0 },
  power_milliwatts: {
    label: "Power",
    unit: "W",
    format: (milliwatts) => significant(milliwatts / 1_000),
    better: -1,
  },
  latency_ms: { label: "Latency", unit: "", format: formatDuration, better: -1 },
  clear_ms: { label: "Clearing", unit: "", format: formatDuration, better: -1 },
};

export const FIGURE_ORDER = Object.keys(FIGURES);

/** Known figures in their order; what a newer platform adds is left out. */
export function orderedFigures<T extends { name: string }>(items: readonly T[]): T[] {
  return FIGURE_ORDER.flatMap((name) => items.filter((item) => item.name === name));
}

export interface Change {
  text: string;
  verdict: "better" | "worse" | "alike" | "other";
}

/** How the shadow differs; shares differ in points, all else in per cent of the live one. */
export function changeOf(name: string, live: number, shadow: number): Change {
  const better = FIGURES[name]?.better ?? 0;
  const points = name === "gap";
  const change = points ? shadow - live : live ? shadow / live - 1 : null;
  if (shadow === live || (change !== null && Math.abs(change) < 0.0005)) {
    return { text: "no change", verdict: "alike" };
  }
  const up = shadow > live;
  const size = change === null ? "from nothing" : compact(Math.abs(change) * 100, 1);
  const text = change === null ? size : `${up ? "+" : "−"}${size} ${points ? "points" : "%"}`;
  if (better === 0) return { text, verdict: "other" };
  return { text, verdict: up === better > 0 ? "better" : "worse" };
}
