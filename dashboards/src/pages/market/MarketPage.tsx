/** One cell's market: how its prices, its book and its rounds went, and what stands in it now. */

import { getBook, getTrends, listCellRounds } from "../../api/endpoints";
import { platformNow } from "../../api/http";
import type { Book, Cell, Round } from "../../api/types";
import { useLive, useLiveStore, useLoaded } from "../../live/hooks";
import { trendFrom, trendOf, WINDOWS, type CellTrend } from "../../live/trends";
import { useChoose, useSearch, useTitle } from "../../router";
import { Empty, Panel, Pending } from "../../ui/Panel";
import { BookPanel } from "./BookPanel";
import { CellChoice, useChosenCell } from "./CellChoice";
import { MarketTabs } from "./MarketTabs";
import { TrendsPanel } from "./TrendsPanel";

const LOOK_MS = 5_000;
const ROUNDS_MAX = 120;

export interface MarketData {
  from: number;
  to: number;
  stepS: number;
  trend: CellTrend;
  rounds: Round[];
  book: Book;
}

async function loadMarket(cellId: string, ms: number, stepS: number): Promise<MarketData> {
  const to = platformNow();
  const from = to - ms;
  const [statistics, rounds, book] = await Promise.all([
    getTrends(cellId, new Date(from).toISOString(), stepS),
    listCellRounds(cellId, null, ROUNDS_MAX),
    getBook(cellId),
  ]);
  const trend = trendOf(statistics.items, stepS);
  return {
    from: trendFrom(trend, from, to),
    to,
    stepS,
    trend,
    rounds: rounds.items.filter((round) => Date.parse(round.created_at) >= from),
    book,
  };
}

export function MarketPage() {
  const { overview, problem } = useLive();
  const loaded = { data: overview, problem, refresh: useLiveStore().refresh };
  const cell = useChosenCell();
  useTitle("Market");
  return (
    <div className="page">
      <MarketTabs />
      {!overview && <Pending loaded={loaded} rows={8} label="Loading the cells" />}
      {overview && !cell && (
        <Panel title="Cells">
          <Empty title="There is no cell">
            <p>
              An operator makes one with <code>souk cell create</code>.
            </p>
          </Empty>
        </Panel>
      )}
      {cell && <CellMarket cell={cell} />}
    </div>
  );
}

function CellMarket({ cell }: { cell: Cell }) {
  const choose = useChoose();
  const asked = useSearch().get("window");
  const chosen = WINDOWS.find((one) => one.label === asked) ?? WINDOWS[1] ?? WINDOWS[0];
  if (!chosen) return null;
  return (
    <>
      <div className="filters market-filters">
        <CellChoice value={cell.id} />
        <label>
          Time{" "}
          <select value={chosen.label} onChange={(event) => choose({ window: event.target.value })}>
            {WINDOWS.map((one) => (
              <option key={one.label} value={one.label}>
                last {one.label}
              </option>
            ))}
          </select>
        </label>
      </div>
      <Chosen cell={cell} ms={chosen.ms} stepS={chosen.stepS} />
    </>
  );
}

function Chosen({ cell, ms, stepS }: { cell: Cell; ms: number; stepS: number }) {
  const loaded = useLoaded(`market ${cell.id} ${ms}`, () => loadMarket(cell.id, ms, stepS), {
    idleMs: LOOK_MS,
  });
  const { data } = loaded;
  return (
    <>
      <Pending loaded={loaded} rows={8} label="Loading the market" />
      {data && (
        <div className="overview-columns">
          <TrendsPanel cell={cell} data={data} />
          <BookPanel cell={cell} book={data.book} />
        </div>
      )}
    </>
  );
}
