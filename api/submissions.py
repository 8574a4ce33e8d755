"""Writes submitted jobs, many in one transaction where many come at once.

The plain way is a transaction for each request. Those of one tenant then wait for each other's
commit, since a hold locks the balance, and all wait for each other's NOTIFY. Here a submission
that finds nothing under way is written at once; what arrives meanwhile is written together after
it. What is refused is refused by itself: the others of its batch go through.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Response
from prometheus_client import Histogram
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from api.answers import Answer, given, once, render
from api.caller import Call
from api.platform import Platform
from api.routes.job_specs import Names, read_spec
from api.schemas.job_requests import JobRequest
from api.schemas.jobs import JobView
from broker.services import jobs
from broker.services.jobs import Submission
from broker.services.refusals import Refusal
from db import idempotency
from db.errors import OutcomeUnknown
from db.idempotency import Claim, StoredAnswer
from db.ledger import InsufficientFunds
from db.repositories.jobs import JobRecord

BATCH_MAX = 64
TASKS_MAX = 100  # of a job that others wait for, and bytes; larger ones are written by themselves
BYTES_MAX = 65_536
BATCH = Histogram(
    "souk_api_submissions", "Jobs written in one transaction", buckets=(1, 2, 4, 8, 16, 32, 64)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that waits for its answer."""

    call: Call
    body: JobRequest
    answer: "asyncio.Future[Response]"

    @property
    def key(self) -> tuple[str, str]:
        return self.call.principal.account_id, self.call.idempotency_key


class Submissions:
    """The submissions of one event loop; one batch is under way at a time."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._waiting: deque[Asked] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def put(self, call: Call, body: JobRequest) -> Response:
        """The answer to a submission, once it is on record; raises what refuses it."""
        if body.task_count > TASKS_MAX or _bytes(call) > BYTES_MAX:
            return await run_in_threadpool(_alone, call, body)
        loop = asyncio.get_running_loop()
        asked = Asked(call=call, body=body, answer=loop.create_future())
        self._waiting.append(asked)
        if self._writing is None or self._writing.done():
            self._writing = loop.create_task(self._write_all(), name="submissions")
        return await asked.answer

    async def _write_all(self) -> None:
        while self._waiting:
            batch = self._take()
            BATCH.observe(len(batch))
            try:
                found = await run_in_threadpool(self._write, batch)
            except BaseException:
                for asked in (*batch, *self._waiting):
                    asked.answer.cancel()
                self._waiting.clear()
                raise
            for asked, answer in zip(batch, found, strict=True):
                if asked.answer.done():  # who asked has gone
                    continue
                if isinstance(answer, Response):
                    asked.answer.set_result(answer)
                else:
                    asked.answer.set_exception(answer)

    def _take(self) -> list[Asked]:
        """The next batch, in which no Idempotency-Key is twice: the later one is a repetition."""
        batch: list[Asked] = []
        keys: set[tuple[str, str]] = set()
        while self._waiting and len(batch) < BATCH_MAX:
            asked = self._waiting[0]
            if asked.call.idempotency_key and asked.key in keys:
                break
            keys.add(asked.key)
            batch.append(self._waiting.popleft())
        return batch

    def _write(self, batch: Sequence[Asked]) -> list[Response | Exception]:
        """Answer each of ``batch``: together, or one by one where they cannot be."""
        if len(batch) > 1:
            try:
                return self._platform.transaction(lambda session: _together(session, batch))
            except InsufficientFunds as short:
                return self._without(batch, short.account_id)
            except OutcomeUnknown as unknown:
                return [unknown] * len(batch)
            except Exception:  # noqa: S110 - each hears of its own below
                pass
        return [_answer(asked) for asked in batch]

    def _without(self, batch: Sequence[Asked], account_id: str) -> list[Response | Exception]:
        """Write what is not the account's, which has too little for all that it asks for."""
        others = [asked for asked in batch if asked.call.principal.account_id != account_id]
        answers = iter(self._write(others))
        return [
            _answer(asked) if asked.call.principal.account_id == account_id else next(answers)
            for asked in batch
        ]


def _bytes(call: Call) -> int:
    """How large the request is; one that does not say counts as large."""
    said = call.request.headers.get("content-length", "")
    return int(said) if said.isdecimal() else BYTES_MAX + 1


def _answer(asked: Asked) -> Response | Exception:
    try:
        return _alone(asked.call, asked.body)
    except Exception as error:
        return error


def _alone(call: Call, body: JobRequest) -> Response:
    """Submit in a transaction of its own."""

    def work(session: Session) -> Answer:
        spec = read_spec(Names(session), call, body)
        record = jobs.submit(session, account_id=call.principal.account_id, spec=spec, now=call.now)
        return _accepted(record)

    return once(call, work)


def _together(session: Session, batch: Sequence[Asked]) -> list[Response | Exception]:
    """Submit all of ``batch``. Raises where one of them keeps the others from the record."""
    claims = idempotency.claim_all(session, [_claim(asked.call) for asked in batch])
    names = Names(session)
    found: list[Response | Exception | Submission] = [
        _repeated(asked.call, claim) or _submission(names, asked)
        for asked, claim in zip(batch, claims, strict=True)
    ]
    written = iter(jobs.submit_all(session, [s for s in found if isinstance(s, Submission)]))
    answers: list[Response | Exception] = []
    stored: list[tuple[Claim, StoredAnswer]] = []
    for asked, each in zip(batch, found, strict=True):
        outcome = next(written) if isinstance(each, Submission) else each
        if not isinstance(outcome, JobRecord):
            answers.append(outcome)
            continue
        answer = render(asked.call, _accepted(outcome))
        if asked.call.idempotency_key:
            stored.append((_claim(asked.call), answer))
        answers.append(given(asked.call, answer, replayed=False))
    idempotency.store_all(session, stored, now=batch[0].call.now)
    return answers


def _submission(names: Names, asked: Asked) -> Submission | Refusal:
    try:
        spec = read_spec(names, asked.call, asked.body)
    except Refusal as refusal:
        return refusal
    return Submission(account_id=asked.call.principal.account_id, spec=spec, at=asked.call.now)


def _repeated(call: Call, found: idempotency.Found) -> Response | Exception | None:
    """What a key that was used before gives; None: the work is still to be done."""
    return given(call, found, replayed=True) if isinstance(found, StoredAnswer) else found


def _claim(call: Call) -> Claim:
    return Claim(
        account_id=call.principal.account_id,
        key=call.idempotency_key,
        request_hash=call.request_hash,
    )


def _accepted(record: JobRecord) -> Answer:
    headers = {"Location": f"/v1/jobs/{record.job.id}"}
    return Answer(model=JobView.of(record), status=202, headers=headers)
