"""A container's health check: ``python -m stack.health http URL`` or ``file PATH``."""

import argparse
import sys
import time
from pathlib import Path

from stack.specs import ready_by_http

FRESH_S = 30.0  # a process touches its file every few seconds


def file_is_fresh(path: Path, *, now: float) -> bool:
    """Whether a process has touched its ready file lately."""
    try:
        return now - path.stat().st_mtime < FRESH_S
    except OSError:
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description="Say by the exit code whether a process is well.")
    parser.add_argument("kind", choices=("http", "file"))
    parser.add_argument("target", help="a URL that must answer 200, or a file that must be fresh")
    given = parser.parse_args()
    if given.kind == "http":
        return 0 if ready_by_http(given.target)(0) else 1
    return 0 if file_is_fresh(Path(given.target), now=time.time()) else 1


if __name__ == "__main__":
    sys.exit(main())
