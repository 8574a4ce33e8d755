"""Where the code is, and how it is run by the Python that runs us."""

import sys
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent


def python(*arguments: str) -> list[str]:
    """A command line of this Python."""
    return [sys.executable, *arguments]
