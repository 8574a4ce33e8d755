"""Names of artifacts, and the error when one cannot be had."""

import hashlib


class TransferError(Exception):
    """An artifact cannot be had or stored; the text says why."""


def digest_of(data: bytes) -> str:
    """``sha256:<hex>`` of ``data``."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
