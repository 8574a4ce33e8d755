"""The platform's own secret: key of grants and of what is sealed; made once, mode 0600."""

import os
import secrets
import tempfile
from pathlib import Path

SECRET_BYTES = 32


def load_secret(path: Path) -> bytes:
    """The secret at ``path``; made if missing. Two processes that make it at once agree."""
    try:
        return _checked(path)
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "wb") as file:
        file.write(secrets.token_hex(SECRET_BYTES).encode())
        file.flush()
        os.fsync(handle)
    try:
        os.link(temporary, path)  # unlike a rename it does not replace what another one made
    except FileExistsError:
        pass
    finally:
        Path(temporary).unlink()
    return _checked(path)


def _checked(path: Path) -> bytes:
    secret = path.read_bytes().strip()
    if len(secret) < SECRET_BYTES:
        raise ValueError(f"{path} holds no secret of {SECRET_BYTES} bytes; restore or remove it")
    return secret
