"""The demo ends with a market that worked, and leaves nothing running."""

import json
import os
import subprocess
import sys
from pathlib import Path

from stack.home import Home

CHECKOUT = Path(__file__).parents[2]
TIMEOUT_S = 300.0
FIRST_END_S_MAX = 90.0
DEMO = [sys.executable, "-m", "stack", "demo", "--json"]


def test_demo_shows_a_market_that_worked(tmp_path):
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("SOUK_")},
        "SOUK_HOME": str(tmp_path),
        "SOUK_API_PORT": "0",
        "SOUK_AGENT_PORT": "0",
        "SOUK_MQTT_PORT": "0",
    }
    done = demo(env)
    found = summary_of(done)
    assert found["jobs_by_state"] == {"succeeded": found["results_right"]}
    assert {row["cell"] for row in found["prices"]} >= {"orchard", "quay"}
    assert {pay["payer"] for pay in found["payments"]} == {
        "observatory",
        "newsroom",
        "post-office",
    }
    assert found["submit_to_start_ms"]["count"] == found["results_right"]
    assert found["seconds_to_first_end"] < FIRST_END_S_MAX
    assert Home(tmp_path).read_state().supervisor is None
    assert "lease of" in done.stderr  # it said what happened while it happened
    staying = demo_until_down(env)
    assert summary_of(staying)["jobs_by_state"] == found["jobs_by_state"]
    assert "nothing to do" in staying.stderr
    assert "newly enrolled" not in staying.stderr
    assert "its devices end with it" in staying.stderr


def demo(env):
    return subprocess.run(
        [*DEMO, "--exit"],
        cwd=CHECKOUT,
        env=env,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


def demo_until_down(env):
    """A demo that stays, ended by `souk down`."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        DEMO, cwd=CHECKOUT, env=env, stdout=pipe, stderr=pipe, text=True
    ) as running:
        said = []
        for line in running.stderr:
            said.append(line)
            if "The market goes on" in line:
                down = [sys.executable, "-m", "stack", "down"]
                subprocess.run(down, cwd=CHECKOUT, env=env, check=True, timeout=TIMEOUT_S)
        code = running.wait(TIMEOUT_S)
        return subprocess.CompletedProcess(DEMO, code, running.stdout.read(), "".join(said))


def summary_of(done):
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["ok"]
    assert found["complaints"] == []
    return found
