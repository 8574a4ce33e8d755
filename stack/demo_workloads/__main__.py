"""Writes the demo's modules and model to a folder: ``python -m stack.demo_workloads FOLDER``."""

import sys
from pathlib import Path

from stack.demo_workloads.digits import model
from stack.demo_workloads.modules import module

USAGE = "usage: python -m stack.demo_workloads FOLDER"


def main(argv: list[str]) -> int:
    """Write the files and name them."""
    if len(argv) != 1 or argv[0].startswith("-"):
        sys.stderr.write(f"{USAGE}\n")
        return 2
    folder = Path(argv[0])
    folder.mkdir(parents=True, exist_ok=True)
    files = {f"{name}.wasm": module(name) for name in ("primes", "words", "mandelbrot")}
    for name, data in (files | {"digits.onnx": model()}).items():
        (folder / name).write_bytes(data)
        sys.stdout.write(f"{folder / name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
