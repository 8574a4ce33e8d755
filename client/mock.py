"""A platform in memory for tests of programs that use this client: an ``httpx`` transport.

It answers the way the API does (problem documents, pages, idempotent creation), runs no work and
keeps no books: a job ends when the test says so.

::

    platform = MockPlatform()
    with Client("http://souk.test", transport=platform.transport) as souk:
        job = souk.jobs.submit(...)
        platform.finish(job.id, results=[b"42"])
        assert souk.jobs.wait(job.id).succeeded
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx

Answer = httpx.Response | Callable[[httpx.Request], httpx.Response]
_AT = "2026-01-01T00:00:00Z"
_PATH = re.compile(r"^/v1/(?P<kind>[a-z]+)(?:/(?P<id>[^/]+))?(?:/(?P<rest>.+))?$")
_LISTS = frozenset({"accounts", "keys", "tokens", "cells", "nodes", "offers", "models", "leases"})
_PREFIXES = {"accounts": "acct", "keys": "key", "tokens": "token", "cells": "cell"}


class MockPlatform:
    """Holds resources as JSON objects by kind and id; ``requests`` records what was asked."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.resources: dict[str, dict[str, dict[str, Any]]] = {}
        self.artifacts: dict[str, bytes] = {}
        self.events: list[dict[str, Any]] = []
        self._results: dict[str, Sequence[bytes]] = {}
        self._replies: dict[str, httpx.Response] = {}
        self._next: dict[tuple[str, str], list[Answer]] = {}

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.handle)

    def answer_next(self, method: str, path: str, *answers: Answer) -> None:
        """Give these answers, in order, to the next such requests before the usual ones."""
        self._next.setdefault((method, path), []).extend(answers)

    def add(self, kind: str, document: Mapping[str, Any]) -> None:
        """Put a resource there, for example ``add("nodes", {"id": "node_1", …})``."""
        self.resources.setdefault(kind, {})[str(document["id"])] = dict(document)

    def finish(
        self, job_id: str, *, state: str = "succeeded", results: Sequence[bytes] = ()
    ) -> None:
        """End a job, with one result a task, and say so in the event stream."""
        job = self.resources["jobs"][job_id]
        count = job["task_count"]
        ended = "succeeded" if state == "succeeded" else "failed"
        job |= {"state": state, "ended_at": _AT, "version": job["version"] + 1}
        job["tasks"] = {**job["tasks"], "queued": 0, ended: count}
        self._results[job_id] = results
        self.emit(f"job.{state}", job_id)

    def emit(self, kind: str, subject_id: str, **data: Any) -> None:
        """Add an event."""
        number = str(len(self.events) + 1)
        event = {"id": number, "at": _AT, "kind": kind, "subject_id": subject_id, "data": data}
        self.events.append(event)

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        request.read()
        self.requests.append(request)
        waiting = self._next.get((request.method, request.url.path))
        if waiting:
            answer = waiting.pop(0)
            return answer(request) if callable(answer) else answer
        key = request.headers.get("Idempotency-Key")
        if key and key in self._replies:
            return self._replies[key]
        response = self._route(request)
        if key and response.is_success:
            self._replies[key] = response
        return response

    def _route(self, request: httpx.Request) -> httpx.Response:
        match = _PATH.match(request.url.path)
        if match is None:
            return problem(404, code="not_found", detail=f"there is no {request.url.path}")
        kind, identifier, rest = match["kind"], match["id"], match["rest"]
        if kind == "artifacts" and identifier:
            return self._artifact(request, identifier)
        if kind == "events":
            return self._stream(request)
        if kind == "jobs":
            return self._jobs(request, identifier, rest)
        if kind in _LISTS and rest is None:
            return self._plain(request, kind, identifier)
        return problem(404, code="not_found", detail=f"there is no {request.url.path}")

    def _plain(self, request: httpx.Request, kind: str, identifier: str | None) -> httpx.Response:
        held = self.resources.setdefault(kind, {})
        if identifier is None and request.method == "POST":
            document = {"id": f"{_PREFIXES.get(kind, kind)}_{len(held) + 1}", "created_at": _AT}
            document |= json.loads(request.content)
            held[document["id"]] = document
            return httpx.Response(201, json=document)
        if identifier is None:
            return _page(request, list(held.values()))
        if identifier not in held:
            return problem(404, code="not_found", detail=f"there is no {identifier}")
        if request.method == "PATCH":
            held[identifier] |= json.loads(request.content)
        return httpx.Response(200, json=held[identifier])

    def _artifact(self, request: httpx.Request, digest: str) -> httpx.Response:
        if request.method == "PUT":
            found = f"sha256:{hashlib.sha256(request.content).hexdigest()}"
            if found != digest:
                return problem(422, code="digest_mismatch", detail=f"the bytes are {found}")
            self.artifacts[digest] = request.content
            size = len(request.content)
            return httpx.Response(201, json={"digest": digest, "size_bytes": size})
        if digest not in self.artifacts:
            return problem(404, code="not_found", detail=f"there is no {digest}")
        data = self.artifacts[digest]
        if start := re.match(r"bytes=(\d+)-", request.headers.get("Range", "")):
            return httpx.Response(206, content=data[int(start[1]) :])
        return httpx.Response(200, content=data)

    def _jobs(
        self, request: httpx.Request, identifier: str | None, rest: str | None
    ) -> httpx.Response:
        held = self.resources.setdefault("jobs", {})
        if identifier is None and request.method == "POST":
            job = _job(f"job_{len(held) + 1}", json.loads(request.content))
            held[job["id"]] = job
            return httpx.Response(202, json=job, headers={"Location": f"/v1/jobs/{job['id']}"})
        if identifier is None:
            return _page(request, [*reversed(held.values())])
        if identifier not in held:
            return problem(404, code="not_found", detail=f"there is no job {identifier}")
        if rest == "cancel":
            self.finish(identifier, state="cancelled")
            return httpx.Response(202, json=held[identifier])
        if result := re.match(r"tasks/(\d+)/result$", rest or ""):
            return self._result(identifier, int(result[1]))
        if rest in ("tasks", "attempts"):
            return _page(request, self._tasks(identifier) if rest == "tasks" else [])
        if rest:
            return problem(404, code="not_found", detail=f"there is no {request.url.path}")
        return httpx.Response(200, json=held[identifier])

    def _tasks(self, job_id: str) -> list[dict[str, Any]]:
        job = self.resources["jobs"][job_id]
        results = self._results.get(job_id, ())
        return [
            {
                "index": index,
                "state": "succeeded" if index < len(results) else job["state"],
                "attempts": int(job["state"] != "queued"),
            }
            for index in range(job["task_count"])
        ]

    def _result(self, job_id: str, index: int) -> httpx.Response:
        results = self._results.get(job_id, ())
        if index >= len(results):
            return problem(404, code="no_result", detail=f"task {index} has no result")
        return httpx.Response(200, content=results[index])

    def _stream(self, request: httpx.Request) -> httpx.Response:
        after = int(request.headers.get("Last-Event-ID") or 0)
        subject = request.url.params.get("subject_id")
        frames = [
            f"id: {event['id']}\nevent: {event['kind']}\ndata: {json.dumps(event)}\n\n"
            for event in self.events
            if int(event["id"]) > after and subject in (None, event["subject_id"])
        ]
        return httpx.Response(
            200, text=": hello\n\n" + "".join(frames), headers={"Content-Type": "text/event-stream"}
        )


