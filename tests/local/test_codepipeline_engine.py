"""How executions move through a pipeline: gates, queue, stopping, retrying. No server, actions of our own."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from localaws.codepipeline import engine as module
from localaws.codepipeline.actions.work import ActionType, Result, Work
from localaws.codepipeline.engine import Engine
from localaws.codepipeline.errors import ActionFailed, PipelineError
from localaws.codepipeline.pipelines import Pipeline
from localaws.codepipeline.records import Execution

BY_HAND = {"triggerType": "StartPipelineExecution", "triggerDetail": "somebody"}


class Runtime:
    """What the engine needs of a server."""

    account_id, region = "123456789012", "us-east-1"
    log = logging.getLogger("test")

    def client(self, *_: Any) -> Any:
        return None

    def background(self, name: str, function: Callable[..., None], *arguments: Any) -> threading.Thread:
        thread = threading.Thread(target=function, args=arguments, name=name, daemon=True)
        thread.start()
        return thread


class Stage:
    """Actions that do what the test says, and note when they run."""

    def __init__(self) -> None:
        self.began: list[tuple[str, str]] = []
        self.ended: list[tuple[str, str]] = []
        self.may_end = threading.Event()
        self.may_end.set()
        self.fails: set[str] = set()

    def run(self, work: Work) -> Result:
        who = (work.run.name, work.execution.identifier)
        self.began.append(who)
        while not self.may_end.is_set():
            work.pause(0.005)
        self.ended.append(who)
        if work.run.name in self.fails:
            raise ActionFailed("JobFailed", f"{work.run.name} was told to fail")
        return Result()


class Line:
    """A pipeline of three stages, and an engine."""

    def __init__(self, stage: Stage, **settings: Any) -> None:
        self.stage = stage
        self.engine = Engine(Runtime())  # type: ignore[arg-type]
        definition = {
            "name": "line",
            "roleArn": "arn:aws:iam::123456789012:role/line",
            "artifactStore": {"type": "S3", "location": "bucket"},
            "executionMode": "QUEUED",
            "stages": [
                {"name": name, "actions": [self.action(action) for action in actions]}
                for name, actions in (("Source", ["S"]), ("Build", ["B1", "B2"]), ("Release", ["R"]))
            ],
            **settings,
        }
        self.pipeline = Pipeline("arn:aws:codepipeline:us-east-1:123456789012:line", definition, {})

    @staticmethod
    def action(name: str) -> dict[str, Any]:
        kind = {"category": "Build", "owner": "AWS", "provider": "Test", "version": "1"}
        return {
            "name": name,
            "actionTypeId": kind,
            "runOrder": 2 if name == "B2" else 1,
            "configuration": {},
            "inputArtifacts": [],
            "outputArtifacts": [],
        }

    def start(self) -> Execution:
        return self.engine.start(self.pipeline, BY_HAND, {}, {})

    def transition(self, *, enabled: bool, stage: str = "Build") -> None:
        self.engine.transition(self.pipeline, stage, enabled=enabled, reason="Test", changed_by="somebody")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Actions of the only type there is."""
    made = Stage()
    kind = ActionType("Build", "Test", made.run, frozenset(), (), range(6), range(6))
    monkeypatch.setattr(module, "ACTION_TYPES", {kind.key: kind})
    return made


@pytest.fixture
def line(stage: Stage) -> Iterator[Line]:
    made = Line(stage)
    yield made
    made.engine.shut_down()


def until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.002)


def ends(execution: Execution, status: str) -> None:
    until(lambda: execution.over)
    assert execution.status == status


def test_stages_and_run_orders_are_gone_through_in_order(line: Line, stage: Stage) -> None:
    execution = line.start()
    ends(execution, "Succeeded")
    assert [name for name, _ in stage.ended] == ["S", "B1", "B2", "R"]
    assert set(execution.stage_status.values()) == {"Succeeded"}


def test_queued_executions_never_overtake_and_never_share_a_stage(line: Line, stage: Stage) -> None:
    stage.may_end.clear()
    started = [line.start() for _ in range(5)]
    until(lambda: stage.began)
    time.sleep(0.05)
    # Then only the first is in the first stage
    assert stage.began == [("S", started[0].identifier)]
    assert line.pipeline.gate("Source").waiting == started[1:]
    stage.may_end.set()
    for execution in started:
        ends(execution, "Succeeded")
    for name in ("S", "B1", "B2", "R"):
        order = [who for action, who in stage.began if action == name]
        assert order == [execution.identifier for execution in started]


def test_a_disabled_transition_holds_every_execution_in_order_until_it_is_enabled(
    line: Line, stage: Stage
) -> None:
    line.transition(enabled=False)
    started = [line.start(), line.start()]
    until(lambda: line.pipeline.gate("Build").waiting == started)
    time.sleep(0.05)
    assert {name for name, _ in stage.began} == {"S"}
    assert all(execution.status == "InProgress" for execution in started)
    line.transition(enabled=True)
    for execution in started:
        ends(execution, "Succeeded")
    assert [who for name, who in stage.began if name == "R"] == [each.identifier for each in started]


