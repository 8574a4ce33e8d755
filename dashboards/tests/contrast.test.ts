import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

const css = readFileSync(new URL("../src/styles/tokens.css", import.meta.url), "utf8");
const tokens = new Map(
  [...css.matchAll(/--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)/g)].map((match) => [
    match[1] ?? "",
    { light: match[2] ?? "", dark: match[3] ?? "" },
  ]),
);

/** Relative luminance of `#rrggbb` (WCAG 2.2). */
function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const channel = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [high = 0, low = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}

const TEXTS = ["text", "muted", "accent", "good", "busy", "wait", "bad", "idle", "price"];
const GROUNDS = ["ground", "surface", "sunken"];
const PAIRS: [string, string, number][] = [
  ...TEXTS.flatMap((text) =>
    GROUNDS.map((ground): [string, string, number] => [text, ground, 4.5]),
  ),
  ["accent-text", "accent", 4.5],
  ["text", "bad-soft", 4.5],
  ["text", "wait-soft", 4.5],
  ["text", "good-soft", 4.5],
  ["line-strong", "surface", 3], // borders of inputs
];

describe.each(["light", "dark"] as const)("%s theme", (theme) => {
  test.each(PAIRS)("%s on %s has a contrast of at least %f", (text, ground, least) => {
    const one = tokens.get(text)?.[theme];
    const other = tokens.get(ground)?.[theme];
    expect(one && other).toBeTruthy();
    expect(contrast(one ?? "", other ?? "")).toBeGreaterThanOrEqual(least);
  });
});

test("black on white has the highest contrast there is", () => {
  expect(contrast("#000000", "#ffffff")).toBeCloseTo(21);
});
