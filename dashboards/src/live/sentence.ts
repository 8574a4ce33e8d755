/** One event as a short sentence for people. */

import type { SoukEvent } from "../api/types";
import { formatCredits } from "../format/money";
import { resourceFormat } from "../format/units";

const text = (value: unknown): string =>
  typeof value === "string" || typeof value === "number" ? String(value) : "";

/** What happened, without its subject. */
export function eventSentence(event: SoukEvent): string {
  const { data, kind } = event;
  if (kind === "round.cleared") {
    const slots = Number(data.slots ?? 0);
    return `round cleared, ${slots} ${slots === 1 ? "slot" : "slots"} sold`;
  }
  if (kind === "price.moved" && typeof data.price_micros === "number") {
    const { label, pricedPer } = resourceFormat(text(data.resource));
    return `${label} now ${formatCredits(data.price_micros)} cr/${pricedPer}`;
  }
  const [subject = "", change = ""] = kind.split(".", 2);
  const why = text(data.reason) || text(data.end_reason) || text(data.state_reason);
  const known = why && why !== "ok" ? ` (${why})` : "";
  return `${subject} ${change.replaceAll("_", " ")}${known}`;
}

/** The page that shows the event's subject; null where there is none. */
export function eventHref(event: SoukEvent): string | null {
  const id = event.subject_id;
  if (id.startsWith("job_")) return `/jobs/${id}`;
  if (id.startsWith("node_")) return `/nodes/${id}`;
  return null;
}
