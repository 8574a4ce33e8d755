/** A table's heads, from what is said of its columns; its bodies are its children. */

import type { ReactNode } from "react";

export interface Column {
  /** No two columns of a table have the same. */
  label: string;
  /** Its cells' own: ``num`` stands to the right, ``mid-only`` and ``wide-only`` need the room. */
  className?: string;
  title?: string;
  /** Its cells explain themselves: only a screen reader tells its label. */
  unseen?: boolean;
}

export function Table({
  columns,
  className,
  caption,
  unseen = false,
  children,
}: {
  columns: readonly Column[];
  className?: string;
  /** What it is called where no heading near it says so. */
  caption?: string;
  /** All of its heads are for screen readers alone. */
  unseen?: boolean;
  children: ReactNode;
}) {
  return (
    <table className={className ? `table ${className}` : "table"}>
      {caption && <caption className="visually-hidden">{caption}</caption>}
      <thead className={unseen ? "visually-hidden" : undefined}>
        <tr>
          {columns.map((column) => (
            <th key={column.label} scope="col" className={column.className} title={column.title}>
              {column.unseen ? (
                <span className="visually-hidden">{column.label}</span>
              ) : (
                column.label
              )}
            </th>
          ))}
        </tr>
      </thead>
      {children}
    </table>
  );
}
