"""One round of a large market in the database: snapshot, clear, apply, and what each part costs.

The rows are made in SQL: nodes of four sizes in one cell, demands of four sizes at prices above
most nodes' reserves, nearly as much as there is. Then the same code runs that the workers run, on a
server of its own with its usual settings. Before the first round the mechanism is warmed up as a
worker does at its start; with ``--carried`` a search without leases is run first, so that the round
begins with the prices that a market in motion carries from one round to the next.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from broker.process import utc_now
from broker.rounds import Rounds
from broker.rounds.single_flight import SingleFlight
from db.engine import make_engine, session_factory
from db.migrate import upgrade
from market import mechanisms
from stack.postgres import PostgresServer
from stack.processes import free_port

CELL = "cell_bench"
PARTS = {
    "snapshot": "snapshot",
    "total_ms": "search",
    "explain_ms": "payments and reasons",
    "clear": "clear in all",
    "pack": "snapshot packed",
    "apply": "apply and commit",
}
_LAST = text("""
    SELECT ask_count, welfare, bound, length(snapshot) AS packed,
        (SELECT count(*) FROM leases l WHERE l.round_id = r.id) AS leases
    FROM rounds r ORDER BY created_at DESC, id DESC LIMIT 1
""")
_FILL = """
INSERT INTO accounts (id, name, role, created_at)
    SELECT 'account_t' || k, 'tenant ' || k, 'tenant', now() FROM generate_series(1, :tenants) k
    UNION ALL SELECT 'account_o' || k, 'owner ' || k, 'owner', now() FROM generate_series(0, 9) k;
INSERT INTO cells (id, name, level, created_at) VALUES ('cell_bench', 'bench', 'cell', now());
INSERT INTO nodes (id, owner_id, cell_id, name, state, boot, seq, arch, runtimes, capacity,
        calibration_ops_per_s, max_milliwatts, enrolled_at, certificate_expires_at)
    SELECT 'node_' || lpad(to_hex(k), 32, '0'), 'account_o' || k % 10, 'cell_bench', 'node ' || k,
        'online', 1, 1, 'x86_64', '{"wasm": "1"}', c.capacity, 8000000 + 1000000 * (k % 5),
        5000 * (1 + k % 4), now(), now() + interval '1 day'
    FROM generate_series(1, :nodes) k, LATERAL (SELECT jsonb_build_object('cpu_millis',
        2000 << (k % 4), 'memory_bytes', (2 + k % 3) * (1::bigint << 31) << (k % 4)) capacity) c;
INSERT INTO offers (id, node_id, owner_id, cell_id, state, capacity, reserve, created_at,
        updated_at)
    SELECT 'offer' || n.id, n.id, n.owner_id, n.cell_id, 'open', n.capacity,
        jsonb_build_object('cpu_millis', 500 + abs(hashtext(n.id)) % 1000, 'memory_bytes', 50),
        now(), now() FROM nodes n;
INSERT INTO jobs (id, account_id, name, kind, state, spec, task_count, limit_micros_per_hour,
        hold_micros, hold_id, created_at, expires_at)
    SELECT 'job_' || lpad(to_hex(k), 32, '0'), 'account_t' || 1 + k % :tenants, '', 'wasm',
        'queued', '{"limits": {"max_run_ms": 60000}}', 1, 0, 1000, '', now(),
        now() + interval '1 hour' FROM generate_series(1, :bids) k;
INSERT INTO demands (id, job_id, account_id, cell_id, home_cell_id, state, resources, count_open,
        limit_micros_per_hour, duration_ms, needs, created_at)
    SELECT 'demand' || j.id, j.id, j.account_id, 'cell_bench', 'cell_bench', 'open',
        jsonb_build_object('cpu_millis', 250 << (h % 4), 'memory_bytes', (1 + h % 7) << 28),
        1 + h % 2, (900 + h % 1200) * (1 + h % 4), 60000,
        jsonb_build_object('kind', 'wasm', 'constraints', '{}'::jsonb,
            'qos', jsonb_build_object('work_ms', 100 * (1 + h % 3))), now()
    FROM jobs j, LATERAL (SELECT abs(hashtext(j.id)) AS h) x;
ANALYZE
"""


def main(arguments: Sequence[str]) -> int:
    """Run rounds until nothing more is sold; prints a table, or JSON with ``--json``."""
    parser = argparse.ArgumentParser(prog="python -m bench round", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--bids", type=int, default=50_000)
    parser.add_argument("--tenants", type=int, default=50)
    parser.add_argument("--mechanism", default="hierarchical")
    parser.add_argument("--budget-ms", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--carried", action="store_true", help="begin with carried prices")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="souk-round-") as name:
        server = PostgresServer(
            directory=Path(name), port=free_port(), log_file=Path(name) / "postgres.log"
        )
        server.start()
        try:
            upgrade(server.url())
            found = measure(server.url(), chosen)
        finally:
            server.stop()
    print(json.dumps(found, indent=1) if chosen.json else table(found))
    return 0


def measure(url: str, chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """The parts of each round in milliseconds, and what it sold."""
    engine = make_engine(url)
    _fill(engine, chosen)
    rounds = Rounds(
        sessions=session_factory(engine),
        flight=SingleFlight(url),
        clock=utc_now,
        mechanism=chosen.mechanism,
        budget_ms=chosen.budget_ms,
        interval_s=5.0,
    )
    rounds.warm_up()
    if chosen.carried:
        snapshot = rounds.snapshot(CELL)
        mechanism = mechanisms.get(chosen.mechanism)
        rounds.carry(CELL, snapshot, mechanism.clear(snapshot, budget_ms=chosen.budget_ms))
    found = [_round(rounds, engine) for _ in range(chosen.rounds)]
    rounds.flight.close()
    engine.dispose()
    return found


def _fill(engine: Engine, chosen: argparse.Namespace) -> None:
    values = {"tenants": chosen.tenants, "nodes": chosen.nodes, "bids": chosen.bids}
    with engine.begin() as connection:
        for statement in _FILL.split(";\n"):
            used = {name: value for name, value in values.items() if f":{name}" in statement}
            connection.execute(text(statement), used)


def _round(rounds: Rounds, engine: Engine) -> dict[str, Any]:
    started, cpu = time.perf_counter(), time.process_time()
    report = rounds.clear_cell(CELL, timed=True)
    took = time.perf_counter() - started
    with engine.connect() as connection:
        row = connection.execute(_LAST).one()
    return {
        "bids": report.bids,
        "asks": row.ask_count,
        "slots_applied": report.slots_applied,
        "leases": row.leases,
        "welfare_share_of_bound": row.welfare / row.bound if row.bound else 0.0,
        "packed_bytes": row.packed,
        "own_cpu_s": time.process_time() - cpu,
        "ms": {said: report.timings_ms.get(name, 0.0) for name, said in PARTS.items()},
        "total_s": took,
    }


def table(found: Sequence[dict[str, Any]]) -> str:
    """A line for each round."""
    lines = []
    for one in found:
        parts = ", ".join(f"{part} {took:.0f} ms" for part, took in one["ms"].items())
        share, packed = one["welfare_share_of_bound"], one["packed_bytes"] / 1e6
        lines.append(
            f"{one['bids']} bids × {one['asks']} nodes: {one['total_s']:.2f} s ({parts}); "
            f"{one['slots_applied']} slots in {one['leases']} leases, {share:.3f} of the bound, "
            f"snapshot {packed:.1f} MB, own cpu {one['own_cpu_s']:.2f} s"
        )
    return "\n".join(lines)