def test_a_transition_closed_while_a_stage_works_lets_it_work(line: Line, stage: Stage) -> None:
    stage.may_end.clear()
    execution = line.start()
    until(lambda: stage.began)
    line.transition(enabled=False, stage="Build")
    stage.may_end.set()
    until(lambda: line.pipeline.gate("Build").waiting == [execution])
    assert execution.stage_status == {"Source": "Succeeded"}


def test_an_execution_that_fails_makes_room_for_the_next(line: Line, stage: Stage) -> None:
    stage.fails.add("B1")
    first = line.start()
    ends(first, "Failed")
    assert first.latest_run("Build", "B1").error == ("JobFailed", "B1 was told to fail")  # type: ignore[union-attr]
    assert first.latest_run("Build", "B2") is None
    stage.fails.clear()
    ends(line.start(), "Succeeded")
    # And the first can no longer be retried: another one went through
    with pytest.raises(PipelineError) as refused:
        line.engine.retry(line.pipeline, first, "Build", everything=True)
    assert refused.value.error_type == "NotLatestPipelineExecutionException"


@pytest.mark.parametrize(
    ("everything", "runs"), [(False, ["B1", "B2", "B2"]), (True, ["B1", "B2", "B1", "B2"])]
)
def test_a_retry_runs_the_failed_actions_or_all_and_goes_on(
    line: Line, stage: Stage, everything: bool, runs: list[str]
) -> None:
    stage.fails.add("B2")
    execution = line.start()
    ends(execution, "Failed")
    stage.fails.clear()
    line.engine.retry(line.pipeline, execution, "Build", everything=everything)
    ends(execution, "Succeeded")
    assert [name for name, _ in stage.ended] == ["S", *runs, "R"]
    assert execution.attempt == 2


def test_stopping_lets_the_actions_in_progress_end_and_starts_no_other(line: Line, stage: Stage) -> None:
    stage.may_end.clear()
    execution = line.start()
    until(lambda: stage.began)
    line.engine.stop(line.pipeline, execution, abandon=False, reason="Enough")
    assert execution.status == "Stopping"
    stage.may_end.set()
    ends(execution, "Stopped")
    assert [name for name, _ in stage.ended] == ["S"]
    assert execution.summary == "Enough"


def test_abandoning_ends_the_action_at_once(line: Line, stage: Stage) -> None:
    stage.may_end.clear()
    execution = line.start()
    until(lambda: stage.began)
    line.engine.stop(line.pipeline, execution, abandon=True, reason="Now")
    ends(execution, "Stopped")
    assert (stage.ended, execution.runs[0].status) == ([], "Abandoned")


def test_an_execution_that_waits_is_stopped_at_once_and_leaves_the_queue(line: Line, stage: Stage) -> None:
    line.transition(enabled=False)
    first, second = line.start(), line.start()
    until(lambda: line.pipeline.gate("Build").waiting == [first, second])
    line.engine.stop(line.pipeline, first, abandon=False, reason="Enough")
    ends(first, "Stopped")
    assert line.pipeline.gate("Build").waiting == [second]
    line.transition(enabled=True)
    ends(second, "Succeeded")


def test_in_the_mode_superseded_a_newer_execution_replaces_the_one_that_waits(stage: Stage) -> None:
    line = Line(stage, executionMode="SUPERSEDED")
    line.transition(enabled=False)
    first = line.start()
    until(lambda: line.pipeline.gate("Build").waiting == [first])
    second = line.start()
    ends(first, "Superseded")
    line.transition(enabled=True)
    ends(second, "Succeeded")


def test_in_the_mode_parallel_executions_share_a_stage(stage: Stage) -> None:
    line = Line(stage, executionMode="PARALLEL")
    stage.may_end.clear()
    started = [line.start() for _ in range(3)]
    until(lambda: len(stage.began) == 3)
    stage.may_end.set()
    for execution in started:
        ends(execution, "Succeeded")


def test_more_executions_than_the_quota_are_refused(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONCURRENT_EXECUTIONS", 1)
    line.transition(enabled=False)
    line.start()
    with pytest.raises(PipelineError, match="the limit"):
        line.start()


def test_a_rollback_runs_one_stage_with_what_the_target_had(line: Line, stage: Stage) -> None:
    target = line.start()
    ends(target, "Succeeded")
    stage.began.clear()
    trigger = {"triggerType": "ManualRollback", "triggerDetail": "somebody"}
    back = line.engine.roll_back(line.pipeline, "Release", target, trigger)
    ends(back, "Succeeded")
    assert [name for name, _ in stage.began] == ["R"]
    assert (back.rollback_of, back.stage_status) == (target.identifier, {"Release": "Succeeded"})
