"""What demands require and nodes have, as words of feature bits.

A node has the features ``label:k=v``, ``arch:…``, ``runtime:…`` and membership of each list of
node ids that some demand names. "One of these architectures" forbids all others. Only features
that some demand of the round speaks of get a bit, so the words stay few.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
import orjson

from db.control.rounds import AskRow
from market.snapshot import Bits

WORD_BITS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The part of a job's spec that decides which nodes may serve it, and how well."""

    required: frozenset[str] = frozenset()
    forbidden: frozenset[str] = frozenset()
    arch: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    cell_only: bool = False
    latency_ms_max: float = 0.0
    reliability_min: float = 0.0
    speed_min: float = 0.0
    deadline_ms: int = 0
    work_ms: int = 0

    @property
    def node_list(self) -> str:
        """The feature that stands for being one of ``nodes``."""
        return f"nodes:{sha256(' '.join(sorted(self.nodes)).encode()).hexdigest()[:16]}"


def read_needs(text: str) -> Needs:
    """``demands.needs``: ``{kind, constraints: {…}, qos: {…}}``; what is absent is not needed."""
    document: dict[str, Any] = orjson.loads(text)
    where, qos = document.get("constraints") or {}, document.get("qos") or {}
    kind = document.get("kind")
    return Needs(
        required=frozenset(
            [*labels_of(where.get("labels") or {}), *([f"runtime:{kind}"] if kind else [])]
        ),
        forbidden=frozenset(labels_of(where.get("not_labels") or {})),
        arch=tuple(where.get("arch") or ()),
        nodes=tuple(where.get("nodes") or ()),
        cell_only=bool(where.get("cell_only")),
        latency_ms_max=qos.get("latency_ms_max") or 0,
        reliability_min=qos.get("reliability_min") or 0.0,
        speed_min=qos.get("speed_min") or 0.0,
        deadline_ms=qos.get("deadline_ms") or 0,
        work_ms=qos.get("work_ms") or 0,
    )


def labels_of(labels: dict[str, str]) -> list[str]:
    """The features of a label document."""
    return [f"label:{key}={value}" for key, value in labels.items()]


@dataclass(slots=True)
class Vocabulary:
    """The features of one round, numbered in sorted order."""

    names: tuple[str, ...] = ()
    architectures: frozenset[str] = frozenset()
    lists: dict[str, frozenset[str]] = field(default_factory=dict)  # node-list feature → node ids
    _bit: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, needs: Iterable[Needs], asks: Sequence[AskRow]) -> "Vocabulary":
        """Every feature that ``needs`` speak of."""
        names: set[str] = set()
        lists: dict[str, frozenset[str]] = {}
        picky = False
        for need in needs:
            names |= need.required | need.forbidden
            picky = picky or bool(need.arch)
            if need.nodes:
                lists[need.node_list] = frozenset(need.nodes)
        architectures = frozenset(ask.arch for ask in asks) if picky else frozenset[str]()
        ordered = tuple(sorted(names | set(lists) | {f"arch:{arch}" for arch in architectures}))
        return cls(ordered, architectures, lists, {name: k for k, name in enumerate(ordered)})

    @property
    def words(self) -> int:
        return max(1, -(-len(self.names) // WORD_BITS))

    def bits(self, names: Iterable[str]) -> Bits:
        """(W,) words with the bits of those ``names`` that the round knows."""
        words = [0] * self.words
        for name in names:
            if (k := self._bit.get(name)) is not None:
                words[k // WORD_BITS] |= 1 << (k % WORD_BITS)
        return np.array(words, dtype=np.uint64)

    def required(self, need: Needs) -> Bits:
        """(W,) what a node must have."""
        return self.bits([*need.required, *([need.node_list] if need.nodes else [])])

    def forbidden(self, need: Needs) -> Bits:
        """(W,) what a node must not have."""
        others = self.architectures - set(need.arch) if need.arch else frozenset[str]()
        return self.bits([*need.forbidden, *(f"arch:{arch}" for arch in others)])

    def of_node(self, ask: AskRow) -> list[str]:
        """The features of a node, but for the lists that it is on."""
        labels: dict[str, str] = orjson.loads(ask.labels)
        runtimes: dict[str, str] = orjson.loads(ask.runtimes)
        return [
            *labels_of(labels),
            *(f"runtime:{name}" for name in runtimes),
            f"arch:{ask.arch}",
        ]

    def asks(self, asks: Sequence[AskRow]) -> Bits:
        """(m, W) the words of every node; equal documents are read once."""
        seen: dict[tuple[str, str, str], Bits] = {}
        table = np.zeros((len(asks), self.words), dtype=np.uint64)
        for k, ask in enumerate(asks):
            key = (ask.labels, ask.runtimes, ask.arch)
            if key not in seen:
                seen[key] = self.bits(self.of_node(ask))
            table[k] = seen[key]
            for name, members in self.lists.items():
                if ask.node in members:
                    table[k] |= self.bits([name])
        return table
