"""The market's records: policies, demands, rounds, what became of each bid, leases, prices."""

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, Document, Id, IdKey, Int64, Micros, Name, Time, one_of
from market.lifecycle import LeaseState


class PolicyRow(Base):
    """A version of the operator's policy; the newest activated one is in force."""

    __tablename__ = "policies"

    id: Mapped[IdKey]
    name: Mapped[Name]
    body: Mapped[Document]  # fields of market.snapshot.Policy
    created_by: Mapped[Id]
    created_at: Mapped[Time]
    activated_at: Mapped[Time | None]
    shadow: Mapped[bool] = mapped_column(default=False)  # cleared beside the live one, not applied


class Demand(Base):
    """A tenant's standing intent to buy: one for each job, open while the job lacks leases."""

    __tablename__ = "demands"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'filled', 'closed')", name="state"),
        CheckConstraint("count_open >= 0", name="count_open"),
        CheckConstraint("reach IN ('region', 'root')", name="reach"),
        Index("ix_demands_open", "cell_id", "created_at", postgresql_where=text("state = 'open'")),
    )

    id: Mapped[IdKey]
    job_id: Mapped[Id] = mapped_column(ForeignKey("jobs.id"), unique=True)
    account_id: Mapped[Id] = mapped_column(ForeignKey("accounts.id"))
    cell_id: Mapped[Id] = mapped_column(ForeignKey("cells.id"))  # whose round it stands in now
    home_cell_id: Mapped[Id] = mapped_column(ForeignKey("cells.id"))
    state: Mapped[str] = mapped_column(String(8))
    resources: Mapped[Document]  # of one slot: resource name → base units
    count_open: Mapped[int]  # slots still wanted
    count_min: Mapped[int] = mapped_column(default=1)
    limit_micros_per_hour: Mapped[Micros]
    duration_ms: Mapped[Int64]  # window asked of a lease
    needs: Mapped[Document]  # constraints and QoS, as in the job's spec
    rounds: Mapped[int] = mapped_column(default=0)  # cleared without filling it
    last_loss: Mapped[str | None] = mapped_column(String(32))
    last_loss_detail: Mapped[str] = mapped_column(default="")
    created_at: Mapped[Time]
    tried_cells: Mapped[list[str]] = mapped_column(  # that could not serve what is still open
        ARRAY(String(64)), default=list, server_default=text("'{}'")
    )
    reach: Mapped[str] = mapped_column(String(8), default="region")  # who is asked next above


class RoundRow(Base):
    """One clearing: what came in, what came out, how good it was, how long it took."""

    __tablename__ = "rounds"
    __table_args__ = (
        Index("ix_rounds_cell_created", "cell_id", "created_at", "id"),
        Index("ix_rounds_created", "created_at", "id"),
        Index("ix_rounds_with_bids", "created_at", "id", postgresql_where=text("bid_count > 0")),
        Index(
            "ix_rounds_with_snapshot", "created_at", postgresql_where=text("snapshot IS NOT NULL")
        ),
    )

    id: Mapped[IdKey]
    cell_id: Mapped[Id] = mapped_column(ForeignKey("cells.id"))
    policy_id: Mapped[Id]
    mechanism: Mapped[str] = mapped_column(String(32))
    seed: Mapped[Int64]
    bid_count: Mapped[int]
    ask_count: Mapped[int]
    slots_asked: Mapped[Int64]
    slots_matched: Mapped[Int64]
    slots_applied: Mapped[Int64]
    slots_refused: Mapped[Int64]  # by plan_apply, because the world had moved on
    welfare: Mapped[float]
    bound: Mapped[float]
    timings_ms: Mapped[Document]
    snapshot: Mapped[bytes | None] = mapped_column(LargeBinary)  # zstd, dropped by retention
    created_at: Mapped[Time]
    budget_ms: Mapped[int] = mapped_column(default=0)  # with seed, snapshot and effort: the plan
    effort: Mapped[Document] = mapped_column(default=dict)  # of market.plan.Plan
    digest: Mapped[str] = mapped_column(String(64), default="")  # of the plan
    depth: Mapped[Document] = mapped_column(default=dict)  # resource → [free, asked, taken]
    slots_sent_up: Mapped[Int64] = mapped_column(default=0)  # not served, and free to leave


class SupplyCurveRow(Base):
    """What a cell has left, as steps of capacity by class and price: what is seen above it."""

    __tablename__ = "supply_curves"

    cell_id: Mapped[str] = mapped_column(ForeignKey("cells.id"), primary_key=True)
    steps: Mapped[Document]
    told_at: Mapped[Time]
    version: Mapped[Int64] = mapped_column(default=1)  # grows with each writing


