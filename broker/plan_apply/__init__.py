"""Turns a plan into leases: the one writer that re-checks each match against what is true now.

A plan was made from a snapshot without any lock, so by now a job may be cancelled, a node gone or
its room taken. Under lock of the jobs and nodes concerned each match is checked again; all that
still hold become leases, and the rest is counted and said. A plan that dies half-way has written
nothing: everything is one transaction, which the caller commits.
"""

from broker.plan_apply.apply import Applied, apply_plan

__all__ = ["Applied", "apply_plan"]
