"""The tutorial's commands, run as they stand, do what it says."""

import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "docs" / "tutorial.md"
TIMEOUT_S = 240.0


@pytest.fixture
def folder(tmp_path):
    """A folder that looks like a checkout to the commands, so that the real one stays clean."""
    for name in ("souk", ".venv"):
        (tmp_path / name).symlink_to(CHECKOUT / name)
    return tmp_path


def test_tutorial_commands_work_in_order(folder):
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    script = "\n".join(["set -euo pipefail", *blocks])
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("SOUK_")},
        "PYTHONPATH": str(CHECKOUT),
        "SOUK_HOME": str(folder / "home"),
        "SOUK_API_PORT": "0",
        "SOUK_AGENT_PORT": "0",
        "SOUK_MQTT_PORT": "0",
        "XDG_CONFIG_HOME": str(folder / "config"),
    }
    child = subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = child.communicate(timeout=TIMEOUT_S)
    finally:
        with suppress(ProcessLookupError):  # the device runs on if a command before its end failed
            os.killpg(child.pid, signal.SIGKILL)
        subprocess.run(["./souk", "down"], cwd=folder, env=env, capture_output=True)
    assert child.returncode == 0, said
    assert "\n9592\n" in said
    assert "@@@@" in said
    assert re.search(r'"digit":\s*\[4\]', said), said
    assert re.search(r"stingy +wasm +cancelled", said), said
    assert "\nNO" not in said
    assert re.search(r"payout +\d", said), said
