"""The command line: what it lists, what it hands on, and that it stays light."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stack import cli, quality
from stack.quality import Check

CHECKOUT = Path(__file__).parents[3]
HEAVY = {"sqlalchemy", "pydantic_settings", "psycopg", "numpy", "celery", "cryptography"}


def invoke(*arguments: str):
    return CliRunner().invoke(cli.app, list(arguments), prog_name="souk")


def test_help_lists_platform_and_client() -> None:
    text = invoke("--help").output
    for name in ("up", "down", "status", "logs", "demo", "test", "check", "bench", "job", "ledger"):
        assert f"\n  {name} " in text


def test_client_commands_are_mounted() -> None:
    assert "submit" in invoke("job", "--help").output


def test_unknown_command_is_a_usage_error() -> None:
    assert invoke("nonsense").exit_code == 2


@pytest.mark.parametrize("arguments", [["--help"], ["status"]])
def test_light_commands_import_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    script = (
        "import sys; from stack.cli import main; sys.argv = ['souk', *sys.argv[1:]]\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print('IMPORTED', *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=CHECKOUT,
        env={"SOUK_HOME": str(tmp_path), "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not HEAVY & set(done.stdout.partition("IMPORTED")[2].split())


def test_status_of_nothing_ends_with_3(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SOUK_HOME", str(tmp_path))
    result = invoke("status")
    assert result.exit_code == 3
    assert "souk up" in result.output


def test_down_of_nothing_is_fine(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SOUK_HOME", str(tmp_path))
    assert "was not running" in invoke("down").output


@pytest.fixture
def checks(monkeypatch):
    made = (
        Check("good", [sys.executable, "-c", "pass"]),
        Check("bad", [sys.executable, "-c", "raise SystemExit(1)"]),
        Check("absent", ["no-such-program"], needs=lambda: False),
    )
    monkeypatch.setattr(quality, "CHECKS", made)


@pytest.mark.parametrize(
    ("only", "code"), [((), 1), (("good",), 0), (("bad",), 1), (("absent",), 0), (("what",), 2)]
)
def test_checks_end_by_their_outcome(checks, only: tuple[str, ...], code: int, capfd) -> None:
    assert quality.run(only) == code


def test_summary_names_every_check(checks, capfd) -> None:
    quality.run(())
    summary = capfd.readouterr().out.split("\n\n")[-1]
    assert [line.split()[1] for line in summary.splitlines() if line] == ["ok", "FAILED", "left"]


def test_every_check_names_what_exists() -> None:
    for check in quality.CHECKS:
        if "-m" in check.argv:
            module = check.argv[check.argv.index("-m") + 1]
            assert (
                module in {"ruff", "mypy", "pytest"}
                or (CHECKOUT / f"{module.replace('.', '/')}.py").exists()
            )
