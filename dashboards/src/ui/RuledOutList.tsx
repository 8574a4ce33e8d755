/** Constraints and how many nodes each ruled out. */

import type { RuledOut } from "../api/types";

export function RuledOutList({ items }: { items: readonly RuledOut[] }) {
  return (
    <ul className="ruled-out">
      {items.map((item) => (
        <li key={item.constraint}>
          <b className="figure" title={item.constraint}>
            {item.count || "now"}
          </b>
          <span>{item.detail || item.constraint.replaceAll("_", " ")}</span>
        </li>
      ))}
    </ul>
  );
}
