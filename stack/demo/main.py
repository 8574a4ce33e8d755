"""``./souk demo``: its options, and the start of the platform, before anything heavy is loaded."""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NoReturn, TextIO

from stack import detached

INTERRUPTED = 130


def main(argv: Sequence[str]) -> int:
    """Run the demo; returns the exit code (1 when something was not as it should be)."""
    options = _parser().parse_args(list(argv))
    began = time.monotonic()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with ExitStack() as cleanup:
            start = _start_platform(cleanup, sys.stderr if options.json else sys.stdout)
            # Half a second of imports, while the platform does its own.
            from stack.demo.market import play

            return play(options, cleanup, start=start, began=began)
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="souk demo",
        description="Start the platform with six devices in two cells, two owners and three "
        "tenants; run a mixed workload; show what happened. Stays up until Ctrl-C.",
    )
    parser.add_argument("--exit", action="store_true", help="end after the summary")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    return parser


def _start_platform(cleanup: ExitStack, output: TextIO) -> detached.Start | None:
    """Start the platform unless it runs already; what we started we also stop."""
    try:
        start = detached.start()
    except detached.AlreadyRunning:
        return None
    cleanup.callback(_stop_platform, start, output)
    return start


def _stop_platform(start: detached.Start, output: TextIO) -> None:
    if start.child.poll() is None:
        print("stopping the platform; nothing is lost", file=output, flush=True)
    start.stop()


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
