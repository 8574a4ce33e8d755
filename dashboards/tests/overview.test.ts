import { describe, expect, test } from "vitest";
import type { Cell } from "../src/api/types";
import {
  addPrices,
  applyEvent,
  PRICE_WINDOW_MS,
  seriesKey,
  type PriceSeries,
} from "../src/live/overview";
import { eventHref, eventSentence, eventSubject, isNews } from "../src/live/sentence";
import { groupByCell } from "../src/pages/overview/CellsPanel";
import { sumOf } from "../src/pages/overview/KeyFigures";
import { chartFrom, priceChange } from "../src/pages/overview/PricesPanel";
import { busyCores, condition, sellable } from "../src/ui/NodeRow";
import { AT, makeEvent, makeJob, makeNode, makeOverview, makePrice } from "./factories";

describe("applyEvent", () => {
  const overview = makeOverview({
    nodes: [makeNode()],
    jobs: { by_state: { queued: 1, running: 3 }, recent: [makeJob()] },
    prices: [makePrice(), makePrice({ resource: "memory_bytes", price_micros: 5 })],
  });

  test("a job's move changes the job and both counts", () => {
    const after = applyEvent(overview, makeEvent("job.running"));
    expect(after.jobs.recent[0]?.state).toBe("running");
    expect(after.jobs.by_state).toEqual({ queued: 0, running: 4 });
    expect(overview.jobs.by_state).toEqual({ queued: 1, running: 3 });
  });

  test.each([
    ["the state it already has", makeEvent("job.submitted")],
    ["a job that is not listed", makeEvent("job.failed", { subject_id: "job_2" })],
    ["an unknown kind", makeEvent("job.polished")],
    ["a kind without a change", makeEvent("job")],
    ["a round without prices", makeEvent("round.cleared", { data: { cell_id: "cell_1" } })],
  ])("%s changes nothing", (_what, event) => {
    expect(applyEvent(overview, event)).toBe(overview);
  });

  test("a node's move is shown at once", () => {
    const event = makeEvent("node.offline", { subject_id: "node_1" });
    expect(applyEvent(overview, event).nodes[0]?.state).toBe("offline");
  });

  test("a round sets the prices of its own cell that it names", () => {
    const event = makeEvent("round.cleared", {
      at: "2026-01-02T03:04:09Z",
      data: { cell_id: "cell_1", prices: { cpu_millis: 20_999.7 } },
    });
    const [cpu, memory] = applyEvent(overview, event).prices;
    expect(cpu).toMatchObject({ price_micros: 21_000, at: "2026-01-02T03:04:09Z" });
    expect(memory?.price_micros).toBe(5);
  });
});

describe("addPrices", () => {
  const now = Date.parse(AT);
  const at = (ago: number) => new Date(now - ago).toISOString();
  const key = seriesKey("cell_1", "cpu_millis");
  const prices = (series: PriceSeries) => series.get(key)?.map((point) => point.priceMicros);

  test("keeps points in order and each once, however they come", () => {
    const rows = [3, 1, 2].map((n) => makePrice({ price_micros: n, at: at(10_000 - n * 1_000) }));
    const once = addPrices(new Map(), rows, now);
    expect(prices(addPrices(once, rows, now))).toEqual([1, 2, 3]);
  });

  test("forgets what left the window, but for the price that it opened with", () => {
    const rows = [2, 1.5, 0.5].map((windows) =>
      makePrice({ price_micros: windows * 10, at: at(windows * PRICE_WINDOW_MS) }),
    );
    expect(prices(addPrices(new Map(), rows, now))).toEqual([15, 5]);
    expect(prices(addPrices(new Map(), rows.slice(0, 2), now))).toEqual([15]);
  });
});

test("the change of a price is from the window's first point", () => {
  const points = [
    { at: 0, priceMicros: 100 },
    { at: 1, priceMicros: 300 },
  ];
  expect(priceChange(points, 150)).toBe(0.5);
  expect(priceChange([], 150)).toBeNull();
});

test("a chart begins with its window, or with a market that is younger", () => {
  const now = 10 * PRICE_WINDOW_MS;
  const since = (ago: number) => chartFrom([{ at: now - ago, priceMicros: 1 }], now);
  expect(since(2 * PRICE_WINDOW_MS)).toBe(now - PRICE_WINDOW_MS);
  expect(since(120_000)).toBe(now - 120_000);
  expect(since(1_000)).toBe(now - 60_000);
});