class UpperRound(Base):
    """One clearing of a region or the root over its cells' supply curves."""

    __tablename__ = "upper_rounds"
    __table_args__ = (
        Index("ix_upper_rounds_place_created", "place", "created_at", "id"),
        Index("ix_upper_rounds_created", "created_at", "id"),
    )

    id: Mapped[IdKey]
    place: Mapped[Id]  # id of the region, or "root"
    bid_count: Mapped[int]
    cell_count: Mapped[int]
    step_count: Mapped[int]
    slots_asked: Mapped[Int64]
    slots_handed_down: Mapped[Int64]
    bids_handed_down: Mapped[int]
    bytes_up: Mapped[Int64]  # of the curves
    timings_ms: Mapped[Document]
    created_at: Mapped[Time]


class ShadowPlan(Base):
    """What a shadow policy would have made of a round, beside what the live one made of it."""

    __tablename__ = "shadow_plans"
    __table_args__ = (Index("ix_shadow_plans_policy", "policy_id", "created_at"),)

    round_id: Mapped[str] = mapped_column(
        String(64), ForeignKey("rounds.id", ondelete="CASCADE"), primary_key=True
    )
    policy_id: Mapped[IdKey]
    cell_id: Mapped[Id]
    live: Mapped[Document]  # of market.measures
    shadow: Mapped[Document]
    created_at: Mapped[Time]


class BidOutcome(Base):
    """What became of one bid in one round, with the reason if it lost."""

    __tablename__ = "bid_outcomes"

    # There, and deleted with it: see the triggers ``outcomes_hold`` and ``rounds_with_outcomes``.
    round_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    demand_id: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)
    slots_asked: Mapped[int]
    slots_won: Mapped[int]
    loss: Mapped[str | None] = mapped_column(String(32))
    detail: Mapped[str] = mapped_column(default="")


class Lease(Base):
    """A right to ``slots`` × ``resources`` on a node until ``ends_at``, fenced by ``epoch``."""

    __tablename__ = "leases"
    __table_args__ = (
        CheckConstraint(one_of("state", LeaseState), name="state"),
        CheckConstraint("slots > 0", name="slots"),
        CheckConstraint(
            "reserve_micros_per_hour <= rate_micros_per_hour"
            " AND rate_micros_per_hour <= limit_micros_per_hour",
            name="rate",
        ),
        CheckConstraint("ends_at > starts_at", name="window"),
        Index("ix_leases_active_node", "node_id", postgresql_where=text("state = 'active'")),
        Index("ix_leases_active_end", "ends_at", postgresql_where=text("state = 'active'")),
        Index("ix_leases_job", "job_id"),
        Index("ix_leases_created", "created_at", "id"),
    )

    id: Mapped[IdKey]
    job_id: Mapped[Id]  # that of the demand, which holds it
    demand_id: Mapped[Id]  # there and kept, as is the node: see the trigger ``leases_hold``
    node_id: Mapped[Id]
    cell_id: Mapped[Id]
    owner_id: Mapped[Id]
    tenant_id: Mapped[Id]
    round_id: Mapped[Id]
    state: Mapped[str] = mapped_column(String(16))
    state_reason: Mapped[str] = mapped_column(String(32), default="")
    slots: Mapped[int]
    cpu_millis: Mapped[Int64]  # of one slot; likewise the next three
    memory_bytes: Mapped[Int64]
    accelerator_millis: Mapped[Int64] = mapped_column(default=0)
    bandwidth_kbps: Mapped[Int64] = mapped_column(default=0)
    rate_micros_per_hour: Mapped[Micros]  # payment, of one slot
    reserve_micros_per_hour: Mapped[Micros]
    limit_micros_per_hour: Mapped[Micros]
    epoch: Mapped[Int64]  # from the sequence lease_epochs; grows over all leases
    starts_at: Mapped[Time]
    ends_at: Mapped[Time]
    ended_at: Mapped[Time | None]
    charge_micros: Mapped[Micros | None]  # what its usage came to, once settled
    created_at: Mapped[Time]


class Price(Base):
    """Standing price of a resource in a cell after a round: micros per priced unit and hour."""

    __tablename__ = "prices"
    __table_args__ = (Index("ix_prices_cell_at", "cell_id", "at"),)

    round_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    cell_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    resource: Mapped[str] = mapped_column(String(32), primary_key=True)
    price_micros: Mapped[float]
    utilisation: Mapped[float]
    at: Mapped[Time]


class StandingPrice(Base):
    """The price in force, one row a cell and resource."""

    __tablename__ = "standing_prices"

    cell_id: Mapped[str] = mapped_column(ForeignKey("cells.id"), primary_key=True)
    resource: Mapped[str] = mapped_column(String(32), primary_key=True)
    price_micros: Mapped[float]
    utilisation: Mapped[float]
    at: Mapped[Time]
