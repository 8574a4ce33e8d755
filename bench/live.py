"""Live rounds over many ticks: what it costs that a cell clears its own bids first.

In each tick leases end, demands come to their home cells, every cell clears what stands in it, the
root clears what is left on the cells' supply curves, and the cells that were handed some clear
again: by the code that the platform's rounds run, without its database. Other orders beside it:

* ``flat``: one place clears all demands on all nodes, in every tick.
* ``told``: before a cell clears, each demand that is new to it (``again``: each that stands in it)
  chooses the cell with the best step, by value less shadow prices. Each cell tells with its steps
  the prices of its last round.
* ``flat prices``: the same, by the prices that ``flat`` would have come to, averaged over rounds:
  of the tick before, or of the very tick (which nobody can know).

Density is value for a unit of size; as a cell's shadow prices count sizes by what the cell offers,
they are brought to density by the demand's size there, so that those of two cells compare.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from bench.live_world import TENANTS, World, asked, generate
from broker.rounds.budget import round_budget_ms
from broker.rounds.supply import Step, lessened, parts_of, steps_of
from broker.rounds.upper import decided, readdressed
from broker.services.snapshots import Rows, build_snapshot
from db.control.hierarchy import Waiting
from db.control.rounds import AskRow, BidRow
from market import mechanisms, score
from market.feasible import FEASIBLE, refusals
from market.hierarchy import as_steps
from market.plan import Plan
from market.snapshot import Bools, Floats, Ints, Policy, Snapshot

LIFE = 8.0  # ticks that a lease lives, in the mean
PATIENCE = 8  # ticks that a demand waits
TICKS, WARM_UP = 40, 8
CELLS, NODES = 8, 16  # nodes of a cell
LOADS = (0.6, 1.0, 1.4)  # cpu that comes over cpu that there is; a part suits no node
UPPER_MS = 40
MARGIN = 0.02  # of density, by which another cell must be better than home
TEMPERATURE = 0.01  # of density, in the draw among the cells that are
SMOOTH = 0.3  # weight of the newest round in the mean of the flat market's prices
POLICY = Policy(payment="pay_as_bid", parameters={"repeatable": 1.0})
STARTED = datetime(2026, 1, 1, tzinfo=UTC)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How demands find their cells."""

    name: str
    flat: bool = False
    routed: bool = False
    again: bool = False  # all that stand in a cell choose, not the new ones alone
    prices: str = "own"  # of the cell's last round; "flat_before", "flat_now": the flat market's


ORDERS = (
    Order(name="flat", flat=True),
    Order(name="home first"),
    Order(name="told", routed=True),
    Order(name="told, again", routed=True, again=True),
    Order(name="flat prices of the tick before", routed=True, again=True, prices="flat_before"),
    Order(name="flat prices of the tick", routed=True, again=True, prices="flat_now"),
)


