/** Times for people: durations with their unit, ages, and local clock times. */

import { compact } from "./units";

/** `0.23` → `"0.2 ms"`, `1530` → `"1.53 s"`, `75_000` → `"1 min 15 s"`. */
export function formatDuration(ms: number): string {
  if (ms < 0) return "0 ms";
  if (ms < 10) return `${compact(ms, 1)} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${compact(ms / 1_000, 2)} s`;
  if (ms < 60_000) return `${compact(ms / 1_000, 1)} s`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 3_600) return pair(seconds, 60, "min", "s");
  if (seconds < 86_400) return pair(Math.floor(seconds / 60), 60, "h", "min");
  return pair(Math.floor(seconds / 3_600), 24, "d", "h");
}

function pair(value: number, base: number, large: string, small: string): string {
  const rest = value % base;
  return rest
    ? `${Math.floor(value / base)} ${large} ${rest} ${small}`
    : `${value / base} ${large}`;
}

/** Ages in whole units, so that a ticking column is calm: `"3 s"`, `"4 min"`, `"2 d"`. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** Milliseconds between two RFC 3339 times; null if either is missing. */
export function between(from: string | null, to: string | null): number | null {
  return from && to ? Date.parse(to) - Date.parse(from) : null;
}

const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const day = new Intl.DateTimeFormat(undefined, { day: "2-digit", month: "short" });

/** The local clock time; with the day when it is not today's. */
export function formatClock(at: string, now: number): string {
  const time = new Date(at);
  const today = time.toDateString() === new Date(now).toDateString();
  return today ? clock.format(time) : `${day.format(time)} ${clock.format(time)}`;
}
