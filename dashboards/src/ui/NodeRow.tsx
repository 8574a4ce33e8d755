/** One device as a table row, as the overview and the list of nodes show it. */

import type { Node } from "../api/types";
import { amount, compact, formatShare, resourceFormat } from "../format/units";
import { Link } from "../router";
import { Age, Dash, Meter } from "./Figures";
import { State } from "./State";
import type { Column } from "./Table";

// The agents report every few seconds; one that has been silent for longer is marked.
const SILENT_MS = 30_000;

export const NODE_COLUMNS: readonly Column[] = [
  { label: "Node" },
  { label: "State" },
  { label: "CPU free", className: "col-capacity" },
  { label: "Memory free", className: "col-capacity mid-only" },
  { label: "CPU busy", className: "num wide-only" },
  { label: "Condition", className: "wide-only" },
  { label: "Reliability", className: "num wide-only" },
  { label: "Last seen", className: "num" },
];

export function CapacityBar({
  resource,
  leased,
  total,
}: {
  resource: string;
  leased: number;
  total: number;
}) {
  const { label, unit } = resourceFormat(resource);
  const text = `${label}: ${amount(resource, leased)} ${unit} leased, ${amount(resource, Math.max(0, total - leased))} free, ${amount(resource, total)} offered`;
  return (
    <Meter parts={[{ className: "meter-leased", value: leased }]} total={total} label={text} />
  );
}

/** What of a node can be sold now: nothing while it takes no new work. */
export function sellable(node: Node, resource: string): number {
  if (node.state !== "online") return 0;
  return node.free[resource] ?? (node.capacity[resource] ?? 0) - (node.leased[resource] ?? 0);
}

function Capacity({ node, resource }: { node: Node; resource: string }) {
  const total = node.capacity[resource] ?? 0;
  if (!total) return <span className="muted">none</span>;
  const leased = node.leased[resource] ?? 0;
  return (
    <span className={`capacity ${node.state === "online" ? "" : "capacity-closed"}`}>
      <CapacityBar resource={resource} leased={leased} total={total} />
      <span className="figure">
        {amount(resource, sellable(node, resource))}{" "}
        <span className="unit">
          of {amount(resource, total)} {resourceFormat(resource).unit}
        </span>
      </span>
    </span>
  );
}

/** Cores of the whole device that were busy when it last reported, whoever used them. */
export function busyCores(node: Node): number | null {
  const free = node.measured?.cpu_free_millis;
  if (free === null || free === undefined || !node.cpu_count) return null;
  return Math.max(0, node.cpu_count - free / 1_000);
}

export function condition(node: Node): string {
  const {
    battery_percent: battery,
    on_battery,
    temperature_millicelsius: heat,
  } = node.measured ?? {};
  const parts = [];
  if (on_battery) parts.push(`battery ${battery ?? "?"} %`);
  else if (battery !== null && battery !== undefined) parts.push(`mains, ${battery} %`);
  if (heat) parts.push(`${compact(heat / 1_000, 0)} °C`);
  return parts.join(" · ");
}

/** ``cell``: name its cell too, where rows are not under it. */
export function NodeRow({ node, cell = false }: { node: Node; cell?: boolean }) {
  const busy = busyCores(node);
  const awake = node.state === "online" || node.state === "draining";
  return (
    <tr>
      <th scope="row">
        <Link href={`/nodes/${node.id}`}>{node.name || node.id}</Link>{" "}
        <span className="muted">
          {cell && `in ${node.cell_name}, `}
          {node.owner_name}
        </span>
      </th>
      <td>
        <State state={node.state} title={node.state_reason} />
      </td>
      <td>
        <Capacity node={node} resource="cpu_millis" />
      </td>
      <td className="mid-only">
        <Capacity node={node} resource="memory_bytes" />
      </td>
      <td className="num wide-only">
        {busy === null || !awake ? (
          <Dash />
        ) : (
          <span className="figure">
            {compact(busy, 1)} <span className="unit">of {node.cpu_count}</span>
          </span>
        )}
      </td>
      <td className="wide-only">{condition(node) || <Dash />}</td>
      <td className="num wide-only">
        {node.reliability === null ? <Dash /> : formatShare(node.reliability)}
      </td>
      <td className="num">
        <Age at={node.last_seen_at} {...(awake ? { staleMs: SILENT_MS } : {})} />
      </td>
    </tr>
  );
}
