/** One event as a short sentence for people. */

import type { Overview, SoukEvent } from "../api/types";
import { shortId } from "../format/units";

const text = (value: unknown): string =>
  typeof value === "string" || typeof value === "number" ? String(value) : "";

/** What happened, without its subject. */
export function eventSentence(event: SoukEvent): string {
  const { data, kind } = event;
  if (kind === "round.cleared") {
    const slots = Number(data.slots ?? 0);
    return `round cleared, ${slots} ${slots === 1 ? "slot" : "slots"} sold`;
  }
  const [subject = "", change = ""] = kind.split(".", 2);
  const why = text(data.reason) || text(data.end_reason) || text(data.state_reason);
  const known = why && why !== "ok" ? ` (${why})` : "";
  return `${subject} ${change.replaceAll("_", " ")}${known}`;
}

/** The page that shows what the event is about; null where there is none. */
export function eventHref(event: SoukEvent): string | null {
  const id = text(event.data.job_id) || event.subject_id;
  if (id.startsWith("job_")) return `/jobs/${id}`;
  if (id.startsWith("node_")) return `/nodes/${id}`;
  if (id.startsWith("cell_")) return `/nodes?cell=${id}`;
  return null;
}

/** What people call the event's subject: its name where the overview knows it, else its id. */
export function eventSubject(event: SoukEvent, overview: Overview | null): string {
  const id = text(event.data.job_id) || event.subject_id;
  const known = [
    ...(overview?.jobs.recent ?? []),
    ...(overview?.nodes ?? []),
    ...(overview?.cells ?? []),
  ];
  return text(event.data.name) || known.find((one) => one.id === id)?.name || shortId(id);
}
