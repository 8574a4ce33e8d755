"""The reference page says what the commands are."""

from pathlib import Path

from client.cli.exits import MEANINGS, ExitCode
from client.cli.reference import reference

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def test_page_is_what_the_commands_make():
    assert PAGE.read_text() == reference(), "run: python -m client.cli.reference > docs/cli.md"


def test_every_exit_code_has_a_meaning():
    assert set(MEANINGS) == set(ExitCode)
    assert all(f"| {code.value} |" in reference() for code in ExitCode)
