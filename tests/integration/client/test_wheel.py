"""The client as a wheel of its own: it holds what it needs and nothing of the platform."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CLIENT = Path(__file__).parents[3] / "client"
NOT_OURS = ("market", "db", "broker", "api", "edge_agent", "stack", "client")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The built wheel, from a copy, so that the checkout stays clean."""
    folder = tmp_path_factory.mktemp("wheel")
    ignore = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
    source = shutil.copytree(CLIENT, folder / "client", ignore=ignore)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    subprocess.run(
        [*command, "--outdir", str(folder), str(source)], check=True, capture_output=True
    )
    return next(folder.glob("*.whl"))


def test_wheel_holds_every_module_and_types(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {
        f"souk_client/{path.relative_to(CLIENT)}"
        for path in CLIENT.rglob("*.py")
        if "build" not in path.parts
    }
    assert modules <= names
    assert "souk_client/py.typed" in names


def test_wheel_works_without_the_platform(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    program = (
        "import sys, souk_client\n"
        "from souk_client import Client, JobRequest, MockPlatform\n"
        "from souk_client.cli import app\n"
        "with Client('http://x', transport=MockPlatform().transport) as souk:\n"
        "    assert list(souk.jobs.list()) == []\n"
        f"assert not set({NOT_OURS}) & set(sys.modules)\n"
        "app(['--version'])\n"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("souk 0.1")
