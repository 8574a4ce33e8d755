"""The two forms of a database's URL; apart from the engine, as some need no SQLAlchemy."""


def sqlalchemy_url(url: str) -> str:
    """``url`` with the driver that we use, whichever scheme of PostgreSQL it was given with."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.partition("+")[0] not in {"postgresql", "postgres"}:
        raise ValueError("the database URL must begin with postgresql://")
    return f"postgresql+psycopg://{rest}"


def libpq_url(url: str) -> str:
    """``url`` as libpq and psycopg take it."""
    return sqlalchemy_url(url).replace("postgresql+psycopg://", "postgresql://", 1)
