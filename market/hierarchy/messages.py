"""What levels tell each other, as bytes: bids, supply curves, lots that move, prices.

A message is some columns of equal length, each with its bytes transposed (the first bytes of all
its numbers, then the second …) and deflated: exact, and the zeros that bids share cost nothing.
Both ends know the columns from the shape of the problem; only the length is sent. What is
proportional to a bid's demand (its money check, the cost part of its value) travels as one factor.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from market.kernels.problem import Problem, Singles, single
from market.snapshot import Bools, Floats, Indices, Ints

Column = npt.NDArray[Any]
LEVEL = 1  # of compression: fast, and what cannot be told shorter is most of it
PLAIN = -1  # width of a column of one number each
PROPORTIONAL = 1e-5  # relative error up to which columns count as proportional to demand


@dataclass(slots=True)
class Traffic:
    """Bytes between levels; with regions between cells and root each hop counts."""

    up: int = 0
    down: int = 0


def pack(columns: Sequence[Column]) -> bytes:
    """The columns, each (k, …), as one message."""
    parts = [len(columns[0]).to_bytes(4, "little")]
    for column in columns:
        flat = np.ascontiguousarray(column).reshape(-1)
        parts.append(flat.view(np.uint8).reshape(-1, flat.itemsize).T.tobytes())
    return zlib.compress(b"".join(parts), LEVEL)


def unpack(message: bytes, like: Sequence[tuple[str, int]]) -> list[Column]:
    """The columns of a message; ``like`` gives (dtype, width) of each, PLAIN for one number."""
    content = zlib.decompress(message)
    length, at = int.from_bytes(content[:4], "little"), 4
    columns = []
    for name, width in like:
        shaped = width != PLAIN
        kind, size = np.dtype(name), length * (width if shaped else 1)
        raw = np.frombuffer(content, np.uint8, size * kind.itemsize, at)
        flat = np.ascontiguousarray(raw.reshape(kind.itemsize, size).T).view(kind).reshape(-1)
        columns.append(flat.reshape(length, width) if shaped else flat)
        at += size * kind.itemsize
    return columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The form in which the bids of a round travel; part of what all know of it."""

    resources: int
    slopes: int
    needs: int
    monies: int
    cost_follows: bool  # the first slopes are the demand times one factor
    money_follows: bool  # so is the money check
    need_follows: bool  # the first needs are the demand

    @classmethod
    def of(cls, problem: Problem) -> "Form":
        """The shortest form that tells the bids of ``problem``."""
        demand, resources = problem.demand, problem.demand.shape[1]
        return cls(
            resources=resources,
            slopes=problem.slope.shape[1],
            needs=problem.need.shape[1],
            monies=problem.money.shape[1],
            cost_follows=_follows(problem.slope[:, :resources], demand),
            money_follows=_follows(problem.money, demand),
            need_follows=np.array_equal(problem.need[:, :resources], single(demand)),
        )

    def columns(self) -> list[tuple[str, int]]:
        """(dtype, width) of each column."""
        return [
            *(("u4", PLAIN), ("u4", PLAIN), ("u2", PLAIN), ("u4", PLAIN)),
            *(("f4", PLAIN) for _ in _SCALARS),
            ("f8", self.resources),
            ("f4", 1 if self.money_follows else self.monies),
            ("f4", self.slopes - (self.resources - 1) * self.cost_follows),
            ("f4", self.needs - self.resources * self.need_follows),
        ]


@dataclass(slots=True, kw_only=True)
class BidRows:
    """What somebody knows of the round's bids: row i is bid i, empty until it has been told."""

    form: Form
    known: Bools  # (n,)
    count: Ints
    base: Singles
    slope: Singles
    near: Singles
    horizon: Singles
    latency_max: Singles
    zone: Indices
    demand: Floats
    need: Singles
    money: Singles
    bid_class: Indices

    @classmethod
    def empty(cls, problem: Problem, form: Form) -> "BidRows":
        """Room for the bids of ``problem``, of which nothing is known yet."""
        arrays = {name: np.zeros_like(getattr(problem, name)) for name in FIELDS}
        return cls(form=form, known=np.zeros(problem.bids, np.bool_), **arrays)

    @classmethod
    def of(cls, problem: Problem, form: Form) -> "BidRows":
        """All that is to know."""
        arrays = {name: getattr(problem, name) for name in FIELDS}
        return cls(form=form, known=np.ones(problem.bids, np.bool_), **arrays)

    def copy(self, other: "BidRows", rows: Indices) -> None:
        """Knows of ``rows`` what ``other`` knows, without a message."""
        for name in ("known", *FIELDS):
            getattr(self, name)[rows] = getattr(other, name)[rows]

    def tell(self, rows: Indices) -> bytes:
        """These bids as a message."""
        form, demand, slope = self.form, self.demand[rows], self.slope[rows]
        money, need = self.money[rows], self.need[rows]
        if form.money_follows:
            money = _factor(money, demand)
        if form.cost_follows:
            cost = _factor(slope[:, : form.resources], demand)
            slope = np.concatenate([cost, slope[:, form.resources :]], axis=1)
        if form.need_follows:
            need = need[:, form.resources :]
        plain: list[Column] = [rows, self.count[rows], self.zone[rows], self.bid_class[rows]]
        plain += [getattr(self, name)[rows] for name in _SCALARS]
        columns: list[Column] = [*plain, demand, money, slope, need]
        kinds = (kind for kind, _ in form.columns())
        return pack([each.astype(kind) for each, kind in zip(columns, kinds, strict=True)])

    def hear(self, message: bytes) -> None:
        """Takes up the bids of a message."""
        form = self.form
        rows, *plain, demand, money, slope, need = unpack(message, form.columns())
        for name, column in zip(("count", "zone", "bid_class", *_SCALARS), plain, strict=True):
            getattr(self, name)[rows] = column
        self.demand[rows] = demand
        self.money[rows] = money * demand if form.money_follows else money
        if form.cost_follows:
            slope = np.concatenate([slope[:, :1] * demand, slope[:, 1:]], axis=1)
        self.slope[rows] = slope
        if form.need_follows:
            need = np.concatenate([single(demand), need], axis=1)
        self.need[rows] = need
        self.known[rows] = True


_SCALARS = ("base", "near", "horizon", "latency_max")
FIELDS = ("count", "zone", "bid_class", *_SCALARS, "demand", "money", "slope", "need")


def _factor(table: Column, demand: Floats) -> Singles:
    """(k, 1) the factor by which each row of ``table`` is its demand, as nearly as can be."""
    size = np.maximum((demand * demand).sum(axis=1, keepdims=True), 1e-300)
    factor: Singles = ((table * demand).sum(axis=1, keepdims=True) / size).astype(np.float32)
    return factor


def _follows(table: Column, demand: Floats) -> bool:
    """Whether each row of ``table`` is its demand times one factor."""
    if table.shape != demand.shape:
        return False
    error = np.abs(_factor(table, demand) * demand - table)
    return bool((error <= PROPORTIONAL * np.abs(table)).all())
