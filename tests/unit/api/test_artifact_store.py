"""The artifact store: whole or not at all, by digest, in ranges."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.services.artifact_store import FileStore, digest_of
from broker.services.refusals import Invalid, NotFound, TooLarge


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(str(tmp_path / "store"))


def strays(tmp_path: Path) -> list[str]:
    return os.listdir(tmp_path / "store" / "uploads")


def test_store_gives_back_what_it_took(store: FileStore, tmp_path: Path) -> None:
    digest = store.store(b"some bytes")
    assert digest == digest_of(b"some bytes")
    assert store.size_bytes(digest) == 10
    assert b"".join(store.read(digest, offset=0, length=10)) == b"some bytes"
    assert b"".join(store.read(digest, offset=5, length=100)) == b"bytes"
    assert store.store(b"some bytes") == digest
    assert strays(tmp_path) == []
    with store.local_file(digest) as path:
        assert path.read_bytes() == b"some bytes"


def test_upload_that_is_not_finished_leaves_nothing(store: FileStore, tmp_path: Path) -> None:
    with store.begin(bytes_max=100) as upload:
        upload.write(b"half")
    assert strays(tmp_path) == []
    assert store.size_bytes(digest_of(b"half")) is None


def test_upload_of_another_digest_is_refused(store: FileStore, tmp_path: Path) -> None:
    with store.begin(bytes_max=100) as upload:
        upload.write(b"bytes")
        with pytest.raises(Invalid):
            upload.finish(digest=digest_of(b"others"))
    assert strays(tmp_path) == []


def test_upload_beyond_its_bound_is_refused(store: FileStore, tmp_path: Path) -> None:
    with pytest.raises(TooLarge), store.begin(bytes_max=3) as upload:
        upload.write(b"four")
    assert strays(tmp_path) == []


def test_stray_uploads_of_a_crash_are_removed(store: FileStore, tmp_path: Path) -> None:
    upload = store.begin(bytes_max=100)
    upload.write(b"then the power failed")
    born = next((tmp_path / "store" / "uploads").iterdir()).stat().st_mtime
    assert store.remove_stray_uploads(older_than_s=60, now_s=born + 59) == 0
    assert store.remove_stray_uploads(older_than_s=60, now_s=born + 61) == 1
    upload.__exit__(None, None, None)


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../etc/passwd", "md5:" + "0" * 64])
def test_digest_that_is_none_is_not_there(store: FileStore, digest: str) -> None:
    with pytest.raises(NotFound):
        store.size_bytes(digest)


def test_store_of_another_file_system_works_alike() -> None:
    store = FileStore("memory://artifacts")
    digest = store.store(b"in memory")
    assert b"".join(store.read(digest, offset=3, length=6)) == b"memory"
    with store.local_file(digest) as path:
        assert path.read_bytes() == b"in memory"
    with pytest.raises(NotFound):
        store.read(digest_of(b"nothing"), offset=0, length=1)


@given(st.binary(max_size=3_000), st.integers(0, 3_500), st.integers(0, 3_500))
def test_read_is_a_slice(data: bytes, offset: int, length: int) -> None:
    store = FileStore("memory://slices")
    digest = store.store(data)
    expected = data[offset : offset + length]
    assert b"".join(store.read(digest, offset=offset, length=length)) == expected


def test_small_results_are_stored_at_once_and_once(tmp_path):
    store = FileStore(str(tmp_path))
    digest = store.store(b"42", durable=False)
    assert store.store(b"42", digest=digest, durable=False) == digest
    assert b"".join(store.read(digest, offset=0, length=2)) == b"42"
    assert list((tmp_path / "uploads").iterdir()) == []
