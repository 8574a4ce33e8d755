/** Which cell a market page is about: chosen in the address, so that it can be sent on. */

import type { Cell } from "../../api/types";
import { useLive } from "../../live/hooks";
import { useChoose, useSearch } from "../../router";

/** Cells with a market of their own, by name. */
export function marketCells(cells: readonly Cell[]): Cell[] {
  return cells.filter((cell) => cell.level === "cell").sort((a, b) => a.name.localeCompare(b.name));
}

/** The cell of the address; else the first with nodes to sell. */
export function useChosenCell(): Cell | null {
  const { overview } = useLive();
  const asked = useSearch().get("cell");
  const cells = marketCells(overview?.cells ?? []);
  return (
    cells.find((cell) => cell.id === asked || cell.name === asked) ??
    cells.find((cell) => cell.nodes.total > 0) ??
    cells[0] ??
    null
  );
}

export function CellChoice({ value, all = false }: { value: string; all?: boolean }) {
  const { overview } = useLive();
  const choose = useChoose();
  return (
    <label>
      Cell{" "}
      <select value={value} onChange={(event) => choose({ cell: event.target.value })}>
        {all && <option value="">all</option>}
        {marketCells(overview?.cells ?? []).map((cell) => (
          <option key={cell.id} value={cell.id}>
            {cell.name}
          </option>
        ))}
      </select>
    </label>
  );
}
