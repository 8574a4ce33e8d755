"""The offline market commands on files."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench import market_cli
from sim.generators import random_snapshot


def test_generate_clear_replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("round.json", "round.npz"):
        path = tmp_path / name
        made = ["generate", "--bids", "40", "--asks", "12", "--out", str(path)]
        assert market_cli.main(made) == 0
        clear = ["clear", "--instance", str(path), "--mechanism", "greedy", "--json"]
        assert market_cli.main(clear) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["bound"] >= facts["welfare"] > 0
        assert facts["matches"]
    for mechanism, same in (("hierarchical", True), ("first_price", False)):
        replayed = ["replay", "--rounds", str(path), "--mechanism", mechanism]
        assert market_cli.main(replayed) == 0
        row = json.loads(capsys.readouterr().out)
        assert (row["replayed"] == row["recorded"]) is same


def test_clear_prints_a_line_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "round.json"
    market_cli.write_instance(random_snapshot(bids=20, asks=6, seed=1), path)
    weights = ["--weights", "1", "0", "0", "0"]
    assert market_cli.main(["clear", "--instance", str(path), "--budget-ms", "20", *weights]) == 0
    assert "matches, welfare" in capsys.readouterr().out


def test_separable_instance(tmp_path: Path) -> None:
    path = tmp_path / "separable.npz"
    np.savez(
        path,
        node_capacity=np.array([[2.0, 2.0, 2.0]]),
        node_zone=np.array([0]),
        node_unit_price=np.array([1.0]),
        node_reliability=np.array([0.9]),
        bid_demand=np.ones((3, 3)),
        bid_hours=np.ones(3),
        bid_limit=np.array([3.0, 2.0, 5.0]),
        bid_zone=np.array([0, 0, 0]),
        bid_latency_weight=np.array([0.0, 0.0, 0.1]),
        bid_latency_max_ms=np.array([9.0, 9.0, 9.0]),
        bid_reliability_min=np.zeros(3),
        zone_latency_ms=np.array([[3.0]]),
    )
    facts = market_cli.clear(path, mechanism=None, budget_ms=50)
    # 3 − 1 and 5 − 1 − 0.3: the bid of 2 finds no room
    assert facts["welfare"] == pytest.approx(5.7)
    assert facts["matches"] == [{"bid": 0, "ask": 0}, {"bid": 2, "ask": 0}]


def test_convert_job_events(tmp_path: Path) -> None:
    trace = tmp_path / "job_events.csv"
    trace.write_text("0,,1,0,alice,3,n,l\n1,,2,0,bob,2,n,l\n")
    out = tmp_path / "round.json"
    convert = ["convert", "job_events", str(trace), "--asks", "3", "--out", str(out)]
    assert market_cli.main(convert) == 0
    assert len(market_cli.read_instance(out).bids) == 2


def test_refusals_are_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}")
    assert market_cli.main(["clear", "--instance", str(wrong)]) == 1
    assert market_cli.main(["clear", "--instance", str(tmp_path / "absent.json")]) == 1
    said = capsys.readouterr().err
    assert "format" in said
    assert "absent.json" in said
