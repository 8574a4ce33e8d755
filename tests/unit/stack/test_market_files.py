"""``souk market clear | convert | generate`` on files: refusals, honest times, same plans."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from typer.testing import CliRunner

from market import mechanisms
from market.outcome import PaymentUnavailable
from market.snapshot import PaymentRule
from sim.generators import random_snapshot
from sim.hard import hard_arrays
from sim.instances import InvalidInstance
from sim.replay import Other, Recorded, replay
from stack import cli, market_files
from stack.market_files import Options
from stack.market_tools import app


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    path = tmp_path / "round.json"
    market_files.write(random_snapshot(bids=40, asks=8, seed=3, load=3.0), path)
    return path


@pytest.fixture
def separable(tmp_path: Path) -> Path:
    path = tmp_path / "separable.npz"
    arrays: dict[str, Any] = hard_arrays(bids=400, nodes=60, zones=4, seed=5)
    np.savez_compressed(path, **arrays)
    return path


def test_loading_kernels_takes_nothing_of_the_budget(separable: Path) -> None:
    facts = market_files.clear(separable, Options(budget_ms=100))
    times = facts["timings_ms"]
    assert {"read_ms", "load_ms", "build_ms", "prices_ms", "search_ms", "round_ms"} <= set(times)
    # Kernels take seconds to load: had the budget paid for it, there would be no prices.
    assert times["prepare_ms"] < 100
    assert facts["gap"] < 0.2


def test_a_plan_for_programs_is_complete(instance: Path) -> None:
    facts = market_files.clear(instance, Options(budget_ms=50, repeatable=True))
    json.dumps(facts, allow_nan=False)
    assert {
        "instance", "round_id", "mechanism", "policy", "seed", "budget_ms", "bids", "nodes",
        "welfare", "bound", "gap", "digest", "matches", "losses", "standing_price_micros",
        "shadow_price", "measures", "timings_ms", "search", "effort",
    } == set(facts)  # fmt: skip
    assert all(name.endswith("_ms") for name in facts["timings_ms"])
    for match in facts["matches"]:
        assert match["reserve_rate_micros"] <= match["rate_micros"]
        assert match["payment_micros"] > 0


def test_repeated_it_is_the_same_plan(instance: Path) -> None:
    options = Options(budget_ms=40, repeatable=True)
    one, two = (market_files.clear(instance, options) for _ in range(2))
    assert one["digest"] == two["digest"]
    other = market_files.clear(instance, replace(options, seed=77))
    assert other["seed"] == 77


@pytest.mark.parametrize("name", mechanisms.names())
def test_every_mechanism_clears_or_refuses_every_payment_rule(instance: Path, name: str) -> None:
    for payment in get_args(PaymentRule):
        options = Options(mechanism=name, payment=payment, budget_ms=300)
        if payment in mechanisms.payments(name):
            facts = market_files.clear(instance, options)
            assert facts["bound"] >= facts["welfare"] > 0
            assert facts["policy"]["payment"] == payment
        else:
            with pytest.raises(PaymentUnavailable, match=payment):
                market_files.clear(instance, options)


def test_prices_of_a_plan_are_carried_on(instance: Path, separable: Path, tmp_path: Path) -> None:
    for path in (instance, separable):
        plan = tmp_path / "plan.json"
        plan.write_text(json.dumps(market_files.clear(path, Options(budget_ms=40))))
        carried = market_files.read_plan(plan)
        assert market_files.clear(path, Options(budget_ms=40, carried=carried))["welfare"] > 0
    with pytest.raises(InvalidInstance, match="separable"):
        market_files.clear(instance, Options(carried=carried))


@pytest.mark.parametrize("options", [{"mechanism": "greedy"}, {"weights": {"cost": 1.0}}])
def test_what_a_separable_instance_cannot_heed_is_refused(
    separable: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInstance, match="separable"):
        market_files.clear(separable, Options(**options))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.npz", b"x"),
        ("a.npz", b"PK\x03\x04 nothing"),
        ("a.npz", b""),
        ("a.json", b"\xff\xfe"),
        ("a.json", b"{"),
    ],
)
def test_what_is_no_instance_is_refused_in_a_sentence(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidInstance):
        market_files.clear(path, Options())


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("asks", "ids"), None),
        (("bids", "ids"), 3),
        (("tenants",), 0.5),
        (("cells",), True),
        (("zone_latency_ms",), 1),
        (("policy", "price_step"), 2**70),
        (("policy",), 2**70),
        (("bids", "limit"), [[[[]]]]),
    ],
)
def test_a_value_of_another_form_is_refused_in_a_sentence(
    instance: Path, place: tuple[str, ...], value: object
) -> None:
    document = json.loads(instance.read_text())
    *way, last = place
    inner = document
    for name in way:
        inner = inner[name]
    inner[last] = value
    instance.write_text(json.dumps(document))
    shown = CliRunner().invoke(cli.app, ["market", "clear", "--instance", str(instance)])
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert shown.stderr.startswith("souk: ")


def test_a_single_array_is_no_instance(tmp_path: Path) -> None:
    path = tmp_path / "array.npz"
    with path.open("wb") as out:
        np.save(out, np.ones(3))
    with pytest.raises(InvalidInstance):
        market_files.clear(path, Options())


def test_convert_reads_parts_in_order_and_names_wrong_columns(tmp_path: Path) -> None:
    one, two = tmp_path / "one.csv", tmp_path / "two.csv.gz"
    one.write_text("0,,1,0,alice,3,n,l\n")
    two.write_bytes(gzip.compress(b"1,,2,0,bob,2,n,l\n"))
    snapshot = market_files.convert("job_events", [one, two], bids=9, asks=3, seed=0)
    assert snapshot.bids.demand[:, 0].tolist() == [1_000, 666]
    two.write_bytes(gzip.compress(b"not,a,trace\n"))
    with pytest.raises(InvalidInstance, match=r"two\.csv\.gz: not the columns of job_events"):
        market_files.convert("job_events", [two], bids=9, asks=3, seed=0)
    with pytest.raises(InvalidInstance, match="a line has too few columns"):
        market_files.convert("job_events", [two], bids=9, asks=3, seed=0)
    one.write_text("name,size\n1,2\n")
    with pytest.raises(InvalidInstance, match="there is no column 'cpu_milli'"):
        market_files.convert("openb", [one, one], bids=9, asks=3, seed=0)
    two.write_bytes(gzip.compress(b""))
    with pytest.raises(InvalidInstance, match=r"two\.csv\.gz: there is nothing in it"):
        market_files.convert("openb", [one, two], bids=9, asks=3, seed=0)
    with pytest.raises(InvalidInstance, match="2 file"):
        market_files.convert("openb", [one], bids=9, asks=3, seed=0)


def test_commands_generate_and_clear(tmp_path: Path, separable: Path) -> None:
    path, run = tmp_path / "round.npz", CliRunner()
    made = run.invoke(app, ["generate", "--bids", "30", "--asks", "8", "--out", str(path)])
    assert made.exit_code == 0, made.output
    for each in (path, separable):
        shown = run.invoke(app, ["clear", "--instance", str(each), "--budget-ms", "40"])
        assert shown.exit_code == 0, shown.output
        assert "bids served" in shown.output
    told = run.invoke(app, ["clear", "--instance", str(path), "--mechanism", "greedy", "--json"])
    assert json.loads(told.stdout)["mechanism"] == "greedy"
    other = ["generate", "--bids", "3", "--asks", "2", "--out", str(tmp_path / "round.txt")]
    assert run.invoke(app, other).exit_code != 0


@pytest.mark.parametrize("weights", ["cost=-1", "cost=nan", "qos=1e999", "cost=0,qos=0", "cost=x"])
def test_weights_that_cannot_be_are_refused_before_anything_is_read(weights: str) -> None:
    for command in (["clear", "--instance", "absent.json"], ["replay", "--last", "1"]):
        found = CliRunner().invoke(app, [*command, "--weights", weights])
        assert found.exit_code == 2
        assert "--weights" in found.output


def test_replay_refuses_a_payment_rule_that_the_mechanism_lacks() -> None:
    recorded = Recorded(snapshot=random_snapshot(bids=9, asks=3, seed=1, load=3.0), budget_ms=20)
    for mechanism, payment in (("hierarchical", "vcg"), ("first_price", "critical")):
        other = Other(mechanism=mechanism, payment=payment)  # type: ignore[arg-type]
        with pytest.raises(PaymentUnavailable, match=f"{payment}.*{mechanism}"):
            replay(recorded, other)


def test_compare_has_one_bound_for_all(instance: Path, separable: Path) -> None:
    run = CliRunner()
    command = ["compare", "--instance", str(instance), "--budget-ms", "40"]
    rows = json.loads(run.invoke(app, [*command, "--json"]).stdout)
    assert {row["mechanism"] for row in rows} == set(mechanisms.names()) - {"exact"}
    assert len({row["bound"] for row in rows}) == 1
    assert all(row["welfare"] <= row["bound"] * (1 + 1e-9) for row in rows)
    shown = run.invoke(app, [*command, "--mechanisms", "greedy,random"])
    assert shown.exit_code == 0, shown.output
    assert "greedy" in shown.output
    assert run.invoke(app, [*command, "--mechanisms", "magic"]).exit_code != 0
    assert run.invoke(app, ["compare", "--instance", str(separable)]).exit_code != 0


@pytest.mark.parametrize(
    ("payment", "first"), [("critical", "greedy"), ("vcg", "exact"), ("uniform", "bilateral")]
)
def test_compare_takes_the_mechanisms_that_pay_so(
    instance: Path, payment: PaymentRule, first: str
) -> None:
    rows = market_files.compare(instance, [], Options(payment=payment, budget_ms=200))
    assert rows[0]["mechanism"] == first
    assert all(payment in mechanisms.payments(row["mechanism"]) for row in rows)
