"""Runs single jobs in real children, one after the other, and waits for their end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_agent.digests import digest_of
from edge_agent.executors.job import Finish, Job
from edge_agent.executors.pool import Pool
from edge_agent.executors.process import Workplace
from edge_agent.loop import Loop

DEADLINE_S = 60.0


@dataclass
class Ending:
    """A pool's listener that keeps what it hears."""

    starts: int = 0
    heard: list[tuple[Finish, bytes]] = field(default_factory=list)

    def started(self) -> None:
        self.starts += 1

    def finished(self, finish: Finish, result: bytes) -> None:
        self.heard.append((finish, result))


class Bench:
    """A pool with its loop and folders."""

    def __init__(self, folder: Path, *, idle_s: float = 60.0, children_max: int = 8) -> None:
        for name in ("compiled", "scratch", "artifacts"):
            (folder / name).mkdir()
        self.folder = folder
        self.loop = Loop()
        place = Workplace(compiled=folder / "compiled", scratch=folder / "scratch")
        self.pool = Pool(self.loop, place, idle_s=idle_s, children_max=children_max)
        self._count = 0

    def job(self, kind: Any, artifact: bytes, **changes: Any) -> Job:
        """A job that runs ``artifact``."""
        self._count += 1
        digest = digest_of(artifact)
        path = self.folder / "artifacts" / digest.removeprefix("sha256:")
        path.write_bytes(artifact)
        values: dict[str, Any] = {
            "id": f"job-{self._count}",
            "kind": kind,
            "artifact_path": str(path),
            "artifact_digest": digest,
            "memory_bytes": 64 << 20,
            "run_ms": 10_000,
            "output_bytes_max": 1 << 20,
        }
        return Job(**values | changes)

    def start(self, job: Job, given: bytes = b"") -> Ending:
        ending = Ending()
        self.pool.run(job, given, ending)
        return ending

    def wait(self, ending: Ending, *, for_start: bool = False) -> None:
        """Turn the loop until the job has ended (or started)."""
        deadline = time.monotonic() + DEADLINE_S
        while not (ending.starts if for_start else ending.heard):
            assert time.monotonic() < deadline, "the job did not end in time"
            self.turn()

    def turn(self) -> None:
        wake = self.pool.next_wake()
        self.loop.run_once(0.05 if wake is None else min(max(wake - time.monotonic(), 0), 0.05))
        self.pool.tick()

    def run(self, job: Job, given: bytes = b"") -> tuple[Finish, bytes]:
        ending = self.start(job, given)
        self.wait(ending)
        assert len(ending.heard) == 1
        return ending.heard[0]

    def close(self) -> None:
        """Kill the children and see them gone."""
        pids = self.pool.pids
        self.pool.close()
        self.loop.close()
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


@contextmanager
def bench(folder: Path, *, idle_s: float = 60.0, children_max: int = 8) -> Iterator[Bench]:
    """A bench that leaves nothing behind."""
    made = Bench(folder, idle_s=idle_s, children_max=children_max)
    try:
        yield made
    finally:
        made.close()
