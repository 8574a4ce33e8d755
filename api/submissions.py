"""Writes submitted jobs, many in one transaction where many come at once.

The plain way is a transaction for each request. Those of one tenant then wait for each other's
commit, since a hold locks the balance, and all wait for each other's NOTIFY. Here a submission
that finds nothing under way is written at once; what arrives meanwhile is written together after
it. What is refused is refused by itself: the others of its batch go through. A balance that is kept
locked by somebody holds a batch up for the lock timeout; then each of it is written by itself.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
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
from db.errors import OutcomeUnknown, run_in_transaction
from db.idempotency import Claim, StoredAnswer
from db.ledger import InsufficientFunds
from db.repositories.jobs import JobRecord

BATCH_MAX = 64
TASKS_MAX = 100  # of a job that others wait for, and bytes; larger ones are written by themselves
BYTES_MAX = 65_536
log = structlog.get_logger(__name__)
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
    def account_id(self) -> str:
        return self.call.principal.account_id

    @property
    def key(self) -> tuple[str, str]:
        return self.account_id, self.call.idempotency_key

    def settle(self, answer: Response | Exception) -> None:
        """Give the answer, unless who asked has gone."""
        if self.answer.done():
            return
        if isinstance(answer, Response):
            self.answer.set_result(answer)
        else:
            self.answer.set_exception(answer)


class Submissions:
    """The submissions of one event loop; one batch is under way at a time."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._waiting: deque[Asked] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._alone: set[asyncio.Task[None]] = set()

    async def put(self, call: Call, body: JobRequest) -> Response:
        """The answer to a submission, once it is on record; raises what refuses it."""
        if body.task_count > TASKS_MAX or _bytes(call) > BYTES_MAX:
            return await run_in_threadpool(_alone, call, body)
        loop = asyncio.get_running_loop()
        asked = Asked(call=call, body=body, answer=loop.create_future())
        self._waiting.append(asked)
        if not self.busy:
            self._writing = loop.create_task(self._write_all(), name="submissions")
        return await asked.answer

    @property
    def busy(self) -> bool:
        """Whether a batch is under way."""
        return self._writing is not None and not self._writing.done()

    @property
    def waiting(self) -> int:
        """How many wait for the batch that is under way."""
        return len(self._waiting)

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
                if answer is None:
                    self._write_alone(asked)
                else:
                    asked.settle(answer)

    def _write_alone(self, asked: Asked) -> None:
        """Beside the batches, which it shall not hold up."""

        async def work() -> None:
            asked.settle(await run_in_threadpool(_answer, asked))

        task = asyncio.get_running_loop().create_task(work(), name="submission")
        self._alone.add(task)
        task.add_done_callback(self._alone.discard)

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

    def _write(self, batch: Sequence[Asked]) -> list[Response | Exception | None]:
        """Answer ``batch``; None for each that is to be written by itself."""
        try:
            return run_in_transaction(
                self._platform.sessions, lambda session: _together(session, batch), tries_max=1
            )
        except InsufficientFunds as short:
            if len(batch) == 1:
                return [short]
            return self._without(batch, short.account_id)
        except OutcomeUnknown as unknown:
            return [unknown] * len(batch)
        except Exception as error:
            log.info("jobs are written one by one", jobs=len(batch), why=repr(error)[:200])
            return [None] * len(batch)

    def _without(
        self, batch: Sequence[Asked], account_id: str
    ) -> list[Response | Exception | None]:
        """Write what is not the account's, which has too little for all that it asks for."""
        others = [asked for asked in batch if asked.account_id != account_id]
        answers = iter(self._write(others) if others else ())
        return [None if asked.account_id == account_id else next(answers) for asked in batch]


def _answer(asked: Asked) -> Response | Exception:
    try:
        return _alone(asked.call, asked.body)
    except Exception as error:
        return error


def _bytes(call: Call) -> int:
    """How large the request is; one that does not say counts as large."""
    said = call.request.headers.get("content-length", "")
    return int(said) if said.isdecimal() else BYTES_MAX + 1


def _alone(call: Call, body: JobRequest) -> Response:
    """Submit in a transaction of its own."""

    def work(session: Session) -> Answer:
        spec = read_spec(Names(session), call, body)
        record = jobs.submit(session, account_id=call.principal.account_id, spec=spec, now=call.now)
        return _accepted(record)

    return once(call, work)


def _together(session: Session, batch: Sequence[Asked]) -> list[Response | Exception | None]:
    """Submit all of ``batch``. Raises where one of them keeps the others from the record."""
    claims = idempotency.claim_all(session, [_claim(asked.call) for asked in batch])
    names = Names(session)
    found: list[Response | Exception | Submission] = [
        _repeated(asked.call, claim) or _submission(names, asked)
        for asked, claim in zip(batch, claims, strict=True)
    ]
    written = iter(jobs.submit_all(session, [s for s in found if isinstance(s, Submission)]))
    answers: list[Response | Exception | None] = []
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
    return Submission(account_id=asked.account_id, spec=spec, at=asked.call.now)


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
