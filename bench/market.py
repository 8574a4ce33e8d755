"""The market's claims as figures: ``python -m bench market [--json] [--part NAME] [--quick]``.

Parts: ``anytime`` (share of the certified bound over time on separable instances), ``table`` (all
mechanisms on all instances by one utility), ``hierarchy`` (flat against cells), ``fairness`` (200
rounds with a greedy tenant), ``price`` (the standing price under steady load). Writes
``docs/bench/market.json``, ``market.md`` and plots. CPU seconds stand beside wall seconds.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.market_cli import trace_lines
from market import hierarchy, score
from market.kernels import auction
from market.measures import measures
from market.mechanisms import get
from market.plan import Plan
from market.snapshot import Policy, Snapshot
from sim import traces
from sim.fairness import shares_over_rounds
from sim.generators import random_snapshot
from sim.hard import hard_arrays, hard_problem, hard_values, hard_violations
from sim.mohaf_paper import classes, jain, table_1

OUT = Path("docs/bench")
SEEDS = (11, 12)
DENSE_PAIRS_MAX = 8_000_000  # the simple baselines list every pair
BASELINES = ("greedy", "first_price", "vickrey", "random", "posted_price", "bilateral", "mohaf")
Row = dict[str, Any]


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """(result, wall seconds, CPU seconds of all threads)."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def anytime(quick: bool) -> list[Row]:
    """Welfare over the certified bound at each budget, cold and with carried prices."""
    cases: list[tuple[int, int, int, tuple[int, ...], int]] = [
        (3_553, 888, 32, (10, 500, 5_000), 8_000)
    ]
    if not quick:
        cases += [
            (50_000, 10_000, 64, (250, 800, 2_000, 3_000, 8_000), 40_000),
            (100_000, 20_000, 64, (2_000,), 60_000),
        ]
    first = timed(lambda: _cleared(_case(60, 20, 2, 1), 50, None))
    rows: list[Row] = [{"what": "first round of a process", "wall_s": first[1], "cpu_s": first[2]}]
    for bids, nodes, zones, budgets, reference_ms in cases:
        for seed in SEEDS[: 1 if quick else None]:
            arrays = _case(bids, nodes, zones, seed)
            # Prices of the round before: the same nodes, other bids.
            last = _case(bids, nodes, zones, seed, round_number=1)
            before = _cleared(last, reference_ms, None)
            best = _cleared(arrays, reference_ms, None)
            for carried in (None, before.price):
                for budget in budgets:
                    found, wall, cpu = timed(partial(_cleared, arrays, budget, carried))
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


def _case(bids: int, nodes: int, zones: int, seed: int, round_number: int = 0) -> Any:
    return hard_arrays(bids=bids, nodes=nodes, zones=zones, seed=seed, round_number=round_number)


def _cleared(arrays: Any, budget_ms: int, carried: Any) -> auction.Solution:
    one = np.ones(len(arrays["bid_limit"]), np.int64)
    return auction.clear(
        hard_problem(arrays), count_min=one, budget_ms=budget_ms, seed=1, carried=carried
    )


def instances(quick: bool, data: Path) -> dict[str, Snapshot]:
    """The table's instances; those of traces only where the files are."""
    found = {"generated 1k × 300": random_snapshot(bids=1_000, asks=300, seed=1, slots_max=1)}
    if not quick:
        for bids, asks in ((10_000, 2_000), (50_000, 10_000), (100_000, 20_000)):
            name = f"generated {bids // 1000}k × {asks // 1000}k"
            found[name] = random_snapshot(bids=bids, asks=asks, seed=1, zones=64, slots_max=1)
    google, openb, eua = data / "google2011", data / "openb", data / "eua"
    if google.exists():
        jobs = trace_lines(google / "job_events-00000.csv.gz")[:3_300]
        jobs += trace_lines(google / "job_events-00001.csv.gz")
        found["job_events (MOHAF's)"] = traces.from_job_events(jobs, bids=3_553, asks=888, seed=1)
        found["task_events on machine_events"] = traces.from_task_events(
            trace_lines(google / "task_events-00001.csv.gz"),
            trace_lines(google / "machine_events.csv.gz"),
            bids=3_553,
            asks=888,
            seed=1,
        )
    if openb.exists():
        found["openb pods on openb nodes"] = traces.from_openb(
            trace_lines(openb / "pods.csv.gz"),
            trace_lines(openb / "nodes.csv.gz"),
            bids=8_152,
            asks=900,
            seed=1,
        )
    if eua.exists():
        found["Melbourne (eua)"] = traces.from_eua(
            trace_lines(eua / "sites-melbourne-cbd.csv"),
            trace_lines(eua / "users-melbourne-cbd.csv"),
            bids=3_000,
            asks=500,
            seed=1,
        )
    return found


