"""Passwords by argon2id, bounded so that guessing cannot take the machine's memory."""

from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from broker.services.refusals import Invalid

PASSWORD_CHARS_MIN = 10
PASSWORD_CHARS_MAX = 256
HASHES_AT_ONCE_MAX = 2

# OWASP's minimum for argon2id: 19 MiB, two passes; about 25 ms.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_nobody = _hasher.hash("a password that no account has")
_room = BoundedSemaphore(HASHES_AT_ONCE_MAX)


def hash_password(password: str, *, pointer: str = "/password") -> str:
    """The argon2id hash to keep. Raises ``Invalid`` for a password that is too short or long."""
    if not PASSWORD_CHARS_MIN <= len(password) <= PASSWORD_CHARS_MAX:
        raise Invalid(
            f"A password has {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters.",
            pointer=pointer,
        )
    with _room:
        return _hasher.hash(password)


def check_password(kept: str | None, password: str) -> bool:
    """Whether ``password`` is the one kept; takes as long when there is none."""
    with _room:
        try:
            return _hasher.verify(kept or _nobody, password) and kept is not None
        except (VerificationError, InvalidHashError):
            return False
