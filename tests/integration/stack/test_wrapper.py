"""The ``./souk`` wrapper in a small checkout of its own, with a lock of one local package."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
COMMAND = "import os, sys, tiny; print(tiny.N, os.getcwd(), *sys.argv[1:])\n"


def write_wheel(folder: Path, number: int) -> str:
    """A wheel ``tiny`` of version ``number``; returns its line in a lock."""
    path = folder / f"tiny-{number}-py3-none-any.whl"
    info = f"tiny-{number}.dist-info"
    files = {
        "tiny.py": f"N = {number}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny\nVersion: {number}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            rows.append(f"{name},sha256={digest.decode().rstrip('=')},{len(text)}\n")
        wheel.writestr(f"{info}/RECORD", "".join(rows) + f"{info}/RECORD,,\n")
    return f"tiny=={number} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


class Wrapped:
    """A checkout that holds the wrapper and a command that says where and how it was called."""

    def __init__(self, root: Path) -> None:
        self.root, self.wheels = root / "checkout", root / "wheels"
        (self.root / "stack").mkdir(parents=True)
        self.wheels.mkdir()
        shutil.copy(CHECKOUT / "souk", self.root / "souk")
        shutil.copy(CHECKOUT / "stack" / "bootstrap.py", self.root / "stack")
        (self.root / "stack" / "__main__.py").write_text(COMMAND)
        self.lock("run", write_wheel(self.wheels, 1))
        self.lock("dev", write_wheel(self.wheels, 2))
        self.env = {
            "PATH": f"{Path(sys.base_prefix, 'bin')}:/usr/bin:/bin",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_CACHE_DIR": str(root / "cache"),
            "HOME": str(root),
        }

    def lock(self, kind: str, text: str) -> None:
        name = "requirements.lock" if kind == "run" else "requirements-dev.lock"
        (self.root / name).write_text(text)

    def start(self, *arguments: str, program: Path | None = None, **env: str) -> subprocess.Popen:
        return subprocess.Popen(
            [str(program or self.root / "souk"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env=self.env | env,
        )

    def run(self, *arguments: str, program: Path | None = None, **env: str) -> tuple[int, str, str]:
        process = self.start(*arguments, program=program, **env)
        out, said = process.communicate(timeout=120)
        return process.returncode, out.strip(), said


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A checkout whose environment is made."""
    wrapped = Wrapped(tmp_path_factory.mktemp("made"))
    code, out, said = wrapped.run("up", "--flag")
    assert (code, out) == (0, "1 / up --flag"), said
    assert "package 1 of 1: tiny" in said
    return wrapped


def test_second_run_is_quiet_and_needs_nothing(made: Wrapped) -> None:
    assert made.run("status", PIP_FIND_LINKS="/nonexistent") == (0, "1 / status", "")


def test_wrapper_works_through_links(made: Wrapped, tmp_path: Path) -> None:
    (tmp_path / "real").symlink_to(made.root / "souk")
    (tmp_path / "link").symlink_to("real")
    assert made.run("x", program=tmp_path / "link")[:2] == (0, "1 / x")


def test_environment_may_stand_elsewhere(made: Wrapped, tmp_path: Path) -> None:
    elsewhere = tmp_path / "deep" / "venv"
    assert made.run("x", SOUK_VENV=str(elsewhere))[:2] == (0, "1 / x")
    assert (elsewhere / "bin" / "python").exists()


def test_hostile_python_path_is_ignored(made: Wrapped, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "fcntl.py").write_text("raise SystemExit('shadowed')")
    elsewhere = str(tmp_path / "venv")
    code, _, said = made.run("x", SOUK_VENV=elsewhere, PYTHONPATH=str(tmp_path))
    assert "ready after" in said
    assert code == 0


def test_unsuitable_python_is_passed_over(made: Wrapped, tmp_path: Path) -> None:
    old = tmp_path / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    assert made.run("x", SOUK_PYTHON=str(old))[:2] == (0, "1 / x")


def test_no_python_at_all_says_what_to_install(made: Wrapped, tmp_path: Path) -> None:
    for name in ("dirname", "readlink"):
        (tmp_path / name).symlink_to(shutil.which(name))
    code, _, said = made.run("x", PATH=str(tmp_path))
    assert code == 11
    assert "apt install python3" in said


def test_developers_lock_is_installed_when_needed_and_serves_both(tmp_path: Path) -> None:
    wrapped = Wrapped(tmp_path)
    assert wrapped.run("test", "-k", "x")[:2] == (0, "2 / test -k x")
    assert wrapped.run("up") == (0, "2 / up", "")


def test_changed_lock_is_installed(tmp_path: Path) -> None:
    wrapped = Wrapped(tmp_path)
    wrapped.run("up")
    wrapped.lock("run", write_wheel(wrapped.wheels, 3))
    assert wrapped.run("up")[:2] == (0, "3 / up")


@pytest.mark.parametrize("damage", ["no stamp", "cut stamp", "no python", "no pip"])
def test_half_made_environment_is_mended(tmp_path: Path, damage: str) -> None:
    wrapped = Wrapped(tmp_path)
    wrapped.run("up")
    venv = wrapped.root / ".venv"
    stamp = venv / "souk-stamp.json"
    if damage == "cut stamp":
        stamp.write_text('{"run": "')
    elif damage == "no python":
        for link in venv.glob("bin/python*"):
            link.unlink()
    else:
        stamp.unlink()
    if damage == "no pip":
        shutil.rmtree(next(venv.glob("lib/*/site-packages/pip")))
    assert wrapped.run("up")[:2] == (0, "1 / up")


def test_wrong_hash_is_refused_and_not_stamped(tmp_path: Path) -> None:
    wrapped = Wrapped(tmp_path)
    wrapped.lock("run", f"tiny==1 --hash=sha256:{'0' * 64}\n")
    code, out, said = wrapped.run("up")
    assert (code, out) == (11, "")
    assert "pip could not install" in said
    assert not (wrapped.root / ".venv" / "souk-stamp.json").exists()


def test_two_at_once_make_one_environment(tmp_path: Path) -> None:
    wrapped = Wrapped(tmp_path)
    both = [wrapped.start("up"), wrapped.start("up")]
    ends = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    assert sum("ready after" in said for _, said in ends) == 1
    assert sum("waiting for it" in said for _, said in ends) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_checkout_of_another_user_needs_a_place_of_ones_own(tmp_path: Path) -> None:
    wrapped = Wrapped(tmp_path)
    bootstrap = wrapped.root / "stack" / "bootstrap.py"
    probe = (
        f"import os, sys; sys.path.insert(0, {str(bootstrap.parent)!r}); import bootstrap;"
        "os.setuid(65534); bootstrap.main(['up'])"  # the interpreter itself may be unreadable
    )
    for directory in (tmp_path, *tmp_path.parents[:2], wrapped.root, wrapped.root / "stack"):
        directory.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-I", "-c", probe], capture_output=True, text=True, check=False
    )
    assert done.returncode == 11, done.stderr
    assert "SOUK_VENV" in done.stderr
