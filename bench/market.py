"""The market's claims as figures: ``python -m bench market [--json] [--part NAME] [--quick]``.

Parts: ``anytime`` (share of the certified bound over time on separable instances), ``table`` (all
mechanisms on all instances by one utility), ``speed`` (MOHAF's own instance against its published
code), ``solvers`` (ours against solvers that have ten times its time), ``hierarchy`` (flat against
cells), ``live`` (live rounds over time against a flat market), ``fairness`` (200 rounds with a
greedy tenant), ``price`` (the standing price under steady load), ``prediction`` (of chances, before
bids are submitted, against what came of them). Writes
``docs/bench/market.json``, ``market.md`` and plots; parts that are not run keep what they have
there. CPU seconds stand beside wall seconds.
"""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench import solvers
from bench.live import live
from bench.separable import case, cleared, timed
from bench.table import speed, table
from market import hierarchy
from market.factors import problem_of
from market.hierarchy import tree as cell_tree
from market.hierarchy.curves import ground_of
from market.hierarchy.messages import BidRows, Form
from market.kernels import clearing
from market.kernels.problem import Problem
from market.mechanisms import get
from market.pricing import floors
from market.snapshot import Indices, Policy, Snapshot
from sim import forecast
from sim.fairness import EQUAL, shares_over_rounds
from sim.forecast import foretold
from sim.generators import random_snapshot
from sim.hard import hard_problem, hard_values, hard_violations
from sim.mohaf_paper import jain

OUT = Path("docs/bench")
SEEDS = (11, 12)
SHORT_MS, REPEATS = 50, 15
FAIRNESS_BUDGETS_MS = (25, 5)  # of each of the 200 rounds: settled, and in a hurry
ENTITLEMENTS = (EQUAL, (0.1, 0.2, 0.3, 0.4), (0.4, 0.3, 0.2, 0.1))  # of the greedy one first
FAIR = ("hierarchical", "greedy")
PRICED_BIDS = (10, 100, 400)  # a round, on eight nodes: room, about enough, scarcity
Row = dict[str, Any]


def anytime(quick: bool) -> list[Row]:
    """Welfare over the certified bound at each budget, cold and with carried prices.

    Short budgets are repeated, and the median of their times is told.
    """
    cases: list[tuple[int, int, int, tuple[int, ...], int]] = [
        (3_553, 888, 32, (10, 500, 5_000), 8_000)
    ]
    if not quick:
        cases += [
            (50_000, 10_000, 64, (250, 800, 2_000, 3_000, 8_000), 20_000),
            (100_000, 20_000, 64, (2_000,), 30_000),
        ]
    first = timed(lambda: cleared(case(60, 20, 2, 1), 50, None))
    rows: list[Row] = [{"what": "first round of a process", "wall_s": first[1], "cpu_s": first[2]}]
    for bids, nodes, zones, budgets, reference_ms in cases:
        for seed in SEEDS[: 1 if quick else None]:
            arrays = case(bids, nodes, zones, seed)
            # Prices of the round before: the same nodes, other bids.
            last = case(bids, nodes, zones, seed, round_number=1)
            before = cleared(last, reference_ms, None)
            best = cleared(arrays, reference_ms, None)
            for carried in (None, before.price):
                for budget in budgets:
                    repeats = REPEATS if budget <= SHORT_MS else 1
                    runs = [
                        timed(partial(cleared, arrays, budget, carried)) for _ in range(repeats)
                    ]
                    found = runs[-1][0]
                    wall, cpu = (float(np.median([run[k] for run in runs])) for k in (1, 2))
                    welfare = float(hard_values(arrays, found.bid, found.ask).sum())
                    rows.append(
                        {
                            "bids": bids,
                            "nodes": nodes,
                            "seed": seed,
                            "prices": "cold" if carried is None else "carried",
                            "budget_ms": budget,
                            "wall_s": wall,
                            "cpu_s": cpu,
                            "share_of_own_bound": welfare / found.bound,
                            "share_of_best_bound": welfare / min(best.bound, found.bound),
                            "violations": hard_violations(arrays, found.bid, found.ask),
                            "timings_ms": found.timings_ms,
                        }
                    )
    return rows


