/** What the market is measured in: score, and how much of a round's bound may be missed. */

import { compact, significant } from "./units";

/** Welfare and bounds are in score. */
export const formatScore = (score: number): string => significant(score);

/** Missed of the bound at most; a proven best one misses nothing. */
export function formatGap({ bound, gap }: { bound: number; gap: number }): string {
  if (bound <= 0) return "–";
  return gap <= 0 ? "0 %" : `≤ ${compact(Math.max(0.01, gap * 100), 2)} %`;
}
