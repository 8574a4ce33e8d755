/** How many tasks there are and what each is given. */

import { errorAt } from "../../api/problem";
import { Field } from "../../ui/Field";
import { Panel } from "../../ui/Panel";
import type { FieldsProps } from "./SubmitPage";

const WORKS = [
  ["one", "One task"],
  ["array", "An array of tasks"],
  ["lines", "A task for each line"],
] as const;
const INPUTS = [
  ["none", "none"],
  ["text", "text"],
  ["json", "JSON"],
] as const;

export function WorkFields({ form, set, errors }: FieldsProps) {
  const lines = form.work === "lines";
  const index = form.work === "array" ? " {index} becomes each task's number." : "";
  return (
    <Panel title="Tasks">
      <div className="fields">
        <fieldset className="choice field-wide">
          <legend className="visually-hidden">How many</legend>
          {WORKS.map(([work, label]) => (
            <label key={work}>
              <input
                type="radio"
                name="work"
                checked={form.work === work}
                onChange={() => set("work", work)}
              />
              {label}
            </label>
          ))}
        </fieldset>
        {form.work === "array" && (
          <Field label="Tasks" error={errorAt(errors, "array/count")}>
            {(ids) => (
              <input
                {...ids}
                inputMode="numeric"
                value={form.count}
                onChange={(event) => set("count", event.target.value)}
              />
            )}
          </Field>
        )}
        {form.kind === "wasm" && (
          <Field
            label="Arguments"
            className="field-wide"
            hint={`One on each line.${index}`}
            error={errorAt(errors, "tasks/0/args") ?? errorAt(errors, "array/args")}
          >
            {(ids) => (
              <textarea
                {...ids}
                className="mono"
                rows={2}
                value={form.args}
                onChange={(event) => set("args", event.target.value)}
                spellCheck={false}
              />
            )}
          </Field>
        )}
        {!lines && form.kind === "wasm" && (
          <Field label="Input">
            {(ids) => (
              <select
                {...ids}
                value={form.input}
                onChange={(event) => set("input", event.target.value as typeof form.input)}
              >
                {INPUTS.map(([input, label]) => (
                  <option key={input} value={input}>
                    {label}
                  </option>
                ))}
              </select>
            )}
          </Field>
        )}
        {(lines || form.input !== "none") && (
          <Field
            label={lines ? "Inputs" : form.kind === "onnx" ? "Inputs (JSON)" : "Input"}
            className="field-wide"
            hint={inputHint(form.kind, lines, index)}
            error={errorAt(errors, "tasks") ?? errorAt(errors, "array/input")}
          >
            {(ids) => (
              <textarea
                {...ids}
                className="mono"
                rows={5}
                value={form.inputText}
                onChange={(event) => set("inputText", event.target.value)}
                spellCheck={false}
              />
            )}
          </Field>
        )}
      </div>
    </Panel>
  );
}

function inputHint(kind: "wasm" | "onnx", lines: boolean, index: string): string {
  const each = lines ? "Each line is one task's input: " : "";
  if (kind === "onnx") return `${each}{"input name": nested lists of numbers}`;
  return lines ? "Each line is one task's standard input." : `Its standard input.${index}`;
}
