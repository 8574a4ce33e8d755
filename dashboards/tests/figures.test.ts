import { describe, expect, test } from "vitest";
import type { Policy } from "../src/api/types";
import { changeOf, FIGURES, orderedFigures } from "../src/live/figures";
import { inForce } from "../src/pages/market/PoliciesPage";

describe("changeOf", () => {
  test.each([
    ["welfare", 2, 2.1, "+5 %", "better"],
    ["welfare", 2, 1.9, "−5 %", "worse"],
    ["power_milliwatts", 4_000, 3_000, "−25 %", "better"],
    ["gap", 0.02, 0.06, "+4 points", "worse"],
    ["revenue_micros_per_hour", 100, 110, "+10 %", "other"],
    ["welfare", 2, 2.0001, "no change", "alike"],
    ["welfare", 0, 0, "no change", "alike"],
    ["welfare", 0, 1, "from nothing", "better"],
  ])("%s from %f to %f is %s, %s", (name, live, shadow, text, verdict) => {
    expect(changeOf(name, live, shadow)).toEqual({ text, verdict });
  });
});

test("figures stand in one order, each with a name and a unit or a unit in its value", () => {
  const given = ["clear_ms", "of a newer platform", "welfare"].map((name) => ({ name }));
  expect(orderedFigures(given).map((one) => one.name)).toEqual(["welfare", "clear_ms"]);
  expect(FIGURES.power_milliwatts?.format(3_500)).toBe("3.5");
  expect(FIGURES.clear_ms?.format(2.34)).toBe("2.3 ms");
  expect(FIGURES.gap?.format(0.0179)).toBe("1.79 %");
});

test("in force is what was activated last and is no shadow", () => {
  const policy = (id: string, activated: string | null, shadow = false): Policy => ({
    id,
    name: id,
    body: {
      payment: "uniform",
      weight_cost: 1,
      weight_qos: 0,
      weight_energy: 0,
      weight_fairness: 0,
      utilisation_target: 0.8,
      parameters: {},
    },
    created_at: "2026-01-01T00:00:00Z",
    activated_at: activated,
    shadow,
  });
  const older = policy("older", "2026-01-01T00:00:00Z");
  const newer = policy("newer", "2026-01-02T00:00:00Z");
  const shadow = policy("shadow", "2026-01-03T00:00:00Z", true);
  expect(inForce([policy("new", null), older, shadow, newer])).toBe(newer);
  expect(inForce([policy("new", null)])).toBeNull();
});
