/** Small figures that stand in text and tables: money, ages, ids, shares of a whole. */

import { useState } from "react";
import { formatCredits } from "../format/money";
import { formatAge, formatClock } from "../format/time";
import { shortId } from "../format/units";
import { useNow } from "../live/hooks";

/** Where a figure would stand, were there one. */
export const Dash = () => <span className="muted">–</span>;

/** Credits with their unit; ``per`` names what the price is for. */
export function Credits({
  micros,
  per,
  decimals,
}: {
  micros: number;
  per?: string;
  decimals?: number;
}) {
  return (
    <span className="figure">
      {formatCredits(micros, decimals)} <span className="unit">cr{per && `/${per}`}</span>
    </span>
  );
}

/** How long ago, ticking; the exact time on hover. */
export function Age({ at, staleMs }: { at: string | null; staleMs?: number }) {
  const now = useNow();
  if (!at) return <span className="muted">never</span>;
  const age = now - Date.parse(at);
  const stale = staleMs !== undefined && age > staleMs;
  return (
    <time className={`figure ${stale ? "tone-bad" : ""}`} dateTime={at} title={at}>
      {formatAge(age)} <span className="unit">ago</span>
    </time>
  );
}

export function Clock({ at }: { at: string }) {
  const now = useNow();
  return (
    <time className="figure" dateTime={at} title={at}>
      {formatClock(at, now)}
    </time>
  );
}

/** An id, short or whole, that a click copies. */
export function Id({ id, whole = false }: { id: string; whole?: boolean }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(id);
      setCopied(true);
      setTimeout(() => setCopied(false), 1_500);
    } catch {
      // Without a secure context there is no clipboard: the title still shows the whole id.
    }
  };
  return (
    <button
      type="button"
      className="id"
      title={`${id} (click to copy)`}
      onClick={() => void copy()}
    >
      {copied ? "copied" : whole ? id : shortId(id)}
    </button>
  );
}

export interface MeterPart {
  className: string;
  value: number;
}

/** Parts of a whole as one bar; what is left of ``total`` stays empty. */
export function Meter({
  parts,
  total,
  label,
}: {
  parts: readonly MeterPart[];
  total: number;
  label: string;
}) {
  const share = (value: number) =>
    total > 0 ? `${Math.min(100, Math.max(0, (value / total) * 100))}%` : "0";
  return (
    <span className="meter" role="img" aria-label={label} title={label}>
      {parts.map((part) => (
        <span
          key={part.className}
          className={part.className}
          style={{ width: share(part.value) }}
        />
      ))}
    </span>
  );
}
