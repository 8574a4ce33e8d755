"""Readers of published traces: lines in, snapshots out.

Sources: Google ClusterData2011_2 (CC-BY 4.0; job_events, task_events, machine_events),
https://github.com/google/cluster-data; Alibaba cluster-trace-gpu-v2023 "openb" (pods, nodes),
https://github.com/alibaba/clusterdata; the EUA dataset (MIT; sites, users),
https://github.com/swinedge/eua-dataset. What a trace lacks is drawn by ``sim.assembling``.
"""

import csv
from collections.abc import Iterable

import numpy as np

from market.snapshot import Ints, Policy, Snapshot
from sim.assembling import assemble

MACHINE_CORES = 64  # of the largest machine, to which the Google trace is normalised
MACHINE_GIB = 256
GIB, MIB = 1 << 30, 1 << 20
ACCELERATOR_MILLIS = 1_000
SUBMIT, ADD = "0", "0"
KM_PER_DEGREE = 111.2
MS_PER_KM = 2.0  # of access network; the trace gives distances only
ACCESS_MS = 3.0


def from_job_events(
    lines: Iterable[str], *, bids: int, asks: int, seed: int, policy: Policy | None = None
) -> Snapshot:
    """MOHAF's mapping: a submit of scheduling class c asks for c / 3 core, a node has ½ to 1 core.

    Classes of 0 ask for nothing, as in the paper; ``seed`` draws the nodes.
    """
    classes: list[int] = []
    users: list[str] = []
    for row in csv.reader(lines):
        if row[3] == SUBMIT and len(classes) < bids:
            classes.append(int(row[5]))
            users.append(row[4])
    demand = np.zeros((len(classes), 4), np.int64)
    demand[:, 0] = np.array(classes) * 1_000 // 3
    capacity = np.zeros((asks, 4), np.int64)
    capacity[:, 0] = np.random.default_rng(seed).uniform(500, 1_000, asks)
    return assemble(
        name="job_events",
        demand=demand,
        capacity=capacity,
        seed=seed,
        tenant=_tenants(users),
        policy=policy,
    )


def from_task_events(
    tasks: Iterable[str],
    machines: Iterable[str],
    *,
    bids: int,
    asks: int,
    seed: int,
    policy: Policy | None = None,
) -> Snapshot:
    """Real requests (cpu, ram) on a sample of the real machines of time 0, shared by many tasks."""
    requests: list[tuple[float, float]] = []
    users: list[str] = []
    for row in csv.reader(tasks):
        if row[5] == SUBMIT and row[9] and row[10] and len(requests) < bids:
            requests.append((float(row[9]), float(row[10])))
            users.append(row[6])
    sizes = [
        (float(row[4]), float(row[5]))
        for row in csv.reader(machines)
        if row[0] == "0" and row[2] == ADD and row[4] and row[5]
    ]
    rng = np.random.default_rng(seed)
    chosen = np.array(sizes)[rng.choice(len(sizes), min(asks, len(sizes)), replace=False)]
    return assemble(
        name="task_events",
        demand=_cpu_and_memory(np.array(requests)),
        capacity=_cpu_and_memory(chosen),
        seed=seed,
        tenant=_tenants(users),
        policy=policy,
    )


def from_openb(
    pods: Iterable[str],
    nodes: Iterable[str],
    *,
    bids: int,
    asks: int,
    seed: int,
    policy: Policy | None = None,
) -> Snapshot:
    """Pods (cpu, memory, shares of accelerators) on the cluster's nodes, first ``bids`` of them."""
    wanted = [
        (
            int(row["cpu_milli"]),
            int(row["memory_mib"]) * MIB,
            int(row["num_gpu"]) * int(row["gpu_milli"]),
            0,
        )
        for row in csv.DictReader(pods)
    ]
    offered = [
        (
            int(row["cpu_milli"]),
            int(row["memory_mib"]) * MIB,
            int(row["gpu"]) * ACCELERATOR_MILLIS,
            0,
        )
        for row in csv.DictReader(nodes)
    ]
    rng = np.random.default_rng(seed)
    capacity = np.array(offered, dtype=np.int64)
    chosen = rng.choice(len(capacity), min(asks, len(capacity)), replace=False)
    demand = np.array(wanted[:bids], dtype=np.int64)
    return assemble(
        name="openb",
        demand=demand,
        capacity=capacity[chosen],
        seed=seed,
        tenant=rng.integers(0, 8, len(demand)).astype(np.int32),
        policy=policy,
    )


def from_eua(
    sites: Iterable[str],
    users: Iterable[str],
    *,
    bids: int,
    asks: int,
    seed: int,
    policy: Policy | None = None,
) -> Snapshot:
    """Users of Melbourne's centre near its cellular sites; demands and nodes at sites are drawn.

    Every site is a zone; a user's zone is the nearest site; latency grows with distance.
    """
    at = np.array([(float(r["LATITUDE"]), float(r["LONGITUDE"])) for r in csv.DictReader(sites)])
    people = np.array(
        [(float(r["Latitude"]), float(r["Longitude"])) for r in csv.DictReader(users)]
    )
    rng = np.random.default_rng(seed)
    scale = np.array([KM_PER_DEGREE, KM_PER_DEGREE * np.cos(np.radians(at[:, 0].mean()))])
    apart = np.linalg.norm((at[:, None] - at[None]) * scale, axis=2)
    near = np.linalg.norm((people[:, None] - at[None]) * scale, axis=2).argmin(axis=1)
    person = rng.integers(0, len(people), bids)
    kind = rng.choice(3, bids, p=[0.6, 0.3, 0.1])
    cores = np.array([0.25, 1.0, 3.0])[kind] * rng.uniform(0.5, 1.5, bids)
    demand = np.column_stack(
        [cores * 1_000, cores * rng.uniform(0.5, 3, bids) * GIB, 0 * cores, cores * 2_000]
    ).astype(np.int64)
    node_cores = rng.choice([2, 4, 8, 16], asks, p=[0.3, 0.4, 0.2, 0.1])
    capacity = np.column_stack(
        [node_cores * 1_000, node_cores * 2 * GIB, 0 * node_cores, node_cores * 10_000]
    ).astype(np.int64)
    return assemble(
        name="eua",
        demand=demand,
        capacity=capacity,
        seed=seed,
        tenant=rng.integers(0, 8, bids).astype(np.int32),
        bid_zone=near[person].astype(np.int32),
        ask_zone=rng.integers(0, len(at), asks).astype(np.int32),
        zone_latency_ms=ACCESS_MS + MS_PER_KM * apart,
        latency_ms_max=rng.uniform(4.0, 8.0, bids),
        policy=policy,
    )


def _cpu_and_memory(shares: np.ndarray) -> Ints:
    amounts = np.zeros((len(shares), 4), np.int64)
    amounts[:, 0] = np.maximum(shares[:, 0] * MACHINE_CORES * 1_000, 1)
    amounts[:, 1] = np.maximum(shares[:, 1] * MACHINE_GIB * GIB, 1)
    return amounts


def _tenants(users: list[str]) -> np.ndarray:
    """Tenant indices: the busiest users one each, all others together."""
    names, index, often = np.unique(np.array(users), return_inverse=True, return_counts=True)
    rank = np.empty(len(names), np.int32)
    rank[np.argsort(-often, kind="stable")] = np.arange(len(names))
    tenants: np.ndarray = np.minimum(rank[index], 15).astype(np.int32)
    return tenants
