"""Offline market commands: clear, convert, generate and replay instance files, no database needed.

Functions take paths and return plain mappings; ``main`` is their command line, to be mounted under
``souk market`` or run as ``python -m bench.market_cli``.
"""

import argparse
import gzip
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from market.kernels import clearing
from market.mechanisms import get, names
from market.snapshot import Snapshot
from sim import traces
from sim.generators import random_snapshot
from sim.hard import Arrays, hard_problem, hard_values
from sim.instances import InvalidInstance, from_json, from_npz, plan_facts, to_json, to_npz
from sim.replay import Other, Recorded, replay

BUDGET_MS = 1_000
WEIGHTS = ("cost", "qos", "energy", "fairness")


def read_instance(path: Path) -> Snapshot:
    """The snapshot in a ``.json`` or ``.npz`` file; raises ``InvalidInstance``."""
    if path.suffix == ".npz":
        return from_npz(path.read_bytes())
    return from_json(path.read_text())


def write_instance(snapshot: Snapshot, path: Path) -> None:
    """Writes JSON or a NumPy archive, by the path's suffix."""
    if path.suffix == ".npz":
        path.write_bytes(to_npz(snapshot))
    else:
        path.write_text(to_json(snapshot))


def clear(
    path: Path, *, mechanism: str | None, budget_ms: int, weights: Sequence[float] | None = None
) -> dict[str, Any]:
    """Clears one instance file; ``mechanism`` None: that of the instance's policy."""
    if path.suffix == ".npz" and (arrays := separable_arrays(path)) is not None:
        return clear_separable(arrays, budget_ms=budget_ms)
    snapshot = with_weights(read_instance(path), weights)
    name = mechanism or snapshot.policy.mechanism
    return plan_facts(snapshot, get(name).clear(snapshot, budget_ms=budget_ms))


def separable_arrays(path: Path) -> Arrays | None:
    """The arrays of a separable instance (docs/instances.md), None if the archive is another."""
    with np.load(path, allow_pickle=False) as archive:
        if "node_capacity" not in archive.files:
            return None
        return {name: archive[name] for name in archive.files}


def clear_separable(arrays: Arrays, *, budget_ms: int, seed: int = 0) -> dict[str, Any]:
    """Clears a separable instance by the kernels of ``hierarchical``."""
    bids = len(arrays["bid_limit"])
    solution = clearing.clear(
        hard_problem(arrays), count_min=np.ones(bids, np.int64), budget_ms=budget_ms, seed=seed
    )
    welfare = float(hard_values(arrays, solution.bid, solution.ask).sum())
    return {
        "mechanism": "hierarchical",
        "welfare": welfare,
        "bound": solution.bound,
        "gap": 1.0 - welfare / solution.bound if solution.bound > 0 else 0.0,
        "matches": [
            {"bid": i, "ask": j}
            for i, j in zip(solution.bid.tolist(), solution.ask.tolist(), strict=True)
        ],
        "timings_ms": solution.timings_ms,
    }


def with_weights(snapshot: Snapshot, weights: Sequence[float] | None) -> Snapshot:
    """The same round under other weights (cost, QoS, energy, fairness)."""
    if weights is None:
        return snapshot
    named = {f"weight_{name}": value for name, value in zip(WEIGHTS, weights, strict=True)}
    return replace(snapshot, policy=replace(snapshot.policy, **named))  # type: ignore[arg-type]


def generate(*, bids: int, asks: int, seed: int, zones: int, cells: int, load: float) -> Snapshot:
    """A synthetic instance; see ``sim.generators``."""
    return random_snapshot(bids=bids, asks=asks, seed=seed, zones=zones, cells=cells, load=load)


