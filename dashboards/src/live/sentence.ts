/** One event as a short sentence for people. */

import type { Overview, SoukEvent } from "../api/types";
import { shortId } from "../format/units";

const text = (value: unknown): string =>
  typeof value === "string" || typeof value === "number" ? String(value) : "";

/** What moves a job's work in the market after it was submitted: its timeline tells them. */
export const MOVES: ReadonlySet<string> = new Set([
  "job.forwarded",
  "lease.topped_up",
  "lease.moved",
]);

const slotsOf = (event: SoukEvent): string => {
  const slots = Number(event.data.slots ?? 0);
  return `${slots} ${slots === 1 ? "slot" : "slots"}`;
};

const because = (why: unknown): string => (text(why) ? `: ${text(why)}` : "");

/** Sentences of the kinds whose name says too little. */
const SENTENCES: Record<string, (event: SoukEvent, overview: Overview | null) => string> = {
  "round.cleared": (event) => `round cleared, ${slotsOf(event)} sold`,
  "round.shadow": ({ data }) =>
    `shadow policy tried the round: ${shadowWorth(Number(data.welfare), Number(data.welfare_shadow))}`,
  "job.forwarded": (event, overview) =>
    `sent on from ${cellName(event.data.from_cell, overview)} to ${cellName(
      event.data.to_cell,
      overview,
    )}, which bids for the ${slotsOf(event)} still lacking`,
  "lease.topped_up": (event) =>
    `topped up, ${slotsOf(event)} bought at the standing price${because(event.data.why)}`,
  "lease.moved": (event) =>
    `work moved, ${slotsOf(event)} bought elsewhere${because(event.data.why)}`,
};

/** Whether the list of events gains by it: prices have a panel, and shadows may have had no work. */
export function isNews({ kind, data }: SoukEvent): boolean {
  if (kind === "price.moved") return false;
  return kind !== "round.shadow" || Number(data.welfare) > 0 || Number(data.welfare_shadow) > 0;
}

/** What happened, without its subject; cells by name where the overview knows them. */
export function eventSentence(event: SoukEvent, overview: Overview | null = null): string {
  const { data, kind } = event;
  const told = SENTENCES[kind];
  if (told) return told(event, overview);
  const [subject = "", change = ""] = kind.split(".", 2);
  const why = text(data.reason) || text(data.end_reason) || text(data.state_reason);
  const known = why && why !== "ok" ? ` (${why})` : "";
  return `${subject} ${change.replaceAll("_", " ")}${known}`;
}

function cellName(id: unknown, overview: Overview | null): string {
  return overview?.cells.find((cell) => cell.id === id)?.name ?? shortId(text(id));
}

/** How the shadow's welfare compares with that of the plan in force, by the live policy's score. */
function shadowWorth(live: number, shadow: number): string {
  if (!(live > 0)) return shadow > 0 ? "it would have sold, the live one did not" : "no difference";
  const change = (shadow / live - 1) * 100;
  if (Math.abs(change) < 0.05) return "as good as the live one";
  return `welfare ${change > 0 ? "+" : "−"}${Math.abs(change).toFixed(1)} %`;
}

/** The page that shows what the event is about; null where there is none. */
export function eventHref(event: SoukEvent): string | null {
  const id = text(event.data.job_id) || event.subject_id;
  if (id.startsWith("job_")) return `/jobs/${id}`;
  const round = text(event.data.round_id);
  if (event.kind.startsWith("round.") && round) return `/market/rounds/${round}`;
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
