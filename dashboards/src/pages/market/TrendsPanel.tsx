/** A cell's market over time: bound, demand and forwarding; price, depth and filling by resource. */

import type { Cell } from "../../api/types";
import { formatPrice } from "../../format/money";
import { formatClock, formatDuration } from "../../format/time";
import { amount, compact, formatShare, resourceFormat } from "../../format/units";
import { boundTrend, type ResourceTrend } from "../../live/trends";
import { Link } from "../../router";
import { Empty, Panel } from "../../ui/Panel";
import { Table } from "../../ui/Table";
import { Trend } from "../../ui/Trend";
import type { MarketData } from "./MarketPage";

const SHARE = { low: 0, high: 1 };
const ROWS_MAX = 60;

export function TrendsPanel({ cell, data }: { cell: Cell; data: MarketData }) {
  const { trend, from, to, stepS } = data;
  const times = { from, to, pauseMs: stepS * 2_500 };
  const bound = boundTrend(data.rounds);
  return (
    <Panel
      title={`${cell.name} over time`}
      note={`each point ${formatDuration(stepS * 1_000)}`}
      actions={<Link href={`/market/rounds?cell=${cell.id}`}>Its rounds</Link>}
    >
      {trend.resources.length === 0 ? (
        <Empty title="No round in this time">
          <p>A cell clears a round as soon as somebody bids there.</p>
        </Empty>
      ) : (
        <>
          <h3>Rounds and demand</h3>
          <div className="trends">
            <Trend
              {...times}
              // Its own time: in a busy market the last rounds are those of some minutes.
              from={bound[0]?.at ?? from}
              title="Welfare"
              unit="of the certified bound, each round"
              lines={[{ name: "newest", className: "trend-accent trend-dots", points: bound }]}
              pauseMs={0} // each round is a dot
              range={{ high: 1, low: Math.min(0.9, ...bound.map((point) => point.value)) }}
              format={formatShare}
              empty="nothing could be won"
            />
            <Trend
              {...times}
              title="Jobs' demands"
              unit="new in each step"
              lines={[{ name: "newest", className: "trend-accent", points: trend.demands }]}
              range={{ low: 0 }}
              format={(value) => compact(value, 0)}
              empty="nobody has bid"
            />
            <Trend
              {...times}
              title="Sent on"
              unit="of the demands, to other cells"
              lines={[{ name: "newest", className: "trend-accent", points: trend.forwarded }]}
              range={SHARE}
              format={formatShare}
              empty="nobody has bid"
            />
          </div>
          {trend.resources.map((each) => (
            <ResourceTrends key={each.resource} trend={each} times={times} />
          ))}
        </>
      )}
    </Panel>
  );
}

function ResourceTrends({
  trend,
  times,
}: {
  trend: ResourceTrend;
  times: { from: number; to: number; pauseMs: number };
}) {
  const { label, unit, pricedPer } = resourceFormat(trend.resource);
  const price = (micros: number) => formatPrice(Math.round(micros));
  return (
    <>
      <h3>{label}</h3>
      <div className="trends">
        <Trend
          {...times}
          // A price holds until the next round: its line has no gaps.
          pauseMs={Infinity}
          title="Price"
          unit={`cr/${pricedPer}`}
          lines={[{ name: "median", className: "trend-price", points: trend.median }]}
          spread={trend.spread}
          format={price}
          empty="no price yet"
        />
        <Trend
          {...times}
          title="Book depth"
          unit={`${unit}, mean of the rounds`}
          lines={[
            { name: "free", className: "trend-accent", points: trend.free },
            { name: "asked for", className: "trend-asked", points: trend.asked },
          ]}
          range={{ low: 0 }}
          format={(units) => amount(trend.resource, units)}
          empty="nothing measured"
        />
        <Trend
          {...times}
          title="Filled"
          unit="of what was asked for"
          lines={[{ name: "newest", className: "trend-accent", points: trend.filled }]}
          range={SHARE}
          format={formatShare}
          empty="nothing was asked for"
        />
      </div>
      <TrendTable trend={trend} price={price} to={times.to} />
    </>
  );
}

/** The same figures as a table, for those who read rather than look. */
function TrendTable({
  trend,
  price,
  to,
}: {
  trend: ResourceTrend;
  price: (micros: number) => string;
  to: number;
}) {
  const { label, unit, pricedPer } = resourceFormat(trend.resource);
  const at = <T extends { at: number }>(points: readonly T[], time: number) =>
    points.find((point) => point.at === time);
  const columns = [
    { label: "Time" },
    { label: `P10 cr/${pricedPer}`, className: "num" },
    { label: "Median", className: "num" },
    { label: "P90", className: "num" },
    { label: `Free ${unit}`, className: "num" },
    { label: "Asked for", className: "num" },
    { label: "Filled", className: "num" },
  ];
  const times = trend.free.map((point) => point.at).slice(-ROWS_MAX);
  return (
    <details className="trend-table">
      <summary>{label} as a table</summary>
      <div
        className="scroll scroll-tall"
        role="group"
        aria-label={`${label} over time`}
        tabIndex={0}
      >
        <Table columns={columns} className="table-small">
          <tbody>
            {times.toReversed().map((time) => {
              const spread = at(trend.spread, time);
              const median = at(trend.median, time);
              const filled = at(trend.filled, time);
              return (
                <tr key={time}>
                  <th scope="row">{formatClock(new Date(time).toISOString(), to)}</th>
                  <td className="num">{spread ? price(spread.low) : "–"}</td>
                  <td className="num">{median ? price(median.value) : "–"}</td>
                  <td className="num">{spread ? price(spread.high) : "–"}</td>
                  <td className="num">
                    {amount(trend.resource, at(trend.free, time)?.value ?? 0)}
                  </td>
                  <td className="num">
                    {amount(trend.resource, at(trend.asked, time)?.value ?? 0)}
                  </td>
                  <td className="num">{filled ? formatShare(filled.value) : "–"}</td>
                </tr>
              );
            })}
          </tbody>
        </Table>
      </div>
    </details>
  );
}
