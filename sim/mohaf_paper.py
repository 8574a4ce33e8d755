"""MOHAF's own instance, utility and Table 1 (arXiv 2508.14830), to check the baseline against.

Requests are submit events of Google's job_events: demand d = scheduling class / 3, budget
B = 20·d + 5·p with priority p = 8 for all; resources draw capacity U(.5, 1), cost U(.3, .8),
reliability and availability U(.95, 1), energy U(.6, .9) and places in [−100, 100]². Utility as run:
α·max(0, 1 − cost·d/B) + β·(½(rel + avail) + ½·max(0, 1 − dist/200)) + γ·energy + δ·(p/10), weights
.3, .3, .2, .2, demand and capacity the only constraint. Efficiency is Σ U / |requests|.

The table scores each mechanism by another utility: MOHAF by the one above, Greedy by a constant
.74, First-Price by U(.3, .8), Random by U(.2, .6). ``table_1`` gives the table as printed and, from
the same matchings, the figures under one utility.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from market.snapshot import Floats

REQUESTS, RESOURCES = 3_553, 888
FIRST_PART = 2_500  # submits of part 0; all of part 1 follow
PRIORITY = 8.0
WEIGHTS = (0.3, 0.3, 0.2, 0.2)
PRINTED_GREEDY = 0.74
PRINTED_FIRST_PRICE = (0.3, 0.8)
PRINTED_RANDOM = (0.2, 0.6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One mechanism's line."""

    efficiency_printed: float  # by the utility that the paper used for it
    efficiency: float  # by the common utility
    satisfaction: float
    demand_served: float
    jain_winners: float  # over winners, as printed
    jain_all: float  # over all requesters


def classes(part_0: Iterable[str], part_1: Iterable[str]) -> Floats:
    """(3,553,) scheduling classes of the paper's submit events."""

    def submits(lines: Iterable[str]) -> list[float]:
        return [float(row[5]) for row in csv.reader(lines) if row[3] == "0"]

    return np.array(submits(part_0)[:FIRST_PART] + submits(part_1))


def utilities(demand: Floats, *, seed: int) -> tuple[Floats, Floats]:
    """(utility (n, m), capacity (m,)) of the paper's instance, resources by ``seed``."""
    rng = np.random.default_rng(seed)
    n, m = len(demand), RESOURCES
    capacity = rng.uniform(0.5, 1.0, m)
    cost = rng.uniform(0.3, 0.8, m)
    sound = (rng.uniform(0.95, 1.0, m) + rng.uniform(0.95, 1.0, m)) / 2
    energy = rng.uniform(0.6, 0.9, m)
    place, wanted = rng.uniform(-100, 100, (m, 2)), rng.uniform(-100, 100, (n, 2))
    budget = 20 * demand + 5 * PRIORITY
    distance = np.linalg.norm(wanted[:, None] - place[None], axis=2)
    alpha, beta, gamma, delta = WEIGHTS
    u_cost = np.maximum(0.0, 1.0 - cost[None] * demand[:, None] / budget[:, None])
    u_qos = sound[None] + 0.5 * np.maximum(0.0, 1.0 - distance / 200.0)
    utility = alpha * u_cost + beta * u_qos + gamma * energy[None] + delta * PRIORITY / 10.0
    return np.where(demand[:, None] <= capacity[None], utility, -np.inf), capacity


def greedy_matching(utility: Floats) -> tuple[np.ndarray, np.ndarray]:
    """MOHAF's allocation: pairs by utility, one request a resource."""
    n, m = utility.shape
    open_request, open_resource = np.ones(n, bool), np.ones(m, bool)
    chosen: list[tuple[int, int]] = []
    for k in np.argsort(-utility, axis=None, kind="stable").tolist():
        i, j = divmod(k, m)
        if open_request[i] and open_resource[j]:
            if utility[i, j] == -np.inf:
                break
            open_request[i] = open_resource[j] = False
            chosen.append((i, j))
            if len(chosen) == m:
                break
    table = np.array(chosen)
    return table[:, 0], table[:, 1]


def sequential_matching(utility: Floats, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Requests in ``order``, each on the first open resource that holds it."""
    open_resource = np.ones(utility.shape[1], bool)
    chosen = []
    for i in order.tolist():
        able = np.flatnonzero(open_resource & (utility[i] > -np.inf))
        if len(able):
            open_resource[able[0]] = False
            chosen.append((i, int(able[0])))
    table = np.array(chosen)
    return table[:, 0], table[:, 1]


def jain(values: Floats) -> float:
    """Jain's index (Σx)² / (n·Σx²); 1 where all are 0."""
    square = float((values**2).sum())
    return 1.0 if square == 0 else float(values.sum()) ** 2 / (len(values) * square)


def table_1(demand: Floats, *, seed: int) -> dict[str, Row]:
    """The rows of Table 1 for one draw of the resources."""
    utility, _ = utilities(demand, seed=seed)
    rng = np.random.default_rng(seed + 1)
    n = len(demand)
    dearest = np.argsort(-demand, kind="stable")
    rows: dict[str, Row] = {}
    for name, (request, resource) in (
        ("mohaf", greedy_matching(utility)),
        ("greedy", sequential_matching(utility, dearest)),
        ("first_price", sequential_matching(utility, dearest)),
        ("random", sequential_matching(utility, rng.permutation(n))),
    ):
        common = utility[request, resource]
        printed = {
            "mohaf": common,
            "greedy": np.full(len(request), PRINTED_GREEDY),
            "first_price": rng.uniform(*PRINTED_FIRST_PRICE, len(request)),
            "random": rng.uniform(*PRINTED_RANDOM, len(request)),
        }[name]
        won = np.zeros(n)
        won[request] = 1.0
        rows[name] = Row(
            efficiency_printed=float(printed.sum() / n),
            efficiency=float(common.sum() / n),
            satisfaction=len(request) / n,
            demand_served=float(demand[request].sum()),
            jain_winners=jain(printed),
            jain_all=jain(won),
        )
    return rows
