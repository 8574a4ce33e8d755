/** What the page may say of its own freshness: "live" only while it is true. */

import type { Problem } from "../api/problem";
import { formatAge } from "../format/time";
import type { Tone } from "../ui/State";
import type { ConnectionState } from "./connection";

// A picture older than this is called old even on an open line.
export const FRESH_MS_MAX = 12_000;

export interface ConnectionWords {
  tone: Tone;
  word: string;
  /** How old the shown data is; null while it is fresh or there is none. */
  age: string | null;
  detail: string;
}

export function describeConnection(facts: {
  connection: ConnectionState;
  loadedAt: number | null;
  problem: Problem | null;
  now: number;
}): ConnectionWords {
  const { connection, loadedAt, problem, now } = facts;
  const ageMs = loadedAt === null ? null : Math.max(0, now - loadedAt);
  const old = ageMs === null || ageMs > FRESH_MS_MAX;
  const age = ageMs === null ? null : `data ${formatAge(ageMs)} old`;
  switch (connection.phase) {
    case "live":
      if (problem) {
        return { tone: "bad", word: "out of date", age, detail: problem.message };
      }
      if (old) {
        return {
          tone: "wait",
          word: ageMs === null ? "loading" : "behind",
          age,
          detail: "Events arrive, the overview is being loaded.",
        };
      }
      return { tone: "good", word: "live", age: null, detail: "Events arrive as they happen." };
    case "connecting":
      return { tone: "wait", word: "connecting", age, detail: "Opening the stream of events." };
    case "reconnecting":
      return {
        tone: "bad",
        word: "reconnecting",
        age,
        detail: "The stream of events broke; trying again. What is shown may be out of date.",
      };
    case "paused":
      return { tone: "idle", word: "paused", age, detail: "This page was out of sight." };
  }
}
