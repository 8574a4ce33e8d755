"""The state directory: the node's identity, its key and certificates, one agent at a time."""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge_agent.exits import AgentError, Exit

FIELDS = ("node_id", "server", "mqtt_url", "artifacts_url", "renew_after", "expires_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What the server said when it admitted the node; times are RFC 3339."""

    node_id: str
    server: str  # https://host:port of the API
    mqtt_url: str
    artifacts_url: str
    renew_after: str
    expires_at: str

    def renew_after_ms(self) -> int:
        """When to ask for a new certificate, Unix milliseconds."""
        return _unix_ms(self.renew_after)

    def expires_at_ms(self) -> int:
        """When the certificate ends, Unix milliseconds."""
        return _unix_ms(self.expires_at)


def _unix_ms(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


class StateDir:
    """Paths and files of one agent; everything in it is for its owner alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # One file, so that no crash can leave a key beside another key's certificate.
        self.credentials = path / "credentials.pem"
        self.ca = path / "ca.pem"
        self.identity = path / "identity.json"
        self.journal = path / "journal.sqlite"
        self.status = path / "status.json"
        self.calibration = path / "calibration.json"
        self.artifacts = path / "artifacts"
        self.compiled = path / "compiled"
        self.scratch = path / "scratch"
        self._lock = path / "lock"

    def make(self) -> None:
        """Create the folders.

        Raises:
            AgentError: it cannot be made or written.
        """
        try:
            for folder in (self.path, self.artifacts, self.compiled, self.scratch):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(self.path, os.W_OK):
                raise PermissionError(13, "it is not writable")
        except OSError as error:
            raise AgentError(
                Exit.STATE_DIR, f"state directory {self.path}: {error.strerror}"
            ) from None

    def enrolment(self) -> Enrolment | None:
        """The node's identity; None before enrolment.

        Raises:
            AgentError: the file is damaged.
        """
        try:
            raw = json.loads(self.identity.read_text(encoding="utf-8"))
            return Enrolment(**{name: str(raw[name]) for name in FIELDS})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise AgentError(
                Exit.STATE_DIR,
                f"{self.identity} cannot be read ({error}); enrol again with --force",
            ) from None

    def save(self, enrolment: Enrolment, *, key: str, certificate: str, ca: str) -> None:
        """Write CA, credentials and identity, each whole or not at all, the identity last."""
        write_private(self.ca, ca)
        write_private(self.credentials, certificate.rstrip() + "\n" + key)
        write_private(self.identity, json.dumps(asdict(enrolment), indent=2) + "\n")

    def lock(self) -> int:
        """Hold the directory for this process; released when the process ends.

        Raises:
            AgentError: another agent holds it.
        """
        handle = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise AgentError(
                Exit.ALREADY_RUNNING, f"another agent runs with state directory {self.path}"
            ) from None
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        return handle

    def holder(self) -> int | None:
        """The process id of the agent that runs here; None when none does."""
        try:
            handle = os.open(self._lock, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            text = os.read(handle, 20).decode(errors="replace").strip()
            return int(text) if text.isdigit() else None
        finally:
            os.close(handle)
        return None


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` by ``text``, readable by the owner alone; never half-written."""
    temporary = path.with_name(path.name + ".new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
