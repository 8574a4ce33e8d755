/** Refusals of the platform (RFC 9457) and of the way to it, as one error. */

export interface PointedError {
  pointer: string;
  detail: string;
}

/** What a refused or failed call says. ``status`` 0: the platform was not reached. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly errors: PointedError[];
  readonly traceId: string | null;
  readonly retryAfterS: number | null;

  constructor(facts: {
    status: number;
    code: string;
    title: string;
    detail?: string;
    errors?: PointedError[];
    traceId?: string | null;
    retryAfterS?: number | null;
  }) {
    super(facts.detail || facts.title);
    this.name = "Problem";
    this.status = facts.status;
    this.code = facts.code;
    this.title = facts.title;
    this.errors = facts.errors ?? [];
    this.traceId = facts.traceId ?? null;
    this.retryAfterS = facts.retryAfterS ?? null;
  }
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");

/** The problem in a response's body; what is missing there is made up for from its status. */
export function problemFrom(status: number, body: unknown, retryAfter: string | null): Problem {
  const facts = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  const errors = Array.isArray(facts.errors) ? facts.errors : [];
  const seconds = Number(retryAfter);
  return new Problem({
    status,
    code: text(facts.code) || `http_${status}`,
    title: text(facts.title) || `The platform answered ${status}`,
    detail: text(facts.detail),
    errors: errors.map((error: Record<string, unknown>) => ({
      pointer: text(error.pointer),
      detail: text(error.detail),
    })),
    traceId: text(facts.trace_id) || null,
    retryAfterS: retryAfter && Number.isFinite(seconds) ? seconds : null,
  });
}

export function unreachable(): Problem {
  return new Problem({
    status: 0,
    code: "unreachable",
    title: "The platform cannot be reached",
    detail: "The platform cannot be reached. What is shown may be out of date.",
  });
}

export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return new Problem({ status: 0, code: "internal", title: String(error) });
}

/** `#/body/resources/cpu_millis` and `/resources/cpu_millis` name the same field. */
export function fieldOf(pointer: string): string {
  return pointer
    .replace(/^#/, "")
    .replace(/^\/body(?=\/|$)/, "")
    .replace(/^\//, "");
}

/** Details by field, the most specific first; `""` holds what names no field. */
export function errorsByField(problem: Problem | null): Record<string, string> {
  const byField: Record<string, string> = {};
  for (const { pointer, detail } of problem?.errors ?? []) {
    const field = fieldOf(pointer);
    byField[field] = byField[field] ? `${byField[field]} ${detail}` : detail;
  }
  return byField;
}

/** The detail for ``field`` or for anything inside it. */
export function errorAt(byField: Record<string, string>, field: string): string | null {
  if (byField[field]) return byField[field];
  const inside = Object.keys(byField).find((key) => key.startsWith(`${field}/`));
  return inside ? (byField[inside] ?? null) : null;
}
