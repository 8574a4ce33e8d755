"""What must hold of every file that is committed."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES_MAX = 500
BYTES_MAX = 1_000_000


def _tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).exists()]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_lock_has_hashes_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    entries = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_lock_leaves_out_the_training_library(name: str) -> None:
    assert re.search(r"^torch\b", (ROOT / name).read_text(), re.M) is None


def test_development_lock_agrees_with_the_lock() -> None:
    pinned = r"^([a-z0-9][\w.-]*)==(\S+)"
    run = dict(re.findall(pinned, (ROOT / "requirements.lock").read_text(), re.M))
    development = dict(re.findall(pinned, (ROOT / "requirements-dev.lock").read_text(), re.M))
    assert run.items() <= development.items()


def test_node_lock_has_no_address() -> None:
    # npm writes addresses of funding pages: take them out with the `resolved` ones
    assert "://" not in (ROOT / "dashboards" / "package-lock.json").read_text()


def test_files_are_short_enough_to_read() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in _tracked("*.py")
        if (lines := len(path.read_text().splitlines())) > LINES_MAX
    }
    assert long == {}


def test_files_are_small() -> None:
    large = [str(path.relative_to(ROOT)) for path in _tracked() if path.stat().st_size > BYTES_MAX]
    assert large == []


def test_no_path_of_a_machine_is_committed() -> None:
    machine = re.compile(r"(?<![\w/.])/(?:root|work|home/[a-z]\w*)/\w")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in _tracked("*.py", "*.md", "*.toml", "*.yml", "*.yaml", "*.sh", "*.ts", "*.tsx")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if machine.search(line)
    ]
    assert found == []


def test_test_folders_are_packages() -> None:
    folders = {path.parent for path in _tracked("tests/*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_modules_open_with_a_sentence() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in _tracked("*.py")
        if (text := path.read_text().strip())
        and not re.match(r'(#![^\n]*\n)?(#[^\n]*\n)*\s*r?"""\S', text)
    ]
    assert silent == []


def test_money_is_never_called_a_transaction() -> None:
    misnamed = [
        str(path.relative_to(ROOT))
        for path in _tracked("db/ledger*.py", "market/money.py", "market/settlement.py")
        if re.search(r"\bclass \w*Transaction", path.read_text())
    ]
    assert misnamed == []
