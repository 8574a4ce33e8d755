"""Jobs: submit, watch, cancel; their tasks, attempts, results, logs and events."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from sqlalchemy.orm import Session

from api.answers import Answer, Paging, once, page, paging, reply, tagged
from api.caller import Call, Reader, allow
from api.routes.artifacts import send_artifact
from api.routes.job_specs import Names, read_spec
from api.routing import JsonRoute
from api.schemas.base import Key, Label
from api.schemas.insight import ExplanationView, PlanView
from api.schemas.job_requests import JobRequest
from api.schemas.jobs import (
    AttemptPage,
    AttemptView,
    EventPage,
    EventView,
    JobPage,
    JobView,
    LogsView,
    LogView,
    TaskPage,
    TaskView,
)
from api.submissions import Submissions
from broker.services import explain, jobs, plan, results
from broker.services.job_spec import TASKS_PER_JOB_MAX
from broker.services.principals import WRITE
from broker.services.refusals import Invalid, NotFound
from db import events
from db.events import EventCursor
from db.repositories import jobs as rows
from db.repositories.paging import Page
from db.tables import Role, Task
from market.lifecycle import JobState, TaskState

LOGS_MAX = 1_000
LOG_LINES_MAX = 10_000

router = APIRouter(route_class=JsonRoute, prefix="/v1/jobs", tags=["jobs"])
Tenant = Annotated[Call, Depends(allow(WRITE, Role.OPERATOR, Role.TENANT))]
Pages = Annotated[Paging, Depends(paging)]


@router.post("", status_code=202, response_model=JobView)
async def create_job(request: Request, call: Tenant, body: JobRequest) -> Response:
    """Submit a job: the most that it may cost is held, the market looks at it at once."""
    submissions: Submissions = request.app.state.submissions
    return await submissions.put(call, body)


@router.post("/plan", response_model=PlanView)
def plan_job(call: Tenant, body: JobRequest) -> Response:
    """What submitting this would come to: who could serve it, at what price, how soon."""
    settings = call.platform.settings

    def work(session: Session) -> PlanView:
        made = plan.plan_job(
            session,
            account_id=call.principal.account_id,
            spec=read_spec(Names(session), call, body),
            now=call.now,
            mechanism=settings.mechanism,
            round_wait_ms=settings.round_interval_s * 1_000,
        )
        return PlanView.of(made)

    return reply(call.transaction(work))


@router.get("", response_model=JobPage)
def list_jobs(call: Reader, at: Pages, state: JobState | None = None, name: Label = "") -> Response:
    """One's own jobs; all for operators and viewers."""
    found = call.transaction(
        lambda session: rows.page(
            session,
            account_id=call.principal.view,
            state=state or "",
            name=name,
            after=at.after,
            limit=at.limit,
        )
    )
    return page(JobPage, found, JobView.of)


@router.get("/{job_id}", response_model=JobView)
def get_job(call: Reader, job_id: Key) -> Response:
    """One job with the counts of its tasks."""
    record = call.transaction(
        lambda session: jobs.show(session, job_id, account_id=call.principal.view)
    )
    return tagged(JobView.of(record), record.job.version)


@router.post("/{job_id}/cancel", status_code=202, response_model=JobView)
def cancel_job(call: Tenant, job_id: Key) -> Response:
    """Ask for the job's end. Work that runs is stopped; what was delivered is charged."""

    def work(session: Session) -> Answer:
        record = jobs.request_cancel(session, job_id, account_id=call.principal.view, now=call.now)
        return Answer(model=JobView.of(record), status=202)

    return once(call, work)


@router.get("/{job_id}/tasks", response_model=TaskPage)
def list_tasks(call: Reader, job_id: Key, at: Pages, state: TaskState | None = None) -> Response:
    """A job's tasks in the order of their index."""

    def work(session: Session) -> Page[Task]:
        _need(session, call, job_id)
        if at.after is not None and not at.after.id.isdecimal():
            raise Invalid("The cursor is of another list.", pointer="query:cursor")
        return rows.tasks(session, job_id, state=state or "", after=at.after, limit=at.limit)

    return page(TaskPage, call.transaction(work), TaskView.of)


@router.get(
    "/{job_id}/tasks/{index}/result",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {"schema": {}}}}},
)
def get_result(
    request: Request,
    call: Reader,
    job_id: Key,
    index: Annotated[int, Path(ge=0, lt=TASKS_PER_JOB_MAX)],
) -> Response:
    """The bytes that a task gave; ranges as with artifacts."""
    record = call.transaction(
        lambda session: results.show(session, job_id, index, account_id=call.principal.view)
    )
    return send_artifact(request, call.platform.store, record)


@router.get("/{job_id}/attempts", response_model=AttemptPage)
def list_attempts(call: Reader, job_id: Key, at: Pages) -> Response:
    """Every try of the job's tasks, newest first, with what it used."""

    def work(session: Session) -> Page[rows.AttemptRecord]:
        _need(session, call, job_id)
        return rows.attempts(session, job_id, after=at.after, limit=at.limit)

    return page(AttemptPage, call.transaction(work), AttemptView.of)


@router.get("/{job_id}/explain", response_model=ExplanationView)
def explain_job(call: Reader, job_id: Key) -> Response:
    """Why the job is where it is: rounds, candidates, what rules others out, the price to win."""

    def work(session: Session) -> ExplanationView:
        found = explain.explain_job(
            session,
            job_id,
            account_id=call.principal.view,
            now=call.now,
            mechanism=call.platform.settings.mechanism,
        )
        return ExplanationView.of(found)

    return reply(call.transaction(work))


@router.get("/{job_id}/logs", response_model=LogsView)
def get_logs(
    call: Reader,
    job_id: Key,
    task: Annotated[int | None, Query(ge=0, lt=TASKS_PER_JOB_MAX)] = None,
    tail: Annotated[int, Query(ge=0, le=LOG_LINES_MAX, description="Lines; 0: all.")] = 0,
) -> Response:
    """The end of each attempt's log."""

    def work(session: Session) -> list[rows.AttemptRecord]:
        _need(session, call, job_id)
        return rows.logs(session, job_id, task_index=task, limit=LOGS_MAX)

    found = call.transaction(work)
    return reply(LogsView(items=[LogView.of(record, lines=tail) for record in found]))


@router.get("/{job_id}/events", response_model=EventPage)
def list_job_events(
    call: Reader,
    job_id: Key,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """What happened to the job, oldest first; `cursor` is the id of the last event seen."""
    after = _event_cursor(cursor)

    def work(session: Session) -> list[events.EventRecord]:
        _need(session, call, job_id)
        return events.read_after(
            session,
            after,
            account_id=call.principal.view,
            subject_id=job_id,
            limit=limit + 1,
        )

    found = call.transaction(work)
    shown = [EventView.of(event) for event in found[:limit]]
    next_cursor = shown[-1].id if len(found) > limit else None
    return reply(EventPage(items=shown, next_cursor=next_cursor))


def _need(session: Session, call: Call, job_id: str) -> None:
    if not rows.visible(session, job_id, account_id=call.principal.view):
        raise NotFound("job", job_id)


def _event_cursor(text: str) -> EventCursor:
    try:
        return EventCursor.parse(text) if text else EventCursor(0, 0)
    except ValueError as error:
        raise Invalid(str(error), pointer="query:cursor") from error
