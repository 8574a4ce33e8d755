"""What a use case refuses, in the words of the trade; ``api.errors`` alone knows HTTP.

Refusal                 code, detail, pointer, retry_after_s
├── Unauthenticated     nobody known asks
├── Forbidden           known, but may not
├── NotFound            is not there, or is not the asker's to see
├── Invalid             contradicts itself or the rules; ``pointer`` says where
├── Conflict            the present state does not allow it
├── Stale               the version that the change was based on is gone
├── TooLarge            beyond a named bound
└── TooMany             asked too often; try again after ``retry_after_s``
"""


class Refusal(Exception):
    """A use case said no; ``code`` is stable, the text says what to do."""

    code = "refused"

    def __init__(self, detail: str, *, code: str = "", pointer: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.pointer = pointer
        self.retry_after_s: int | None = None


class Unauthenticated(Refusal):
    """No valid key, session, token or grant was shown."""

    code = "unauthenticated"


class Forbidden(Refusal):
    """The role or the key's scopes do not allow it."""

    code = "forbidden"


class NotFound(Refusal):
    """There is no such thing, or the asker may not know of it."""

    code = "not_found"

    def __init__(self, kind: str, key: str, *, code: str = "") -> None:
        super().__init__(f"There is no {kind} {key[:100]!r} that you may see.", code=code)
        self.kind = kind
        self.key = key


class Invalid(Refusal):
    """A field contradicts another one or a rule; ``pointer`` is a JSON pointer into the body."""

    code = "invalid"


class Conflict(Refusal):
    """What is there now does not allow it."""

    code = "conflict"


class Stale(Refusal):
    """``If-Match`` names a version that is no longer the current one."""

    code = "stale_version"


class TooLarge(Refusal):
    """Larger than a named bound."""

    code = "too_large"


class TooMany(Refusal):
    """Asked too often."""

    code = "rate_limited"

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s
