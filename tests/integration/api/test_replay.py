"""``souk market replay`` and ``souk policy`` against a served API with recorded rounds."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from broker.services.snapshot_store import pack
from db.tables import Cell, RoundRow
from market.mechanisms import get
from market.snapshot import Policy
from sim.generators import random_snapshot
from stack import cli
from tests import factories
from tests.integration.api.live import served
from tests.integration.api.world import Party, World

Run = Callable[..., Result]


@pytest.fixture
def run(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    monkeypatch.setenv("SOUK_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with served(world.app, world.platform) as url:
        monkeypatch.setenv("SOUK_URL", url)

        def invoke(*arguments: str, party: Party = world.operator) -> Result:
            monkeypatch.setenv("SOUK_API_KEY", party.key)
            return CliRunner().invoke(cli.app, list(arguments), prog_name="souk")

        yield invoke


def record(world: World, *, seed: int, mechanism: str = "hierarchical") -> str:
    """A round as a worker would have recorded it; its id."""
    snapshot = random_snapshot(
        bids=50, asks=8, seed=seed, load=2.0, policy=Policy(mechanism=mechanism)
    )
    plan = get(mechanism).clear(snapshot, budget_ms=5)
    with world.platform.sessions.begin() as session:
        cell = session.get_one(Cell, world.cell_id)
        row = factories.make_round(session, cell=cell)
        row.snapshot = pack(replace(snapshot, round_id=row.id, cell=cell.id))
        row.digest, row.effort, row.budget_ms = plan.digest(), plan.effort, 5
        row.bid_count = len(snapshot.bids)
        return row.id


def test_replay_repeats_to_the_byte_and_compares(world: World, run: Run, tmp_path: Path) -> None:
    ids = [record(world, seed=seed) for seed in range(3)]
    with world.platform.sessions.begin() as session:
        factories.make_round(session, cell=session.get_one(Cell, world.cell_id))  # nobody bid
    same = run("market", "replay", "--last", "5", "-o", "json")
    assert same.exit_code == 0, same.output
    found = json.loads(same.output)
    assert [each["round_id"] for each in found["rounds"]] == sorted(ids)
    assert all(each["same_plan"] for each in found["rounds"])
    assert all(each["recorded"] == each["replayed"] for each in found["rounds"])
    picture = tmp_path / "replay.png"
    chosen = ("--rounds", ",".join(ids[:2]), "--mechanism", "random", "--payment", "pay_as_bid")
    other = run("market", "replay", *chosen, "--plot", str(picture), "-o", "json")
    assert other.exit_code == 0, other.output
    figures = {row["figure"]: row for row in json.loads(other.output)["means"]}
    assert figures["welfare"]["change"] < 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    table = run("market", "replay", "--cell", "home", "--weights", "energy=1")
    assert "3 rounds, 3 of them repeated to the byte" in table.output
    assert "power_milliwatts" in table.output
    green = run("market", "replay", "--rounds", ids[0], "--weights", "energy=1", "-o", "json")
    (each,) = json.loads(green.output)["rounds"]
    # The bound of another score says nothing of this one; that of the round holds for every plan.
    assert each["replayed"]["bound"] == each["recorded"]["bound"] >= each["replayed"]["welfare"]
    assert each["replayed"]["gap"] > each["recorded"]["gap"]


def test_replay_of_a_purchase_repeats_it(world: World, run: Run) -> None:
    round_id = record(world, seed=4, mechanism="nearest")
    same = run("market", "replay", "--rounds", round_id, "-o", "json")
    assert same.exit_code == 0, same.output
    (each,) = json.loads(same.output)["rounds"]
    assert each["same_plan"]
    assert each["recorded"] == each["replayed"]
    assert each["recorded"]["slots"] > 0


def test_replay_says_where_the_plan_is_another_than_recorded(world: World, run: Run) -> None:
    round_id = record(world, seed=9)
    with world.platform.sessions.begin() as session:
        session.get_one(RoundRow, round_id).digest = "f" * 64
    shown = run("market", "replay", "--rounds", round_id)
    assert f"Another plan than recorded: {round_id}" in shown.output


def test_replay_refuses_in_sentences(world: World, run: Run) -> None:
    round_id = record(world, seed=1)
    unknown = run("market", "replay", "--rounds", round_id, "--mechanism", "magic")
    assert unknown.exit_code == 1
    unpaid = run("market", "replay", "--rounds", round_id, "--payment", "vcg")
    assert unpaid.exit_code == 1
    assert "it offers pay_as_bid, uniform, critical" in unpaid.output
    assert run("market", "replay", "--rounds", "round_none").exit_code == 5
    assert run("market", "replay", "--rounds", round_id, party=world.viewer).exit_code == 4
    assert run("market", "replay", "--weights", "colour=1").exit_code == 2
    assert run("market", "replay", "--payment", "gold").exit_code == 2


def test_policy_from_the_command_line(world: World, run: Run) -> None:
    made = run(
        "policy", "create", "green", "--mechanism", "exact", "--weights", "energy=1,cost=0.5",
        "--set", "price_step=0.05", "-o", "json",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    policy = json.loads(made.output)
    assert policy["body"]["weight_energy"] == 1
    assert run("policy", "shadow", "green").exit_code == 0
    assert "shadow" in run("policy", "list").output
    assert "No round" in run("policy", "shadow", "green", "--compare").output
    assert run("policy", "shadow", "green", "--end").exit_code == 0
    assert run("policy", "activate", policy["id"]).exit_code == 0
    assert "in force" in run("policy", "list").output
    assert "price_step" in run("policy", "show", "green").output
    refused = run("policy", "create", "bad", "--mechanism", "greedy", "--payment", "vcg")
    assert refused.exit_code == 6
    assert run("policy", "activate", "green", party=world.tenant).exit_code == 4


def test_stats_from_the_command_line(world: World, run: Run) -> None:
    assert "Nothing was cleared" in run("market", "stats").output
    with world.platform.sessions.begin() as session:
        cell = session.get_one(Cell, world.cell_id)
        depth = {"cpu_millis": [4_000, 2_000, 1_000]}
        at = world.platform.now()
        factories.make_round(session, cell=cell, created_at=at, depth=depth)
    shown = run("market", "stats", "--cell", "home", "--step", "1m")
    assert "50%" in shown.output
    assert run("market", "stats", "--since", "yesterday").exit_code == 2