def table(quick: bool, data: Path) -> list[Row]:
    """Every mechanism on every instance by one utility, with the tightest bound of them all."""
    rows: list[Row] = []
    for name, snapshot in instances(quick, data).items():
        pairs = len(snapshot.bids) * len(snapshot.asks)
        mechanisms = ("hierarchical", *(BASELINES if pairs <= DENSE_PAIRS_MAX else ()))
        budget = 5_000 if pairs > 100_000_000 else 1_000
        mine: list[Row] = []
        for mechanism in mechanisms:
            plan, wall, cpu = timed(partial(get(mechanism).clear, snapshot, budget_ms=budget))
            got = np.bincount(plan.bid, plan.count, minlength=len(snapshot.bids))
            tenant = np.bincount(
                snapshot.bids.tenant[plan.bid],
                score.sizes(snapshot)[plan.bid] * plan.count,
                minlength=len(snapshot.tenants),
            )
            mine.append(
                {
                    "instance": name,
                    "mechanism": mechanism,
                    "wall_s": wall,
                    "cpu_s": cpu,
                    "jain_requesters": jain((got / snapshot.bids.count).astype(np.float64)),
                    "jain_tenants": jain(tenant.astype(np.float64)),
                    **measures(snapshot, plan),
                }
            )
        bound = min(row["bound"] for row in mine)
        rows += [{**row, "share_of_bound": row["welfare"] / bound} for row in mine]
    if (google := data / "google2011").exists():
        demand = classes(
            trace_lines(google / "job_events-00000.csv.gz"),
            trace_lines(google / "job_events-00001.csv.gz"),
        )
        for name, line in table_1(demand / 3, seed=1).items():
            facts = {field: getattr(line, field) for field in line.__slots__}
            rows.append({"instance": "MOHAF Table 1", "mechanism": name, **facts})
    return rows


def cells(quick: bool) -> list[Row]:
    """Flat against 8, 32 and 128 cells, one thread pool of two against one."""
    bids, asks = (4_000, 1_000) if quick else (50_000, 10_000)
    budget = 1_000 if quick else 5_000
    rows: list[Row] = []
    flat_welfare = 0.0
    for count in (1, 8, 32, 128):
        snapshot = random_snapshot(
            bids=bids, asks=asks, seed=1, zones=128, cells=count, slots_max=1
        )
        for workers in (1, 2) if count > 1 else (2,):
            result, wall, cpu = timed(partial(_split, snapshot, count, workers, budget))
            plan: Plan = result.plan if count > 1 else result
            flat_welfare = flat_welfare or plan.welfare
            row: Row = {
                "cells": count,
                "workers": workers,
                "welfare_of_flat": plan.welfare / flat_welfare,
                "wall_s": wall,
                "cpu_s": cpu,
            }
            if count > 1:
                row |= {"sent_up": result.sent_up, "handed_down": result.handed_down}
                row |= {"bytes_up": result.bytes_up, "bytes_down": result.bytes_down}
            rows.append(row)
    return rows


def _split(snapshot: Snapshot, count: int, workers: int, budget_ms: int) -> Any:
    if count == 1:
        return get("hierarchical").clear(snapshot, budget_ms=budget_ms)
    share = max(20, budget_ms * workers // (2 * count))

    def clear_many(rounds: list[Snapshot]) -> list[Plan]:
        with ThreadPoolExecutor(workers) as pool:
            clear = get("hierarchical").clear
            return list(pool.map(lambda one: clear(one, budget_ms=share), rounds))

    regions = max(1, count // 16)
    return hierarchy.clear_in_cells(snapshot, cells=count, clear_many=clear_many, regions=regions)


def fairness(quick: bool) -> list[Row]:
    """Shares of four equal tenants, one of which bids ten times as often."""
    rows: list[Row] = []
    rounds = 60 if quick else 200
    for mechanism in ("hierarchical", "greedy", "first_price", "random"):
        shares = shares_over_rounds(get(mechanism), rounds=rounds, seed=1, policy=Policy())
        settled = shares[rounds // 4 :].mean(axis=0)
        rows.append(
            {
                "mechanism": mechanism,
                "rounds": rounds,
                "shares": settled.tolist(),
                "worst_distance": float(np.abs(settled - 0.25).max()),
                "jain": jain(settled),
                "cumulative": (shares.cumsum(0) / np.arange(1, rounds + 1)[:, None]).tolist(),
            }
        )
    return rows


def price(quick: bool) -> list[Row]:
    """The standing price of one cell over rounds of steady load, light and heavy."""
    rows: list[Row] = []
    for load in (0.4, 2.0):
        snapshot = random_snapshot(bids=200, asks=40, seed=3, cells=1, load=load, slots_max=1)
        path = []
        for _ in range(40 if quick else 120):
            plan = get("posted_price").clear(snapshot, budget_ms=50)
            path.append(float(plan.standing_price[0, 0]))
            snapshot = replace(snapshot, standing_price=plan.standing_price)
        rows.append({"load": load, "price_micros_core_hour": path})
    return rows


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
        pyplot.plot([share[0] for share in row["cumulative"]], label=row["mechanism"])
    if found.get("fairness"):
        pyplot.axhline(0.25, linestyle=":", color="grey")
        save("fairness", "round", "cumulative share of the tenant that bids ten times as often")
    for row in found.get("price", []):
        pyplot.plot(row["price_micros_core_hour"], label=f"load {row['load']}")
    if found.get("price"):
        save("price", "round", "micros for a core-hour")


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
        "table": lambda: table(chosen.quick, chosen.traces),
        "hierarchy": lambda: cells(chosen.quick),
        "fairness": lambda: fairness(chosen.quick),
        "price": lambda: price(chosen.quick),
    }
    found = {name: run() for name, run in parts.items() if name in (chosen.part or parts)}
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "market.json").write_text(json.dumps(found, indent=1))
    (chosen.out / "market.md").write_text(markdown(found))
    plots(found, chosen.out)
    print(json.dumps(found) if chosen.json else markdown(found))
    return 0