test("events read as sentences and lead to their subject", () => {
  const round = makeEvent("round.cleared", { subject_id: "round_1", data: { slots: 1 } });
  expect(eventSentence(round)).toBe("round cleared, 1 slot sold");
  expect(eventHref(round)).toBeNull();
  const overview = makeOverview({ jobs: { by_state: {}, recent: [makeJob({ name: "pears" })] } });
  const lease = makeEvent("lease.released", { subject_id: "lease_1", data: { job_id: "job_1" } });
  expect(eventHref(lease)).toBe("/jobs/job_1");
  expect(eventSubject(lease, overview)).toBe("pears");
  expect(eventSubject(round, null)).toBe("round_1");
  const failed = makeEvent("job.failed", { data: { end_reason: "task_failed" } });
  expect(eventSentence(failed)).toBe("job failed (task_failed)");
  expect(eventHref(failed)).toBe("/jobs/job_1");
});

test.each([
  [
    "job.forwarded",
    { from_cell: "cell_1", to_cell: "cell_2", slots: 3 },
    "sent on from harbour to cell_2, which bids for the 3 slots still lacking",
  ],
  [
    "lease.topped_up",
    { slots: 2, why: "it would be late" },
    "topped up, 2 slots bought at the standing price: it would be late",
  ],
  [
    "lease.moved",
    { slots: 1, why: "the node is to be drained" },
    "work moved, 1 slot bought elsewhere: the node is to be drained",
  ],
  [
    "round.shadow",
    { welfare: 2, welfare_shadow: 2.05 },
    "shadow policy tried the round: welfare +2.5 %",
  ],
  [
    "round.shadow",
    { welfare: 2, welfare_shadow: 1 },
    "shadow policy tried the round: welfare −50.0 %",
  ],
  [
    "round.shadow",
    { welfare: 1, welfare_shadow: 1 },
    "shadow policy tried the round: as good as the live one",
  ],
  [
    "round.shadow",
    { welfare: 0, welfare_shadow: 0 },
    "shadow policy tried the round: no difference",
  ],
])("%s says what happened: %o", (kind, data, sentence) => {
  const cell = { id: "cell_1", name: "harbour" } as Cell;
  expect(eventSentence(makeEvent(kind, { data }), makeOverview({ cells: [cell] }))).toBe(sentence);
});

describe("nodes", () => {
  const cell = (id: string, total: number): Cell => ({
    id,
    name: id,
    level: "cell",
    parent_id: null,
    nodes: { online: total, offline: 0, total },
    capacity: {
      total: { cpu_millis: 2_000 * total },
      leased: { cpu_millis: 500 * total },
      free: { cpu_millis: 1_500 * total },
    },
    prices: {},
  });

  test("are grouped by cell; one whose nodes are others' business stays, an empty one goes", () => {
    const cells = [cell("cell_1", 1), cell("cell_2", 3), cell("cell_3", 0)];
    const groups = groupByCell(cells, [makeNode()]);
    expect(groups.map((group) => [group.cell.id, group.nodes.length])).toEqual([
      ["cell_1", 1],
      ["cell_2", 0],
    ]);
  });

  test("sums are over all cells and leave out what one does not offer", () => {
    expect(sumOf([cell("cell_1", 1), cell("cell_2", 3)], "leased", "cpu_millis")).toBe(2_000);
    expect(sumOf([cell("cell_1", 1)], "total", "memory_bytes")).toBe(0);
  });

  test("only a node that takes work has something to sell", () => {
    expect(sellable(makeNode(), "cpu_millis")).toBe(1_500);
    expect(sellable(makeNode({ free: {} }), "cpu_millis")).toBe(1_500);
    for (const state of ["offline", "draining", "revoked"] as const) {
      expect(sellable(makeNode({ state }), "cpu_millis")).toBe(0);
    }
  });

  test("busy cores and condition are told only where they were measured", () => {
    expect(busyCores(makeNode())).toBeNull();
    expect(busyCores(makeNode({ measured: { cpu_free_millis: 2_500 } }))).toBe(1.5);
    expect(condition(makeNode())).toBe("");
    const measured = { on_battery: true, battery_percent: 64, temperature_millicelsius: 51_600 };
    expect(condition(makeNode({ measured }))).toBe("battery 64 % · 52 °C");
  });
});

test.each([
  ["price.moved", {}, false],
  ["round.cleared", { slots: 0 }, true],
  ["round.shadow", { welfare: 0, welfare_shadow: 0 }, false],
  ["round.shadow", { welfare: 1, welfare_shadow: 1 }, true],
  ["round.shadow", { welfare: 0, welfare_shadow: 1 }, true],
])("%s with %j is news: %s", (kind, data, told) => {
  expect(isNews(makeEvent(kind, { data }))).toBe(told);
});

test("a round's event leads to the round", () => {
  const event = makeEvent("round.cleared", {
    subject_id: "cell_1",
    data: { round_id: "round_1" },
  });
  expect(eventHref(event)).toBe("/market/rounds/round_1");
});
