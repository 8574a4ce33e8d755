/** Credits for people from integer micros (millionths), and back, without a float in between. */

const MICROS_PER_CREDIT = 1_000_000;

/** `1_234_500` → `"1.2345"`: every digit that counts, at least ``decimals`` of them. */
export function formatCredits(micros: number, decimals = 2): string {
  const sign = micros < 0 ? "−" : "";
  const whole = Math.floor(Math.abs(micros) / MICROS_PER_CREDIT);
  const rest = String(Math.abs(micros) % MICROS_PER_CREDIT).padStart(6, "0");
  const shown = rest.slice(0, decimals) + rest.slice(decimals).replace(/0+$/, "");
  return `${sign}${whole.toLocaleString("en-US")}${shown ? `.${shown}` : ""}`;
}

/** A market price to five figures, which is finer than it holds for: `16_750_843` → `"16.751"`. */
export function formatPrice(micros: number): string {
  const step = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, micros))) - 4);
  return formatCredits(Math.round(micros / step) * step);
}

/** `"0.1"` → `100_000`; null for what is no amount or is finer than a micro. */
export function parseCredits(text: string): number | null {
  const match = /^\s*(\d{1,9})?(?:[.,](\d{1,6}))?\s*$/.exec(text);
  if (!match || (match[1] === undefined && match[2] === undefined)) return null;
  return Number(match[1] ?? 0) * MICROS_PER_CREDIT + Number((match[2] ?? "").padEnd(6, "0"));
}

/** `formatCredits` as a form holds it: no grouping, no padding. */
export function creditsForInput(micros: number): string {
  return formatCredits(micros, 0).replaceAll(",", "");
}
