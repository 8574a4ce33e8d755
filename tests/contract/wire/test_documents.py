"""The documents of protocol and agent say what the code does."""

import re
from dataclasses import fields
from pathlib import Path

from edge_agent import config
from edge_agent.exits import HELP
from edge_agent.wire.codec import MESSAGE_TYPES
from market.lifecycle import EndReason
from tests.contract.wire import asyncapi

DOCS = Path(__file__).parents[3] / "docs"
PROTOCOL = (DOCS / "protocol.md").read_text(encoding="utf-8")
AGENT = (DOCS / "agent.md").read_text(encoding="utf-8")


def test_asyncapi_is_what_the_dataclasses_say() -> None:
    assert asyncapi.PAGE.read_text(encoding="utf-8") == asyncapi.render(), (
        "run: python -m tests.contract.wire.asyncapi"
    )


def test_protocol_lists_every_topic() -> None:
    addresses = {channel["address"] for channel in asyncapi.document()["channels"].values()}
    assert set(re.findall(r"^\| `(souk/[^`]+)`", PROTOCOL, re.M)) == addresses
    assert len(addresses) == len(MESSAGE_TYPES)


def test_protocol_topics_have_the_bindings_of_asyncapi() -> None:
    rows = re.findall(r"^\| `souk/[^`]+/(\w+)` \| (\d) \| (yes|no) \|", PROTOCOL, re.M)
    said = {("control" if n == "state" and r == "yes" else n): (int(q), r) for n, q, r in rows}
    operations = asyncapi.document()["operations"]
    meant = {name: operation["bindings"]["mqtt"] for name, operation in operations.items()}
    assert said == {n: (b["qos"], "yes" if b["retain"] else "no") for n, b in meant.items()}


def test_protocol_reasons_are_of_the_closed_list() -> None:
    section = PROTOCOL.split("## Reasons")[1].split("##")[0]
    said = set(re.findall(r"`([a-z_]+)`", section)) - {"cancelled", "cancel"}
    assert said <= {reason.value for reason in EndReason}


def test_agent_page_lists_every_setting() -> None:
    sections = {
        f.name: f.default_factory()
        for f in fields(config.AgentConfig)
        if f.name in config._SECTIONS
    }
    settings = {f"{name}.{f.name}" for name, held in sections.items() for f in fields(held)}
    settings |= {"runtimes", "hours", "labels"}
    assert set(re.findall(r"^\| `([a-z_.]+)`", AGENT, re.M)) == settings


def test_agent_page_example_is_valid() -> None:
    import tomllib

    (example,) = re.findall(r"```toml\n(.*?)```", AGENT, re.S)
    assert config.parse_config(tomllib.loads(example)).labels == {"site": "barn"}


def test_agent_page_lists_every_exit_code() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.*) \|$", AGENT, re.M))
    assert rows == {str(code.value): text for code, text in HELP.items()}
