"""Artifacts: who may read and write which bytes. The bytes themselves are in the store."""

from collections.abc import Collection
from datetime import datetime
from functools import lru_cache

from sqlalchemy.orm import Session

from broker.services.artifact_store import FileStore, check_digest
from broker.services.grants import Grant
from broker.services.principals import Principal
from broker.services.refusals import Forbidden, NotFound, Unauthenticated
from db.repositories import artifacts
from db.repositories.artifacts import ArtifactRecord, NewArtifact
from db.tables import Node
from market.lifecycle import NodeState

__all__ = ["ArtifactRecord", "NewArtifact", "record", "show", "store_bytes", "store_for"]

NAME_CHARS_MAX = 200


@lru_cache(maxsize=4)
def store_for(url: str) -> FileStore:
    """This process's store at ``url``."""
    return FileStore(url)


def store_bytes(store: FileStore, data: bytes, *, digest: str = "", durable: bool = True) -> str:
    """Put ``data`` into the store and return its digest; before the row is committed.

    Raises ``Invalid`` (``digest_mismatch``) if ``digest`` is given and is not that of ``data``.
    """
    return store.store(data, digest=digest, durable=durable)


def record(session: Session, new: Collection[NewArtifact], *, now: datetime) -> None:
    """Write down that these are in the store, and who may read them; repeats change nothing."""
    artifacts.add(session, new, now)


def show(session: Session, digest: str, *, asker: Principal | Grant) -> ArtifactRecord:
    """The artifact, if the asker may read it.

    A node with a grant reads what the job that it runs is made of, and nothing else of its tenant.
    Raises ``NotFound``.
    """
    check_digest(digest)
    if isinstance(asker, Grant):
        _need_live_node(session, asker)
        if not artifacts.part_of_job(session, digest, asker.job_id):
            raise NotFound("artifact", digest, code="unknown_artifact")
    account_id = asker.account_id if isinstance(asker, Grant) else asker.view
    found = artifacts.get(session, digest, account_id=account_id)
    if found is None:
        raise NotFound("artifact", digest, code="unknown_artifact")
    return found


def upload_bytes_max(session: Session, *, asker: Principal | Grant, bytes_max: int) -> int:
    """How much the asker may upload at once: a node only a result of the job that it runs."""
    if isinstance(asker, Principal):
        return bytes_max
    _need_live_node(session, asker)
    allowed = artifacts.output_bytes_max(session, asker.job_id)
    if allowed is None:
        raise Forbidden("The grant's job is gone.", code="grant_invalid")
    return min(allowed, bytes_max)


def _need_live_node(session: Session, grant: Grant) -> None:
    """A grant outlives a revocation, what it allows does not."""
    node = session.get(Node, grant.node_id)
    if node is None or node.state == NodeState.REVOKED:
        raise Unauthenticated("The grant's node was revoked.", code="grant_invalid")
