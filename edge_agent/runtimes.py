"""Which runtimes are installed, found by their metadata's folder names.

Importing them to ask, or even ``importlib.metadata``, would cost the idle agent megabytes.
"""

import os
import re
import sys
from collections.abc import Sequence

_DISTRIBUTIONS = {"wasm": ("wasmtime",), "onnx": ("onnxruntime", "numpy")}


def installed(allowed: Sequence[str], *, path: Sequence[str] | None = None) -> dict[str, str]:
    """Name → version of each runtime that is allowed and installed on ``path`` (``sys.path``)."""
    versions = _versions(sys.path if path is None else path)
    return {
        name: versions[_DISTRIBUTIONS[name][0]]
        for name in allowed
        if all(distribution in versions for distribution in _DISTRIBUTIONS[name])
    }


def _versions(path: Sequence[str]) -> dict[str, str]:
    wanted = {name for names in _DISTRIBUTIONS.values() for name in names}
    found: dict[str, str] = {}
    for folder in path:
        try:
            entries = os.listdir(folder or ".")
        except OSError:
            continue
        for entry in entries:
            match = re.fullmatch(r"([A-Za-z0-9_.]+)-([^-]+)\.dist-info", entry)
            if match and match[1].lower() in wanted:
                found.setdefault(match[1].lower(), match[2])
    return found
