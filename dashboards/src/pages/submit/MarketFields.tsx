/** What a slot needs and may cost, where it may run, and what ends it. */

import { useId } from "react";
import { errorAt } from "../../api/problem";
import type { JobPlan } from "../../api/types";
import { creditsForInput, formatCredits } from "../../format/money";
import { useLive } from "../../live/hooks";
import { Field } from "../../ui/Field";
import { Panel } from "../../ui/Panel";
import type { JobForm } from "./form";
import type { FieldsProps } from "./SubmitPage";

/** A plain text input for one field of the form. */
function TextField({
  form,
  set,
  errors,
  field,
  pointer,
  label,
  ...rest
}: FieldsProps & {
  field: { [K in keyof JobForm]: JobForm[K] extends string ? K : never }[keyof JobForm];
  pointer: string;
  label: string;
  unit?: string;
  hint?: string;
  placeholder?: string;
  className?: string;
}) {
  const { placeholder, ...shown } = rest;
  return (
    <Field label={label} error={errorAt(errors, pointer)} {...shown}>
      {(ids) => (
        <input
          {...ids}
          inputMode={shown.unit ? "decimal" : "text"}
          value={String(form[field])}
          placeholder={placeholder}
          spellCheck={false}
          onChange={(event) => set(field, event.target.value as never)}
        />
      )}
    </Field>
  );
}

export function MarketFields({ likely, ...props }: FieldsProps & { likely: JobPlan | null }) {
  const { set } = props;
  const price = likely?.price_micros_per_hour;
  return (
    <Panel title="Needs and price" note="for one slot: one task at a time">
      <div className="fields fields-small">
        <TextField
          {...props}
          field="cores"
          pointer="resources/cpu_millis"
          label="CPU"
          unit="cores"
        />
        <TextField
          {...props}
          field="memoryMib"
          pointer="resources/memory_bytes"
          label="Memory"
          unit="MiB"
        />
        <TextField
          {...props}
          field="slots"
          pointer="slots_max"
          label="Slots at once"
          placeholder="as many as tasks"
        />
        <TextField
          {...props}
          field="limitCredits"
          pointer="limit_price_micros_per_hour"
          label="Limit price"
          unit="cr/slot·h"
        />
        <TextField
          {...props}
          field="budgetCredits"
          pointer="budget_micros"
          label="Budget for the job"
          unit="cr"
          placeholder="limit × time"
        />
      </div>
      {price && (
        <p className="panel-text price-choices">
          The market now:
          {(["low", "likely", "high"] as const).map((level) => (
            <button
              key={level}
              type="button"
              className="button button-quiet"
              onClick={() => set("limitCredits", creditsForInput(price[level]))}
            >
              {level} {formatCredits(price[level])}
            </button>
          ))}
          <span className="muted">click to take as limit; you pay what the round sets</span>
        </p>
      )}
    </Panel>
  );
}

export function PlaceFields(props: FieldsProps) {
  const { form, set, errors } = props;
  const { overview } = useLive();
  return (
    <Panel title="Place">
      <div className="fields fields-small">
        <Field label="Cell" error={errorAt(errors, "cell")}>
          {(ids) => (
            <select
              {...ids}
              value={form.cell}
              onChange={(event) => set("cell", event.target.value)}
            >
              <option value="">any</option>
              {overview?.cells
                .filter((cell) => cell.level === "cell")
                .map((cell) => (
                  <option key={cell.id} value={cell.id}>
                    {cell.name}
                  </option>
                ))}
            </select>
          )}
        </Field>
        <TextField
          {...props}
          field="labels"
          pointer="constraints/labels"
          label="Labels"
          placeholder="gpu=yes, site=roof"
        />
        <TextField
          {...props}
          field="arch"
          pointer="constraints/arch"
          label="Architecture"
          placeholder="any"
        />
      </div>
      {form.cell && (
        <label className="check">
          <input
            type="checkbox"
            checked={form.cellOnly}
            onChange={(event) => set("cellOnly", event.target.checked)}
          />
          Never outside this cell
        </label>
      )}
    </Panel>
  );
}

export function QualityFields(props: FieldsProps) {
  const { form, set, errors } = props;
  const wrong = errorAt(errors, "qos/top_up");
  const id = useId();
  return (
    <Panel title="Quality of service">
      <div className="fields fields-small">
        <TextField
          {...props}
          field="deadlineS"
          pointer="qos/deadline_s"
          label="Deadline, from now"
          unit="s"
          placeholder="none"
        />
        <TextField
          {...props}
          field="latencyMs"
          pointer="qos/latency_ms_max"
          label="Latency at most"
          unit="ms"
          placeholder="any"
        />
      </div>
      <label className="check">
        <input
          type="checkbox"
          checked={form.topUp}
          aria-invalid={wrong ? true : undefined}
          aria-describedby={id}
          onChange={(event) => set("topUp", event.target.checked)}
        />
        Top up when it falls behind
      </label>
      <p className={`check-hint ${wrong ? "field-error" : "field-hint"}`} id={id}>
        {wrong ??
          "If it would miss its deadline, or its nodes become too slow or too far, it buys extra slots of the nearest nodes at once: at the standing price, never above the limit price, within the budget."}
      </p>
    </Panel>
  );
}

export function LimitFields(props: FieldsProps) {
  return (
    <Panel title="Limits">
      <div className="fields fields-small">
        <TextField
          {...props}
          field="maxRunS"
          pointer="limits/max_run_s"
          label="One attempt at most"
          unit="s"
        />
        <TextField
          {...props}
          field="maxTotalS"
          pointer="limits/max_total_s"
          label="Job ends within"
          unit="s"
        />
        <TextField
          {...props}
          field="attempts"
          pointer="retry/attempts_max"
          label="Attempts of a task"
        />
      </div>
    </Panel>
  );
}
