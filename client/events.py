"""Server-sent events: read, taken up again where they broke, and parsed.

The stream carries a comment every 15 s while nothing happens. A connection that is silent for
longer than the read timeout counts as broken; the next one starts after the last event seen
(``Last-Event-ID``), so nothing is missed and nothing comes twice.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .errors import ApiError, Unreachable
from .parsing import parse
from .resources import Event
from .transport import Transport

SILENCE_S_MAX = 40.0
FAILURES_IN_A_ROW_MAX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One event as it came; a comment has neither kind nor data."""

    id: str = ""
    kind: str = ""
    data: str = ""


def read_frames(lines: Iterable[str]) -> Iterator[Frame]:
    """Frames of an event stream (WHATWG HTML, section 9.2.6); a comment gives an empty one."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line:
            if "data" in fields:
                yield Frame(
                    id=fields.get("id", ""), kind=fields.get("event", ""), data=fields["data"]
                )
            fields = {}
        elif line.startswith(":"):
            yield Frame()
        else:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            fields[name] = f"{fields[name]}\n{value}" if name == "data" in fields else value


class Events:
    """What happens on the platform, as far as this key may see it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def follow(self, *, subject_id: str = "", after: str = "") -> Iterator[Event]:
        """Events from now on (or after the event id ``after``), without end.

        Raises ``Unreachable`` after several failures in a row and ``ApiError`` on a refusal.
        """
        failures = 0
        while True:
            try:
                for event in self.connect(subject_id=subject_id, after=after):
                    failures = 0
                    if event is not None:
                        after = event.id or after
                        yield event
            except (Unreachable, ApiError) as error:
                if isinstance(error, ApiError) and error.status < 500 and error.status != 429:
                    raise
                failures += 1
                if failures >= FAILURES_IN_A_ROW_MAX:
                    raise
            self._transport.pause(failures)

    def connect(
        self, *, subject_id: str = "", after: str = "", silence_s_max: float = SILENCE_S_MAX
    ) -> Iterator[Event | None]:
        """One connection: first None once it stands, then events, and None for each comment."""
        headers = {"Accept": "text/event-stream"}
        if after:
            headers["Last-Event-ID"] = after
        with self._transport.stream(
            "/v1/events",
            params={"subject_id": subject_id},
            headers=headers,
            read_timeout_s=silence_s_max,
        ) as response:
            yield None
            for frame in read_frames(response.iter_lines()):
                yield _event(frame)


def _event(frame: Frame) -> Event | None:
    """The event in ``frame``; None for a comment or for what is not one of ours."""
    if not frame.data:
        return None
    try:
        document: Any = json.loads(frame.data)
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    return parse(
        Event,
        {
            **document,
            "id": frame.id or str(document.get("id", "")),
            "kind": frame.kind or document.get("kind", ""),
        },
    )
