"""Rounds: one cell's market cleared from a snapshot, its plan applied, stuck demands moved on."""

from broker.rounds.clear import RoundReport, Rounds

__all__ = ["RoundReport", "Rounds"]
