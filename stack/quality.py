"""``souk check``: every static check by name, each as a command, with a summary at the end."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stack.checkout import CHECKOUT, python

PASSED, FAILED = 0, 1


@dataclass(frozen=True, slots=True)
class Check:
    """A command that must end with 0; ``needs`` says what must be there for it to make sense."""

    name: str
    argv: Sequence[str]
    needs: Callable[[], bool] = lambda: True


def _module(name: str) -> str:
    """A console program of the environment that we run in."""
    return str(Path(sys.executable).with_name(name))


CHECKS: tuple[Check, ...] = (
    Check("format", python("-m", "ruff", "format", "--check", ".")),
    Check("lint", python("-m", "ruff", "check", ".")),
    Check("types", python("-m", "mypy")),
    Check("imports", [_module("lint-imports")]),
    Check("docs", python("-m", "pytest", "tests/tidy")),
    Check("settings", python("-m", "stack.settings_page", "--check")),
    Check(
        "openapi",
        python("-m", "api.openapi", "--check"),
        needs=lambda: (CHECKOUT / "api" / "openapi.py").exists(),
    ),
    Check(
        "dashboards",
        ["npm", "--prefix", "dashboards", "run", "--silent", "check-build"],
        needs=lambda: shutil.which("npm") is not None,
    ),
)


def run(only: Sequence[str]) -> int:
    """Run the named checks, or all; print what fails and a summary; 0 if none failed."""
    unknown = set(only) - {check.name for check in CHECKS}
    if unknown:
        known = ", ".join(check.name for check in CHECKS)
        print(f"souk: no check called {', '.join(sorted(unknown))}; there are {known}")
        return 2
    outcomes = [(check.name, *_run(check)) for check in CHECKS if not only or check.name in only]
    print()
    for name, outcome, seconds in outcomes:
        print(f"  {name:<12} {outcome:<8} {seconds:6.1f} s")
    return FAILED if any(outcome == "FAILED" for _, outcome, _ in outcomes) else PASSED


def _run(check: Check) -> tuple[str, float]:
    if not check.needs():
        return "left out", 0.0
    began = time.monotonic()
    print(f"{check.name}: {' '.join(_short(part) for part in check.argv)}", flush=True)
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(list(check.argv), cwd=CHECKOUT, env=environment, check=False)
    return ("ok" if done.returncode == 0 else "FAILED"), time.monotonic() - began


def _short(part: str) -> str:
    return Path(part).name if os.path.isabs(part) else part
