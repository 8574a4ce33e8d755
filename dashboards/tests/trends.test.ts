import { describe, expect, test } from "vitest";
import { boundTrend, rangeOf, runsWithout, trendFrom, trendOf } from "../src/live/trends";
import { depthOf } from "../src/pages/market/BookPanel";
import { linePath, spreadPath } from "../src/ui/Trend";
import { makeRound, makeStatistic } from "./factories";

const AT_MS = Date.parse("2026-01-02T00:00:00Z");

describe("trendOf", () => {
  test("a line for each measure of each traded resource, points in the middle of their step", () => {
    const rows = [
      makeStatistic({ at: "2026-01-02T00:00:00Z" }),
      makeStatistic({ at: "2026-01-02T00:00:00Z", resource: "memory_bytes" }),
      makeStatistic({ resource: "bandwidth_kbps", depth_free: 0, depth_asked: 0 }),
    ];
    const trend = trendOf(rows, 60);
    expect(trend.resources.map((each) => each.resource)).toEqual(["cpu_millis", "memory_bytes"]);
    const at = AT_MS + 30_000;
    expect(trend.resources[0]).toMatchObject({
      median: [{ at, value: 20 }],
      spread: [{ at, low: 10, high: 30 }],
      free: [{ at, value: 2_000 }],
      asked: [{ at, value: 1_000 }],
      filled: [{ at, value: 0.5 }],
    });
    // The cell's own figures are told once, not once a resource.
    expect(trend.demands).toEqual([{ at, value: 4 }]);
    expect(trend.forwarded).toEqual([{ at, value: 0.25 }]);
  });

  test("what was not measured is no point, and no nought", () => {
    const idle = { fill_rate: null, share_forwarded: null, price_p10_micros: null };
    const trend = trendOf([makeStatistic({ ...idle, price_p50_micros: null })], 60);
    const [cpu] = trend.resources;
    expect([cpu?.filled, cpu?.median, cpu?.spread, trend.forwarded]).toEqual([[], [], [], []]);
  });
});

test("charts begin with a young market's first point, and show a minute at least", () => {
  const trend = trendOf([makeStatistic({ at: "2026-01-02T00:00:00Z" })], 0);
  expect(trendFrom(trend, AT_MS - 5_000, AT_MS + 90_000)).toBe(AT_MS);
  expect(trendFrom(trend, AT_MS + 1_000, AT_MS + 90_000)).toBe(AT_MS + 1_000);
  expect(trendFrom(trend, 0, AT_MS + 1_000)).toBe(AT_MS - 59_000);
  expect(trendFrom(trendOf([], 60), 7, AT_MS)).toBe(7);
});

test("of the bound, oldest first, without rounds that had nothing to win", () => {
  const rounds = [
    makeRound({ created_at: "2026-01-02T00:00:02Z", gap: 0.25 }),
    makeRound({ created_at: "2026-01-02T00:00:01Z", bound: 0 }),
    makeRound({ created_at: "2026-01-02T00:00:00Z", gap: 0 }),
  ];
  expect(boundTrend(rounds)).toEqual([
    { at: AT_MS, value: 1 },
    { at: AT_MS + 2_000, value: 0.75 },
  ]);
});

test("lines break over longer pauses", () => {
  const points = [0, 10, 40].map((at) => ({ at, value: 1 }));
  expect(runsWithout(points, 20).map((run) => run.length)).toEqual([2, 1]);
  expect(runsWithout(points, Infinity)).toHaveLength(1);
  expect(runsWithout([], 20)).toEqual([]);
});

test.each([
  [[2, 6], {}, { low: 2, high: 6 }],
  [[2, 6], { low: 0 }, { low: 0, high: 6 }],
  [[100, 100], {}, { low: 95, high: 105 }],
  [[0, 0], { low: 0 }, { low: 0, high: 1 }],
])("the range of %j with %j", (values, fixed, range) => {
  expect(rangeOf(values, fixed)).toEqual(range);
});

test("a line through its points, a single one as a dot, a spread there and back", () => {
  const x = (at: number) => at;
  expect(linePath([], x, x)).toBe("");
  expect(linePath([{ at: 1, value: 2 }], x, x)).toBe("M1 2L1 2");
  const two = [1, 3].map((at) => ({ at, value: at + 1, low: at, high: at + 2 }));
  expect(linePath(two, x, x)).toBe("M1 2L3 4");
  expect(spreadPath(two, x, x)).toBe("M1 3L3 5L3 3L1 1Z");
});

test("depth adds up level by level, of one resource", () => {
  const level = { resource: "cpu_millis", price_micros: 9, units: 300, orders: 1 };
  const levels = [level, { ...level, resource: "memory_bytes" }, { ...level, price_micros: 12 }];
  expect(depthOf(levels, "cpu_millis").map((each) => each.total)).toEqual([300, 600]);
});
