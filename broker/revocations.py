"""Tells the MQTT server which nodes are revoked, by a file that it follows.

The database says who is revoked; ingest refuses what such a node sends from that moment on. The
file makes the MQTT server cut it off as well. It is written only where our own server keeps its
files in the same home.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from db.control.revocations import revoked_nodes
from db.engine import SessionFactory

log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class RevokedList:
    """Keeps ``path`` equal to the revoked nodes, one id a line."""

    sessions: SessionFactory
    path: Path
    clock: Callable[[], datetime]

    def run(self) -> None:
        """Write the list if it has changed; the file is replaced in one step."""
        if not self.path.parent.is_dir():
            return
        with self.sessions() as session:
            text = "".join(f"{node}\n" for node in revoked_nodes(session, now=self.clock()))
        try:
            self._write_if_changed(text)
        except OSError as error:  # a full disk; ingest refuses these nodes all the same
            log.warning("list of revoked nodes not written", error=str(error))

    def _write_if_changed(self, text: str) -> None:
        if text != self._written():
            temporary = self.path.with_suffix(".new")
            temporary.write_text(text)
            temporary.replace(self.path)

    def _written(self) -> str:
        try:
            return self.path.read_text()
        except FileNotFoundError:
            return ""
