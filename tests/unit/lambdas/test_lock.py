"""The lock: one run at a time, and nobody is locked out for ever."""

import boto3
import pytest
from know_me.errors import InvalidRequest, LockHeld
from know_me.lock import Lock, LockTable, abandoned, take
from know_me.settings import Settings

from tests.unit.lambdas.conftest import LOCK_TABLE, NOW, Stubbed, execution


@pytest.fixture
def table(aws: None) -> LockTable:
    return LockTable(boto3.client("dynamodb"), LOCK_TABLE, "staging")


def attempt(
    table: LockTable, run_id: str, machine: str = "migrate", acting_for: str | None = None, free: bool = False
) -> bool:
    return take(
        table,
        environment="staging",
        run_id=run_id,
        execution_arn=execution(machine, run_id),
        purpose=machine,  # type: ignore[arg-type]
        acting_for=acting_for,
        now=NOW,
        is_abandoned=lambda lock: free,
    )


def test_a_second_run_is_refused_naming_the_one_that_holds_the_lock(table: LockTable) -> None:
    # Given a run that works, when another one starts
    assert attempt(table, "first") is True
    with pytest.raises(LockHeld) as refused:
        attempt(table, "second")
    # Then it is told who, since when, and what to do
    message = str(refused.value)
    assert "The migrate run first has worked on staging since 2026-03-01T12:00:00+00:00" in message
    assert execution("migrate", "first") in message
    assert '{"run_id": "first"}' in message


def test_a_repeated_step_finds_the_lock_that_it_took(table: LockTable) -> None:
    assert attempt(table, "first") is True
    assert attempt(table, "first") is True


def test_a_run_of_the_same_name_by_another_state_machine_is_refused(table: LockTable) -> None:
    attempt(table, "first", "migrate")
    with pytest.raises(LockHeld):
        attempt(table, "first", "provision")


def test_a_child_joins_the_lock_of_its_run_and_does_not_own_it(table: LockTable) -> None:
    attempt(table, "first")
    assert attempt(table, "first-provision-candidate", "provision", acting_for="first") is False


@pytest.mark.parametrize("holder", [None, "other"])
def test_acting_for_a_run_that_does_not_hold_the_lock_is_refused(
    table: LockTable, holder: str | None
) -> None:
    if holder:
        attempt(table, holder)
    with pytest.raises(
        InvalidRequest, match=f"first does not hold the lock of staging, {holder or 'nobody'} does"
    ):
        attempt(table, "child", "provision", acting_for="first")


def test_only_the_run_that_holds_the_lock_releases_it(table: LockTable) -> None:
    attempt(table, "first")
    assert table.release("second") is False
    assert table.release("first") is True
    assert table.release("first") is False
    assert attempt(table, "second") is True


def test_an_abandoned_lock_is_taken_over(table: LockTable) -> None:
    attempt(table, "first")
    assert attempt(table, "second", free=True) is True
    held = table.read()
    assert held is not None and held.run_id == "second"


def test_of_two_returns_that_saw_the_same_lock_one_claims_it(table: LockTable) -> None:
    attempt(table, "first")
    seen = table.read()
    assert seen is not None
    assert table.claim(seen, execution("return", "a")) is True
    assert table.claim(seen, execution("return", "b")) is False
    held = table.read()
    assert held is not None and (held.returning_by, held.return_attempt) == (execution("return", "a"), 1)


def described(status: str, machine: str = "migrate", name: str = "first") -> dict[str, object]:
    return {
        "executionArn": execution(machine, name),
        "stateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:x",
        "name": name,
        "status": status,
        "startDate": NOW,
    }


@pytest.mark.parametrize(
    ("status", "purpose", "return_status", "free"),
    [
        ("RUNNING", "migrate", None, False),
        ("RUNNING", "provision", None, False),
        ("FAILED", "provision", None, True),
        ("ABORTED", "migrate", None, False),  # its return has not started: it will
        ("FAILED", "migrate", "RUNNING", False),
        ("FAILED", "migrate", "FAILED", False),  # the environment still has to be brought back
        ("FAILED", "migrate", "SUCCEEDED", True),
    ],
)
def test_when_a_lock_is_free_to_take_over(
    settings: Settings, stubbed: Stubbed, status: str, purpose: str, return_status: str | None, free: bool
) -> None:
    lock = Lock(
        environment="staging",
        run_id="first",
        execution_arn=execution(purpose, "first"),
        purpose=purpose,  # type: ignore[arg-type]
        taken_at="2026-03-01T12:00:00+00:00",
        returning_by=execution("return", "r") if return_status else None,
    )
    stubbed.expect(
        "stepfunctions",
        "describe_execution",
        {"executionArn": lock.execution_arn},
        described(status, purpose),
    )
    if return_status:
        stubbed.expect(
            "stepfunctions",
            "describe_execution",
            {"executionArn": execution("return", "r")},
            described(return_status, "return", "r"),
        )
    if free:
        stubbed.expect(
            "codebuild",
            "list_builds_for_project",
            {"projectName": "know-me-staging-terraform", "sortOrder": "DESCENDING"},
            {},
        )
    rule = abandoned(stubbed.client("stepfunctions"), stubbed.client("codebuild"), settings)
    assert rule(lock) is free


def test_a_lock_is_kept_while_its_terraform_still_runs(settings: Settings, stubbed: Stubbed) -> None:
    lock = Lock(
        environment="staging",
        run_id="first",
        execution_arn=execution("provision", "first"),
        purpose="provision",
        taken_at="x",
    )
    stubbed.expect(
        "stepfunctions", "describe_execution", {"executionArn": lock.execution_arn}, described("ABORTED")
    )
    stubbed.expect(
        "codebuild",
        "list_builds_for_project",
        {"projectName": "know-me-staging-terraform", "sortOrder": "DESCENDING"},
        {"ids": ["know-me-staging-terraform:1"]},
    )
    stubbed.expect(
        "codebuild",
        "batch_get_builds",
        {"ids": ["know-me-staging-terraform:1"]},
        {"builds": [{"id": "know-me-staging-terraform:1", "buildStatus": "IN_PROGRESS"}]},
    )
    assert abandoned(stubbed.client("stepfunctions"), stubbed.client("codebuild"), settings)(lock) is False
