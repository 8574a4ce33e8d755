/** Constraints and how many nodes each ruled out. */

import type { RuledOut } from "../api/types";

/** The detail without the count that it may begin with: that one stands before it. */
export function sentenceOf({ constraint, count, detail }: RuledOut): string {
  const sentence = detail || constraint.replaceAll("_", " ");
  return sentence.startsWith(`${count} `) ? sentence.slice(`${count} `.length) : sentence;
}

export function RuledOutList({ items }: { items: readonly RuledOut[] }) {
  return (
    <ul className="ruled-out">
      {items.map((item) => (
        <li key={item.constraint}>
          <b className="figure" title={item.constraint}>
            {item.count || "now"}
          </b>
          <span>{sentenceOf(item)}</span>
        </li>
      ))}
    </ul>
  );
}