def problem(status: int, *, code: str, detail: str, **more: Any) -> httpx.Response:
    """A problem document as the API answers with."""
    document = {"type": f"/problems/{code}", "status": status, "code": code, "detail": detail}
    headers = {"Content-Type": "application/problem+json"}
    return httpx.Response(status, content=json.dumps(document | more).encode(), headers=headers)


def _page(request: httpx.Request, items: list[dict[str, Any]]) -> httpx.Response:
    limit = int(request.url.params.get("limit", 50))
    start = int(request.url.params.get("cursor", 0))
    for name in ("name", "state", "cell_id", "node_id"):
        if wanted := request.url.params.get(name):
            items = [item for item in items if item.get(name) == wanted]
    after = start + limit
    cursor = str(after) if after < len(items) else None
    return httpx.Response(200, json={"items": items[start:after], "next_cursor": cursor})


def _job(identifier: str, body: dict[str, Any]) -> dict[str, Any]:
    count = body["array"]["count"] if "array" in body else len(body.get("tasks", []))
    return {
        "id": identifier,
        "name": body.get("name", ""),
        "kind": body.get("kind", ""),
        "state": "queued",
        "task_count": count,
        "tasks": {"queued": count, "placed": 0, "succeeded": 0, "failed": 0, "cancelled": 0},
        "limit_price_micros_per_hour": body.get("limit_price_micros_per_hour", 0),
        "spec": body,
        "created_at": _AT,
        "version": 1,
    }
