"""The documents say what the code does."""

import re
from pathlib import Path

import pytest

from market import lifecycle

ROOT = Path(__file__).parents[2]


def _pictures() -> dict[str, set[tuple[str, str]]]:
    text = (ROOT / "docs" / "lifecycle.md").read_text()
    sections = re.findall(r"^## (\w+)\n.*?```mermaid\n(.*?)```", text, re.M | re.S)
    return {
        name: set(re.findall(r"^\s+(\w+) --> (\w+)$", picture, re.M)) for name, picture in sections
    }


@pytest.mark.parametrize("name", ["Job", "Task", "Attempt", "Lease", "Node"])
def test_lifecycle_picture_shows_the_table(name: str) -> None:
    table = getattr(lifecycle, name.upper())
    edges = {(before.value, after.value) for before, afters in table.items() for after in afters}
    assert _pictures()[name] == edges


def _local_links(document: Path) -> list[str]:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text())
    return [target for target in targets if "://" not in target and not target.startswith("mailto")]


def test_links_between_documents_lead_somewhere() -> None:
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in documents
        for target in _local_links(document)
        if not (document.parent / target).exists()
    ]
    assert broken == []
