"""Ours against solvers that have ten times our time: ``python -m bench solvers [--json]``.

Every peer of ``bench.peers`` runs in a process of its own (OR-Tools and HiGHS do not share one) and
is ended by its process id when its time is over; what counts is the best plan that it had sent by
then. Its clock starts with the instance in memory, libraries loaded and kernels compiled. Ours is
timed with the building of the problem, and does what its budget stands for on an idle machine: on a
busy one it is later instead of worse, and a solver gets ten times that longer time. Plans are
valued and checked here, not by those who made them. ``share`` is of the least certified bound of
any of our runs on the instance.
"""

import argparse
import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.peers import PEERS, run
from bench.separable import case, cleared, timed
from sim.hard import hard_values, hard_violations

SEEDS = (11, 12)
TIMES = 10  # what a solver gets of our time
GRACE_S = 5.0
READY_S = 60.0  # to import, to compile and to make the instance
NOT_CP_SAT = ("greedy", "min-cost flow", "LP + rounding")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Size:
    """One size of instance, our budgets, and the peers that are of use at it."""

    bids: int
    nodes: int
    zones: int
    budgets_ms: tuple[int, ...]
    reference_ms: int  # of one more run of ours, for the bound
    peers: tuple[str, ...] = tuple(PEERS)


SIZES = (
    Size(3_553, 888, 32, (50, 500, 5_000), 8_000),
    Size(10_000, 2_000, 64, (1_000,), 10_000),
    Size(50_000, 10_000, 64, (3_000,), 12_000, NOT_CP_SAT),
)


@dataclass(frozen=True, slots=True)
class Step:
    """A plan that a peer had: when, how much of that was building, and what it is worth."""

    wall_s: float
    building_s: float
    cpu_s: float
    welfare: float
    violations: int
    label: str


def steps(peer: str, size: Size, seed: int, limit_s: float) -> list[Step]:
    """Every better plan of a peer within ``limit_s`` of solver time, in order."""
    facts = {"bids": size.bids, "nodes": size.nodes, "zones": size.zones, "seed": seed}
    arrays = case(**facts)
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    process = spawn.Process(target=run, args=(peer, theirs, facts, limit_s), daemon=True)
    process.start()
    theirs.close()
    found: list[Step] = []
    try:
        if not ours.poll(READY_S):
            return found
        ours.recv()
        until, building_s = time.monotonic() + limit_s + GRACE_S, 0.0
        while ours.poll(max(0.0, until + building_s - time.monotonic())):
            wall_s, building_s, cpu_s, bid, ask, label = ours.recv()
            worth = float(hard_values(arrays, bid, ask).sum())
            broken = hard_violations(arrays, bid, ask)
            found.append(Step(wall_s, building_s, cpu_s, worth, broken, label))
    except EOFError:  # it is done
        pass
    finally:
        process.kill()
        process.join()
        ours.close()
    return found


def compared(size: Size, seed: int, peers: Sequence[str]) -> Iterator[Row]:
    """Ours at each budget, then each peer at ten times that, with and without model building."""
    arrays = case(size.bids, size.nodes, size.zones, seed)
    plans = partial(cleared, arrays, carried=None, repeatable=True)
    mine = [(ms, *timed(partial(plans, ms))) for ms in size.budgets_ms]
    bound = min(found.bound for _, found, _, _ in mine)
    bound = min(bound, cleared(arrays, size.reference_ms, None).bound)
    common: Row = {"bids": size.bids, "nodes": size.nodes, "seed": seed}
    ours: dict[int, float] = {}
    given: dict[int, float] = {}
    for ms, found, wall_s, cpu_s in mine:
        ours[ms] = float(hard_values(arrays, found.bid, found.ask).sum())
        broken = hard_violations(arrays, found.bid, found.ask)
        given[ms] = TIMES * max(ms / 1e3, wall_s)
        step = Step(wall_s, 0.0, cpu_s, ours[ms], broken, "")
        yield common | _row("ours", ms, ms / 1e3, step, step, bound, ours[ms])
    for peer in peers:
        had = steps(peer, size, seed, max(given.values()))
        for ms in size.budgets_ms:
            whole = _last(had, given[ms], building=True)
            solving = _last(had, given[ms], building=False)
            curve = [(step.wall_s, step.welfare / bound) for step in had]
            row = _row(peer, ms, given[ms], whole, solving, bound, ours[ms])
            yield common | row | {"curve": curve}


def _last(had: Sequence[Step], given_s: float, *, building: bool) -> Step | None:
    """The best plan within the time, of which building is a part or not."""
    spent = [step.wall_s - (0.0 if building else step.building_s) for step in had]
    return next((had[k] for k in reversed(range(len(had))) if spent[k] <= given_s), None)


