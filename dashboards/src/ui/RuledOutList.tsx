/** Constraints and how many nodes each ruled out. */

import type { RuledOut } from "../api/types";

export function RuledOutList({ items }: { items: readonly RuledOut[] }) {
  return (
    <ul className="ruled-out">
      {items.map((item) => (
        <li key={item.constraint}>
          <b className="figure">{item.count}</b>
          <span>
            {item.constraint.replaceAll("_", " ")}
            {item.detail && <span className="muted"> {item.detail}</span>}
          </span>
        </li>
      ))}
    </ul>
  );
}
