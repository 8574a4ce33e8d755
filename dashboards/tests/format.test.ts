import { describe, expect, test } from "vitest";
import { creditsForInput, formatCredits, formatPrice, parseCredits } from "../src/format/money";
import { previewOf } from "../src/format/preview";
import { endWords } from "../src/format/ends";
import { lossPhrase } from "../src/format/loss";
import { formatGap, formatScore } from "../src/format/score";
import { between, formatAge, formatDuration } from "../src/format/time";
import {
  amount,
  formatBytes,
  formatEnergy,
  formatShare,
  orderedResources,
  shortId,
} from "../src/format/units";

describe("money", () => {
  test.each([
    [0, "0.00"],
    [1, "0.000001"],
    [100_000, "0.10"],
    [1_234_500, "1.2345"],
    [-299_998_766, "−299.998766"],
    [1_234_567_000_000, "1,234,567.00"],
    [9_007_199_254_740_991, "9,007,199,254.740991"],
  ])("%i micros are shown in full as %s", (micros, text) => {
    expect(formatCredits(micros)).toBe(text);
  });

  test.each([
    ["0.1", 100_000],
    ["0,25", 250_000],
    [".5", 500_000],
    ["12", 12_000_000],
    [" 1.000001 ", 1_000_001],
  ])("%s is read without a float", (text, micros) => {
    expect(parseCredits(text)).toBe(micros);
  });

  test.each(["", " ", ".", "-1", "1e3", "0.0000001", "1.2.3", "ten"])("%j is no amount", (text) => {
    expect(parseCredits(text)).toBeNull();
  });

  test.each([
    [0, "0.00"],
    [99_999, "0.099999"],
    [1_234_567, "1.2346"],
    [16_750_843, "16.751"],
    [1_234_567_000, "1,234.60"],
  ])("a price of %i micros is told as %s", (micros, text) => {
    expect(formatPrice(micros)).toBe(text);
  });

  test("what a form shows is read back as the same amount", () => {
    for (const micros of [1, 21_400, 1_234_567_890, 100_000]) {
      expect(parseCredits(creditsForInput(micros))).toBe(micros);
    }
  });
});

describe("time", () => {
  test.each([
    [-5, "0 ms"],
    [0.23, "0.2 ms"],
    [47.6, "48 ms"],
    [1_530, "1.53 s"],
    [12_340, "12.3 s"],
    [60_000, "1 min"],
    [75_000, "1 min 15 s"],
    [3_660_000, "1 h 1 min"],
    [90_000_000, "1 d 1 h"],
  ])("%f ms is %s", (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  test.each([
    [-900, "0 s"],
    [3_999, "3 s"],
    [119_000, "119 s"],
    [120_000, "2 min"],
    [7_200_000, "2 h"],
    [172_800_000, "2 d"],
  ])("an age of %i ms is %s", (ms, text) => {
    expect(formatAge(ms)).toBe(text);
  });

  test("no time between what has not happened", () => {
    expect(between("2026-01-01T00:00:00Z", null)).toBeNull();
    expect(between("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.250Z")).toBe(250);
  });
});

describe("units", () => {
  test("amounts are in the unit that prices are quoted for", () => {
    expect(amount("cpu_millis", 1_500)).toBe("1.5");
    expect(amount("memory_bytes", 2 ** 30)).toBe("1");
    expect(amount("bandwidth_kbps", 250_000)).toBe("250");
    expect(amount("camera_minutes", 7)).toBe("7");
  });

  test("resources keep the market's order, unknown ones last", () => {
    const names = ["zeta", "memory_bytes", "alpha", "cpu_millis", "memory_bytes"];
    expect(orderedResources(names)).toEqual(["cpu_millis", "memory_bytes", "alpha", "zeta"]);
  });

  test.each([
    [0, "0 %"],
    [0.004, "<1 %"],
    [0.456, "46 %"],
    [0.999, ">99 %"],
    [1, "100 %"],
  ])("a share of %f is %s", (share, text) => {
    expect(formatShare(share)).toBe(text);
  });

  test("bytes and energies climb their units", () => {
    expect([0, 1_023, 1_536, 128 * 2 ** 20].map(formatBytes)).toEqual([
      "0 B",
      "1,023 B",
      "1.5 KiB",
      "128 MiB",
    ]);
    expect([12, 4_200, 1_500_000].map(formatEnergy)).toEqual(["12 mJ", "4.2 J", "1.5 kJ"]);
  });

  test("short ids keep their type and the end that differs", () => {
    expect(shortId("job_0190aabbccddeeff")).toBe("job_…ddeeff");
  });
});

describe("preview", () => {
  const bytes = (text: string) => new TextEncoder().encode(text);

  test("JSON is indented, other text is left alone", () => {
    expect(previewOf(bytes('{"a":[1]}'), false)).toMatchObject({
      is: "JSON",
      text: '{\n  "a": [1]\n}',
    });
    expect(previewOf(bytes("42"), false)).toMatchObject({ is: "text", text: "42" });
  });

  test("rows of numbers are lines, text in lists is left as it is", () => {
    const value = {
      y: [
        [0.5, 1],
        [2, 3],
      ],
      "a [\n": ["x,  y", "[1,\n2]"],
      none: [],
    };
    const { text } = previewOf(bytes(JSON.stringify(value)), false);
    expect(text).toContain('"y": [\n    [0.5, 1],\n    [2, 3]\n  ]');
    expect(JSON.parse(text)).toEqual(value);
  });

  test("the beginning of something may end within a character", () => {
    const euro = bytes("5 €");
    expect(previewOf(euro.subarray(0, euro.length - 1), true)).toEqual({
      is: "text",
      text: "5 ",
      cut: true,
    });
    expect(previewOf(euro.subarray(0, euro.length - 1), false).is).toBe("bytes");
  });

  test("bytes that are no text are shown as hex", () => {
    const { is, text } = previewOf(new Uint8Array([0, 65, 255]), false);
    expect(is).toBe("bytes");
    expect(text).toMatch(/^0000 {2}00 41 ff +\.A\.$/);
  });
});

test.each([
  ["no_capacity", "no room now"],
  ["of_a_newer_platform", "of a newer platform"],
])("the loss %s is told as %s", (loss, text) => {
  expect(lossPhrase(loss)).toBe(text);
});

test.each([
  [null, null, null],
  ["ok", 0, null],
  ["exit_code", 3, "exit code 3"],
  ["task_timeout", null, "task timeout"],
  ["out_of_memory", 137, "out of memory, exit code 137"],
  [null, 3, "exit code 3"],
])("an end by %s with exit code %s is told as %s", (reason, exitCode, text) => {
  expect(endWords(reason, exitCode)).toBe(text);
});

test.each([
  [{ bound: 0, gap: 0 }, "–"],
  [{ bound: 1, gap: 0 }, "0 %"],
  [{ bound: 1, gap: 0.0346 }, "≤ 3.46 %"],
  [{ bound: 1, gap: 0.0000001 }, "≤ 0.01 %"],
])("the gap of %j is told as %s", (round, text) => {
  expect(formatGap(round)).toBe(text);
});

test.each([
  [0, "0"],
  [0.0852399, "0.08524"],
  [12_345.678, "12,350"],
  [0.00000012345678, "0.0000001235"],
])("a score of %f is told as %s", (score, text) => {
  expect(formatScore(score)).toBe(text);
});
