"""One task as a child sees it, and what the child says of its end."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

Kind = Literal["wasm", "onnx"]


class TaskFailure(Exception):
    """The task ended badly for a cause on the closed list; the text is for people."""

    def __init__(self, reason: str, detail: str, *, exit_code: int | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A task with its files in place; the input itself travels behind it."""

    id: str
    kind: Kind
    artifact_path: str
    artifact_digest: str
    memory_bytes: int
    run_ms: int
    output_bytes_max: int
    input_path: str = ""  # empty: the input follows in the frame
    args: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    fuel_max: int = 0
    threads: int = 1
    input_encoding: str = "json"
    output_encoding: str = "json"

    def header(self) -> dict[str, Any]:
        """The frame's header."""
        return asdict(self)

    @staticmethod
    def parse(header: dict[str, Any]) -> "Job":
        """The job in a header that the agent wrote."""
        values = {f.name: header[f.name] for f in fields(Job)}
        return Job(**values | {"args": tuple(values["args"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """How a task ended in the child, with what it used."""

    reason: str  # "ok" when it succeeded
    detail: str = ""
    exit_code: int | None = None
    log_tail: str = ""
    wall_us: int = 0
    cpu_us: int = 0
    memory_peak_bytes: int = 0
    bytes_in: int = 0

    def header(self) -> dict[str, Any]:
        """The frame's header."""
        return {"finish": asdict(self)}

    @staticmethod
    def parse(header: dict[str, Any]) -> "Finish":
        """The finish in a child's header.

        Raises:
            ValueError: a field is missing or of the wrong type.
        """
        raw = header.get("finish")
        if not isinstance(raw, dict):
            raise ValueError("no finish in it")
        for f in fields(Finish):
            expected = (int, type(None)) if f.name == "exit_code" else (f.type,)
            if f.name not in raw or not isinstance(raw[f.name], expected):  # type: ignore[arg-type]
                raise ValueError(f"{f.name} is missing or of the wrong type")
        return Finish(**{f.name: raw[f.name] for f in fields(Finish)})
