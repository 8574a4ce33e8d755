/** The few figures that say whether the market is well. */

import type { ReactNode } from "react";
import type { Cell, JobState, Overview } from "../../api/types";
import { formatDuration } from "../../format/time";
import { amount, formatShare } from "../../format/units";

export function sumOf(
  cells: readonly Cell[],
  part: "total" | "leased" | "free",
  resource: string,
): number {
  return cells.reduce((sum, cell) => sum + (cell.capacity[part][resource] ?? 0), 0);
}

export function KeyFigures({ overview }: { overview: Overview }) {
  const { cells } = overview;
  const total = sumOf(cells, "total", "cpu_millis");
  const leased = sumOf(cells, "leased", "cpu_millis");
  const count = (state: JobState) => overview.jobs.by_state[state] ?? 0;
  const latency = overview.latency?.submit_to_start_ms;
  return (
    <dl className="key-figures">
      <Key label="Nodes online">
        {cells.reduce((sum, cell) => sum + cell.nodes.online, 0)}{" "}
        <small>of {cells.reduce((sum, cell) => sum + cell.nodes.total, 0)}</small>
      </Key>
      <Key label="CPU leased, of what is offered">
        {amount("cpu_millis", leased)} <small>of {amount("cpu_millis", total)} cores</small>
        {total > 0 && <small> · {formatShare(leased / total)}</small>}
      </Key>
      <Key label="Jobs running">
        {count("running")} <small>· {count("queued") + count("matched")} waiting</small>
      </Key>
      <Key label="Submit → start, last hour">
        {latency && latency.count > 0 && latency.p50 !== null ? (
          <>
            {formatDuration(latency.p50)} <small>p50</small>
            {latency.p99 !== null && <small> · {formatDuration(latency.p99)} p99</small>}
          </>
        ) : (
          <small>no start yet</small>
        )}
      </Key>
      {overview.invariants && (
        <Key label="Ledger">
          <span className={overview.invariants.ok ? "tone-good" : "tone-bad"}>
            {overview.invariants.ok ? "balanced" : "broken"}
          </span>
          <small> · {overview.invariants.items.length} checks</small>
        </Key>
      )}
      <Key label="Mechanism">
        {overview.control.mechanism} <small>v{overview.control.version}</small>
      </Key>
    </dl>
  );
}

function Key({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}
