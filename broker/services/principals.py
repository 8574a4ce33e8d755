"""Who asks: the account behind a key or a browser session, its role and scopes."""

from collections.abc import Mapping
from dataclasses import dataclass

from broker.services.refusals import Forbidden
from db.tables import Role

READ, WRITE, ADMIN = "read", "write", "admin"
SCOPES_OF: Mapping[Role, frozenset[str]] = {
    Role.OPERATOR: frozenset({READ, WRITE, ADMIN}),
    Role.OWNER: frozenset({READ, WRITE}),
    Role.TENANT: frozenset({READ, WRITE}),
    Role.VIEWER: frozenset({READ}),
    Role.SYSTEM: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A known asker; ``address`` is where it asks from, for the audit log."""

    account_id: str
    account_name: str
    role: Role
    scopes: frozenset[str]
    key_id: str = ""
    session_id: str = ""
    csrf_token: str = ""
    address: str = ""

    @property
    def sees_all(self) -> bool:
        return self.role in (Role.OPERATOR, Role.VIEWER)

    @property
    def view(self) -> str | None:
        """The account whose things it sees; None: everybody's."""
        return None if self.sees_all else self.account_id

    @property
    def is_operator(self) -> bool:
        return self.role is Role.OPERATOR

    def need_scope(self, scope: str) -> None:
        """Raise ``Forbidden`` unless the key has ``scope``."""
        if scope not in self.scopes:
            raise Forbidden(
                f"This needs the scope {scope!r}; you have {', '.join(sorted(self.scopes))}.",
                code="missing_scope",
            )

    def need_role(self, *roles: Role) -> None:
        """Raise ``Forbidden`` unless the account has one of ``roles``."""
        if self.role not in roles:
            wanted = " or ".join(sorted(roles))
            raise Forbidden(f"This is for accounts with the role {wanted}; yours is {self.role}.")
