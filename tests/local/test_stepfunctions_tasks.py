"""How a state ends that runs an ECS task and waits for it. No server is needed."""

import json
from typing import Any

import pytest

from localaws.stepfunctions.errors import StateError
from localaws.stepfunctions.integrations import ContainerJob

TASK = {"clusterArn": "arn:cluster", "taskArn": "arn:task", "lastStatus": "STOPPED"}
STARTED = {"Tasks": [{"ClusterArn": "arn:cluster", "TaskArn": "arn:task"}], "Failures": []}


class Ecs:
    """ECS with one task."""

    def __init__(self, *codes: int | None, status: str = "STOPPED") -> None:
        containers = [
            {"name": f"c{number}", **({} if code is None else {"exitCode": code})}
            for number, code in enumerate(codes)
        ]
        self.task = {**TASK, "lastStatus": status, "containers": containers}

    def describe_tasks(self, *, cluster: str, tasks: list[str]) -> dict[str, Any]:
        assert (cluster, tasks) == ("arn:cluster", ["arn:task"])
        return {"tasks": [self.task]}


def polled(ecs: Ecs) -> Any:
    return ContainerJob(STARTED, lambda _service: ecs).poll()


def test_a_task_that_runs_is_waited_for_and_one_that_ended_well_is_the_result() -> None:
    assert polled(Ecs(None, status="RUNNING")) is None
    assert polled(Ecs(0, 0))["Containers"][0]["ExitCode"] == 0


@pytest.mark.parametrize("codes", [(1,), (0, 3), (None,), ()])
def test_any_other_end_fails_the_state_with_the_task_as_the_cause(codes: tuple[int | None, ...]) -> None:
    with pytest.raises(StateError) as raised:
        polled(Ecs(*codes))
    assert raised.value.error == "States.TaskFailed"
    assert json.loads(raised.value.cause)["TaskArn"] == "arn:task"


def test_a_task_that_was_not_placed_has_a_name_of_its_own() -> None:
    answer = {"Tasks": [], "Failures": [{"Arn": "arn:cluster", "Reason": "RESOURCE:MEMORY"}]}
    with pytest.raises(StateError) as raised:
        ContainerJob(answer, lambda _service: Ecs())
    assert raised.value.error == "AmazonECS.Unknown"
    assert "RESOURCE:MEMORY" in raised.value.cause
