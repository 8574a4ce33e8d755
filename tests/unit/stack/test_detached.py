"""What counts as far enough on the way up."""

import pytest

from stack.detached import api_answers, is_running
from stack.home import ProcessState, State

READY, STARTING = ProcessState(state="ready"), ProcessState(state="starting")


@pytest.mark.parametrize(
    ("phase", "processes", "answers", "runs"),
    [
        ("starting", {}, False, False),
        ("starting", {"api": STARTING}, False, False),
        ("starting", {"api": READY, "worker": STARTING}, True, False),
        ("running", {"api": READY, "worker": READY}, True, True),
        ("stopping", {"api": READY}, False, False),
        ("stopped", {}, False, False),
    ],
)
def test_far_enough(
    phase: str, processes: dict[str, ProcessState], answers: bool, runs: bool
) -> None:
    state = State(phase=phase, processes=processes)
    assert (api_answers(state), is_running(state)) == (answers, runs)
