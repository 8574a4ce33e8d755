/** What a core or a GiB costs in each cell now, and how that moved. */

import type { PriceRow } from "../../api/types";
import { formatCredits, formatPrice } from "../../format/money";
import { formatShare, orderedResources, resourceFormat } from "../../format/units";
import { useNow } from "../../live/hooks";
import { PRICE_WINDOW_MS, seriesKey, type PricePoint, type PriceSeries } from "../../live/overview";
import { Empty, Panel } from "../../ui/Panel";
import { Sparkline } from "../../ui/Sparkline";

const CHART_MS_MIN = 60_000;

export function PricesPanel({
  prices,
  series,
}: {
  prices: readonly PriceRow[];
  series: PriceSeries;
}) {
  const traded = prices.filter((row) => row.price_micros > 0 || row.utilisation > 0);
  const cells = [...new Map(traded.map((row) => [row.cell_id, row.cell_name]))];
  return (
    <Panel title="Prices" note={`up to ${PRICE_WINDOW_MS / 60_000} minutes back`}>
      {cells.length === 0 && (
        <Empty title="No price has been set">
          <p>The first round of a cell sets its prices.</p>
        </Empty>
      )}
      {cells.map(([cellId, name]) => {
        const rows = traded.filter((row) => row.cell_id === cellId);
        const ordered = orderedResources(rows.map((row) => row.resource));
        return (
          <div key={cellId} className="prices-cell">
            <h3>{name}</h3>
            {ordered.map((resource) => {
              const row = rows.find((candidate) => candidate.resource === resource);
              const points = series.get(seriesKey(cellId, resource)) ?? [];
              return row && <Price key={resource} row={row} points={points} />;
            })}
          </div>
        );
      })}
    </Panel>
  );
}

/** Where the line begins: with the window, or with a younger market's first price. */
export function chartFrom(points: readonly PricePoint[], now: number): number {
  const first = points[0]?.at ?? 0;
  return Math.min(now - CHART_MS_MIN, Math.max(now - PRICE_WINDOW_MS, first));
}

/** Relative change over the window; null without an earlier price. */
export function priceChange(points: readonly PricePoint[], nowMicros: number): number | null {
  const first = points[0]?.priceMicros;
  return first ? (nowMicros - first) / first : null;
}

function Price({ row, points }: { row: PriceRow; points: readonly PricePoint[] }) {
  const now = useNow();
  const { label, pricedPer } = resourceFormat(row.resource);
  const change = priceChange(points, row.price_micros);
  const moved = change !== null && Math.abs(change) >= 0.0005;
  const micros = points.map((point) => point.priceMicros);
  const range = micros.length
    ? `from ${formatCredits(Math.min(...micros))} to ${formatCredits(Math.max(...micros))}`
    : "no history";
  return (
    <div className="price">
      <span className="price-label">{label}</span>
      <Sparkline
        points={points}
        from={chartFrom(points, now)}
        to={now}
        label={`${label} price in ${row.cell_name}: ${range} credits per ${pricedPer}`}
      />
      <span className="price-now">
        <span title={`${formatCredits(row.price_micros)} credits`}>
          {formatPrice(row.price_micros)}
        </span>{" "}
        <span className="unit">cr/{pricedPer}</span>
      </span>
      <span className="price-facts">
        <span className={moved ? (change > 0 ? "price-up" : "price-down") : "muted"}>
          {moved ? `${change > 0 ? "▲" : "▼"} ${Math.abs(change * 100).toFixed(1)} %` : "steady"}
        </span>
        <span className="muted"> · {formatShare(row.utilisation)} leased</span>
      </span>
    </div>
  );
}
