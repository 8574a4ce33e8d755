"""Artifacts over HTTPS: fetched with ranges, resumed, verified by digest; results put there."""

import contextlib
import hashlib
import http.client
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

from edge_agent.addresses import Address, parse_address
from edge_agent.digests import TransferError

TRIES_MAX = 4
PAUSE_S = 0.25
TIMEOUT_S = 30.0
CHUNK_BYTES = 1 << 18


class _TryAgain(Exception):
    """A failure that may pass."""


class Transfer:
    """HTTPS to the artifact store, one kept-alive connection a thread."""

    def __init__(
        self, context: Callable[[], ssl.SSLContext], *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._context, self._pause = context, pause
        self._local = threading.local()

    def fetch(self, base_url: str, digest: str, grant: str, part: Path, *, bytes_max: int) -> None:
        """Make ``part`` hold the artifact whole; what it holds already is not fetched again.

        Raises:
            TransferError: refused, too large, damaged, or the store does not answer.
        """
        address = _address(base_url)
        self._with_retries(lambda: self._fetch_once(address, digest, grant, part, bytes_max))

    def put(self, base_url: str, digest: str, grant: str, data: bytes) -> None:
        """Store ``data`` under its digest; storing it again changes nothing.

        Raises:
            TransferError: refused, or the store does not answer.
        """
        address = _address(base_url)
        self._with_retries(lambda: self._put_once(address, digest, grant, data))

    def _with_retries(self, attempt: Callable[[], None]) -> None:
        for number in range(1, TRIES_MAX + 1):
            try:
                attempt()
            except (_TryAgain, OSError, http.client.HTTPException) as error:
                self._drop_connection()
                if isinstance(error, ssl.SSLCertVerificationError) or number == TRIES_MAX:
                    raise TransferError(f"the artifact store fails: {error}") from None
                self._pause(PAUSE_S * 2 ** (number - 1))
            else:
                return

    def _fetch_once(
        self, address: Address, digest: str, grant: str, part: Path, bytes_max: int
    ) -> None:
        held = part.stat().st_size if part.exists() else 0
        headers = {"Authorization": f"Bearer {grant}"}
        if held:
            headers["Range"] = f"bytes={held}-"
        answer = self._ask(address, "GET", digest, headers, None)
        if answer.status == 416:  # what is held is all there is, or is not of this artifact
            answer.read()
        elif answer.status in (200, 206):
            with part.open("ab" if answer.status == 206 else "wb") as file:
                self._receive(answer, file.write, file.tell(), bytes_max)
        else:
            raise self._refusal(answer, "GET")
        if f"sha256:{_sha256(part)}" != digest:
            part.unlink(missing_ok=True)
            raise _TryAgain(f"{digest[:20]}… arrived damaged")

    def _receive(
        self, answer: http.client.HTTPResponse, write: Callable[[bytes], object], at: int, most: int
    ) -> None:
        while chunk := answer.read(CHUNK_BYTES):
            at += len(chunk)
            if at > most:
                self._drop_connection()
                raise TransferError(f"it is larger than the {most} bytes that the owner allows")
            write(chunk)
        if answer.length:  # the library ends a short answer without a word
            raise _TryAgain(f"the connection broke {answer.length} bytes before the end")

    def _put_once(self, address: Address, digest: str, grant: str, data: bytes) -> None:
        headers = {
            "Authorization": f"Bearer {grant}",
            "Content-Type": "application/octet-stream",
        }
        answer = self._ask(address, "PUT", digest, headers, data)
        if answer.status >= 300:
            raise self._refusal(answer, "PUT")
        answer.read()

    def _ask(
        self,
        address: Address,
        method: str,
        digest: str,
        headers: dict[str, str],
        body: bytes | None,
    ) -> http.client.HTTPResponse:
        connection = self._connection(address)
        path = f"{address.prefix}/v1/artifacts/{digest}"
        connection.request(method, path, body=body, headers=headers)
        return connection.getresponse()

    def _refusal(self, answer: http.client.HTTPResponse, method: str) -> Exception:
        said = answer.read(2_000).decode(errors="replace")
        text = f"{method} answered {answer.status}: {said[:200]}"
        passing = answer.status >= 500 or answer.status in (408, 429)
        return _TryAgain(text) if passing else TransferError(text)

    def _connection(self, address: Address) -> http.client.HTTPSConnection:
        held = getattr(self._local, "connection", None)
        if held is not None and self._local.address == address:
            assert isinstance(held, http.client.HTTPSConnection)
            return held
        self._drop_connection()
        self._local.address = address
        self._local.connection = http.client.HTTPSConnection(
            address.host, address.port, timeout=TIMEOUT_S, context=self._context()
        )
        return self._local.connection  # type: ignore[no-any-return]

    def _drop_connection(self) -> None:
        held = getattr(self._local, "connection", None)
        if held is not None:
            self._local.connection = None
            with contextlib.suppress(OSError):
                held.close()


def _address(base_url: str) -> Address:
    try:
        return parse_address(base_url)
    except Exception as error:
        raise TransferError(f"no artifact store: {error}") from None


def _sha256(path: Path) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
