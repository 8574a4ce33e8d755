"""The platform's HTTPS side for tests of the agent: enrolment, renewal and artifacts, real TLS."""

import base64
import json
import re
import ssl
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from broker.services import pki
from broker.services.pki_files import PkiPaths, device_authority
from edge_agent.digests import digest_of

TOKEN = "souk_join_0a1b_s3cret"
NODE = "node_" + "0123456789abcdef" * 2
GRANT = "grant-1"


@dataclass
class Office:
    """Signs requests with the real CA, keeps artifacts in memory; the tests set the rest."""

    pki: PkiPaths
    mqtt_url: str
    artifacts: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, range
    problems: list[tuple[int, dict[str, Any]]] = field(default_factory=list)  # for next requests
    ttl: timedelta = timedelta(hours=24)
    cut_after: int | None = None  # bytes after which the next download breaks off
    damaged: bool = False  # artifacts are served with a flipped byte
    node: str = NODE
    renewals: int = 0

    def __post_init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pki.server_pem, self.pki.server_key)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    @property
    def authority(self) -> pki.Authority:
        return device_authority(self.pki.ca_pem.parent)

    @property
    def token(self) -> str:
        return f"{TOKEN}.{self.authority.fingerprint}"

    def store(self, data: bytes) -> str:
        """Make ``data`` an artifact; returns its digest."""
        self.artifacts[digest_of(data)] = data
        return digest_of(data)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    # ------------------------------------------------------------ answers

    def enrol(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if body["token"] != self.token:
            return 401, {"detail": "The join token is unknown.", "code": "bad_token"}
        return 201, self._certify(body["csr"])

    def renew(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        held = x509.load_pem_x509_certificate(body["certificate"].encode())
        held.verify_directly_issued_by(self.authority.certificate)
        key = held.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        message = f"{body['signed_at']}\n{body['csr']}".encode()
        key.verify(base64.b64decode(body["signature"]), message, ec.ECDSA(hashes.SHA256()))
        self.renewals += 1
        return 201, self._certify(body["csr"])

    def _certify(self, csr: str) -> dict[str, Any]:
        now = datetime.now(UTC)
        ttl_s = int(self.ttl.total_seconds())
        certificate = pki.sign_csr(self.authority, csr, node_id=self.node, now=now, ttl_s=ttl_s)
        return {
            "node_id": self.node,
            "certificate": certificate,
            "ca": self.authority.pem,
            "mqtt_url": self.mqtt_url,
            "artifacts_url": self.url,
            "renew_after": (now + self.ttl * 2 / 3).isoformat(),
            "expires_at": (now + self.ttl).isoformat(),
        }


def _handler(office: Office) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            if self._note():
                return
            if self.path == "/v1/ca":
                self._answer(200, office.authority.pem.encode())
            elif (data := office.artifacts.get(self._digest())) is None:
                self._problem(404, {"detail": "no such artifact"})
            else:
                self._send_artifact(data)

        def do_PUT(self) -> None:
            body = self._body()
            if self._note():
                return
            assert digest_of(body) == self._digest()
            office.artifacts[self._digest()] = body
            self._answer(201, b"{}")

        def do_POST(self) -> None:
            body = json.loads(self._body())
            if self._note():
                return
            answer = office.enrol if self.path == "/v1/enrol" else office.renew
            status, said = answer(body)
            self._answer(status, json.dumps(said).encode())

        def log_message(self, *_: object) -> None:
            pass

        def _note(self) -> bool:
            """Keep what was asked; True when it has been refused as the test wants."""
            office.requests.append((self.command, self.path, self.headers.get("Range", "")))
            if office.problems:
                self._problem(*office.problems.pop(0))
                return True
            is_artifact = self.path.startswith("/v1/artifacts/")
            if is_artifact and self.headers.get("Authorization") != f"Bearer {GRANT}":
                self._problem(403, {"detail": "not your grant"})
                return True
            return False

        def _send_artifact(self, data: bytes) -> None:
            start = 0
            if match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
                start = int(match[1])
            if start >= len(data) > 0:
                self._problem(416, {"detail": "beyond the end"})
                return
            if office.damaged:
                data = data[:-1] + bytes([data[-1] ^ 1])
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            if office.cut_after is not None:
                self.wfile.write(data[start : start + office.cut_after])
                office.cut_after = None
                self.close_connection = True
                return
            self.wfile.write(data[start:])

        def _digest(self) -> str:
            return self.path.removeprefix("/v1/artifacts/")

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _problem(self, status: int, problem: dict[str, Any]) -> None:
            self._answer(status, json.dumps(problem).encode())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
