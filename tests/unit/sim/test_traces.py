"""Trace readers on lines of the published shape, and on the published files where present."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from market import feasible
from sim import mohaf_paper, traces

DATA = Path(os.environ.get("SOUK_TRACES", "../shared/data"))


def lines(name: str) -> list[str]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"trace {name} is absent: set SOUK_TRACES to the folder that has it")
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode().splitlines()


def test_job_events_counts_submits_only() -> None:
    rows = ["0,,1,0,alice,3,n,l", "1,,1,1,alice,3,n,l", "2,,2,0,bob,0,n,l"]
    snapshot = traces.from_job_events(rows, bids=10, asks=4, seed=1)
    assert snapshot.bids.demand[:, 0].tolist() == [1_000, 0]
    assert ((snapshot.asks.capacity[:, 0] >= 500) & (snapshot.asks.capacity[:, 0] < 1_000)).all()


def test_task_events_scale_to_the_largest_machine() -> None:
    tasks = ["1,,5,0,,0,u,2,0,0.5,0.25,0,0", "1,,5,1,,1,u,2,0,0.5,0.25,0,0"]
    machines = ["0,1,0,p,1,1", "0,2,0,p,0.5,0.25", "9,3,0,p,1,1", "0,4,1,p,1,1"]
    snapshot = traces.from_task_events(tasks, machines, bids=9, asks=9, seed=1)
    assert snapshot.bids.demand[0, :2].tolist() == [32_000, 64 << 30]
    assert sorted(snapshot.asks.capacity[:, 0].tolist()) == [32_000, 64_000]


def test_openb_counts_accelerators() -> None:
    pods = ["name,cpu_milli,memory_mib,num_gpu,gpu_milli", "a,4000,1024,2,500"]
    nodes = ["sn,cpu_milli,memory_mib,gpu,model", "n,32000,65536,4,V100"]
    snapshot = traces.from_openb(pods, nodes, bids=5, asks=5, seed=1)
    assert snapshot.bids.demand[0].tolist() == [4_000, 1 << 30, 1_000, 0]
    assert snapshot.asks.capacity[0].tolist() == [32_000, 64 << 30, 4_000, 0]


def test_eua_users_are_in_the_zone_of_the_nearest_site() -> None:
    sites = ["SITE_ID,LATITUDE,LONGITUDE", "1,-37.80,144.90", "2,-37.90,144.90"]
    users = ["Latitude,Longitude", "-37.89,144.90"]
    snapshot = traces.from_eua(sites, users, bids=3, asks=4, seed=1)
    assert snapshot.bids.zone.tolist() == [1, 1, 1]
    assert snapshot.zone_latency_ms[0, 1] == pytest.approx(3 + 2 * 11.12)


def test_published_files_have_feasible_pairs() -> None:
    google = "google2011/"
    rounds = [
        traces.from_job_events(
            lines(google + "job_events-00000.csv.gz"), bids=200, asks=50, seed=1
        ),
        traces.from_task_events(
            lines(google + "task_events-00001.csv.gz"),
            lines(google + "machine_events.csv.gz"),
            bids=200,
            asks=50,
            seed=1,
        ),
        traces.from_openb(
            lines("openb/pods.csv.gz"), lines("openb/nodes.csv.gz"), bids=200, asks=50, seed=1
        ),
        traces.from_eua(
            lines("eua/sites-melbourne-cbd.csv"),
            lines("eua/users-melbourne-cbd.csv"),
            bids=200,
            asks=50,
            seed=1,
        ),
    ]
    for snapshot in rounds:
        assert len(snapshot.bids) == 200
        assert len(feasible.feasible_pairs(snapshot)[0]) > 100


def test_mohaf_table_1_comes_out_as_printed() -> None:
    demand = mohaf_paper.classes(
        lines("google2011/job_events-00000.csv.gz"), lines("google2011/job_events-00001.csv.gz")
    )
    assert len(demand) == mohaf_paper.REQUESTS
    rows = mohaf_paper.table_1(demand / 3, seed=1)
    printed = {"mohaf": 0.263, "greedy": 0.185, "first_price": 0.138, "random": 0.101}
    for name, efficiency in printed.items():
        assert rows[name].efficiency_printed == pytest.approx(efficiency, abs=0.004), name
        assert rows[name].satisfaction == pytest.approx(0.25, abs=0.001)
        assert rows[name].jain_all == pytest.approx(0.25, abs=0.001)
    assert rows["mohaf"].efficiency == pytest.approx(0.2625, abs=0.002)
    assert rows["mohaf"].demand_served < 0.5 * rows["greedy"].demand_served


def test_jain() -> None:
    assert mohaf_paper.jain(np.array([1.0, 1.0])) == 1.0
    assert mohaf_paper.jain(np.array([1.0, 0.0])) == 0.5
