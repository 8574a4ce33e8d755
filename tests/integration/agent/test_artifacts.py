"""Artifacts over real TLS: verified, resumed, cached within bounds, refused with a reason."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.artifacts import ArtifactCache
from edge_agent.digests import digest_of
from edge_agent.https import verified_context
from edge_agent.loop import Loop
from edge_agent.transfer import Transfer
from edge_agent.workers import Workers
from tests.integration.agent.office import GRANT, Office

KIB = 1 << 10


class Shelf:
    """A cache with a loop of its own."""

    def __init__(self, folder: Path, office: Office, *, bytes_max: int = 1 << 20) -> None:
        self.folder, self.loop = folder, Loop()
        ca = office.pki.ca_pem.read_text()
        transfer = Transfer(lambda: verified_context(ca), pause=lambda _: None)
        self.cache = ArtifactCache(
            folder,
            bytes_max=bytes_max,
            loop=self.loop,
            workers=Workers(),
            transfer=lambda: transfer,
        )
        self.cache.base_url = office.url

    def get(self, digest: str, grant: str = GRANT) -> tuple[Path | None, str]:
        heard: list[tuple[Path | None, str]] = []
        self.cache.get(digest, grant, lambda path, error: heard.append((path, error)))
        self.turn_until(heard)
        return heard[0]

    def put(self, data: bytes, grant: str = GRANT) -> tuple[str, str]:
        heard: list[tuple[str, str]] = []
        self.cache.put(data, grant, lambda digest, error: heard.append((digest, error)))
        self.turn_until(heard)
        return heard[0]

    def turn_until(self, heard: list) -> None:
        deadline = time.monotonic() + 20
        while not heard:
            assert time.monotonic() < deadline, "no answer"
            self.loop.run_once(0.05)


@pytest.fixture
def shelf(tmp_path: Path, office: Office) -> Iterator[Shelf]:
    made = Shelf(tmp_path, office)
    yield made
    made.loop.close()


def test_get_fetches_once(shelf: Shelf, office: Office) -> None:
    digest = office.store(b"x" * 1000)
    path, error = shelf.get(digest)
    assert (path and path.read_bytes(), error) == (b"x" * 1000, "")
    assert shelf.get(digest) == (path, "")
    assert len(office.requests) == 1


def test_get_at_once_for_several_is_one_fetch(shelf: Shelf, office: Office) -> None:
    digest, heard = office.store(b"y" * 1000), []
    for _ in range(5):
        shelf.cache.get(digest, GRANT, lambda path, error: heard.append(error))
    while len(heard) < 5:
        shelf.loop.run_once(0.05)
    assert heard == [""] * 5
    assert len(office.requests) == 1


def test_get_empty_artifact(shelf: Shelf, office: Office) -> None:
    path, error = shelf.get(office.store(b""))
    assert (path and path.read_bytes(), error) == (b"", "")


def test_get_resumes_where_it_broke_off(shelf: Shelf, office: Office) -> None:
    data = bytes(range(256)) * 4 * KIB  # 1 MiB
    digest = office.store(data)
    office.cut_after = 300 * KIB
    path, error = shelf.get(digest)
    assert error == ""
    assert path is not None
    assert path.read_bytes() == data
    ranges = [asked for _, _, asked in office.requests]
    assert ranges[0] == ""
    assert ranges[1].startswith("bytes=")
    assert ranges[1] != "bytes=0-"


def test_get_damaged_artifact_is_never_used(shelf: Shelf, office: Office) -> None:
    digest = office.store(b"z" * 1000)
    office.damaged = True
    path, error = shelf.get(digest)
    assert path is None
    assert "damaged" in error
    assert not any(shelf.folder.iterdir())


def test_file_harmed_on_disk_is_fetched_again(tmp_path: Path, office: Office) -> None:
    digest = office.store(b"good")
    first = Shelf(tmp_path, office)
    path, _ = first.get(digest)
    first.loop.close()
    assert path is not None
    path.write_bytes(b"evil")
    second = Shelf(tmp_path, office)
    path, error = second.get(digest)
    second.loop.close()
    assert error == ""
    assert path is not None
    assert path.read_bytes() == b"good"


REFUSALS = [
    ("sha256:" + "0" * 64, GRANT, "404"),
    ("nonsense", GRANT, "not a digest"),
    ("sha256:../../../etc/passwd", GRANT, "not a digest"),
]


@pytest.mark.parametrize(("digest", "grant", "said"), REFUSALS)
def test_get_refusals_say_why(shelf: Shelf, digest: str, grant: str, said: str) -> None:
    path, error = shelf.get(digest, grant)
    assert path is None
    assert said in error


def test_get_with_another_grant_is_refused_without_retry(shelf: Shelf, office: Office) -> None:
    path, error = shelf.get(office.store(b"w"), "stolen")
    assert path is None
    assert "403" in error
    assert len(office.requests) == 1


def test_get_passing_trouble_is_retried(shelf: Shelf, office: Office) -> None:
    office.problems = [(503, {"detail": "busy"}), (429, {"detail": "slow down"})]
    path, error = shelf.get(office.store(b"v"))
    assert (path and path.read_bytes(), error) == (b"v", "")


def test_get_larger_than_the_owner_allows(tmp_path: Path, office: Office) -> None:
    small = Shelf(tmp_path, office, bytes_max=1000)
    path, error = small.get(office.store(b"x" * 1001))
    small.loop.close()
    assert path is None
    assert "larger than the 1000 bytes" in error


def test_cache_evicts_the_least_recently_used_but_not_what_is_in_use(
    tmp_path: Path, office: Office
) -> None:
    shelf = Shelf(tmp_path, office, bytes_max=1000)
    digests = [office.store(bytes([n]) * 400) for n in range(4)]
    shelf.get(digests[0])  # stays pinned
    for digest in digests[1:3]:
        shelf.get(digest)
        shelf.cache.release(digest)
    shelf.get(digests[3])
    shelf.cache.release(digests[3])
    shelf.loop.close()
    held = {f"sha256:{path.name}" for path in tmp_path.iterdir()}
    assert held == {digests[0], digests[3]}
    assert shelf.cache.size_bytes == 800


def test_put_stores_under_its_digest(shelf: Shelf, office: Office) -> None:
    office.problems = [(503, {"detail": "busy"})]
    assert shelf.put(b"result") == (digest_of(b"result"), "")
    assert office.artifacts[digest_of(b"result")] == b"result"
    digest, error = shelf.put(b"more", "stolen")
    assert "403" in error
    assert digest not in office.artifacts


def test_store_that_is_away_is_said(shelf: Shelf, office: Office) -> None:
    shelf.cache.base_url = "https://127.0.0.1:9"
    path, error = shelf.get("sha256:" + "1" * 64)
    assert path is None
    assert "store fails" in error
    shelf.cache.base_url = ""
    assert "no artifact store" in shelf.get("sha256:" + "2" * 64)[1]
