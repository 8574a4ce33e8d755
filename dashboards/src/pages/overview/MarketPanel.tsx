/** How near to the best each cell's rounds came, how deep its book is, and what was paid. */

import { getStatistics, listRounds } from "../../api/endpoints";
import { platformNow } from "../../api/http";
import type { Round, Statistic } from "../../api/types";
import { formatPrice } from "../../format/money";
import { amount, formatShare, resourceFormat } from "../../format/units";
import { Link } from "../../router";
import { useLoaded } from "../../live/hooks";
import { marketsOf, ROUNDS_SHOWN, shareOfBound, type CellMarket } from "../../live/market";
import { Age, Dash } from "../../ui/Figures";
import { Empty, Panel, Pending } from "../../ui/Panel";
import { Table, type Column } from "../../ui/Table";

const WINDOW_MS = 60 * 60_000;
const LOOK_MS = 5_000;

const COLUMNS: readonly Column[] = [
  { label: "Resource" },
  { label: "Price P10", className: "num mid-only", title: "Nine tenths of the prices were higher" },
  { label: "Median", className: "num" },
  { label: "P90", className: "num mid-only", title: "Nine tenths of the prices were lower" },
  { label: "Free", className: "num", title: "Mean over the rounds, before they sold" },
  { label: "Asked for", className: "num", title: "Mean over the rounds" },
  { label: "Filled", className: "num", title: "Of what was asked for, over all rounds" },
];

async function loadMarkets(): Promise<CellMarket[]> {
  const from = new Date(platformNow() - WINDOW_MS).toISOString();
  const [rounds, statistics] = await Promise.all([listRounds(), getStatistics(from)]);
  return marketsOf(rounds.items, statistics.items);
}

export function MarketPanel() {
  const loaded = useLoaded("markets", loadMarkets, { idleMs: LOOK_MS });
  const { data } = loaded;
  return (
    <Panel title="Rounds and book" note="last hour" actions={<Link href="/market">Over time</Link>}>
      <Pending loaded={loaded} label="Loading the rounds" />
      {data?.length === 0 && (
        <Empty title="No round was cleared in the last hour">
          <p>A cell clears a round as soon as somebody bids there.</p>
        </Empty>
      )}
      {data && data.length > 0 && (
        <div className="scroll">
          <Table columns={COLUMNS} className="market-table">
            {data.map((market) => (
              <MarketRows key={market.cellId} market={market} />
            ))}
          </Table>
        </div>
      )}
    </Panel>
  );
}

function MarketRows({ market: { cellId, name, rounds, resources } }: { market: CellMarket }) {
  const last = rounds.at(-1);
  const forwarded = resources[0]?.share_forwarded ?? 0;
  return (
    <tbody>
      <tr className="cell-row">
        <th scope="rowgroup" colSpan={COLUMNS.length}>
          <div className="cell-head">
            <Link className="cell-name" href={`/market?cell=${cellId}`}>
              {name}
            </Link>
            {last ? (
              <>
                <span className="round-share">
                  <ShareBars rounds={rounds} name={name} />
                  <span>
                    <b>{formatShare(shareOfBound(last))}</b>{" "}
                    <span className="muted">of the certified bound</span>
                  </span>
                </span>
                <span className="muted">
                  {last.slots_applied} of {last.slots_asked} slots sold by {last.mechanism},{" "}
                  <Age at={last.created_at} />
                </span>
              </>
            ) : (
              <span className="muted">nobody has bid lately</span>
            )}
            {forwarded > 0 && (
              <span className="muted">
                {formatShare(forwarded)} of its jobs sent to other cells
              </span>
            )}
          </div>
        </th>
      </tr>
      {resources.map((row) => (
        <ResourceRow key={row.resource} row={row} />
      ))}
    </tbody>
  );
}

function ResourceRow({ row }: { row: Statistic }) {
  const { label, unit, pricedPer } = resourceFormat(row.resource);
  const price = (micros: number | null) =>
    micros === null ? (
      <Dash />
    ) : (
      <span title={`credits per ${pricedPer}`}>{formatPrice(Math.round(micros))}</span>
    );
  const depth = (units: number | null) => (units === null ? <Dash /> : amount(row.resource, units));
  return (
    <tr>
      <th scope="row">
        {label}{" "}
        <span className="unit">
          {unit} at cr/{pricedPer}
        </span>
      </th>
      <td className="num mid-only">{price(row.price_p10_micros)}</td>
      <td className="num">{price(row.price_p50_micros)}</td>
      <td className="num mid-only">{price(row.price_p90_micros)}</td>
      <td className="num">{depth(row.depth_free)}</td>
      <td className="num">{depth(row.depth_asked)}</td>
      <td className="num">{row.fill_rate === null ? <Dash /> : formatShare(row.fill_rate)}</td>
    </tr>
  );
}

/** One bar a round, the newest at the right; a full bar is proven to be the best. */
function ShareBars({ rounds, name }: { rounds: readonly Round[]; name: string }) {
  const least = Math.min(...rounds.map(shareOfBound));
  const label =
    `Welfare of the last ${rounds.length} rounds with bids in ${name}: ` +
    `at least ${formatShare(least)} of the bound`;
  return (
    <svg
      className="share-bars"
      viewBox={`0 0 ${ROUNDS_SHOWN * 3} 20`}
      preserveAspectRatio="xMaxYMid meet"
      role="img"
      aria-label={label}
    >
      <title>{label}</title>
      {rounds.map((round, at) => {
        const height = Math.max(1, shareOfBound(round) * 20);
        const x = (ROUNDS_SHOWN - rounds.length + at) * 3;
        return <rect key={round.id} x={x} y={20 - height} width="2" height={height} />;
      })}
    </svg>
  );
}
