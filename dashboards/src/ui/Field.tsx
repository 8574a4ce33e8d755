/** A labelled input with its unit, its hint, and the refusal that concerns it. */

import { useId, type ReactNode } from "react";

export interface FieldIds {
  id: string;
  "aria-describedby"?: string;
  "aria-invalid"?: true;
}

export function Field({
  label,
  unit,
  hint,
  error,
  className = "",
  children,
}: {
  label: string;
  unit?: string;
  hint?: ReactNode;
  error?: string | null | undefined;
  className?: string;
  children: (ids: FieldIds) => ReactNode;
}) {
  const id = useId();
  const described = [error && `${id}-error`, hint && `${id}-hint`].filter(Boolean).join(" ");
  const ids: FieldIds = { id };
  if (described) ids["aria-describedby"] = described;
  if (error) ids["aria-invalid"] = true;
  return (
    <div className={`field ${error ? "field-wrong" : ""} ${className}`}>
      <label htmlFor={id}>{label}</label>
      <div className="field-input">
        {children(ids)}
        {unit && <span className="unit">{unit}</span>}
      </div>
      {error && (
        <p className="field-error" id={`${id}-error`}>
          {error}
        </p>
      )}
      {hint && (
        <p className="field-hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}
