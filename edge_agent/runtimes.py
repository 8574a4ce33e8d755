"""Which runtimes are installed, found without importing them: that would cost the idle agent."""

from collections.abc import Sequence
from importlib import metadata

_DISTRIBUTIONS = {"wasm": ("wasmtime",), "onnx": ("onnxruntime", "numpy")}


def installed(allowed: Sequence[str]) -> dict[str, str]:
    """Name → version of each runtime that is allowed and installed."""
    found = {}
    for name in allowed:
        versions = [_version(distribution) for distribution in _DISTRIBUTIONS[name]]
        if None not in versions:
            found[name] = str(versions[0])
    return found


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
