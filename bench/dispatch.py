"""From submission to start and to settlement, idle and under load; and how much can be sustained.

Virtual agents on the real wire do no work, so what is measured is the platform: REST, round,
placing, MQTT, reports, settlement, each a real process, all on this machine with its load. Times
are those on record (created, started, ended), all by the platform's clock.
"""

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.platform_load import Load, platform_load

WARM_UP_JOBS = 20
OPEN_LOOP_THREADS = 64  # answers may take a second before a job is late for want of a thread
AIMS = {
    "idle running p50": ("≤", 60.0),
    "idle running p99": ("≤", 250.0),
    "one-task jobs/s": ("≥", 150.0),
    "array tasks/s": ("≥", 1_500.0),
}
Figures = dict[str, Any]


def main(arguments: Sequence[str]) -> int:
    """Run it all; prints a table, or JSON with ``--json``."""
    parser = argparse.ArgumentParser(prog="python -m bench dispatch", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--nodes", type=int, default=6)
    parser.add_argument("--idle-jobs", type=int, default=60)
    parser.add_argument("--rate", type=float, default=50.0, help="jobs offered each second")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load")
    parser.add_argument("--array", type=int, default=10_000, help="tasks of the array job")
    parser.add_argument("--threads", type=int, default=8, help="that submit at the highest rate")
    parser.add_argument("--keep", type=Path, help="directory to keep the platform's home in")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="souk-bench-") as temporary:
        home = chosen.keep or Path(temporary)
        with platform_load(home, nodes=chosen.nodes) as load:
            found = measure(load, chosen)
    print(json.dumps(found, indent=1) if chosen.json else table(found))
    return 0


def measure(load: Load, chosen: argparse.Namespace) -> Figures:
    """Every phase, one after the other."""
    _one_by_one(load, WARM_UP_JOBS, pause_s=0.0)
    found: Figures = {
        "machine": {"cpus": os.cpu_count(), "load_1m": os.getloadavg()[0]},
        "idle": _phase(load, lambda: _one_by_one(load, chosen.idle_jobs, pause_s=0.05)),
        "offered": _phase(load, lambda: _at_rate(load, chosen.rate, chosen.seconds)),
        "highest": _phase(load, lambda: _as_fast_as_possible(load, chosen)),
        "array": _phase(load, lambda: [load.submit(load.body(tasks=chosen.array))]),
    }
    found["offered"]["rate_offered"] = chosen.rate
    found["array"]["tasks_per_s"] = chosen.array / found["array"]["span_s"]
    found["machine"]["load_1m_after"] = os.getloadavg()[0]
    return found


def _one_by_one(load: Load, count: int, *, pause_s: float) -> list[str]:
    jobs = []
    for _ in range(count):
        job = load.submit(load.body())
        load.wait_ended([job])
        jobs.append(job)
        time.sleep(pause_s)
    return jobs


def _at_rate(load: Load, rate: float, seconds: float) -> list[str]:
    """An open loop: each job at its time, whatever became of those before."""
    began = time.monotonic()
    asked = []
    with ThreadPoolExecutor(OPEN_LOOP_THREADS) as pool:
        for number in range(int(rate * seconds)):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            asked.append(pool.submit(lambda: load.submit(load.body())))
    return [each.result() for each in asked]


def _as_fast_as_possible(load: Load, chosen: argparse.Namespace) -> list[str]:
    """Each thread submits the next job when the answer to the last is there."""
    jobs: list[str] = []
    until = time.monotonic() + chosen.seconds

    def work() -> None:
        while time.monotonic() < until:
            jobs.append(load.submit(load.body()))

    threads = [threading.Thread(target=work) for _ in range(chosen.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return jobs


def _phase(load: Load, submit: Callable[[], list[str]]) -> Figures:
    """Submit, wait for the ends, and read what is on record."""
    cpu = load.cpu_seconds()
    began = time.monotonic()
    jobs = submit()
    load.wait_ended(jobs)
    took_s = time.monotonic() - began
    used = {name: after - cpu.get(name, 0.0) for name, after in load.cpu_seconds().items()}
    row = load.query(
        "SELECT count(*), count(*) FILTER (WHERE state = 'succeeded'),"
        " extract(epoch FROM max(ended_at) - min(created_at))::float8,"
        + ", ".join(
            f" (percentile_cont({share}) WITHIN GROUP (ORDER BY {column} - created_at))"
            for column in ("matched_at", "started_at", "ended_at")
            for share in (0.5, 0.99)
        )
        + " FROM jobs WHERE id = ANY(:jobs)",
        jobs=jobs,
    )[0]
    names = [f"{what}_ms_{which}" for what in ("matched", "running", "settled")
             for which in ("p50", "p99")]  # fmt: skip
    times = {name: each.total_seconds() * 1000 for name, each in zip(names, row[3:], strict=True)}
    return {
        "jobs": row[0],
        "succeeded": row[1],
        "span_s": row[2],
        "jobs_per_s": row[0] / row[2],
        **times,
        "cpu_share": {name: round(seconds / took_s, 3) for name, seconds in used.items()},
        "cpu_ms_per_job": {name: round(1000 * s / row[0], 2) for name, s in used.items()},
    }


def table(found: Figures) -> str:
    """The figures for people, with the aims and what used the processors."""
    machine = found["machine"]
    lines = [
        f"{machine['cpus']} processors, load {machine['load_1m']:.1f} before and "
        f"{machine['load_1m_after']:.1f} after",
        "",
        f"{'':22}{'jobs':>6}{'matched p50/p99':>20}{'running p50/p99':>20}{'settled p50/p99':>20}",
    ]
    for phase in ("idle", "offered", "highest", "array"):
        one = found[phase]
        times = "".join(
            f"{one[f'{what}_ms_p50']:>11.1f} /{one[f'{what}_ms_p99']:>7.1f}"
            for what in ("matched", "running", "settled")
        )
        lines.append(f"{phase:22}{one['jobs']:>6}{times}")
    reached = {
        "idle running p50": found["idle"]["running_ms_p50"],
        "idle running p99": found["idle"]["running_ms_p99"],
        "one-task jobs/s": found["highest"]["jobs_per_s"],
        "array tasks/s": found["array"]["tasks_per_s"],
    }
    lines.append("")
    for name, (sign, aim) in AIMS.items():
        lines.append(f"{name:22}{reached[name]:>10.1f}   aim {sign} {aim:g}")
    lines.append("")
    for phase in ("highest", "array"):
        share = found[phase]["cpu_share"]
        busy = sorted(share.items(), key=lambda item: -item[1])[:8]
        lines.append(f"{phase}: processors used: " + ", ".join(f"{n} {s:.2f}" for n, s in busy))
    each = sorted(found["highest"]["cpu_ms_per_job"].items(), key=lambda item: -item[1])[:8]
    lines.append("highest: ms of a processor a job: " + ", ".join(f"{n} {s:.2f}" for n, s in each))
    return "\n".join(lines)
