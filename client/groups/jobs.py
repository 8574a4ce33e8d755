"""Jobs, from the plan to the result; and leases."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import ApiError, SoukError, Unreachable, WaitTimeout
from ..events import Events
from ..pages import items_of, iterate
from ..parsing import parse
from ..requests import JobRequest
from ..resources import (
    Attempt,
    Event,
    Explanation,
    Job,
    JobPlan,
    Lease,
    LogTail,
    Task,
)
from ..transport import Transport

# An event may fall between the first look and the subscription; so the first silence that we
# accept without looking again is short, and grows while nothing happens.
FIRST_SILENCE_S = 0.5
LONGEST_SILENCE_S = 20.0


class Jobs:
    """What a tenant submits."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._events = Events(transport)

    def submit(self, request: JobRequest | Mapping[str, Any]) -> Job:
        """Submit once, whatever is resent underneath.

        Raises ``InsufficientFunds`` when the purse does not cover the hold, ``Unserviceable`` when
        no node could ever run it, ``InvalidRequest`` when the request contradicts itself.
        """
        return parse(Job, self._transport.create("/v1/jobs", _body(request)))

    def plan(self, request: JobRequest | Mapping[str, Any]) -> JobPlan:
        """What would become of the job, at what price and how soon; submits nothing."""
        return parse(JobPlan, self._transport.json("POST", "/v1/jobs/plan", body=_body(request)))

    def list(
        self, *, state: str | None = None, name: str | None = None, limit: int | None = None
    ) -> Iterator[Job]:
        return iterate(self._transport, "/v1/jobs", Job, limit=limit, state=state, name=name)

    def get(self, job_id: str) -> Job:
        return parse(Job, self._transport.get(f"/v1/jobs/{job_id}"))

    def tasks(
        self, job_id: str, *, state: str | None = None, limit: int | None = None
    ) -> Iterator[Task]:
        path = f"/v1/jobs/{job_id}/tasks"
        return iterate(self._transport, path, Task, limit=limit, state=state)

    def attempts(self, job_id: str, *, limit: int | None = None) -> Iterator[Attempt]:
        return iterate(self._transport, f"/v1/jobs/{job_id}/attempts", Attempt, limit=limit)

    def result(self, job_id: str, index: int = 0) -> bytes:
        """What task ``index`` wrote; raises ``NotFound`` until it has succeeded."""
        return self._transport.send("GET", f"/v1/jobs/{job_id}/tasks/{index}/result").content

    def explain(self, job_id: str) -> Explanation:
        """Why the job is where it is."""
        return parse(Explanation, self._transport.get(f"/v1/jobs/{job_id}/explain"))

    def cancel(self, job_id: str) -> Job:
        """Ask for its end; what was delivered until then is paid."""
        return parse(Job, self._transport.json("POST", f"/v1/jobs/{job_id}/cancel"))

    def logs(
        self, job_id: str, *, task: int | None = None, tail: int | None = None
    ) -> Sequence[LogTail]:
        path = f"/v1/jobs/{job_id}/logs"
        page = self._transport.get(path, task=task, tail=tail)
        return [parse(LogTail, item) for item in items_of(page, path)]

    def events(self, job_id: str) -> Iterator[Event]:
        """What has happened to the job so far."""
        return iterate(self._transport, f"/v1/jobs/{job_id}/events", Event)

    def wait(
        self,
        job_id: str,
        *,
        timeout_s: float | None = None,
        on_change: Callable[[Job], None] | None = None,
    ) -> Job:
        """Return the job once it has ended, well or badly.

        Listens to events, and asks now and then where events are not to be had. ``on_change``
        is called with each version of the job that is seen. Raises ``WaitTimeout`` after
        ``timeout_s``; the job goes on.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        seen: Job | None = None
        for _ in self._nudges(job_id, deadline):
            job = self.get(job_id)
            if on_change is not None and job != seen:
                on_change(job)
            seen = job
            if job.ended:
                return job
            if deadline is not None and time.monotonic() >= deadline:
                break
        raise WaitTimeout(f"{job_id} has not ended within {timeout_s:g} s; it goes on")

    def _nudges(self, job_id: str, deadline: float | None) -> Iterator[None]:
        """Yield whenever it is worth looking at the job again, at the latest at ``deadline``."""
        after, silence_s, failures = "", FIRST_SILENCE_S, 0
        while True:
            patience_s, began = min(silence_s, _left_s(deadline)), time.monotonic()
            try:
                for event in self._events.connect(
                    subject_id=job_id, after=after, silence_s_max=patience_s
                ):
                    if event is not None:
                        after, silence_s = event.id or after, FIRST_SILENCE_S
                    yield None
            except (Unreachable, ApiError) as error:
                _raise_if_final(error)
            yield None
            silence_s = min(silence_s * 2, LONGEST_SILENCE_S)
            if time.monotonic() - began >= patience_s:
                failures = 0  # silence, not an outage
            else:
                self._transport.pause(failures)
                failures += 1


class Leases:
    """Rights to capacity, made by rounds."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        state: str | None = None,
        job_id: str | None = None,
        node_id: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Lease]:
        return iterate(
            self._transport,
            "/v1/leases",
            Lease,
            limit=limit,
            state=state,
            job_id=job_id,
            node_id=node_id,
        )

    def get(self, lease_id: str) -> Lease:
        return parse(Lease, self._transport.get(f"/v1/leases/{lease_id}"))


def _body(request: JobRequest | Mapping[str, Any]) -> Mapping[str, Any]:
    return request.body() if isinstance(request, JobRequest) else request


def _left_s(deadline: float | None) -> float:
    return LONGEST_SILENCE_S if deadline is None else max(deadline - time.monotonic(), 0.01)


def _raise_if_final(error: SoukError) -> None:
    """A refusal to this key is final; silence and outages are not."""
    if isinstance(error, ApiError) and error.status in (401, 403):
        raise error
