"""Snapshots from rows: features, admission, deadlines, prices; what the market is told."""

import datetime as dt

import numpy as np
import orjson
import pytest

from broker.services.places import distance_km, latency_ms
from broker.services.snapshots import Rows, build_snapshot
from db.control.rounds import AskRow, BidRow, CellRow
from market import feasible
from market.plan import Loss
from market.snapshot import Policy

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
NOW_MS = int(NOW.timestamp() * 1000)


def ask(node, **changes):
    row = AskRow(
        node=node,
        owner="account_owner",
        cell="cell_a",
        arch="x86_64",
        labels="{}",
        runtimes='{"wasm": "1"}',
        ops_per_s=10_000_000,
        reliability_good=0.0,
        reliability_all=0.0,
        idle_milliwatts=0,
        max_milliwatts=0,
        carbon_g_per_kwh=None,
        on_battery=False,
        temperature_millicelsius=None,
        accepts="[]",
        refuses="[]",
        capacity=(4000, 8 << 30, 0, 0),
        reserve=(1000, 10, 0, 0),
        leased=(0, 0, 0, 0),
    )
    return row._replace(**changes)


def bid(demand, **changes):
    needs = {name: changes.pop(name) for name in ("kind", "constraints", "qos") if name in changes}
    row = BidRow(
        demand=demand,
        account="account_ann",
        home_cell="cell_a",
        slots=1,
        slots_min=1,
        limit_micros_per_hour=1_000_000,
        duration_ms=60_000,
        created_ms=NOW_MS,
        needs=orjson.dumps({"kind": "wasm", **needs}).decode(),
        resources=(1000, 1 << 20, 0, 0),
    )
    return row._replace(**changes)


def snapshot_of(asks, bids, **changes):
    rows = Rows(
        asks=asks,
        bids=bids,
        cells=[CellRow("cell_a", None, None)],
        accounts={"account_ann": ("ann", 1.0), "account_bob": ("bob", 3.0)},
        standing={},
        received=[0.0 for _ in {bid.account for bid in bids}],
        tenants=tuple(sorted({bid.account for bid in bids})),
    )
    return build_snapshot(
        rows, round_id="round_1", cell="cell_a", policy=Policy(), now=NOW, seed=1, **changes
    )


def refusal(node, demand):
    code = int(feasible.row_refusals(snapshot_of([node], [demand]), 0)[0])
    return None if code == feasible.FEASIBLE else feasible.CONSTRAINTS[code]


GPU = {"labels": {"gpu": "yes"}}


@pytest.mark.parametrize(
    ("node", "demand", "expected"),
    [
        (ask("n"), bid("d"), None),
        (ask("n", runtimes="{}"), bid("d"), Loss.CONSTRAINT),
        (ask("n"), bid("d", constraints=GPU), Loss.CONSTRAINT),
        (ask("n", labels='{"gpu": "yes"}'), bid("d", constraints=GPU), None),
        (ask("n", labels='{"gpu": "yes"}'), bid("d", constraints={"not_labels": {"gpu": "yes"}}),
         Loss.CONSTRAINT),
        (ask("n"), bid("d", constraints={"arch": ["aarch64"]}), Loss.CONSTRAINT),
        (ask("n"), bid("d", constraints={"arch": ["aarch64", "x86_64"]}), None),
        (ask("n"), bid("d", constraints={"nodes": ["m"]}), Loss.CONSTRAINT),
        (ask("n"), bid("d", constraints={"nodes": ["m", "n"]}), None),
        (ask("n", accepts='["bob"]'), bid("d"), Loss.NOT_ADMITTED),
        (ask("n", refuses='["ann"]'), bid("d"), Loss.NOT_ADMITTED),
        (ask("n", accepts='["ann"]'), bid("d"), None),
        (ask("n"), bid("d", resources=(5000, 0, 0, 0)), Loss.TOO_LARGE),
        (ask("n"), bid("d", qos={"reliability_min": 0.99}), Loss.RELIABILITY),  # prior: .95
        (ask("n"), bid("d", qos={"speed_min": 1.5}), Loss.SPEED),
        # created 10 s ago with 11 s to go by: 1 s is left for 2 s of work
        (ask("n"), bid("d", created_ms=NOW_MS - 10_000, qos={"deadline_ms": 11_000,
         "work_ms": 2_000}), Loss.DEADLINE),
        (ask("n"), bid("d", limit_micros_per_hour=999), Loss.LIMIT_BELOW_RESERVE),
    ],
)  # fmt: skip
def test_snapshot_says_what_rules_a_node_out(node, demand, expected):
    assert refusal(node, demand) == expected


def test_snapshot_capacity_is_what_leases_leave():
    snapshot = snapshot_of([ask("n", leased=(1500, 1 << 30, 0, 0))], [bid("d")])
    assert snapshot.asks.capacity.tolist() == [[2500, 7 << 30, 0, 0]]
    assert snapshot.asks.total.tolist() == [[4000, 8 << 30, 0, 0]]


def test_snapshot_capacity_of_a_shrunken_offer_is_never_negative():
    snapshot = snapshot_of([ask("n", leased=(9999, 0, 0, 0))], [bid("d")])
    assert snapshot.asks.capacity[0, 0] == 0


def test_snapshot_entitlement_follows_fair_weights():
    snapshot = snapshot_of([ask("n")], [bid("d"), bid("e", account="account_bob")])
    assert snapshot.entitlement.tolist() == [0.25, 0.75]


def test_snapshot_without_standing_prices_starts_above_the_reserve():
    snapshot = snapshot_of([ask("n")], [bid("d")])
    assert snapshot.standing_price[0, 0] == 2000  # twice the least reserve


def test_snapshot_of_nothing_is_well_formed():
    snapshot = snapshot_of([], [])
    assert len(snapshot.asks) == 0
    assert snapshot.bids.required.shape == (0, 1)
    assert not np.isnan(snapshot.standing_price).any()


def test_snapshot_has_room_for_many_features():
    demands = [bid(f"d{k}", constraints={"labels": {f"k{k}": "v"}}) for k in range(130)]
    snapshot = snapshot_of([ask("n", labels='{"k129": "v"}')], demands)
    assert snapshot.bids.required.shape == (130, 3)  # 130 labels and one runtime in 64-bit words
    bids, asks = feasible.feasible_pairs(snapshot)
    assert (bids.tolist(), asks.tolist()) == ([129], [0])


def test_latency_grows_with_distance():
    zurich, bern = CellRow("z", 47.37, 8.54), CellRow("b", 46.95, 7.45)
    assert distance_km((47.37, 8.54), (46.95, 7.45)) == pytest.approx(95, abs=3)
    assert 5.0 < latency_ms(zurich, bern) < 8.0