def convert(kind: str, files: Sequence[Path], *, bids: int, asks: int, seed: int) -> Snapshot:
    """A snapshot from trace files of ``kind``; raises ``InvalidInstance`` for a wrong kind."""
    readers: dict[str, tuple[int, Callable[..., Snapshot]]] = {
        "job_events": (1, traces.from_job_events),
        "task_events": (2, traces.from_task_events),
        "openb": (2, traces.from_openb),
        "eua": (2, traces.from_eua),
    }
    if kind not in readers:
        raise InvalidInstance(f"no trace kind {kind!r}: choose one of {', '.join(readers)}")
    wanted, reader = readers[kind]
    if len(files) != wanted:
        raise InvalidInstance(f"{kind} takes {wanted} file(s), {len(files)} were given")
    return reader(*(trace_lines(path) for path in files), bids=bids, asks=asks, seed=seed)


def trace_lines(path: Path) -> list[str]:
    """The lines of a text file, unpacked if it is gzipped."""
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode().splitlines()


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="souk market", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    one = commands.add_parser("clear", help="clear an instance file and print the plan")
    one.add_argument("--instance", type=Path, required=True)
    one.add_argument("--mechanism", choices=names())
    one.add_argument("--budget-ms", type=int, default=BUDGET_MS)
    one.add_argument("--weights", type=float, nargs=4, metavar=tuple(WEIGHTS))
    one.add_argument("--json", action="store_true")
    two = commands.add_parser("generate", help="write a synthetic instance file")
    two.add_argument("--bids", type=int, default=1_000)
    two.add_argument("--asks", type=int, default=300)
    two.add_argument("--zones", type=int, default=32)
    two.add_argument("--cells", type=int, default=8)
    two.add_argument("--load", type=float, default=1.2)
    two.add_argument("--seed", type=int, default=0)
    two.add_argument("--out", type=Path, required=True)
    three = commands.add_parser("convert", help="turn trace files into an instance file")
    three.add_argument("kind", choices=("job_events", "task_events", "openb", "eua"))
    three.add_argument("files", type=Path, nargs="+")
    three.add_argument("--bids", type=int, default=3_553)
    three.add_argument("--asks", type=int, default=888)
    three.add_argument("--seed", type=int, default=0)
    three.add_argument("--out", type=Path, required=True)
    four = commands.add_parser("replay", help="clear recorded rounds again, as told")
    four.add_argument("--rounds", type=Path, nargs="+", required=True)
    four.add_argument("--mechanism", choices=names())
    four.add_argument("--weights", type=float, nargs=4, metavar=tuple(WEIGHTS))
    four.add_argument("--budget-ms", type=int, default=BUDGET_MS)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; 0 done, 1 the input was refused (the reason on standard error)."""
    given = parser().parse_args(arguments)
    try:
        _run(given)
    except (InvalidInstance, OSError) as error:
        print(f"souk market: {error}", file=sys.stderr)
        return 1
    return 0


def _run(given: argparse.Namespace) -> None:
    if given.command == "clear":
        facts = clear(
            given.instance,
            mechanism=given.mechanism,
            budget_ms=given.budget_ms,
            weights=given.weights,
        )
        print(json.dumps(facts) if given.json else _summary(facts))
    elif given.command == "generate":
        snapshot = generate(
            bids=given.bids,
            asks=given.asks,
            seed=given.seed,
            zones=given.zones,
            cells=given.cells,
            load=given.load,
        )
        write_instance(snapshot, given.out)
    elif given.command == "convert":
        snapshot = convert(
            given.kind, given.files, bids=given.bids, asks=given.asks, seed=given.seed
        )
        write_instance(snapshot, given.out)
    else:
        weights = dict(zip(WEIGHTS, given.weights, strict=True)) if given.weights else None
        other = Other(mechanism=given.mechanism, weights=weights)
        for path in given.rounds:
            recorded = Recorded(snapshot=read_instance(path), budget_ms=given.budget_ms)
            print(json.dumps(asdict(replay(recorded, other))))


def _summary(facts: dict[str, Any]) -> str:
    timings = ", ".join(f"{name} {value:.0f}" for name, value in facts["timings_ms"].items())
    return (
        f"{facts['mechanism']}: {len(facts['matches'])} matches, welfare {facts['welfare']:.6g}, "
        f"bound {facts['bound']:.6g}, gap {100 * facts['gap']:.2f} % ({timings})"
    )


if __name__ == "__main__":
    sys.exit(main())
