import { describe, expect, test } from "vitest";
import type { Explanation, RoundOutcome } from "../src/api/types";
import { loweredBid } from "../src/pages/job/CostPanel";
import { concerns } from "../src/pages/job/JobPage";
import { spanOf } from "../src/pages/job/AttemptsPanel";
import { runsOf, winningLimit } from "../src/pages/job/ExplainPanel";
import { stepsOf } from "../src/pages/job/TimelinePanel";
import { costSoFar, hasEnded, reasonOf } from "../src/ui/JobTable";
import { stepPath } from "../src/ui/Sparkline";
import { makeAttempt, makeEvent, makeJob } from "./factories";

const at = (seconds: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, seconds)).toISOString();
const ms = (seconds: number) => Date.parse(at(seconds));

describe("stepsOf", () => {
  test("a waiting job shows what has not happened yet", () => {
    expect(stepsOf(makeJob({ created_at: at(0), matched_at: at(2) }))).toEqual([
      { label: "submitted", at: at(0), tookMs: null },
      { label: "matched", at: at(2), tookMs: 2_000 },
      { label: "started", at: null, tookMs: null },
      { label: "ended", at: null, tookMs: null },
    ]);
  });

  test("a job that ended before it was matched skips those steps", () => {
    const job = makeJob({ state: "cancelled", created_at: at(0), ended_at: at(5) });
    expect(stepsOf(job).map((step) => [step.label, step.tookMs])).toEqual([
      ["submitted", null],
      ["cancelled", 5_000],
    ]);
  });
});

describe("spanOf", () => {
  test("an attempt waits and then runs within the job's time", () => {
    const attempt = makeAttempt({ assigned_at: at(2), started_at: at(4), ended_at: at(8) });
    expect(spanOf(attempt, ms(0), ms(10))).toEqual({ waitFrom: 0.2, runFrom: 0.4, runTo: 0.8 });
  });

  test("one that still runs reaches to now, one that never started only waits", () => {
    const running = makeAttempt({ assigned_at: at(2), started_at: at(4) });
    expect(spanOf(running, ms(0), ms(10)).runTo).toBe(1);
    const lost = makeAttempt({ assigned_at: at(2), ended_at: at(5) });
    expect(spanOf(lost, ms(0), ms(10))).toEqual({ waitFrom: 0.2, runFrom: 0.5, runTo: 0.5 });
  });
});

test("cost is what was settled, else what has accrued", () => {
  expect(costSoFar(makeJob({ state: "running", accrued_micros: 7, cost_micros: null }))).toBe(7);
  expect(costSoFar(makeJob({ state: "failed", accrued_micros: 7, cost_micros: 5 }))).toBe(5);
  expect(hasEnded(makeJob({ state: "matched" }))).toBe(false);
  expect(hasEnded(makeJob({ state: "expired" }))).toBe(true);
});

test("rounds in a row that ended alike are told once", () => {
  const round = (second: number, slots_won: number, detail: string): RoundOutcome => ({
    round_id: `round_${second}`,
    created_at: at(second),
    mechanism: "greedy",
    slots_asked: 4,
    slots_won,
    loss: null,
    detail,
  });
  const runs = runsOf([
    round(1, 0, "dear"),
    round(2, 0, "dear"),
    round(3, 4, ""),
    round(4, 0, "dear"),
  ]);
  expect(runs.map((run) => [run.newest.round_id, run.count])).toEqual([
    ["round_4", 1],
    ["round_3", 1],
    ["round_2", 2],
  ]);
});

test("an event concerns a job as subject or by name", () => {
  expect(concerns(makeEvent("job.running"), "job_1")).toBe(true);
  const lease = makeEvent("lease.created", { subject_id: "lease_1", data: { job_id: "job_1" } });
  expect(concerns(lease, "job_1")).toBe(true);
  expect(concerns(makeEvent("job.running", { subject_id: "job_2" }), "job_1")).toBe(false);
});

describe("stepPath", () => {
  test("holds each price until the next, up to now", () => {
    const points = [
      { at: 0, priceMicros: 10 },
      { at: 50, priceMicros: 20 },
    ];
    expect(stepPath(points, 0, 100)).toBe("M0 33H100V3H200");
  });

  test("a flat price runs through the middle; an older one starts at the edge", () => {
    expect(stepPath([{ at: -500, priceMicros: 10 }], 0, 100)).toBe("M0 18H200");
    expect(stepPath([], 0, 100)).toBe("");
  });
});

describe("reasonOf", () => {
  const demand = {
    state: "open",
    count_open: 1,
    rounds: 3,
    last_loss: "limit_below_reserve",
    last_loss_detail: "offers 1, asks 2",
  };

  test.each([
    [makeJob({ demand }), { why: "its limit is under every reserve", detail: "offers 1, asks 2" }],
    [makeJob(), { why: null, detail: null }],
    [makeJob({ demand, state: "running" }), { why: null, detail: null }],
    [makeJob({ demand, state: "succeeded", end_reason: "ok" }), { why: null, detail: null }],
    [
      makeJob({ demand, state: "failed", end_reason: "task_failed", end_detail: "exit 3" }),
      { why: "task failed", detail: "exit 3" },
    ],
  ])("a job tells why it waits or how it ended (%#)", (job, told) => {
    expect(reasonOf(job)).toEqual(told);
  });
});

test.each([
  [2_000, 1_000, 2_000],
  [1_000, 1_000, null],
  [900, 1_000, null],
  [null, 1_000, null],
])("with %s to win and a limit of %i it is told %s", (price, limit, told) => {
  const explanation = { price_to_win_micros_per_hour: price } as Explanation;
  expect(winningLimit(explanation, limit)).toBe(told);
  expect(winningLimit({ ...explanation, state: "succeeded" }, limit)).toBeNull();
});

test.each([
  [90_000, 90_000],
  [100_000, null],
  [undefined, null],
])("a bid of %s under a limit of 100,000 is told as %s", (bids, told) => {
  const open = { state: "open", count_open: 1, rounds: 1, last_loss: null, last_loss_detail: null };
  const demand = bids === undefined ? open : { ...open, limit_micros_per_hour: bids };
  expect(loweredBid(makeJob({ demand }))).toBe(told);
});
