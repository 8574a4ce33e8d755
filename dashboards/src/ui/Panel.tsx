/** The frame of a part of a page, and what stands in it while there is nothing to show. */

import { useId, type ReactNode } from "react";
import type { Problem } from "../api/problem";
import type { Loaded } from "../live/hooks";

export function Panel({
  title,
  note,
  actions,
  className = "",
  whole = false,
  children,
}: {
  title: string;
  /** It is all of its page: its title is the page's. */
  whole?: boolean;
  note?: ReactNode;
  actions?: ReactNode;
  className?: string;
  children: ReactNode;
}) {
  const id = useId();
  const Heading = whole ? "h1" : "h2";
  return (
    <section className={`panel ${className}`} aria-labelledby={id}>
      <header className="panel-head">
        <Heading id={id}>{title}</Heading>
        {note && <p className="panel-note">{note}</p>}
        {actions && <div className="panel-actions">{actions}</div>}
      </header>
      {children}
    </section>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children && <div className="empty-help">{children}</div>}
    </div>
  );
}

export function Loading({ rows = 3, label }: { rows?: number | undefined; label: string }) {
  return (
    <div className="loading" role="status" aria-label={label}>
      {Array.from({ length: rows }, (_, row) => (
        <span key={row} className="loading-row" />
      ))}
    </div>
  );
}

export function Notice({
  tone,
  title,
  children,
  action,
}: {
  tone: "bad" | "wait" | "good" | "idle";
  title: string;
  children?: ReactNode;
  action?: ReactNode;
}) {
  return (
    <div className={`notice notice-${tone}`} role={tone === "bad" ? "alert" : "status"}>
      <div>
        <strong>{title}</strong>
        {children && <div className="notice-text">{children}</div>}
      </div>
      {action}
    </div>
  );
}

/** In the place of what is not there yet; over what is, why it could not be loaded again. */
export function Pending({
  loaded: { data, problem, refresh },
  rows,
  label,
}: {
  loaded: Loaded<unknown>;
  rows?: number;
  label: string;
}) {
  if (problem) return <ProblemNotice problem={problem} retry={refresh} />;
  return data === null && <Loading rows={rows} label={label} />;
}

/** A refused or failed call, with what a person needs to report it. */
export function ProblemNotice({ problem, retry }: { problem: Problem; retry?: () => void }) {
  const same = problem.message === problem.title;
  return (
    <Notice
      tone="bad"
      title={problem.title}
      action={
        retry && (
          <button type="button" className="button" onClick={retry}>
            Try again
          </button>
        )
      }
    >
      {!same && <p>{problem.message}</p>}
      {problem.errors.length > 0 && (
        <ul>
          {problem.errors.map((error) => (
            <li key={error.pointer + error.detail}>
              {error.pointer && <code>{error.pointer}</code>} {error.detail}
            </li>
          ))}
        </ul>
      )}
      {problem.traceId && <p className="muted">Trace {problem.traceId}</p>}
    </Notice>
  );
}