def cells(quick: bool) -> list[Row]:
    """Flat against 8, 32 and 128 cells on generated and on separable instances.

    All at one budget of processor time; one worker has the same in twice the wall time. Bytes are
    those of the encoded messages, beside what it takes to send every bid and node to one place.
    """
    sizes = [(4_000, 1_000, 128, 1_000)]
    if not quick:
        sizes += [(10_000, 2_000, 128, 2_000), (50_000, 10_000, 128, 5_000)]
    rows: list[Row] = []
    for bids, asks, zones, budget in sizes:
        market = random_snapshot(bids=bids, asks=asks, seed=1, zones=zones, slots_max=1)
        arrays = case(bids, asks, zones, 1)
        generated, separable = problem_of(market), hard_problem(arrays)

        def by_latency(count: int, market: Snapshot = market) -> tuple[Indices, Indices]:
            split = hierarchy.by_latency(market, cells=count)
            return split.asks.cell, split.bids.home

        def by_number(count: int, arrays: Any = arrays, zones: int = zones) -> Any:
            parts = (arrays[name] * count // zones for name in ("node_zone", "bid_zone"))
            return tuple(part.astype(np.int32) for part in parts)

        rows += _split(generated, f"generated {bids} × {asks}", by_latency, budget)
        rows += _split(separable, f"separable {bids} × {asks}", by_number, budget)
    return rows


def _split(
    problem: Problem, name: str, places: Callable[[int], tuple[Indices, Indices]], budget_ms: int
) -> list[Row]:
    one = np.ones(problem.bids, np.int64)
    clear = partial(clearing.clear, problem, count_min=one, seed=1, threads=2, repeatable=True)
    clear(budget_ms=20)  # compiled
    flat, wall, cpu = timed(partial(clear, budget_ms=budget_ms))
    common: Row = {"instance": name, "cells": 1, "workers": 2, "welfare": flat.welfare}
    rows: list[Row] = [{**common, "bound": flat.bound, "wall_s": wall, "cpu_s": cpu}]
    form = Form.of(problem)
    all_bids = len(BidRows.of(problem, form).tell(np.arange(problem.bids, dtype=np.int32)))
    for count in (8, 32, 128):
        cell, home = places(count)
        ground, _ = ground_of(problem, cell)
        split = partial(
            cell_tree.clear, problem, cell=cell, home=home, cells=count, count_min=one, seed=1
        )
        split(budget_ms=20, workers=2)
        for workers in (1, 2):
            given = partial(split, budget_ms=budget_ms * 2 // workers, workers=workers)
            found, wall, cpu = timed(given)
            row: Row = {**common, "cells": count, "workers": workers, "welfare": found.welfare}
            row |= {"bound": found.bound, "wall_s": wall, "cpu_s": cpu}
            row |= {"loss_percent": 100.0 * (1.0 - found.welfare / flat.welfare)}
            row |= {"sent_up": found.sent_up, "handed_down": found.handed_down}
            row |= {"bytes_up": found.traffic.up, "bytes_down": found.traffic.down}
            rows.append({**row, "bytes_all_to_one": all_bids + len(ground.tell())})
    bound = min(row["bound"] for row in rows)
    return [{**row, "share_of_bound": row["welfare"] / bound} for row in rows]


def fairness(quick: bool) -> list[Row]:
    """Shares of tenants of which one bids ten times as often, by what they are entitled to.

    ``points`` is the worst distance from an entitlement in shares of all that was served, over the
    last three quarters of the rounds; ``relative`` the same over the entitlement itself.
    """
    rows: list[Row] = []
    rounds = 60 if quick else 200
    settled_ms, hurried_ms = FAIRNESS_BUDGETS_MS
    cases = [(name, 0.4, due, settled_ms) for name in FAIR for due in ENTITLEMENTS]
    cases += [("hierarchical", 0.4, due, hurried_ms) for due in ENTITLEMENTS]
    cases += [("hierarchical", 0.2, due, settled_ms) for due in ENTITLEMENTS]
    cases += [(name, 0.4, EQUAL, settled_ms) for name in ("first_price", "random")]
    for mechanism, weight, due, budget_ms in cases:
        policy = Policy(weight_fairness=weight, parameters={"repeatable": 1.0})
        for seed in range(1 if quick or mechanism not in FAIR else 4 if weight == 0.4 else 2):
            shares = shares_over_rounds(
                get(mechanism),
                rounds=rounds,
                seed=seed,
                policy=policy,
                entitlement=due,
                budget_ms=budget_ms,
            )
            settled = shares[rounds // 4 :].mean(axis=0)
            off = np.abs(settled - due)
            rows.append(
                {
                    "mechanism": mechanism,
                    "weight_fairness": weight,
                    "budget_ms": budget_ms,
                    "entitled": " / ".join(f"{share:g}" for share in due),
                    "seed": seed,
                    "got": " / ".join(f"{share:.3f}" for share in settled),
                    "points": float(off.max()),
                    "relative": float((off / due).max()),
                    "jain": jain(settled / due),
                    "cumulative": (shares.cumsum(0) / np.arange(1, rounds + 1)[:, None]).tolist(),
                }
            )
    return rows


def price(quick: bool) -> list[Row]:
    """The standing price of one cell under steady load (other bids each round, as many of them).

    From a start at half and at four times the first price: it must come to the same rest.
    """
    policy = Policy(parameters={"repeatable": 1.0})
    rounds = 40 if quick else 120
    rows: list[Row] = []
    for bids in PRICED_BIDS:
        for start in (0.5, 4.0):
            first = _loaded(bids, 0, policy)
            standing = first.standing_price * start
            path = []
            for number in range(rounds):
                snapshot = replace(_loaded(bids, number, policy), standing_price=standing)
                standing = get("hierarchical").clear(snapshot, budget_ms=20).standing_price
                path.append(float(standing[0, 0]))
            late = np.array(path[rounds // 2 :])
            rows.append(
                {
                    "bids": bids,
                    "nodes": len(first.asks),
                    "start": start,
                    "floor": float(floors(first)[0, 0]),
                    "rest": float(late.mean()),
                    "spread_at_rest": float(late.std() / late.mean()),
                    "price_micros_core_hour": path,
                }
            )
    return rows


def prediction(quick: bool) -> list[Row]:
    """How good the predicted chance is: Brier scores against a constant and the present alone."""
    rows: list[Row] = []
    for bids in (12, 30, 80):
        policy = Policy(parameters={"repeatable": 1.0})
        told = [
            each
            for seed in range(1 if quick else 4)
            for each in foretold(
                get("hierarchical"),
                rounds=60 if quick else 120,
                seed=seed,
                policy=policy,
                bids=bids,
            )
        ]
        quality = forecast.quality(told)
        rows.append({"bids_a_round": bids, **quality, "reliability": forecast.reliability(told)})
    return rows


def _loaded(bids: int, number: int, policy: Policy) -> Snapshot:
    """The nodes of one cell, and the bids of round ``number``."""
    nodes = random_snapshot(bids=bids, asks=8, seed=3, cells=1, load=4.0, slots_max=1)
    other = random_snapshot(bids=bids, asks=8, seed=100 + number, cells=1, load=4.0, slots_max=1)
    return replace(nodes, bids=other.bids, policy=policy)


def markdown(found: dict[str, list[Row]]) -> str:
    """The figures as tables for docs/BENCHMARKS.md."""
    lines = []
    for part, rows in found.items():
        plain = [{k: v for k, v in row.items() if not isinstance(v, dict | list)} for row in rows]
        lines += ["", f"### {part}", ""]
        shape: tuple[str, ...] = ()
        for row in plain:
            if tuple(row) != shape:
                shape = tuple(row)
                lines += ["", "| " + " | ".join(shape) + " |", "|---" * len(shape) + "|"]
            lines.append("| " + " | ".join(_cell(value) for value in row.values()) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def plots(found: dict[str, list[Row]], out: Path) -> None:
    """One picture a part that has a curve."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    def save(name: str, label_x: str, label_y: str) -> None:
        pyplot.xlabel(label_x)
        pyplot.ylabel(label_y)
        pyplot.legend(fontsize=7)
        pyplot.tight_layout()
        pyplot.savefig(out / f"market_{name}.svg")
        pyplot.close()

    if rows := [row for row in found.get("anytime", []) if "bids" in row]:
        for key in sorted({(row["bids"], row["seed"], row["prices"]) for row in rows}):
            mine = [row for row in rows if (row["bids"], row["seed"], row["prices"]) == key]
            spent = [row["wall_s"] for row in mine]
            share = [row["share_of_best_bound"] for row in mine]
            pyplot.plot(spent, share, marker="o", label=f"{key[0]} bids, seed {key[1]}, {key[2]}")
        pyplot.xscale("log")
        save("anytime", "seconds", "share of the certified bound")
    for row in found.get("fairness", []):
        settled = row["budget_ms"] == FAIRNESS_BUDGETS_MS[0]
        if settled and row["seed"] == 0 and row["entitled"].startswith("0.25"):
            label = f"{row['mechanism']}, fairness weighs {row['weight_fairness']}"
            pyplot.plot([share[0] for share in row["cumulative"]], label=label)
    if found.get("fairness"):
        pyplot.axhline(0.25, linestyle=":", color="grey")
        save("fairness", "round", "cumulative share of the tenant that bids ten times as often")
    for row in found.get("price", []):
        shown = f"{row['bids']} bids a round, {row['nodes']} nodes" if row["start"] < 1 else None
        colour = f"C{PRICED_BIDS.index(row['bids'])}"
        pyplot.plot(row["price_micros_core_hour"], color=colour, label=shown)
    if found.get("price"):
        save("price", "round", "micros for a core-hour")
    for row in found.get("prediction", []):
        told, won, _ = zip(*row["reliability"], strict=True)
        pyplot.plot(told, won, marker="o", label=f"{row['bids_a_round']} bids a round")
    if found.get("prediction"):
        pyplot.plot([0, 1], [0, 1], linestyle=":", color="grey")
        save("prediction", "predicted chance", "share that won")
    if found.get("solvers"):
        solvers.plot(found["solvers"], out / "market_solvers.svg")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the parts, prints them, writes files under ``--out``."""
    given = argparse.ArgumentParser(prog="souk bench market", description=__doc__)
    parts: dict[str, Callable[[], list[Row]]]
    given.add_argument("--part", action="append", help="only this part; may be repeated")
    given.add_argument("--json", action="store_true")
    given.add_argument("--quick", action="store_true", help="small sizes, a few minutes")
    given.add_argument("--out", type=Path, default=OUT)
    traces_at = Path(os.environ.get("SOUK_TRACES", "../shared/data"))
    given.add_argument("--traces", type=Path, default=traces_at)
    chosen = given.parse_args(arguments)
    parts = {
        "anytime": lambda: anytime(chosen.quick),
        "solvers": lambda: solvers.solvers(chosen.quick),
        "table": lambda: table(chosen.quick, chosen.traces),
        "speed": lambda: speed(chosen.traces),
        "hierarchy": lambda: cells(chosen.quick),
        "live": lambda: live(chosen.quick),
        "fairness": lambda: fairness(chosen.quick),
        "price": lambda: price(chosen.quick),
        "prediction": lambda: prediction(chosen.quick),
    }
    chosen.out.mkdir(parents=True, exist_ok=True)
    kept = chosen.out / "market.json"
    found: dict[str, list[Row]] = json.loads(kept.read_text()) if kept.exists() else {}
    found |= {name: run() for name, run in parts.items() if name in (chosen.part or parts)}
    kept.write_text(json.dumps(found) + "\n")
    (chosen.out / "market.md").write_text(markdown(found))
    plots(found, chosen.out)
    print(json.dumps(found) if chosen.json else markdown(found))
    return 0
