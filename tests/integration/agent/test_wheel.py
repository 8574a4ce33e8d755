"""The wheel on a bare Python with paho-mqtt alone: it installs, works, and loads nothing else."""

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import paho.mqtt
import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that the tree stays clean."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(
        ROOT / "edge_agent", source, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
    )
    subprocess.run(
        [
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--no-isolation",
            "-o",
            str(folder),
            str(source),
        ],
        check=True,
        capture_output=True,
    )
    (made,) = folder.glob("souk_agent-*.whl")
    return made


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel and paho-mqtt, and nothing else; its bin folder.

    Both are unpacked as pip would: that needs no index, so that the test runs offline.
    """
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python3*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    shutil.copytree(Path(paho.mqtt.__file__).parents[1], site / "paho")
    return folder / "bin"


def run(bare: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | environ
    return subprocess.run(
        [str(bare / "python"), *arguments],
        capture_output=True,
        text=True,
        cwd=bare,
        env=clean,
        timeout=60,
    )


def test_wheel_holds_the_whole_agent_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.endswith(".py")}
        metadata = archive.read(next(n for n in archive.namelist() if n.endswith("METADATA")))
    ours = {str(path.relative_to(ROOT)) for path in (ROOT / "edge_agent").rglob("*.py")}
    assert packed == {name for name in ours if "build/" not in name}
    required = [line for line in metadata.decode().splitlines() if line.startswith("Requires-Dist")]
    assert [line for line in required if "extra" not in line] == ["Requires-Dist: paho-mqtt>=2.1"]


def test_doctor_works_on_a_bare_python(bare: Path, tmp_path: Path) -> None:
    done = run(bare, "-m", "edge_agent", "doctor", "-o", "json", "--state-dir", str(tmp_path / "s"))
    checks = {c["name"]: c["verdict"] for c in json.loads(done.stdout)["checks"]}
    assert checks["state directory"] == "ok"
    assert checks["runtimes"] == "failed"  # none is installed here
    assert done.returncode == 31


def test_agent_loads_nothing_but_the_standard_library_and_paho(bare: Path) -> None:
    code = (
        "import sys, json; import edge_agent.cli, edge_agent.runtime, edge_agent.doctor,"
        " edge_agent.enrol; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    done = run(bare, "-c", code)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout)) - set(sys.stdlib_module_names)
    assert {name for name in loaded if not name.startswith("_")} == {"edge_agent", "paho"}


def test_agent_loads_no_extra_where_extras_are_installed() -> None:
    code = (
        "import sys; import edge_agent.cli, edge_agent.runtime, edge_agent.doctor;"
        " print([m for m in ('psutil','numpy','wasmtime','onnxruntime','dns') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


def test_console_script_is_declared(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        entry = next(n for n in archive.namelist() if n.endswith("entry_points.txt"))
        assert "souk-agent = edge_agent.cli:entry" in archive.read(entry).decode()


def test_help_lists_the_exit_codes(bare: Path) -> None:
    from edge_agent.exits import Exit

    said = run(bare, "-m", "edge_agent", "--help").stdout
    for code in Exit:
        assert f"{code.value:>3}  " in said
