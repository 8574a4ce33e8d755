/** Every device, one cell or all. */

import { listNodes } from "../api/endpoints";
import type { Node, Page } from "../api/types";
import { useLive, useLoaded } from "../live/hooks";
import { useChoose, useSearch, useTitle } from "../router";
import { NodeRow, NODE_COLUMNS } from "../ui/NodeRow";
import { Empty, Panel, Pending } from "../ui/Panel";
import { Table } from "../ui/Table";

const PAGES_MAX = 10;

/** All nodes, in as many pages as there are, up to ``PAGES_MAX``. */
async function loadNodes(): Promise<Node[]> {
  const nodes: Node[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const answer: Page<Node> = await listNodes(cursor);
    nodes.push(...answer.items);
    cursor = answer.next_cursor;
    if (!cursor) break;
  }
  return nodes;
}

export function NodesPage() {
  const cell = useSearch().get("cell") ?? "";
  const { overview } = useLive();
  const choose = useChoose();
  useTitle("Nodes");
  const loaded = useLoaded("nodes", loadNodes, {
    wakes: (event) => event.kind.startsWith("node.") || event.kind.startsWith("lease."),
    idleMs: 5_000,
  });
  const { data } = loaded;
  const nodes = (data ?? []).filter((node) => !cell || node.cell_id === cell);
  const cells = [...new Map((data ?? []).map((node) => [node.cell_id, node.cell_name]))];
  const free = overview?.cells.filter((one) => !cells.some(([id]) => id === one.id)) ?? [];
  return (
    <Panel
      title="Nodes"
      whole
      note={free.length > 0 && `cells without a node: ${free.map((one) => one.name).join(", ")}`}
    >
      <div className="filters">
        <label>
          Cell{" "}
          <select value={cell} onChange={(event) => choose({ cell: event.target.value })}>
            <option value="">all</option>
            {cells.map(([id, name]) => (
              <option key={id} value={id}>
                {name}
              </option>
            ))}
          </select>
        </label>
      </div>
      <Pending loaded={loaded} rows={6} label="Loading the nodes" />
      {data && nodes.length === 0 && <Empty title="No node here" />}
      {nodes.length > 0 && (
        <div className="scroll">
          <Table columns={NODE_COLUMNS} className="nodes-table">
            <tbody>
              {nodes.map((node) => (
                <NodeRow key={node.id} node={node} cell={!cell} />
              ))}
            </tbody>
          </Table>
        </div>
      )}
    </Panel>
  );
}
