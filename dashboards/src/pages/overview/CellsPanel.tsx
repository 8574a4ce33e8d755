/** Nodes by cell: what they offer, what of it is leased, and when they were last heard. */

import type { Cell, Node } from "../../api/types";
import { amount, orderedResources, resourceFormat } from "../../format/units";
import { Link } from "../../router";
import { CapacityBar, NodeRow, NODE_COLUMNS, sellable } from "../../ui/NodeRow";
import { Empty, Panel } from "../../ui/Panel";
import { isUp, sumOf } from "./KeyFigures";

/** Cells that hold nodes, each with them; nodes of no listed cell come last. */
export function groupByCell(
  cells: readonly Cell[],
  nodes: readonly Node[],
): { id: string; name: string; nodes: Node[] }[] {
  const groups = cells.map((cell) => ({
    id: cell.id,
    name: cell.name,
    nodes: nodes.filter((node) => node.cell_id === cell.id),
  }));
  const known = new Set(cells.map((cell) => cell.id));
  const rest = nodes.filter((node) => !known.has(node.cell_id));
  const named = [...groups, { id: "", name: "No cell", nodes: rest }];
  return named.filter((group) => group.nodes.length > 0);
}

export function CellsPanel({ cells, nodes }: { cells: readonly Cell[]; nodes: readonly Node[] }) {
  const groups = groupByCell(cells, nodes);
  return (
    <Panel
      title="Nodes by cell"
      note={
        <span className="legend">
          <span className="swatch swatch-leased" /> leased: sold, used or not
          <span className="swatch swatch-free" /> free: can be sold
          <span className="legend-text">busy: measured on the whole device</span>
        </span>
      }
    >
      {groups.length === 0 ? (
        <Empty title="No node has joined yet">
          <p>
            Make a join token with <code>souk token create</code>, then on the device run{" "}
            <code>souk-agent enrol</code> with it and <code>souk-agent run</code>.
          </p>
        </Empty>
      ) : (
        <div className="scroll">
          <table className="table nodes-table">
            <thead>
              <tr>
                {NODE_COLUMNS.map((column) => (
                  <th key={column.label} scope="col" className={column.className}>
                    {column.label}
                  </th>
                ))}
              </tr>
            </thead>
            {groups.map((group) => (
              <CellRows key={group.id} group={group} />
            ))}
          </table>
        </div>
      )}
    </Panel>
  );
}

function CellRows({ group }: { group: ReturnType<typeof groupByCell>[number] }) {
  const up = group.nodes.filter(isUp);
  const resources = orderedResources(up.flatMap((node) => Object.keys(node.capacity)));
  return (
    <tbody>
      <tr className="cell-row">
        <th scope="rowgroup" colSpan={NODE_COLUMNS.length}>
          <div className="cell-head">
            <Link className="cell-name" href={`/nodes?cell=${encodeURIComponent(group.id)}`}>
              {group.name}
            </Link>
            <span className="muted">
              {up.length} of {group.nodes.length} online
            </span>
            {resources.map((resource) => {
              const total = sumOf(up, "capacity", resource);
              if (!total) return null;
              const leased = sumOf(up, "leased", resource);
              const { label, unit } = resourceFormat(resource);
              return (
                <span key={resource} className="cell-capacity">
                  {label}
                  <CapacityBar resource={resource} leased={leased} total={total} />
                  <span className="figure">
                    {amount(
                      resource,
                      group.nodes.reduce((sum, node) => sum + sellable(node, resource), 0),
                    )}{" "}
                    <span className="unit">
                      of {amount(resource, total)} {unit} free
                    </span>
                  </span>
                </span>
              );
            })}
          </div>
        </th>
      </tr>
      {group.nodes.map((node) => (
        <NodeRow key={node.id} node={node} />
      ))}
    </tbody>
  );
}
