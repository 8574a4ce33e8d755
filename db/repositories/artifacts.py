"""What is known of artifacts (their bytes are in the store) and who may read them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.repositories.paging import Page, Place, cut, newest_first
from db.tables import Artifact, ArtifactGrant, Job, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRecord:
    """An artifact as one account knows it."""

    digest: str
    size_bytes: int
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewArtifact:
    """Bytes that are in the store, and for whom."""

    digest: str
    size_bytes: int
    account_id: str
    name: str = ""


def add(session: Session, new: Collection[NewArtifact], now: datetime) -> None:
    """Record artifacts and grants, in two statements; what is known already stays as it is."""
    if not new:
        return
    sizes = {each.digest: each.size_bytes for each in new}
    artifacts = [
        {"digest": digest, "size_bytes": size, "created_at": now}
        for digest, size in sorted(sizes.items())
    ]
    session.execute(insert(Artifact).on_conflict_do_nothing(), artifacts)
    grants = {(each.digest, each.account_id): each.name for each in new}
    session.execute(
        insert(ArtifactGrant).on_conflict_do_nothing(),
        [
            {"digest": digest, "account_id": account_id, "name": name, "created_at": now}
            for (digest, account_id), name in sorted(grants.items())
        ],
    )


def get(session: Session, digest: str, *, account_id: str | None) -> ArtifactRecord | None:
    """The artifact if ``account_id`` may read it; with None whoever asks."""
    if account_id is None:
        found = session.get(Artifact, digest)
        return None if found is None else _record(found, "", found.created_at)
    row = session.execute(
        select(Artifact, ArtifactGrant.name, ArtifactGrant.created_at)
        .join(ArtifactGrant, ArtifactGrant.digest == Artifact.digest)
        .where(Artifact.digest == digest, ArtifactGrant.account_id == account_id)
    ).first()
    return None if row is None else _record(row[0], row[1], row[2])


def may_read(session: Session, digest: str, account_id: str) -> bool:
    """Whether the account may read the artifact."""
    found = exists().where(ArtifactGrant.digest == digest, ArtifactGrant.account_id == account_id)
    return bool(session.scalar(select(found)))


def part_of_job(session: Session, digest: str, job_id: str) -> bool:
    """Whether the artifact is the job's code, or the input or result of one of its tasks."""
    code = exists().where(Job.id == job_id, Job.spec["code_digest"].astext == digest)
    if session.scalar(select(code)):
        return True
    given = Task.input["digest"].astext == digest
    of_task = exists().where(Task.job_id == job_id, or_(given, Task.result_digest == digest))
    return bool(session.scalar(select(of_task)))


def page(
    session: Session, *, account_id: str | None, after: Place | None, limit: int
) -> Page[ArtifactRecord]:
    """Artifacts that an account may read; every grant of everybody with None."""
    statement = select(Artifact, ArtifactGrant.name, ArtifactGrant.created_at).join(
        ArtifactGrant, ArtifactGrant.digest == Artifact.digest
    )
    if account_id is not None:
        statement = statement.where(ArtifactGrant.account_id == account_id)
    statement = newest_first(
        statement,
        at=ArtifactGrant.created_at,
        id=ArtifactGrant.digest,
        after=after,
        limit=limit,
    )
    records = [_record(*row) for row in session.execute(statement)]
    return cut(records, limit=limit, place=lambda r: Place(at=r.created_at, id=r.digest))


def output_bytes_max(session: Session, job_id: str) -> int | None:
    """The largest result that a task of the job may have; None if there is no such job."""
    spec = session.scalar(select(Job.spec).where(Job.id == job_id))
    return None if spec is None else int(spec["limits"]["output_bytes_max"])


def _record(artifact: Artifact, name: str, created_at: datetime) -> ArtifactRecord:
    return ArtifactRecord(
        digest=artifact.digest,
        size_bytes=artifact.size_bytes,
        name=name,
        created_at=created_at,
    )
