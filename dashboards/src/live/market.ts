/** How well each cell's market does: its rounds against their bounds, its book and its prices. */

import type { Round, Statistic } from "../api/types";
import { orderedResources } from "../format/units";

export const ROUNDS_SHOWN = 40;

export interface CellMarket {
  cellId: string;
  name: string;
  /** Rounds in which somebody bid, oldest first. */
  rounds: Round[];
  resources: Statistic[];
}

/** What a round reached of the most that any plan could have: 1 is proven to be the best. */
export const shareOfBound = (round: Round): number => Math.min(1, Math.max(0, 1 - round.gap));

/** A purchase beside the rounds (a top-up, a move): one bid that takes what is nearest. */
const isPurchase = (round: Round): boolean => round.mechanism === "nearest";

/** One entry a cell that has cleared anything, by name. */
export function marketsOf(
  rounds: readonly Round[],
  statistics: readonly Statistic[],
): CellMarket[] {
  const cells = new Map(statistics.map((row) => [row.cell_id, row.cell_name]));
  return [...cells]
    .map(([cellId, name]) => ({
      cellId,
      name,
      rounds: rounds
        .filter((round) => round.cell_id === cellId && round.bound > 0 && !isPurchase(round))
        .slice(0, ROUNDS_SHOWN)
        .reverse(),
      resources: resourcesOf(statistics.filter((row) => row.cell_id === cellId)),
    }))
    .filter((market) => market.resources.length > 0)
    .sort((a, b) => a.name.localeCompare(b.name));
}

/** The newest row of each resource that is traded there at all. */
function resourcesOf(rows: readonly Statistic[]): Statistic[] {
  const newest = new Map<string, Statistic>();
  for (const row of rows) {
    const before = newest.get(row.resource);
    if (!before || before.at <= row.at) newest.set(row.resource, row);
  }
  const traded = [...newest.values()].filter((row) => row.depth_free || row.depth_asked);
  return orderedResources(traded.map((row) => row.resource)).flatMap(
    (resource) => newest.get(resource) ?? [],
  );
}
