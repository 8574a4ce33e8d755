/** What stands in a cell's market now: offers by reserve price, bids by limit, and how deep. */

import type { Book, BookLevel, Cell } from "../../api/types";
import { formatPrice } from "../../format/money";
import { amount, orderedResources, resourceFormat } from "../../format/units";
import { Meter } from "../../ui/Figures";
import { Empty, Panel } from "../../ui/Panel";
import { Table } from "../../ui/Table";

const LEVELS_MAX = 12;

export interface Depth extends BookLevel {
  /** Units at this price and all that are met before it. */
  total: number;
}

/** One side of a resource, with what adds up level by level. */
export function depthOf(levels: readonly BookLevel[], resource: string): Depth[] {
  let total = 0;
  return levels
    .filter((level) => level.resource === resource)
    .map((level) => {
      total += level.units;
      return { ...level, total };
    });
}

export function BookPanel({ cell, book }: { cell: Cell; book: Book }) {
  const resources = orderedResources([...book.asks, ...book.bids].map((level) => level.resource));
  return (
    <Panel title="Book" note={`in ${cell.name} now`}>
      {resources.length === 0 && (
        <Empty title="The book is empty">
          <p>Nothing is offered here and nobody bids.</p>
        </Empty>
      )}
      {resources.map((resource) => {
        const asks = depthOf(book.asks, resource);
        // Limits are for a whole slot: the highest is met first.
        const bids = depthOf(
          book.bids.toSorted((a, b) => b.price_micros - a.price_micros),
          resource,
        );
        const most = Math.max(asks.at(-1)?.total ?? 0, bids.at(-1)?.total ?? 0);
        return (
          <div key={resource} className="book">
            <h3>{resourceFormat(resource).label}</h3>
            <div className="book-sides">
              <Side resource={resource} levels={asks} most={most} side="asks" />
              <Side resource={resource} levels={bids} most={most} side="bids" />
            </div>
          </div>
        );
      })}
    </Panel>
  );
}

function Side({
  resource,
  levels,
  most,
  side,
}: {
  resource: string;
  levels: readonly Depth[];
  most: number;
  side: "asks" | "bids";
}) {
  const { label, unit, pricedPer } = resourceFormat(resource);
  const asks = side === "asks";
  const left = levels.length - LEVELS_MAX;
  if (levels.length === 0) {
    return (
      <p className="panel-text muted">{asks ? "Nothing is offered." : "Nobody bids for it."}</p>
    );
  }
  const columns = [
    { label: asks ? `Offered at cr/${pricedPer}` : "Bid, at most cr/slot·h", className: "num" },
    { label: asks ? "Nodes" : "Jobs", className: "num" },
    { label: unit, className: "num" },
    { label: "Up to here" },
  ];
  return (
    <div>
      <Table
        columns={columns}
        className="table-small book-side"
        caption={`${label}: ${asks ? "offers" : "bids"} by price`}
      >
        <tbody>
          {levels.slice(0, LEVELS_MAX).map((level) => (
            <tr key={level.price_micros}>
              <th scope="row" className="num">
                {formatPrice(level.price_micros)}
              </th>
              <td className="num">{level.orders}</td>
              <td className="num">{amount(resource, level.units)}</td>
              <td className="book-depth">
                <Meter
                  label={`${amount(resource, level.total)} ${unit} up to here`}
                  total={most}
                  parts={[{ className: asks ? "meter-leased" : "meter-asked", value: level.total }]}
                />
              </td>
            </tr>
          ))}
        </tbody>
      </Table>
      {left > 0 && <p className="panel-text muted">and {left} more prices</p>}
    </div>
  );
}
