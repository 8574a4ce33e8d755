"""What a task gave, as an artifact."""

from sqlalchemy.orm import Session

from broker.services.refusals import NotFound
from db.repositories import artifacts, jobs
from db.repositories.artifacts import ArtifactRecord


def show(session: Session, job_id: str, index: int, *, account_id: str | None) -> ArtifactRecord:
    """The result of one task. Raises ``NotFound`` (``result_not_ready`` while there is none)."""
    if not jobs.visible(session, job_id, account_id=account_id):
        raise NotFound("job", job_id)
    task = jobs.task(session, job_id, index)
    if task is None:
        raise NotFound("task", f"{job_id}/{index}")
    if task.result_digest is None:
        raise NotFound("result", f"{job_id}/{index}", code="result_not_ready")
    found = artifacts.get(session, task.result_digest, account_id=None)
    if found is None:
        raise NotFound("artifact", task.result_digest, code="artifact_gone")
    return found
