"""The stories by name: `conftest.PLAN` says where and in which order they are told."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from examples.demo import refuses_writes
from examples.executions import Execution
from tests.migration import media, scenarios
from tests.migration.scenarios import Facts, Stage, everything_written, watching_processes

BEFORE_PROVISIONING = ("manifest_missing",)

DATABASE_ALONE = {"stores": ["database"]}
MEDIA_ALONE = {"stores": ["media"]}

BAD_INPUTS: dict[str, Any] = {
    "unknown field": {"surprise": 1},
    "wrong type": {"grace_seconds": "soon", "preflight_only": "yes"},
    "generation that exists": {"candidate": "blue"},
    "unknown environment": {"environment": "elsewhere"},
    "no object": ["blue"],
    "everything at once": {
        "surprise": 1,
        "candidate": "blue",
        "environment": "elsewhere",
        "engine_version": 7,
    },
}


@dataclass
class Refusals:
    """How bad requests ended, and the environment before and after them."""

    executions: dict[str, Execution]
    seconds: dict[str, float]
    before: dict[str, Any]
    after: dict[str, Any]


def refusals(stage: Stage) -> Refusals:
    """Start `migrate` with everything that must be refused."""
    before = _everything_that_could_be_touched(stage)
    executions, seconds = {}, {}
    for name, document in BAD_INPUTS.items():
        began = time.monotonic()
        answer = stage.environment.clients["stepfunctions"].start_execution(
            stateMachineArn=stage.environment.executions.state_machine_arn("migrate"),
            input=json.dumps(document),
        )
        executions[name] = stage.environment.wait(answer["executionArn"], 60)
        seconds[name] = time.monotonic() - began
    return Refusals(executions, seconds, before, _everything_that_could_be_touched(stage))


def manifest_missing(stage: Stage) -> Execution:
    """Migrate an environment that Terraform has not made yet."""
    return stage.environment.wait(stage.environment.executions.start("migrate"), 60)


def success(stage: Stage) -> Facts:
    """Migrate with ``{}`` and look at everything that must be true afterwards."""
    refused: list[Execution] = []
    while_stopped: dict[str, bool] = {}
    environment = stage.environment

    def start_a_second_and_look(stage: Stage, run_id: str) -> None:
        stage.wait_for_state(run_id, "Add the candidate")
        refused.append(environment.wait(environment.executions.start("migrate"), 60))
        stage.wait_for_state(run_id, scenarios.MOVE)
        while_stopped.update(environment.ways_to_start())

    before = environment.ways_to_start()
    definition = environment.task_definition()
    with watching_processes() as processes:
        facts = stage.migrate(start_a_second_and_look, document={})
    old = environment.generation(facts.before)["instance_id"]
    described = environment.clients["rds"].describe_db_instances(DBInstanceIdentifier=old)["DBInstances"][0]
    facts.extra = {
        "second": refused[0],
        "ways_to_start": (before, while_stopped, facts.ways_to_start),
        "task_definitions": (definition, environment.task_definition()),
        "led_to": environment.led_to(),
        "old_status": described["DBInstanceStatus"],
        "old_instance": old,
        "in_terraform": environment.instances_in_terraform(),
        "refusal": refuses_writes(environment, facts.before),
        "planned_changes": environment.planned_changes(),
        "verification": environment.run_document(facts.run_id, "verification.json"),
        "report": environment.run_file(facts.run_id, "report.html").decode(),
        "processes": processes,
        "secrets": set(stage.secrets),
        "written": list(everything_written(stage)),
    }
    return facts


def again(stage: Stage) -> Facts:
    """Migrate once more with ``{}`` and no other command in between."""
    return stage.migrate(document={})


def restore_killed(stage: Stage) -> Facts:
    """See `scenarios.kill_the_restore`."""
    return stage.migrate(scenarios.kill_the_restore, {**stage.input, **DATABASE_ALONE})


def verification_differs(stage: Stage) -> Facts:
    """See `scenarios.change_a_row_of_the_candidate`."""
    return stage.migrate(scenarios.change_a_row_of_the_candidate, {**stage.input, **DATABASE_ALONE})


def stopped_by_hand(stage: Stage) -> Facts:
    """See `scenarios.stop_the_execution_by_hand`."""
    return stage.migrate(scenarios.stop_the_execution_by_hand)


def job_times_out(stage: Stage) -> Facts:
    """See `scenarios.hold_a_lock_until_the_verification_times_out`."""
    document = {**stage.input, **DATABASE_ALONE, "job_timeout_seconds": 40}
    return stage.migrate(scenarios.hold_a_lock_until_the_verification_times_out, document)


def candidate_stopped(stage: Stage) -> Facts:
    """See `scenarios.stop_the_candidate`."""
    return stage.migrate(scenarios.stop_the_candidate, {**stage.input, **DATABASE_ALONE})


def cutover_fails(stage: Stage) -> Facts:
    """See `scenarios.let_the_cutover_fail`."""
    return stage.migrate(scenarios.let_the_cutover_fail)


def database_alone(stage: Stage) -> Facts:
    """Migrate the database and leave the media where it is."""
    return _with_buckets(stage, lambda: stage.migrate(document={**stage.input, **DATABASE_ALONE}))


def media_alone(stage: Stage) -> Facts:
    """Migrate the media and leave the database where it is."""
    return _with_buckets(stage, lambda: stage.migrate(document={**stage.input, **MEDIA_ALONE}))


def media_differs(stage: Stage) -> Facts:
    """See `scenarios.deny_a_new_object`."""
    facts = _with_buckets(
        stage, lambda: stage.migrate(scenarios.deny_a_new_object, {**stage.input, **MEDIA_ALONE})
    )
    scenarios.allow_the_new_object(stage)
    facts.extra["media_candidate"] = stage.environment.run_document(facts.run_id, "request.json")[
        "media_candidate"
    ]
    return facts


def media_again(stage: Stage) -> Facts:
    """Migrate the media once more after a run that failed."""
    return media_alone(stage)


def media_copies(stage: Stage) -> dict[str, Any]:
    """See `media.STORIES`."""
    return media.media_copies(stage)


def _with_buckets(stage: Stage, migrate: Callable[[], Facts]) -> Facts:
    before = stage.environment.manifest()["media"]
    facts = migrate()
    facts.extra |= {
        "media_before": before["active"],
        "media_after": stage.environment.manifest()["media"]["active"],
        "refusal": scenarios.refusal_of_bucket(stage, before["generations"][before["active"]]["bucket"]),
    }
    return facts


def _everything_that_could_be_touched(stage: Stage) -> dict[str, Any]:
    environment = stage.environment
    instances = environment.clients["rds"].describe_db_instances()["DBInstances"]
    return {
        "generations": environment.generations(),
        "manifest": environment.manifest(),
        "instances": {
            item["DBInstanceIdentifier"]: item["DBInstanceStatus"]
            for item in instances
            if item["DBInstanceIdentifier"].startswith(f"{environment.stack}-")
        },
        "tasks": environment.running_tasks(),
        "lock": stage.lock(),
        # Not `return`: EventBridge starts it for every failed run, and it finds nothing to return.
        "children": [
            name
            for runbook in ("provision", "move-database", "move-media")
            for name in _names(stage, runbook)
        ],
    }


def _names(stage: Stage, runbook: str) -> list[str]:
    executions = stage.environment.executions
    pages = stage.environment.clients["stepfunctions"].get_paginator("list_executions")
    found = pages.paginate(stateMachineArn=executions.state_machine_arn(runbook))
    return [item["name"] for page in found for item in page["executions"]]
