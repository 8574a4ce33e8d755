"""Whether ``broker.services.bootstrap`` has anything to do, told without loading what it needs."""

import hashlib
import json
from pathlib import Path

from db.standing import has_operator


def is_bootstrapped(url: str, credentials: Path) -> bool:
    """Whether the operator's key in ``credentials`` is one of the database's."""
    try:
        presented = str(json.loads((credentials / "operator.json").read_text())["api_key"])
        _, prefix, secret = presented.split("_")
    except (OSError, ValueError, KeyError, TypeError):
        return False
    hashed = hashlib.sha256(secret.encode()).digest()
    return has_operator(url, prefix=prefix, secret_hash=hashed)
