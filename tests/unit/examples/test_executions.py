"""Reading a history into visits of states."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from examples.executions import Visit, read_visits

START = datetime(2024, 5, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def entered(state: str, seconds: float, kind: str = "Task") -> dict[str, Any]:
    return {
        "type": f"{kind}StateEntered",
        "timestamp": at(seconds),
        "stateEnteredEventDetails": {"name": state},
    }


def exited(state: str, seconds: float, kind: str = "Task") -> dict[str, Any]:
    return {
        "type": f"{kind}StateExited",
        "timestamp": at(seconds),
        "stateExitedEventDetails": {"name": state},
    }


def test_a_state_that_was_left_has_its_duration() -> None:
    (visit,) = read_visits("migrate", "run", [entered("A", 1), exited("A", 3.5)])
    assert (visit.state, visit.seconds(at(99))) == ("A", 2.5)


def test_a_state_that_was_not_left_still_lasts() -> None:
    (visit,) = read_visits("migrate", "run", [entered("A", 1)])
    assert (visit.left, visit.seconds(at(11))) == (None, 10)


def test_items_of_a_map_are_paired_in_the_order_in_which_they_began() -> None:
    events = [entered("A", 0), entered("A", 1), exited("A", 5), exited("A", 7)]
    assert [visit.seconds(at(99)) for visit in read_visits("migrate", "run", events)] == [5, 6]


def test_a_failed_execution_leaves_every_state_when_it_ends() -> None:
    events = [entered("A", 0), {"type": "ExecutionFailed", "timestamp": at(4)}]
    assert read_visits("migrate", "run", events)[0].left == at(4)


@pytest.mark.parametrize(
    ("runbook", "execution", "label"),
    [
        ("migrate", "run-1", "migrate"),
        ("move-media", "run-1-move-media", "move-media"),
        ("move-media", "run-1-move-media-ahead", "move-media-ahead"),
        ("provision", "run-1-provision-cutover", "provision-cutover"),
        ("return", "2f0c5a1e-by-eventbridge", "return"),
    ],
)
def test_executions_of_one_runbook_are_told_apart(runbook: str, execution: str, label: str) -> None:
    assert Visit(runbook, execution, "A", START, None).label == label
