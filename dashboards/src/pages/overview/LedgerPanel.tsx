/** Who holds what, and whether the books are right. */

import type { AccountBalance, Overview } from "../../api/types";
import { Credits, Dash } from "../../ui/Figures";
import { Empty, Panel } from "../../ui/Panel";
import { StateShape } from "../../ui/State";
import { Table, type Column } from "../../ui/Table";

// Operators and viewers have no purse: they are listed only if money has come to them all the same.
const TRADES: ReadonlySet<string> = new Set(["tenant", "owner", "system"]);

const COLUMNS: readonly Column[] = [
  { label: "Account" },
  { label: "Posted", className: "num" },
  { label: "Held", className: "num", title: "Set aside for jobs that have not ended" },
];

export function LedgerPanel({
  balances,
  invariants,
}: {
  balances: readonly AccountBalance[];
  invariants: Overview["invariants"];
}) {
  const shown = balances.filter(
    (row) => TRADES.has(row.role) || row.posted_micros || row.held_micros,
  );
  return (
    <Panel title="Balances" note="credits">
      {shown.length === 0 ? (
        <Empty title="No account to show" />
      ) : (
        <div className="scroll">
          <Table columns={COLUMNS}>
            <tbody>
              {shown.map((row) => (
                <tr key={row.account_id}>
                  <th scope="row">
                    {row.name} <span className="muted">{row.role}</span>
                  </th>
                  <td className="num">
                    <Credits micros={row.posted_micros} />
                  </td>
                  <td className="num">
                    {row.held_micros ? <Credits micros={row.held_micros} /> : <Dash />}
                  </td>
                </tr>
              ))}
            </tbody>
          </Table>
        </div>
      )}
      {invariants && <Invariants invariants={invariants} />}
    </Panel>
  );
}

function Invariants({ invariants }: { invariants: NonNullable<Overview["invariants"]> }) {
  const broken = invariants.items.filter((item) => !item.ok).length;
  return (
    <details className="invariants" open={broken > 0}>
      <summary className={broken ? "tone-bad" : "tone-good"}>
        <StateShape state={broken ? "failed" : "succeeded"} />
        {broken
          ? `${broken} of ${invariants.items.length} checks of the books fail`
          : `All ${invariants.items.length} checks of the books hold`}
      </summary>
      <ul>
        {invariants.items.map((item) => (
          <li key={item.name}>
            <span className={item.ok ? "tone-good" : "tone-bad"}>
              <StateShape state={item.ok ? "succeeded" : "failed"} />
            </span>
            <span>
              {item.name.replaceAll("_", " ")}
              {item.detail && <span className="muted"> {item.detail}</span>}
            </span>
          </li>
        ))}
      </ul>
    </details>
  );
}
