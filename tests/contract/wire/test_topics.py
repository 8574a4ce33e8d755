"""Topics are built and parsed by one grammar."""

import pytest

from edge_agent.wire import down_topic, parse_topic, up_filter, up_topic

NODE = "node_" + "0123456789abcdef" * 2


def test_topics_round_trip() -> None:
    assert parse_topic(up_topic(NODE, "state")) == (NODE, "up", "state")
    assert parse_topic(down_topic(NODE, "assign")) == (NODE, "down", "assign")


def test_up_filter_of_all_and_of_one() -> None:
    assert up_filter() == "souk/v1/n/+/up/#"
    assert up_filter(NODE) == f"souk/v1/n/{NODE}/up/#"


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "souk/v1/control/state",
        "souk/v2/n/" + NODE + "/up/state",
        f"souk/v1/n/{NODE}/side/state",
        f"souk/v1/n/{NODE}/up/state/more",
        f"souk/v1/n/{NODE.upper()}/up/state",
        f"souk/v1/n/{NODE[:-1]}/up/state",
        f"souk/v1/n/{NODE}/up/",
    ],
)
def test_parse_topic_other_topics_are_none(topic: str) -> None:
    assert parse_topic(topic) is None
