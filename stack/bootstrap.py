"""Makes the environment on first use and runs the command in it; standard library only.

``.venv`` in the checkout (or ``SOUK_VENV``) is installed from ``requirements.lock`` with hashes, or
from ``requirements-dev.lock`` for the commands of developers. A stamp in it holds the hash of the
lock that it satisfies, written last, so that an interrupted installation is mended by the next
command and a finished one needs no network. Two commands at once: the second waits for the first.

Exit code 11: the environment could not be made; the message says what to do.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
LOCKS = {"run": CHECKOUT / "requirements.lock", "dev": CHECKOUT / "requirements-dev.lock"}
DEVELOPERS = {"test", "check", "bench"}
SETUP_FAILED = 11
_PACKAGE = re.compile(
    r"(?:Collecting |Requirement already satisfied: |Processing (?:\S*/)?)([A-Za-z0-9_.]+)"
)
STAMP = "souk-stamp.json"
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input")
INSTALL = ("install", "--no-deps", "--require-hashes", "--no-compile", "--progress-bar=off")
TAIL_LINES = 15


class SetupFailed(Exception):
    """The environment could not be made; the text says what to do."""


def main(arguments: list[str]) -> None:
    """Ensure the environment, then become the command; ends the process."""
    venv = Path(os.environ.get("SOUK_VENV") or CHECKOUT / ".venv").absolute()
    wanted = "dev" if DEVELOPERS.intersection(arguments[:1]) else "run"
    try:
        if not satisfied(venv, wanted):
            with only_one(venv.parent):
                if not satisfied(venv, wanted):
                    make(venv, wanted)
    except SetupFailed as failure:
        print(f"souk: {failure}", file=sys.stderr)
        sys.exit(SETUP_FAILED)
    except KeyboardInterrupt:
        print("\nsouk: interrupted; the next command goes on with it", file=sys.stderr)
        sys.exit(130)
    python = str(venv / "bin" / "python")
    os.execv(  # noqa: S606 our own interpreter
        python, [python, "-P", str(CHECKOUT / "stack" / "__main__.py"), *arguments]
    )


def satisfied(venv: Path, wanted: str) -> bool:
    """Whether ``venv`` was finished from today's lock; the developers' lock holds the other."""
    if not os.access(venv / "bin" / "python", os.X_OK):
        return False
    stamp = read_stamp(venv)
    enough = ("dev",) if wanted == "dev" else ("run", "dev")
    return any(stamp.get(kind) == lock_hash(kind) for kind in enough)


def read_stamp(venv: Path) -> dict[str, str]:
    """The stamp, or nothing if it is absent or was cut short."""
    try:
        found = json.loads((venv / STAMP).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def lock_hash(kind: str) -> str:
    """SHA-256 of a lock file."""
    return hashlib.sha256(LOCKS[kind].read_bytes()).hexdigest()


@contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """Hold ``directory`` so that one process at a time makes an environment in it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError as error:
        raise SetupFailed(f"cannot use {directory}: {error.strerror}; {_ELSEWHERE}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another souk is installing, waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def make(venv: Path, wanted: str) -> None:
    """Make or mend ``venv`` and install the lock. Raises ``SetupFailed``."""
    began = time.monotonic()
    where = venv if venv.is_absolute() and CHECKOUT not in venv.parents else venv.name
    say(f"setting up {where} (once; later starts are offline and quick)")
    check_writable(venv)
    (venv / STAMP).unlink(missing_ok=True)
    if not healthy(venv):
        create(venv)
    install(venv, LOCKS[wanted])
    compile_all(venv)
    temporary = venv / f".{STAMP}"
    temporary.write_text(json.dumps({wanted: lock_hash(wanted)}))
    temporary.replace(venv / STAMP)
    say(f"ready after {time.monotonic() - began:.0f} s")


def check_writable(venv: Path) -> None:
    """Refuse early where we may not write: somebody else's checkout, a read-only medium."""
    place = venv if venv.exists() else venv.parent
    if not os.access(place, os.W_OK | os.X_OK):
        raise SetupFailed(f"{place} may not be written by this user; {_ELSEWHERE}")


def healthy(venv: Path) -> bool:
    """Whether the environment has a Python that runs, is recent enough, and has pip."""
    test = "import sys, pip; sys.exit(sys.version_info < (3, 11) or sys.prefix == sys.base_prefix)"
    try:
        done = subprocess.run(
            [str(venv / "bin" / "python"), "-I", "-c", test], capture_output=True, check=False
        )
    except OSError:
        return False
    return done.returncode == 0


def create(venv: Path) -> None:
    """A new, empty environment with pip, in place of what is there."""
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupFailed(_VENV_MISSING)
    done = subprocess.run(
        [sys.executable, "-I", "-m", "venv", "--clear", str(venv)],
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(),
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()
        advice = _VENV_MISSING if "ensurepip" in said else f"could not make {venv}"
        raise SetupFailed(f"{advice}\n{said}")


def install(venv: Path, lock: Path) -> None:
    """Install the lock with pip, showing how far it is. Raises ``SetupFailed``."""
    total = len(re.findall(r"^[\w.-]+==", lock.read_text(), re.MULTILINE))
    command = [str(venv / "bin" / "python"), "-I", *PIP, *INSTALL, "-r", str(lock)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=clean_environment(),
    ) as pip:
        assert pip.stdout is not None
        lines = list(progress(pip.stdout, total))
    if pip.returncode != 0:
        raise SetupFailed(
            "pip could not install the requirements (the first time needs the network):\n"
            + "\n".join(lines[-TAIL_LINES:])
        )


def progress(lines: Iterator[str], total: int) -> Iterator[str]:
    """Pass pip's lines on, showing the package at work: one line that changes, or every tenth."""
    seen, tty = 0, sys.stderr.isatty()
    for line in lines:
        yield line.rstrip()
        found = _PACKAGE.match(line)
        if found:
            seen += 1
            text = f"package {seen} of {total}: {found.group(1)}"
            if tty:
                print(f"\r\033[Ksouk: {text}", end="", file=sys.stderr, flush=True)
            elif seen % 10 == 1:
                say(text)
        elif line.startswith("Installing collected"):
            if tty:
                print("\r\033[K", end="", file=sys.stderr)
            say(f"unpacking {seen} packages")


def compile_all(venv: Path) -> None:
    """Compile what was installed, and our own code, on all cores: the first start need not."""
    own = [
        str(path.parent) for path in CHECKOUT.glob("*/__init__.py") if path.parent.name != "tests"
    ]
    say("compiling")
    subprocess.run(
        [
            str(venv / "bin" / "python"),
            "-I",
            "-m",
            "compileall",
            "-q",
            "-j",
            "0",
            str(venv / "lib"),
            *own,
        ],
        # Some packages carry files that are not meant to compile; a checkout may be read-only.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )


def clean_environment() -> dict[str, str]:
    """Our environment without what would lead Python or pip elsewhere."""
    dropped = {"PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return kept | {"PIP_USER": "0", "PIP_ROOT_USER_ACTION": "ignore"}


def say(text: str) -> None:
    """One line of progress, apart from what the command prints."""
    print(f"souk: {text}", file=sys.stderr, flush=True)


_ELSEWHERE = "set SOUK_VENV to a directory of yours for the environment"
_VENV_MISSING = (
    "this Python cannot make environments. On Debian or Ubuntu: apt install python3-venv "
    f"(for python{sys.version_info.major}.{sys.version_info.minor}); or set SOUK_PYTHON to another"
)

if __name__ == "__main__":
    main(sys.argv[1:])
