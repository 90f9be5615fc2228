"""Releases from end to end: CodeDeploy, its hook, the runbooks and their real steps, on real processes."""

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.conftest import LocalAWS
from tests.local.releases import World, opened
from tests.local.waiting import eventually

pytestmark = pytest.mark.local

ENVIRONMENT = "release"
NAME = f"know-me-{ENVIRONMENT}"
API = f"{NAME}-api"


@pytest.fixture(scope="module")
def world(local_aws: LocalAWS) -> Iterator[World]:
    with opened(local_aws, ENVIRONMENT) as world:
        yield world


# ------------------------------------------------------------------ the schema


def test_a_release_migrates_the_schema_first_and_is_in_place_when_that_succeeded(
    world: World, tmp_path: Path
) -> None:
    # Given a migration that notes which release serves meanwhile
    seen = tmp_path / "seen"
    tmp_path.chmod(0o777)
    definition = world.define("2", migrate=f"curl -s http://{world.address}/ > {seen}; sleep 2; exit 0")
    # When it is released
    deployment = world.release(definition)
    ended = world.ended(deployment)
    # Then the state machine, named after the deployment, waited for the task
    assert world.execution("schema-migration", deployment)["status"] == "SUCCEEDED"
    # And only then the new release was put in place
    assert ended["status"] == "Succeeded", ended
    assert seen.read_text() == "1"
    eventually(lambda: world.serving() == "2")
    assert world.told() == []


def test_a_release_whose_migration_fails_is_rolled_back_with_its_last_words(world: World) -> None:
    before = world.serving()
    definition = world.define("3", migrate='echo "applying 0042"; echo "column exists" >&2; exit 3')
    # When it is released
    deployment = world.release(definition)
    ended = world.ended(deployment)
    # Then the deployment failed at its hook, and no task of the image was started for the service
    assert ended["status"] == "Failed"
    assert ended["errorInformation"]["code"] == "HOOK_EXECUTION_FAILURE"
    execution = world.execution("schema-migration", deployment)
    assert (execution["status"], execution["error"]) == ("FAILED", "SchemaMigrationFailed")
    for words in ("exit code 3", "applying 0042", "column exists", "Nothing was released"):
        assert words in execution["cause"]
    # And people are told, once, and the release before serves
    (message,) = eventually(world.told)
    assert message["Subject"] == f"Know Me {ENVIRONMENT}: the schema migration of {deployment} failed"
    assert "column exists" in message["Message"]
    eventually(world.settled)
    assert world.serving() == before


def test_a_release_is_refused_while_a_migration_replaces_the_stores(world: World) -> None:
    before = world.serving()
    world.hold_lock(purpose="migrate")
    try:
        deployment = world.release(world.define("4", migrate="exit 0"))
        assert world.ended(deployment)["status"] == "Failed"
        execution = world.execution("schema-migration", deployment)
        assert execution["error"] == "LockHeld"
        assert "The migrate run a-run has worked on release" in execution["cause"]
    finally:
        world.hold_lock(purpose=None)
    eventually(world.told)
    eventually(world.settled)
    assert world.serving() == before


def test_a_migration_that_is_stopped_by_hand_fails_its_release_within_seconds(world: World) -> None:
    # Given a migration that takes for ever
    deployment = world.release(world.define("5", migrate="sleep 600"))
    ecs = world.aws.client("ecs")
    eventually(lambda: ecs.list_tasks(cluster=NAME, startedBy=deployment)["taskArns"])
    # When somebody stops the execution
    machine = world.machines["schema-migration"].replace(":stateMachine:", ":execution:")
    world.aws.client("stepfunctions").stop_execution(executionArn=f"{machine}:{deployment}")
    # Then CodeDeploy does not wait for an hour, the task ends, and people are told
    assert world.ended(deployment)["status"] == "Failed"
    eventually(lambda: not ecs.list_tasks(cluster=NAME, startedBy=deployment)["taskArns"])
    (message,) = eventually(world.told)
    assert "was stopped by hand" in message["Message"]
    eventually(world.settled)


# ------------------------------------------------------------------ background jobs


def test_background_jobs_run_on_the_image_that_serves(world: World, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    tmp_path.chmod(0o777)
    jobs = f"echo $RELEASE >> {seen}"
    deployment = world.release(world.define("6", jobs=jobs))
    assert world.ended(deployment)["status"] == "Succeeded"
    # Given a release that is registered and not in place
    world.define("7", jobs=f"echo 7 >> {seen}")
    # When the jobs run
    assert world.run_jobs()["status"] == "SUCCEEDED"
    # Then it was the image that serves
    assert seen.read_text().split() == ["6"]


def test_background_jobs_never_run_twice_at_once_and_a_failure_is_one(world: World, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    tmp_path.chmod(0o777)
    jobs = f'echo working; until [ -e {gate} ]; do sleep 0.2; done; echo "no mail server" >&2; exit 5'
    deployment = world.release(world.define("8", jobs=jobs))
    assert world.ended(deployment)["status"] == "Succeeded"
    # Given that they are at work
    first = f"x{uuid.uuid4().hex[:8]}"
    world.start_jobs(first)
    eventually(world.jobs)
    # When the next interval comes
    second = world.run_jobs()
    # Then it does nothing and says why
    assert second["status"] == "SUCCEEDED"
    assert "still at work" in json.loads(second["output"])["skipped"]
    assert len(world.jobs()) == 1
    # And when the first ones fail, then their execution does
    gate.touch()
    execution = world.execution("background-jobs", first)
    assert (execution["status"], execution["error"]) == ("FAILED", "BackgroundJobsFailed")
    assert "exit code 5" in execution["cause"] and "no mail server" in execution["cause"]


def test_background_jobs_do_not_run_while_the_app_is_stopped_for_a_migration(world: World) -> None:
    ecs = world.aws.client("ecs")
    world.hold_lock(purpose="migrate")
    ecs.update_service(cluster=NAME, service=API, desiredCount=0)
    try:
        ended = world.run_jobs()
        assert ended["status"] == "SUCCEEDED"
        assert "The app is stopped while the migrate run a-run" in json.loads(ended["output"])["skipped"]
        assert world.jobs() == []
    finally:
        world.hold_lock(purpose=None)
        ecs.update_service(cluster=NAME, service=API, desiredCount=1)
    eventually(world.settled)


def test_a_rule_starts_background_jobs_at_every_interval_until_it_is_disabled(
    world: World, tmp_path: Path
) -> None:
    # Given a release whose jobs leave a trace, and the rule as Terraform describes it, but every minute
    seen = tmp_path / "seen"
    tmp_path.chmod(0o777)
    deployment = world.release(world.define("9", jobs=f"echo ran >> {seen}"))
    assert world.ended(deployment)["status"] == "Succeeded"
    events, name = world.aws.client("events"), f"{NAME}-background-jobs"
    events.put_rule(Name=name, ScheduleExpression="rate(1 minute)")
    target = {"Id": "machine", "Arn": world.machines["background-jobs"], "RoleArn": world.role, "Input": "{}"}
    events.put_targets(Rule=name, Targets=[target])
    try:
        # When time passes, then they run
        eventually(seen.exists, seconds=150)
        # And a rule that a migration disabled starts nothing more
        events.disable_rule(Name=name)
        ran = len(seen.read_text().split())
        time.sleep(65)
        assert len(seen.read_text().split()) == ran
    finally:
        events.remove_targets(Rule=name, Ids=["machine"])
        events.delete_rule(Name=name)
