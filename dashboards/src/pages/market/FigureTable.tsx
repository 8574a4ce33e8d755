/** Two plans' figures side by side: the policy in force and its shadow. */

import { changeOf, FIGURES, orderedFigures } from "../../live/figures";
import { Table, type Column } from "../../ui/Table";

const TONES = { better: "tone-good", worse: "tone-bad", alike: "muted", other: "" } as const;

export interface Figure {
  name: string;
  live: number;
  shadow: number;
}

const COLUMNS: readonly Column[] = [
  { label: "Figure" },
  { label: "In force", className: "num" },
  { label: "Shadow", className: "num" },
  { label: "Difference" },
];

export function FigureTable({ figures, caption }: { figures: readonly Figure[]; caption: string }) {
  return (
    <div className="scroll">
      <Table columns={COLUMNS} className="table-small figure-table" caption={caption}>
        <tbody>
          {orderedFigures(figures).map(({ name, live, shadow }) => {
            const figure = FIGURES[name];
            const { text, verdict } = changeOf(name, live, shadow);
            const told = verdict === "better" || verdict === "worse" ? ` ${verdict}` : "";
            return (
              <tr key={name}>
                <th scope="row">
                  {figure?.label} <span className="unit">{figure?.unit}</span>
                </th>
                <td className="num">{figure?.format(live)}</td>
                <td className="num">{figure?.format(shadow)}</td>
                <td>
                  <span className={`figure ${TONES[verdict]}`}>
                    {text}
                    {told}
                  </span>
                </td>
              </tr>
            );
          })}
        </tbody>
      </Table>
    </div>
  );
}
