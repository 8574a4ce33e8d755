"""``python -m bench NAME …`` runs ``bench/NAME.py``'s ``main``; without a name it lists them."""

import importlib
import pkgutil
import sys
from collections.abc import Sequence

import bench


def names() -> list[str]:
    """Every benchmark: the modules of this package that are commands."""
    return sorted(
        module.name
        for module in pkgutil.iter_modules(bench.__path__)
        if module.name not in HELPERS and not module.name.startswith("_")
    )


HELPERS = frozenset(
    {"virtual", "platform_load", "table", "peers", "peer_arrays", "separable", "live", "live_world"}
)


def main(arguments: Sequence[str]) -> int:
    """Run one benchmark; returns its exit code."""
    if not arguments or arguments[0] not in names():
        print(f"usage: python -m bench NAME [options], NAME one of: {', '.join(names())}")
        return 2
    code: int | None = importlib.import_module(f"bench.{arguments[0]}").main(arguments[1:])
    return code or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
