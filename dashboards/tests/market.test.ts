import { describe, expect, test } from "vitest";
import { marketsOf, ROUNDS_SHOWN, shareOfBound } from "../src/live/market";
import { makeRound, makeStatistic } from "./factories";

describe("marketsOf", () => {
  test("rounds with bids, oldest first, under their cell; cells by name", () => {
    const rounds = [
      makeRound({ id: "newest" }),
      makeRound({ id: "of nobody", bound: 0 }),
      makeRound({ id: "a top-up", mechanism: "nearest" }),
      makeRound({ id: "elsewhere", cell_id: "cell_2" }),
      makeRound({ id: "oldest" }),
    ];
    const statistics = [
      makeStatistic({ cell_id: "cell_2", cell_name: "quay" }),
      makeStatistic({ resource: "memory_bytes" }),
      makeStatistic(),
    ];
    const found = marketsOf(rounds, statistics);
    expect(found.map((market) => market.name)).toEqual(["harbour", "quay"]);
    expect(found[0]?.rounds.map((round) => round.id)).toEqual(["oldest", "newest"]);
    expect(found[0]?.resources.map((row) => row.resource)).toEqual(["cpu_millis", "memory_bytes"]);
  });

  test("the newest row of a resource counts; what nobody trades is left out", () => {
    const idle = { depth_free: 0, depth_asked: 0 };
    const found = marketsOf(
      [],
      [
        makeStatistic({ at: "2026-01-02T00:00:00Z", rounds: 1 }),
        makeStatistic({ at: "2026-01-03T00:00:00Z", rounds: 2 }),
        makeStatistic({ resource: "bandwidth_kbps", ...idle }),
        makeStatistic({ cell_id: "cell_2", ...idle }),
      ],
    );
    expect(found).toHaveLength(1);
    expect(found[0]?.resources.map((row) => row.rounds)).toEqual([2]);
  });

  test("no more rounds than are shown", () => {
    const many = Array.from({ length: 100 }, (_, at) => makeRound({ id: `round_${at}` }));
    const [market] = marketsOf(many, [makeStatistic()]);
    expect(market?.rounds).toHaveLength(ROUNDS_SHOWN);
    expect(market?.rounds.at(-1)?.id).toBe("round_0");
  });
});

test.each([
  [0.1, 0.9],
  [0, 1],
  [2, 0],
  [-1, 1],
])("a gap of %f is a share of %f", (gap, share) => {
  expect(shareOfBound(makeRound({ gap }))).toBeCloseTo(share);
});
