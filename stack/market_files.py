"""Instance, trace and plan files of the market's offline commands: read, cleared, written.

Kernels are loaded (or compiled, on a machine's first use) on small markets of the same form before
a budget begins, and the time of that is told apart as ``load_ms``: a budget buys search alone.
"""

import gzip
import io
import json
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from market import mechanisms
from market.measures import measures
from market.outcome import PaymentUnavailable
from market.repeating import unhurried
from market.snapshot import Floats, PaymentRule, Snapshot
from market.warming import BUDGET_MS as WARM_BUDGET_MS
from market.warming import warm
from sim import traces
from sim.generators import random_snapshot
from sim.hard import Arrays, hard_arrays
from sim.instance_rules import check
from sim.instances import InvalidInstance, from_json, from_npz, plan_facts, to_json, to_npz
from sim.replay import Other
from sim.separable import CARRIED, LATENCY, checked, clear_separable, is_separable

ARCHIVE, TEXT = ".npz", ".json"
LIKE_BIDS = 5_000  # the most of an instance that kernels are warmed by
TRACES: dict[str, tuple[int, Callable[..., Snapshot]]] = {
    "job_events": (1, traces.from_job_events),
    "task_events": (2, traces.from_task_events),
    "openb": (2, traces.from_openb),
    "eua": (2, traces.from_eua),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How an instance is to be cleared; None: as it says itself."""

    mechanism: str | None = None
    weights: Mapping[str, float] | None = None  # by name; those absent are 0
    payment: PaymentRule | None = None
    seed: int | None = None
    budget_ms: int = 1_000
    repeatable: bool = False
    carried: Mapping[str, Any] | None = None  # the plan of another round of the same nodes


def read(path: Path) -> Snapshot | Arrays:
    """The instance in a ``.json`` or ``.npz`` file; raises ``InvalidInstance`` or ``OSError``."""
    try:
        return _decoded(path)
    except UnicodeDecodeError as error:
        raise InvalidInstance(
            f"{path} is neither a {ARCHIVE} archive nor text in UTF-8: {error}"
        ) from error
    except (TypeError, OverflowError, RecursionError) as error:  # of what no rule has thought of
        raise InvalidInstance(
            f"{path} is no instance: a value has another form than docs/instances.md says ({error})"
        ) from error


def _decoded(path: Path) -> Snapshot | Arrays:
    if path.suffix == ARCHIVE:
        data = path.read_bytes()
        arrays = _plain_arrays(data)
        return from_npz(data) if arrays is None else checked(arrays)
    return from_json(path.read_text(encoding="utf-8"))


def _plain_arrays(data: bytes) -> Arrays | None:
    """The arrays of a separable instance, None if the archive is another."""
    try:
        archive = np.load(io.BytesIO(data), allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InvalidInstance("not an instance archive: it holds a single array")
        with archive:
            if not is_separable(archive.files):
                return None
            return {name: archive[name] for name in archive.files}
    except InvalidInstance:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidInstance(f"not an instance archive: {error}") from error


def write(snapshot: Snapshot, path: Path) -> None:
    """Writes JSON or a NumPy archive, by the path's suffix; raises ``InvalidInstance``."""
    if path.suffix not in (ARCHIVE, TEXT):
        raise InvalidInstance(f"{path}: its name must end in {TEXT} or {ARCHIVE}")
    if path.suffix == ARCHIVE:
        path.write_bytes(to_npz(snapshot))
    else:
        path.write_text(to_json(snapshot), encoding="utf-8")


def read_plan(path: Path) -> dict[str, Any]:
    """A plan that ``clear --json`` printed; raises ``InvalidInstance`` or ``OSError``."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidInstance(f"{path} is no plan: {error}") from error
    if not isinstance(found, dict) or "shadow_price" not in found:
        raise InvalidInstance(f'{path} is no plan: it has no "shadow_price"')
    return found


def clear(path: Path, options: Options) -> dict[str, Any]:
    """Clears one instance file; the plan as plain values.

    Raises ``InvalidInstance``, ``UnknownMechanism``, ``PaymentUnavailable`` or ``OSError``.
    """
    began = time.perf_counter()
    instance = read(path)
    read_ms = (time.perf_counter() - began) * 1e3
    if isinstance(instance, Snapshot):
        facts = _clear_snapshot(instance, options)
    else:
        facts = _clear_arrays(instance, options)
    facts["timings_ms"] = {"read_ms": read_ms, **facts["timings_ms"]}
    return {"instance": path.name, **facts}


def compare(path: Path, names: Sequence[str], options: Options) -> list[dict[str, Any]]:
    """The figures of one instance file by each of the mechanisms ``names``, by one score.

    Without names by all that offer its payment rule, solvers only where no other does. ``bound``
    is the least that any of them certifies, and ``gap`` is to it. Raises as ``clear``.
    """
    instance = read(path)
    if not isinstance(instance, Snapshot):
        raise InvalidInstance("a separable instance is cleared by hierarchical alone")
    names = names or _offering(changed(instance, options).policy.payment)
    plans = {name: _clear_snapshot(instance, replace(options, mechanism=name)) for name in names}
    bound = min(facts["bound"] for facts in plans.values())
    return [
        {
            "mechanism": name,
            **facts["measures"],
            "bound": bound,
            "gap": max(0.0, 1.0 - facts["welfare"] / bound) if bound > 0 else 0.0,
            "bids_served": len({match["bid"] for match in facts["matches"]}),
            "bids": facts["bids"],
            "round_ms": facts["timings_ms"]["round_ms"],
        }
        for name, facts in plans.items()
    ]


def _offering(payment: PaymentRule) -> list[str]:
    able = [name for name in mechanisms.names() if payment in mechanisms.payments(name)]
    return [name for name in able if not mechanisms.declared(name).solver] or able


def _clear_arrays(arrays: Arrays, options: Options) -> dict[str, Any]:
    if options.mechanism not in (None, "hierarchical"):
        mechanisms.get(str(options.mechanism))
        raise InvalidInstance(
            "a separable instance has no score that other mechanisms could go by: "
            "it is cleared by hierarchical alone"
        )
    if options.weights or options.payment:
        raise InvalidInstance(
            "a separable instance has its own values: weights and payment rules do not apply"
        )
    if options.carried is not None:
        price = np.asarray(options.carried["shadow_price"], dtype=object)
        if price.shape != (len(arrays["node_zone"]), 3):
            raise InvalidInstance("the prices to carry are those of other nodes")
        arrays = checked({**arrays, CARRIED: price.astype(np.float64)})
    bids, nodes, zones = (len(arrays[name]) for name in ("bid_zone", "node_zone", LATENCY))
    loading = _timed(partial(_load_separable, bids, nodes, zones))
    facts = clear_separable(
        arrays,
        budget_ms=options.budget_ms,
        seed=options.seed or 0,
        repeatable=options.repeatable,
    )
    facts["timings_ms"] = {"load_ms": loading, **facts["timings_ms"]}
    return facts


def _clear_snapshot(snapshot: Snapshot, options: Options) -> dict[str, Any]:
    snapshot = changed(snapshot, options)
    policy = snapshot.policy
    mechanism = mechanisms.get(policy.mechanism)
    if policy.payment not in mechanisms.payments(policy.mechanism):
        raise PaymentUnavailable(payment=policy.payment, mechanism=policy.mechanism)
    loading = _timed(partial(_load, snapshot))
    began = time.perf_counter()
    plan = mechanism.clear(
        unhurried(snapshot) if options.repeatable else snapshot, budget_ms=options.budget_ms
    )
    round_ms = (time.perf_counter() - began) * 1e3
    parts = {name: v for name, v in plan.timings_ms.items() if name.endswith("_ms")}
    parts.pop("total_ms", None)
    facts = plan_facts(snapshot, plan)
    facts["measures"] = measures(snapshot, plan)
    facts["budget_ms"] = options.budget_ms
    facts["timings_ms"] = {"load_ms": loading, **parts, "round_ms": round_ms}
    return facts


def changed(snapshot: Snapshot, options: Options) -> Snapshot:
    """``snapshot`` under the policy, seed and carried prices that ``options`` give it."""
    other = Other(mechanism=options.mechanism, weights=options.weights, payment=options.payment)
    found = replace(snapshot, policy=other.policy(snapshot.policy))
    if options.seed is not None:
        found = replace(found, seed=options.seed)
    if options.carried is not None:
        found = replace(found, carried_price=_carried(found, options.carried))
    check(found)
    return found


def _carried(snapshot: Snapshot, plan: Mapping[str, Any]) -> Floats:
    """(m, R) the shadow prices of another round's plan, 0 for nodes that it did not have."""
    given = plan["shadow_price"]
    if not isinstance(given, dict):
        raise InvalidInstance("the prices to carry are those of a separable instance")
    none: dict[str, float] = {}
    rows = [given.get(node, none) for node in snapshot.asks.ids]
    try:
        table = [[float(row.get(name, 0.0)) for name in snapshot.resources] for row in rows]
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidInstance(f'"shadow_price" of the plan: {error}') from error
    return np.array(table, dtype=np.float64).reshape(len(rows), len(snapshot.resources))


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


def _load_separable(bids: int, nodes: int, zones: int) -> None:
    """Runs the kernels on generated instances: one of small and one of large places, and at last
    one like that to be cleared, or as much of it as is quickly done: memory is new to a process.
    """
    part = min(1.0, LIKE_BIDS / max(bids, 1))
    like = int(part * bids), max(1, int(part * nodes)), zones
    for some, places, apart in ((100, 24, 8), (100, 64, 1), like):
        arrays = hard_arrays(bids=some, nodes=places, zones=apart, seed=0)
        clear_separable(arrays, budget_ms=WARM_BUDGET_MS, repeatable=True)


def _load(snapshot: Snapshot) -> None:
    if len(snapshot.bids):
        nothing = bool((~snapshot.bids.demand.any(axis=1)).any())
        warm(snapshot.policy, random_snapshot, for_nothing=nothing)


def convert(kind: str, files: Sequence[Path], *, bids: int, asks: int, seed: int) -> Snapshot:
    """A snapshot from trace files of ``kind``; raises ``InvalidInstance`` or ``OSError``."""
    wanted, reader = TRACES[kind]
    if len(files) != wanted and not (kind == "job_events" and files):
        raise InvalidInstance(f"{kind} takes {wanted} file(s), {len(files)} were given")
    parts = [lines(path) for path in files]
    if empty := [path.name for path, part in zip(files, parts, strict=True) if not part]:
        raise InvalidInstance(f"{', '.join(empty)}: there is nothing in it")
    if kind == "job_events":
        parts = [[line for part in parts for line in part]]
    try:
        return reader(*parts, bids=bids, asks=asks, seed=seed)
    except (KeyError, IndexError, ValueError) as error:
        names = ", ".join(path.name for path in files)
        match error:
            case KeyError():
                why = f"there is no column {error}; are they in the order of docs/instances.md?"
            case IndexError():
                why = "a line has too few columns"
            case _:
                why = str(error)
        raise InvalidInstance(f"{names}: not the columns of {kind}: {why}") from error


def lines(path: Path) -> list[str]:
    """The lines of a text file, unpacked if it is gzipped."""
    data = path.read_bytes()
    try:
        text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        return text.decode("utf-8-sig").splitlines()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InvalidInstance(f"{path} is no text: {error}") from error