@dataclass(slots=True, kw_only=True)
class Standing:
    """A demand that waits."""

    bid: BidRow
    cell: str
    came: int
    open: int
    tried: tuple[str, ...] = ()

    def row(self) -> BidRow:
        return self.bid._replace(slots=self.open)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a cell told: its steps, what they cost, and all that it offers."""

    steps: list[Step]
    price: Floats  # (steps, R) shadow prices
    scale: Floats  # (R,) of what sizes are shares of


@dataclass(slots=True, kw_only=True)
class Tally:
    """Sums over the ticks that count."""

    welfare: float = 0.0  # value of each slot times the ticks that it is leased
    slots: int = 0
    away: int = 0  # slots outside the home cell
    moved: int = 0  # demands that chose another cell than where they stood
    handed: int = 0  # that the root gave to another cell
    used: float = 0.0  # share of the cpu, summed over ticks


@dataclass(slots=True)
class Market:
    """One market under one order."""

    world: World
    order: Order
    seed: int
    now: int = 0
    queue: list[Standing] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    route_s: float = 0.0
    routes: int = 0
    leased: Ints = field(init=False)
    price: Floats = field(init=False)  # (m, R) that are told
    mean: Floats = field(init=False)  # (m, R) of the flat market, over ticks
    nodes_of: dict[str, list[int]] = field(init=False)
    told: dict[str, Told] = field(default_factory=dict)
    _leases: list[tuple[int, int, Ints]] = field(default_factory=list)  # end, node, amounts
    _carried: dict[str, dict[str, Floats]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.world.capacity.shape
        self.leased = np.zeros(shape, np.int64)
        self.price, self.mean = np.zeros(shape), np.zeros(shape)
        self.nodes_of = defaultdict(list)
        for j, ask in enumerate(self.world.asks):
            self.nodes_of[ask.cell].append(j)

    def tick(self, came: Sequence[BidRow]) -> None:
        """Leases end, ``came`` come, all markets clear."""
        self.now += 1
        for _, node, amounts in (lease for lease in self._leases if lease[0] <= self.now):
            self.leased[node] -= amounts
        self._leases = [lease for lease in self._leases if lease[0] > self.now]
        self.queue = [each for each in self.queue if self.now - each.came <= PATIENCE]
        new = [Standing(bid=b, cell=b.home_cell, came=self.now, open=b.slots) for b in came]
        self.queue += new
        if self.order.flat:
            self._clear("", list(self.queue))
        else:
            if self.order.routed:
                self._route(new)
            for cell in sorted(self.nodes_of):
                self._clear(cell, self._in(cell))
            for cell in sorted(self._upper()):
                self._clear(cell, self._in(cell))
            self._tell()
        if self.now > WARM_UP:
            self.tally.used += float(self.leased[:, 0].sum() / self.world.capacity[:, 0].sum())

    def _in(self, cell: str) -> list[Standing]:
        return [each for each in self.queue if each.cell == cell]

    def _index(self, cell: str) -> list[int]:
        return self.nodes_of[cell] if cell else list(range(len(self.world.asks)))

    def _asks(self, index: Sequence[int]) -> list[AskRow]:
        asks = self.world.asks
        return [asks[j]._replace(leased=tuple(self.leased[j].tolist())) for j in index]

    def _snapshot(self, bids: list[BidRow], asks: list[AskRow], cell: str) -> Snapshot:
        rows = Rows(
            asks=asks,
            bids=bids,
            cells=self.world.places,
            accounts={tenant: (tenant, 1.0) for tenant in TENANTS},
            standing={},
            received=[1.0] * len(TENANTS),
            tenants=TENANTS,
        )
        carried = self._carried.get(cell)
        return build_snapshot(
            rows,
            round_id=f"round_{self.now}",
            cell=cell,
            policy=POLICY,
            now=STARTED,
            seed=self.now,
            carried=carried,
        )

    def _plan(self, cell: str, standing: Sequence[Standing]) -> tuple[Snapshot, Plan]:
        """The round of ``cell``, or with "" of one place for all."""
        asks = self._asks(self._index(cell))
        snapshot = self._snapshot([each.row() for each in standing], asks, cell)
        budget = round_budget_ms(snapshot, most_ms=2_000, timed=False)
        plan = mechanisms.get(POLICY.mechanism).clear(snapshot, budget_ms=budget)
        if plan.node_price.any():
            self._carried[cell] = dict(zip(snapshot.asks.ids, plan.node_price, strict=True))
        return snapshot, plan

    def _clear(self, cell: str, standing: list[Standing]) -> None:
        index = self._index(cell)
        own = self.order.prices == "own"
        if not standing:
            self.price[index] *= not own
            return
        snapshot, plan = self._plan(cell, standing)
        if own:
            self.price[index] = plan.node_price
        density = score.densities(snapshot, plan.bid, plan.ask)
        for i, j, count, worth in zip(
            plan.bid.tolist(), plan.ask.tolist(), plan.count.tolist(), density.tolist(), strict=True
        ):
            self._lease(standing[i], index[j], count, worth)
        self.queue = [each for each in self.queue if each.open > 0]

    def _lease(self, won: Standing, node: int, count: int, worth: float) -> None:
        wanted = np.array(won.bid.resources, dtype=np.int64)
        ticks = lifetime(won.bid)
        won.open -= count
        self.leased[node] += wanted * count
        self._leases.append((self.now + ticks, node, wanted * count))
        if (self.leased[node] > self.world.capacity[node]).any():
            raise RuntimeError(f"node {node} was sold twice")
        if self.now > WARM_UP:
            size = float((wanted / np.maximum(self.world.capacity.sum(axis=0), 1)).max())
            self.tally.welfare += worth * size * count * ticks
            self.tally.slots += count
            self.tally.away += count * (self.world.asks[node].cell != won.bid.home_cell)

    def _upper(self) -> set[str]:
        """The root's round; the cells that are handed something."""
        self._tell()
        waiting = [Waiting(each.bid.demand, each.cell, each.tried) for each in self.queue]
        if not waiting:
            return set()
        steps = [step for cell in sorted(self.told) for step in self.told[cell].steps]
        bids = readdressed([each.row() for each in self.queue], waiting, steps, {})
        snapshot = self._on(steps, bids, "root")
        plan = mechanisms.get(POLICY.mechanism).clear(snapshot, budget_ms=UPPER_MS)
        target = {one.demand: one.target for one in decided(snapshot, plan, waiting)}
        for each in self.queue:
            if each.bid.demand in target:
                self._move(each, target[each.bid.demand])
            else:
                each.tried = ()
        self.tally.handed += len(target) * (self.now > WARM_UP)
        return set(target.values())

    def _on(self, steps: Sequence[Step], bids: list[BidRow], place: str) -> Snapshot:
        snapshot = self._snapshot(bids, [step.ask for step in steps], place)
        return as_steps(snapshot, np.array([step.largest for step in steps], dtype=np.int64))

    def _move(self, each: Standing, cell: str) -> None:
        each.tried = (*(one for one in each.tried if one != each.cell), each.cell)
        each.cell = cell

    def _tell(self) -> None:
        for cell in self.nodes_of:
            self.told[cell] = self._curve(cell)

    def _curve(self, cell: str) -> Told:
        """What the cell has left, and the mean prices of its steps, by what nodes have free."""
        index = np.array(self.nodes_of[cell])
        asks = self._asks(index.tolist())
        capacity = self.world.capacity[index]
        weight = np.maximum(capacity - self.leased[index], 1e-9 * np.maximum(capacity, 1))
        own = self.order.prices == "own"
        if not own:
            weight = np.maximum(capacity, 1e-9)
        paid = self.price[index] * weight
        parts = parts_of(asks)
        price = np.array([paid[part].sum(axis=0) / weight[part].sum(axis=0) for part in parts])
        scale = (capacity if own else self.world.capacity).sum(axis=0).astype(np.float64)
        return Told(steps=steps_of(asks, cell), price=price, scale=scale)

    def _route(self, new: Sequence[Standing]) -> None:
        """Let demands choose their cells, cell by cell, each choice lessening what was told."""
        if self.order.prices != "own":
            self._price_flat()
        movable = {each.bid.demand for each in (self.queue if self.order.again else new)}
        for cell in sorted(self.nodes_of):
            mine = [each for each in self._in(cell) if each.bid.demand in movable]
            if mine:
                started = time.perf_counter()
                self._choose(cell, mine)
                self.route_s += time.perf_counter() - started
                self.routes += 1

    def _price_flat(self) -> None:
        """Tell the mean of the flat market's prices, with or without this tick's."""
        if self.order.prices == "flat_before":
            self.price = self.mean.copy()
        _, plan = self._plan("", self.queue)
        self.mean += (plan.node_price - self.mean) * (SMOOTH if self.now > 1 else 1.0)
        if self.order.prices == "flat_now":
            self.price = plan.node_price
        self._tell()

    def _choose(self, cell: str, mine: list[Standing]) -> None:
        self.told[cell] = self._curve(cell)
        cells = sorted(self.told)
        steps = [step for name in cells for step in self.told[name].steps]
        owner = np.repeat(np.arange(len(cells)), [len(self.told[name].steps) for name in cells])
        snapshot = self._on(steps, [each.row() for each in mine], cell)
        scale = np.array([self.told[name].scale for name in cells])[owner]
        price = np.concatenate([self.told[name].price for name in cells])
        reduced = densities_less_rent(snapshot, price, scale)
        free = snapshot.asks.capacity.copy()
        home = cells.index(cell)
        random = np.random.default_rng((self.seed, self.now, home))
        for i in np.argsort(-reduced.max(axis=1), kind="stable").tolist():
            wanted = snapshot.bids.demand[i]
            here = np.where((free >= wanted).all(axis=1), reduced[i], -np.inf)
            best = np.full(len(cells), -np.inf)
            np.maximum.at(best, owner, here)
            to = chosen(best, home, random)
            if best[to] <= 0:
                continue
            step = int(np.flatnonzero((owner == to) & (here == best[to]))[0])
            some = wanted > 0
            count = min(int((free[step][some] // wanted[some]).min()), mine[i].open)
            free[step] -= wanted * count
            if to != home:
                self._lessen(cells[to], step - int(np.searchsorted(owner, to)), wanted * count)
                self._move(mine[i], cells[to])
                self.tally.moved += self.now > WARM_UP

    def _lessen(self, cell: str, number: int, used: Ints) -> None:
        curve = self.told[cell]
        steps = list(curve.steps)
        steps[number] = lessened(steps[number], used.tolist())
        self.told[cell] = replace(curve, steps=steps)


def densities_less_rent(snapshot: Snapshot, price: Floats, scale: Floats) -> Floats:
    """(n, m) density of each bid on each step less the price of its room; −inf if not feasible.

    ``price`` (m, R) is in score of a market in which sizes are shares of ``scale`` (m, R).
    """
    n, m = len(snapshot.bids), len(snapshot.asks)
    bid = np.repeat(np.arange(n, dtype=np.int32), m)
    ask = np.tile(np.arange(m, dtype=np.int32), n)
    feasible: Bools = refusals(snapshot, bid, ask) == FEASIBLE
    share = snapshot.bids.demand[:, None] / np.where(scale > 0, scale, np.inf)[None]
    size = np.maximum(share.max(axis=2), 1e-30)
    rent = snapshot.bids.demand @ price.T / size
    density = score.densities(snapshot, bid, ask).reshape(n, m)
    return np.where(feasible.reshape(n, m), density - rent, -np.inf)


def chosen(best: Floats, home: int, random: np.random.Generator) -> int:
    """The cell of ``best`` (C,) to stand in: home, unless others are better by the margin.

    Among those the soft maximum at ``TEMPERATURE`` draws, so that equal bids spread.
    """
    better = best > best[home] + MARGIN
    if not better.any():
        return home
    weight = np.where(better, np.exp((best - best.max()) / TEMPERATURE), 0.0)
    return int(random.choice(len(best), p=weight / weight.sum()))


def lifetime(bid: BidRow) -> int:
    """Ticks that a lease of ``bid`` lives; demands ask for 75 minutes in the mean."""
    return max(1, round(bid.duration_ms / 4.5e6 * LIFE))


def run(
    world: World, order: Order, *, load: float, seed: int, ticks: int = TICKS, every: int = 1
) -> Market:
    """The market after ``ticks``; the same demands come under every order."""
    found = Market(world, order, seed)
    per_tick = every * load * world.capacity[:, 0].sum() / (asked(world.kinds)[0] / 1.25 * LIFE)
    random = np.random.default_rng((seed, 1))
    number = 0
    for tick in range(ticks):
        many = random.poisson(per_tick) if tick % every == 0 else 0
        kinds = random.integers(0, len(world.kinds), many)
        came = [
            world.kinds[k]._replace(demand=f"demand_{number + n:06d}") for n, k in enumerate(kinds)
        ]
        number += len(came)
        found.tick(came)
    return found


def live(quick: bool) -> list[Row]:
    """Welfare lost by each order against ``flat``, and what else there is to say of it."""
    rows: list[Row] = []
    for load in LOADS:
        for seed in range(1, 3 if quick else 5):
            world = generate(cells=CELLS, nodes=NODES, seed=seed)
            flat = 0.0
            for order in ORDERS:
                found = run(world, order, load=load, seed=seed)
                tally = found.tally
                flat = tally.welfare if order.flat else flat
                rows.append(
                    {
                        "load": load,
                        "seed": seed,
                        "order": order.name,
                        "loss_percent": 100.0 * (1.0 - tally.welfare / flat),
                        "welfare": tally.welfare,
                        "slots": tally.slots,
                        "away": tally.away / max(tally.slots, 1),
                        "cpu_used": tally.used / (TICKS - WARM_UP),
                        "moved": tally.moved,
                        "handed_down": tally.handed,
                        "choice_ms": 1e3 * found.route_s / max(found.routes, 1),
                    }
                )
    return rows + means(rows)


def means(rows: Sequence[Row]) -> list[Row]:
    """For each load and order the mean loss over seeds, its standard error, and the rest's mean.

    ``regained`` is the share of what ``home first`` loses.
    """
    found: list[Row] = []
    at_home = 0.0
    for load, order in dict.fromkeys((row["load"], row["order"]) for row in rows):
        mine = [row for row in rows if (row["load"], row["order"]) == (load, order)]
        loss = np.array([row["loss_percent"] for row in mine])
        at_home = float(loss.mean()) if order == "home first" else at_home
        one: Row = {"load": load, "order": order, "seeds": len(mine)}
        one |= {"mean_loss_percent": float(loss.mean())}
        one |= {"error": float(loss.std(ddof=1) / len(loss) ** 0.5)}
        regained = 1.0 - float(loss.mean()) / at_home if at_home > 0 else 0.0
        one |= {"regained": None if order in ("flat", "home first") else regained}
        for name in ("away", "cpu_used", "moved", "handed_down", "choice_ms"):
            one[name] = float(np.mean([row[name] for row in mine]))
        found.append(one)
    return found
