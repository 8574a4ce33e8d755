"""``docs/settings.md``, written from the settings themselves: ``python -m stack.settings_page``."""

import argparse
import sys
from pathlib import Path

from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from broker.settings import Settings

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"

_HEAD = """\
# Settings

Every setting is an environment variable. `souk up` reads them when it starts and hands them to the
processes that it starts; under `docker compose` they stand in `docker-compose.yml`. This page is
written from `broker/settings.py` by `python -m stack.settings_page`.

| variable | default | what it does |
|---|---|---|
"""


def variable(name: str, field: FieldInfo) -> str:
    """The environment variable of a setting; the plain name where it has one."""
    if isinstance(field.validation_alias, AliasChoices):
        return str(field.validation_alias.choices[0])
    return f"SOUK_{name.upper()}"


def render() -> str:
    """The whole page."""
    rows = [
        f"| `{variable(name, field)}` | {_default(field)} | {field.description} |\n"
        for name, field in Settings.model_fields.items()
    ]
    return _HEAD + "".join(rows)


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined or field.default in {None, ""}:
        return ""
    if isinstance(field.default, Path):
        return f"`{field.default.relative_to(PAGE.parent.parent)}`"
    return f"`{field.default}`"


def main() -> int:
    parser = argparse.ArgumentParser(description="Write docs/settings.md, or check it.")
    parser.add_argument("--check", action="store_true", help="fail if the page is out of date")
    if parser.parse_args().check:
        if PAGE.exists() and PAGE.read_text() == render():
            return 0
        print("docs/settings.md is out of date: run `python -m stack.settings_page`")
        return 1
    PAGE.write_text(render())
    return 0


if __name__ == "__main__":
    sys.exit(main())
