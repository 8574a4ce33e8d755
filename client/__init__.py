"""The client of souk: a typed library over the REST API, and the ``souk`` command line.

Names are loaded when first used, so that the command line starts without the HTTP library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import Client as Client
    from .errors import ApiError as ApiError
    from .errors import SoukError as SoukError
    from .mock import MockPlatform as MockPlatform
    from .requests import Array as Array
    from .requests import JobRequest as JobRequest
    from .requests import OnnxCode as OnnxCode
    from .requests import Task as Task
    from .requests import WasmCode as WasmCode
    from .transport import Retries as Retries

_HOMES = {
    "ApiError": ".errors",
    "Array": ".requests",
    "Client": ".client",
    "JobRequest": ".requests",
    "MockPlatform": ".mock",
    "OnnxCode": ".requests",
    "Retries": ".transport",
    "SoukError": ".errors",
    "Task": ".requests",
    "WasmCode": ".requests",
}
__all__ = [
    "ApiError",
    "Array",
    "Client",
    "JobRequest",
    "MockPlatform",
    "OnnxCode",
    "Retries",
    "SoukError",
    "Task",
    "WasmCode",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
