"""What a database already holds, asked through psycopg alone.

A start that finds everything done must not load SQLAlchemy and Alembic to learn that: it would be
the longest part of it. Every answer errs towards "no", for then the real work is done, which looks
again and says what is wrong.
"""

from pathlib import Path

from db.urls import libpq_url

REVISIONS = Path(__file__).parent / "migrations" / "versions"
CONNECT_TIMEOUT_S = 5
_HAS_OPERATOR = (
    "SELECT EXISTS (SELECT FROM cells) AND EXISTS (SELECT FROM api_keys k"
    " JOIN accounts a ON a.id = k.account_id WHERE k.prefix = %s AND k.secret_hash = %s"
    " AND a.role = 'operator' AND a.disabled_at IS NULL AND k.revoked_at IS NULL"
    " AND (k.expires_at IS NULL OR k.expires_at > now()))"
)


def newest_revision() -> str:
    """The newest migration's revision, which is the number that its file's name begins with."""
    return max(path.name.partition("_")[0] for path in REVISIONS.glob("[0-9]*_*.py"))


def is_migrated(url: str) -> bool:
    """Whether every migration is applied."""
    return _ask(url, "SELECT version_num FROM alembic_version") == newest_revision()


def has_operator(url: str, *, prefix: str, secret_hash: bytes) -> bool:
    """Whether there are cells, and an operator whose API key is this one."""
    return _ask(url, _HAS_OPERATOR, prefix, secret_hash) is True


def _ask(url: str, query: str, *arguments: object) -> object:
    """The one value of a query; None where it fails or finds nothing."""
    import psycopg  # 100 ms that the command line's other commands need not pay

    try:
        with psycopg.connect(libpq_url(url), connect_timeout=CONNECT_TIMEOUT_S) as connection:
            row = connection.execute(query.encode(), arguments).fetchone()
    except psycopg.Error:
        return None
    return row[0] if row else None
