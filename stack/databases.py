"""Databases on a server that runs: create, clone, drop, by URL.

``python -m stack.databases`` waits until the settings' database takes connections.
"""

import sys
import time
from urllib.parse import urlsplit, urlunsplit

MAINTENANCE = "postgres"
WAIT_S = 30.0


def name_of(url: str) -> str:
    """The database that ``url`` names."""
    return urlsplit(url).path.lstrip("/")


def with_name(url: str, name: str) -> str:
    """``url`` with another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def plain(url: str) -> str:
    """``url`` as libpq and psycopg take it, without SQLAlchemy's driver."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}{separator}{rest}"


def ensure_database(url: str, name: str, *, template: str | None = None) -> str:
    """Create database ``name`` on the server of ``url`` if it is missing; return its URL."""
    import psycopg  # 50 ms that the command line's other commands need not pay
    from psycopg import sql

    with psycopg.connect(plain(with_name(url, MAINTENANCE)), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            return with_name(url, name)
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            statement += sql.SQL(" TEMPLATE {} STRATEGY file_copy").format(sql.Identifier(template))
        connection.execute(statement)
    return with_name(url, name)


def clone_database(url: str, name: str) -> str:
    """A copy, named ``name``, of the database of ``url``, to which nobody may be connected."""
    return ensure_database(url, name, template=name_of(url))


def drop_database(url: str) -> None:
    """Drop the database of ``url``, ending whoever is still connected to it."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(plain(with_name(url, MAINTENANCE)), autocommit=True) as connection:
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name_of(url)))
        )


def wait_for_database(url: str, *, timeout_s: float) -> None:
    """Return when ``url`` takes connections; raises the last ``psycopg.OperationalError``."""
    import psycopg

    deadline = time.monotonic() + timeout_s
    while True:
        try:
            psycopg.connect(plain(url), connect_timeout=5).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def main() -> int:
    import psycopg

    from broker.settings import get_settings

    try:
        wait_for_database(get_settings().database_url, timeout_s=WAIT_S)
    except psycopg.OperationalError as error:
        print(f"DATABASE_URL does not answer: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
