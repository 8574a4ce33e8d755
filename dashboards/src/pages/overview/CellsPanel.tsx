/** Nodes by cell: what they offer, what of it is leased, and when they were last heard. */

import type { Cell, Node } from "../../api/types";
import { amount, orderedResources, resourceFormat } from "../../format/units";
import { Link } from "../../router";
import { CapacityBar, NodeRow, NODE_COLUMNS } from "../../ui/NodeRow";
import { Empty, Panel } from "../../ui/Panel";
import { Table } from "../../ui/Table";

export interface CellGroup {
  cell: Cell;
  /** Those of its nodes that one may see. */
  nodes: Node[];
}

/** Cells that hold nodes, whoever may see them. */
export function groupByCell(cells: readonly Cell[], nodes: readonly Node[]): CellGroup[] {
  return cells
    .map((cell) => ({ cell, nodes: nodes.filter((node) => node.cell_id === cell.id) }))
    .filter((group) => group.cell.nodes.total > 0 || group.nodes.length > 0);
}

export function CellsPanel({ cells, nodes }: { cells: readonly Cell[]; nodes: readonly Node[] }) {
  const groups = groupByCell(cells, nodes);
  return (
    <Panel
      title={nodes.length ? "Nodes by cell" : "Cells"}
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
          <Table columns={NODE_COLUMNS} className="nodes-table" unseen={nodes.length === 0}>
            {groups.map((group) => (
              <CellRows key={group.cell.id} group={group} />
            ))}
          </Table>
        </div>
      )}
    </Panel>
  );
}

function CellRows({ group: { cell, nodes } }: { group: CellGroup }) {
  const { total, leased, free } = cell.capacity;
  const offered = orderedResources(Object.keys(total)).filter((resource) => total[resource]);
  return (
    <tbody>
      <tr className="cell-row">
        <th scope="rowgroup" colSpan={NODE_COLUMNS.length}>
          <div className="cell-head">
            <CellName cell={cell} linked={nodes.length > 0} />
            <span className="muted">
              {cell.nodes.online} of {cell.nodes.total} online
            </span>
            {offered.map((resource) => {
              const { label, unit } = resourceFormat(resource);
              const all = total[resource] ?? 0;
              return (
                <span key={resource} className="cell-capacity">
                  {label}
                  <CapacityBar resource={resource} leased={leased[resource] ?? 0} total={all} />
                  <span className="figure">
                    {amount(resource, free[resource] ?? 0)}{" "}
                    <span className="unit">
                      of {amount(resource, all)} {unit} free
                    </span>
                  </span>
                </span>
              );
            })}
          </div>
        </th>
      </tr>
      {nodes.map((node) => (
        <NodeRow key={node.id} node={node} />
      ))}
    </tbody>
  );
}

function CellName({ cell, linked }: { cell: Cell; linked: boolean }) {
  if (!linked) return <span className="cell-name">{cell.name}</span>;
  return (
    <Link className="cell-name" href={`/nodes?cell=${encodeURIComponent(cell.id)}`}>
      {cell.name}
    </Link>
  );
}
