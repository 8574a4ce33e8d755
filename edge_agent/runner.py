"""Runs an attempt from its order to its outcome: fetch, run in a child, meter, store the result."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from edge_agent.artifacts import ArtifactCache
from edge_agent.core import Outcome, Work
from edge_agent.digests import digest_of
from edge_agent.executors.job import Finish, Job
from edge_agent.executors.metering import PowerModel, usage
from edge_agent.executors.pool import Pool
from edge_agent.wire.messages import LOG_TAIL_BYTES_MAX, RESULT_INLINE_BYTES_MAX

RUN_MS_MAX = 7 * 24 * 3_600_000


class Events(Protocol):
    """Who is told how attempts go."""

    def started(self, attempt: str, fence: int) -> None:
        """The attempt's own code runs."""

    def ended(self, attempt: str, fence: int, outcome: Outcome) -> None:
        """The attempt is over."""


class Runner:
    """All attempts that run on this node."""

    def __init__(
        self,
        *,
        pool: Pool,
        cache: ArtifactCache,
        model: PowerModel,
        events: Events,
        now: Callable[[], int],
    ) -> None:
        self.pool, self.cache = pool, cache
        self.model, self.events, self.now = model, events, now
        self._runs: dict[tuple[str, int], _Run] = {}

    def start(self, work: Work) -> None:
        """Begin; ``Events`` hears of the start and of the end."""
        run = _Run(self, work)
        self._runs[work.attempt, work.fence] = run
        run.begin()

    def stop(self, attempt: str, fence: int) -> None:
        """End it; ``Events`` hears of the end all the same."""
        if (run := self._runs.get((attempt, fence))) is not None:
            run.stop()

    def forget(self, work: Work) -> None:
        """The attempt is over."""
        self._runs.pop((work.attempt, work.fence), None)

    def __len__(self) -> int:
        return len(self._runs)


class _Run:
    """One attempt on its way; also the pool's listener."""

    def __init__(self, runner: Runner, work: Work) -> None:
        self._runner, self._work = runner, work
        self._files: dict[str, Path] = {}
        self._needs = {_artifact(work), work.order.input_digest} - {""}
        self._stopped = False
        self._in_child = False
        self._finish: Finish | None = None

    @property
    def job_id(self) -> str:
        return f"{self._work.attempt}#{self._work.fence}"

    def begin(self) -> None:
        grant = self._work.assign.grant
        for digest in sorted(self._needs):
            self._runner.cache.get(digest, grant, _Arrival(self, digest))

    def arrived(self, digest: str, path: Path | None, error: str) -> None:
        if path is not None:
            self._files[digest] = path
        elif not self._stopped:
            self._end(Outcome(state="failed", reason="artifact", detail=error))
            return
        if self._stopped:
            self._release()
        elif self._files.keys() == self._needs:
            self._run()

    def stop(self) -> None:
        if self._in_child and self._runner.pool.stop(self.job_id):
            return  # the child's end is reported by the pool
        if not self._stopped:
            self._end(Outcome(state="cancelled", reason="cancelled_by_user"))

    def started(self) -> None:
        self._runner.events.started(self._work.attempt, self._work.fence)

    def finished(self, finish: Finish, result: bytes) -> None:
        self._finish = finish
        self._in_child = False
        if finish.reason != "ok":
            self._end(self._outcome(finish))
        elif len(result) <= RESULT_INLINE_BYTES_MAX:
            self._end(
                self._outcome(
                    finish,
                    digest=digest_of(result),
                    inline=base64.b64encode(result).decode(),
                    size=len(result),
                )
            )
        else:
            self._runner.cache.put(
                result, self._work.assign.grant, lambda d, e: self._stored(d, e, len(result))
            )

    def _stored(self, digest: str, error: str, size: int) -> None:
        finish = self._finish
        assert finish is not None
        if self._stopped:
            return
        if error:
            detail = f"the result could not be stored: {error}"
            self._end(self._outcome(replace(finish, reason="artifact", detail=detail)))
        else:
            self._end(self._outcome(finish, digest=digest, size=size))

    def _run(self) -> None:
        order = self._work.order
        try:
            given = base64.b64decode(order.input_base64, validate=True)
        except binascii.Error as error:
            detail = f"the input is not base64: {error}"
            self._end(Outcome(state="failed", reason="invalid_input", detail=detail))
            return
        self._in_child = True
        self._runner.pool.run(self._job(), given, self)

    def _job(self) -> Job:
        assign, order = self._work.assign, self._work.order
        wasm, onnx = assign.wasm, assign.onnx
        digest = _artifact(self._work)
        lease_ms = assign.lease_ends_at - self._runner.now()
        run_ms = min(assign.max_run_ms or RUN_MS_MAX, RUN_MS_MAX, max(lease_ms, 1))
        return Job(
            id=self.job_id,
            kind=assign.kind,
            artifact_path=str(self._files[digest]),
            artifact_digest=digest,
            memory_bytes=assign.memory_bytes,
            run_ms=run_ms,
            output_bytes_max=assign.output_bytes_max,
            input_path=str(self._files[order.input_digest]) if order.input_digest else "",
            args=order.args,
            env=dict(wasm.env) if wasm else {},
            fuel_max=wasm.fuel_max if wasm else 0,
            threads=max(min(onnx.threads, self._runner.model.cores), 1) if onnx else 1,
            input_encoding=order.input_encoding,
            output_encoding=onnx.output_encoding if onnx else "json",
        )

    def _outcome(
        self, finish: Finish, *, digest: str = "", inline: str = "", size: int = 0
    ) -> Outcome:
        return Outcome(
            state="succeeded" if finish.reason == "ok" else "failed",
            reason=finish.reason,
            detail=finish.detail,
            exit_code=finish.exit_code,
            result_digest=digest,
            result_base64=inline,
            result_bytes=size,
            log_tail=finish.log_tail[-LOG_TAIL_BYTES_MAX:],
            usage=usage(
                finish,
                model=self._runner.model,
                cpu_millis=self._work.assign.cpu_millis,
                bytes_out=size,
            ),
        )

    def _end(self, outcome: Outcome) -> None:
        if self._stopped:
            return
        self._stopped = True
        self._release()
        self._runner.forget(self._work)
        self._runner.events.ended(self._work.attempt, self._work.fence, outcome)

    def _release(self) -> None:
        for digest in self._files:
            self._runner.cache.release(digest)
        self._files.clear()


@dataclass(frozen=True, slots=True)
class _Arrival:
    run: _Run
    digest: str

    def __call__(self, path: Path | None, error: str) -> None:
        self.run.arrived(self.digest, path, error)


def _artifact(work: Work) -> str:
    assign = work.assign
    if assign.kind == "wasm":
        return assign.wasm.module_digest if assign.wasm else ""
    return assign.onnx.model_digest if assign.onnx else ""