def _row(
    name: str,
    ours_ms: int,
    given_s: float,
    whole: Step | None,
    solving: Step | None,
    bound: float,
    ours: float,
) -> Row:
    """What a mechanism came to; nothing where it had no plan in time."""
    row: Row = {"mechanism": name, "our_budget_ms": ours_ms, "given_s": given_s}
    row |= {"welfare": whole and whole.welfare, "share": whole and whole.welfare / bound}
    row |= {"to_ours": whole and whole.welfare / ours}
    row |= {"wall_s": whole and whole.wall_s, "cpu_s": whole and whole.cpu_s}
    row |= {"share_without_building": solving and solving.welfare / bound}
    row |= {"to_ours_without_building": solving and solving.welfare / ours}
    row |= {"building_s": solving and solving.building_s}
    row |= {"violations": solving and solving.violations}
    return row | {"candidates": solving and solving.label, "bound": bound}


def solvers(
    quick: bool,
    *,
    bids: Sequence[int] = (),
    seeds: Sequence[int] = SEEDS,
    peers: Sequence[str] = tuple(PEERS),
    budgets_ms: Sequence[int] = (),
) -> list[Row]:
    """All sizes, seeds, peers and budgets of ours, or those that are named."""
    chosen = [Size(400, 100, 8, (50, 200), 1_000)] if quick else list(SIZES)
    for nodes in (20, 200):  # compiled, for small blocks and for large ones
        cleared(case(400, nodes, 2, 1), 200, None)
    if budgets_ms:
        some = [tuple(ms for ms in size.budgets_ms if ms in budgets_ms) for size in chosen]
        chosen = [replace(size, budgets_ms=ms) for size, ms in zip(chosen, some, strict=True) if ms]
    return [
        row
        for size in chosen
        if not bids or size.bids in bids
        for seed in seeds[: 1 if quick else None]
        for row in compared(size, seed, [name for name in size.peers if name in peers])
    ]


def plot(rows: Sequence[Row], path: Path) -> None:
    """Share of the bound over seconds, one panel a size, for the first seed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sizes = sorted({(row["bids"], row["nodes"]) for row in rows})
    figure, panels = pyplot.subplots(1, len(sizes), figsize=(5.5 * len(sizes), 4), squeeze=False)
    for panel, (bids, nodes) in zip(panels[0], sizes, strict=True):
        here = [row for row in rows if (row["bids"], row["nodes"]) == (bids, nodes)]
        here = [row for row in here if row["seed"] == here[0]["seed"]]
        for name in ("ours", *PEERS):
            mine = [row for row in here if row["mechanism"] == name]
            points = [(row["wall_s"], row["share"]) for row in mine if "curve" not in row]
            curves: list[list[tuple[float, float]]] = [row.get("curve", []) for row in mine]
            longest = max(curves, key=len, default=[])
            points += longest
            if points:
                colour = "black" if name == "ours" else f"C{list(PEERS).index(name)}"
                spent, share = zip(*points, strict=True)
                panel.plot(spent, share, marker="o", markersize=3, color=colour, label=name)
        panel.set_xscale("log")
        panel.set_ylim(bottom=0.8)
        panel.set_title(f"{bids:,} × {nodes:,}")
        panel.set_xlabel("seconds, models built included")
    panels[0][0].set_ylabel("share of the certified bound")
    panels[0][0].legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the rows; with ``--out`` they are added to the JSON file there."""
    given = argparse.ArgumentParser(prog="souk bench solvers", description=__doc__)
    given.add_argument("--bids", type=int, action="append", default=[], help="only this size")
    given.add_argument("--seed", type=int, action="append", help="only this seed")
    given.add_argument("--peer", action="append", choices=tuple(PEERS), help="only this one")
    given.add_argument("--budget", type=int, action="append", default=[], help="only this, in ms")
    given.add_argument("--quick", action="store_true", help="one small size")
    given.add_argument("--json", action="store_true")
    given.add_argument("--out", type=Path, help="a JSON file that keeps rows of several runs")
    chosen = given.parse_args(arguments)
    rows = solvers(
        chosen.quick,
        bids=chosen.bids,
        seeds=chosen.seed or SEEDS,
        peers=chosen.peer or tuple(PEERS),
        budgets_ms=chosen.budget,
    )
    if chosen.out:
        before = json.loads(chosen.out.read_text()) if chosen.out.exists() else []
        chosen.out.write_text(json.dumps([*before, *rows], indent=1))
    if chosen.json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        share, ratio = (row[key] or 0.0 for key in ("share", "to_ours"))
        name = f"{row['bids']} × {row['nodes']}, seed {row['seed']}: {row['mechanism']}"
        print(f"{name:60} {row['given_s']:6.2f} s  share {share:.4f}  to ours {ratio:.4f}")
    return 0
