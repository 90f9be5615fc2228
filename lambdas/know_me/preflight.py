"""What AWS knows before a migration starts: one function per check, tables of checks.

Nothing here changes anything. A check that AWS cannot answer is a finding too: it says so instead of passing.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from know_me.aws import error_code
from know_me.checks import Check, Surroundings, either, finding, project_exists
from know_me.executions import running_executions
from know_me.findings import Finding
from know_me.manifest import Manifest
from know_me.media_checks import MEDIA_CHECKS
from know_me.name_checks import a_label_is_free, stores_are_read_by_name
from know_me.releases import busy_stages, deployments_under_way
from know_me.requests import Migration
from know_me.settings import Settings
from know_me.wording import duration, listed

STALE_BACKUP_SECONDS = 3600
"""RDS uploads transaction logs every five minutes; an hour without means that something is wrong."""

LITTLE_STORAGE_GIB = 20
"""The smallest gp3 volume of RDS for PostgreSQL."""


def run_checks(
    migration: Migration,
    manifest: Manifest,
    settings: Settings,
    client: Callable[[str], Any],
    now: datetime,
    execution_arn: str,
) -> list[Finding]:
    """Run every check that concerns what moves, and return all findings."""
    around = Surroundings(
        migration=migration,
        manifest=manifest,
        settings=settings,
        client=client,
        now=now,
        execution_arn=execution_arn,
    )
    checks = dict(CHECKS)
    if migration.moves("database"):
        instance = _instance(around)
        if instance is None:
            checks = {"instance": instance_exists, **checks}
        else:
            around = around.model_copy(update={"instance": instance})
            checks = {**DATABASE_CHECKS, **checks}
    if migration.moves("media"):
        checks |= MEDIA_CHECKS
    return [found for name, check in checks.items() for found in _guarded(name, check, around)]


def _instance(around: Surroundings) -> dict[str, Any] | None:
    """Return what RDS says about the old database, None when there is no such instance."""
    try:
        found = around.client("rds").describe_db_instances(DBInstanceIdentifier=around.source.instance_id)
    except ClientError as error:
        if error_code(error) != "DBInstanceNotFound":
            raise
        return None
    instance: dict[str, Any] = found["DBInstances"][0]
    return instance


def _guarded(name: str, check: Check, around: Surroundings) -> Iterator[Finding]:
    """Turn AWS's refusal to answer into a finding that names it."""
    try:
        yield from [found.model_copy(update={"check": name}) for found in check(around)]
    except ClientError as error:
        yield Finding(
            check=name,
            result="failed",
            subject=around.migration.environment,
            message=f"AWS did not answer: {error}",
            remedy="Give the function preflight-environment the permission named, or repeat when AWS answers",
        )


# ---------------------------------------------------------------- the database instance


def instance_exists(around: Surroundings) -> Iterator[Finding]:
    """Without the instance nothing else about it can be asked; this is said instead of all that."""
    yield finding(
        around.source.instance_id,
        "failed",
        "The database instance does not exist",
        "Start provision, which brings the environment to what Terraform describes",
    )


def instance_is_available(around: Surroundings) -> Iterator[Finding]:
    """A snapshot needs an available instance."""
    status = around.instance["DBInstanceStatus"]
    yield either(
        around.source.instance_id,
        status != "available",
        "The instance is available",
        f"The instance is {status}, not available",
        "Wait until it is available, or start it (aws rds start-db-instance)",
    )


def nothing_is_pending(around: Surroundings) -> Iterator[Finding]:
    """A pending modification would be applied at the worst moment."""
    pending = {key: value for key, value in around.instance.get("PendingModifiedValues", {}).items() if value}
    yield either(
        around.source.instance_id,
        pending,
        "No modification is pending",
        f"Modifications are pending: {listed(sorted(pending))}",
        "Apply them now (aws rds modify-db-instance --apply-immediately) or take them back",
    )


def no_maintenance_is_due(around: Surroundings) -> Iterator[Finding]:
    """Maintenance restarts the instance."""
    answer = around.client("rds").describe_pending_maintenance_actions(
        ResourceIdentifier=around.instance["DBInstanceArn"]
    )
    actions = [
        action
        for resource in answer.get("PendingMaintenanceActions", [])
        for action in resource.get("PendingMaintenanceActionDetails", [])
    ]
    due = [action for action in actions if action.get("CurrentApplyDate") or action.get("ForcedApplyDate")]
    names = listed([action["Action"] for action in due or actions])
    if actions and not due:
        yield finding(
            around.source.instance_id,
            "warning",
            f"Maintenance is offered but not scheduled: {names}",
            "Nothing needs to be done: the new instance starts with current software",
        )
        return
    yield either(
        around.source.instance_id,
        due,
        "No maintenance is pending",
        f"Maintenance is scheduled: {names}",
        "Apply it now (aws rds apply-pending-maintenance-action --opt-in-type immediate) or defer it",
    )


def backups_are_on(around: Surroundings) -> Iterator[Finding]:
    """Without automated backups there is no way back to a moment before the migration."""
    days = around.instance.get("BackupRetentionPeriod", 0)
    yield either(
        around.source.instance_id,
        days == 0,
        f"Automated backups are kept for {days} days",
        "Automated backups are off",
        "Set the environment's backup retention to at least one day and start provision",
    )
    restorable = around.instance.get("LatestRestorableTime")
    if restorable is None:
        yield finding(
            around.source.instance_id,
            "skipped",
            "RDS does not say yet to which moment the instance can be restored",
        )
        return
    age = (around.now - restorable).total_seconds()
    stale = age > STALE_BACKUP_SECONDS
    yield finding(
        around.source.instance_id,
        "warning" if stale else "passed",
        f"It can be restored to {duration(max(age, 0))} ago",
        "Look at the instance's events: its logs are not backed up in time" if stale else None,
    )


def storage_is_enough(around: Surroundings) -> Iterator[Finding]:
    """The candidate must hold at least what the source was given."""
    source = around.instance.get("AllocatedStorage", 0)
    wanted = around.migration.candidate_settings.allocated_storage
    if wanted is None:
        yield finding(
            around.source.instance_id,
            "passed",
            f"The old instance has {source} GiB; the new one gets the environment's default",
        )
        return
    yield finding(
        around.source.instance_id,
        "warning" if wanted < source else "passed",
        f"The old instance has {source} GiB, the new one gets {wanted} GiB",
        "Make sure that the data fits: the candidate's inspection compares sizes"
        if wanted < source
        else None,
    )


def engine_version_is_offered(around: Surroundings) -> Iterator[Finding]:
    """A newer major version is allowed, an older one is not; RDS must offer it."""
    current = str(around.instance["EngineVersion"])
    wanted = around.migration.candidate_settings.engine_version
    subject = f"PostgreSQL {wanted or current}"
    if wanted is None:
        yield finding(subject, "passed", "The new database gets the environment's default version")
        return
    if _major(wanted) < _major(current):
        yield finding(
            subject,
            "failed",
            f"The old database runs {current}: a dump does not restore into an older major version",
            f"Ask for engine_version {_major(current)} or newer",
        )
        return
    offered = around.client("rds").describe_db_engine_versions(Engine="postgres", EngineVersion=wanted)
    yield either(
        subject,
        not offered["DBEngineVersions"],
        f"RDS offers it; the old database runs {current}",
        "RDS does not offer this version here",
        "Choose one of `aws rds describe-db-engine-versions --engine postgres`",
    )


def _major(version: str) -> int:
    return int(version.split(".")[0])


def deletion_protection_is_noted(around: Surroundings) -> Iterator[Finding]:
    """Nothing is deleted by a migration; whether somebody else could is worth knowing."""
    protected = around.instance.get("DeletionProtection", False)
    yield finding(
        around.source.instance_id,
        "passed" if protected else "warning",
        f"Deletion protection is {'on' if protected else 'off'}",
        None if protected else "Turn it on for environments that matter: the old database is the way back",
    )


# ---------------------------------------------------------------- the app and its delivery


def services_are_steady(around: Surroundings) -> Iterator[Finding]:
    """A deployment under way would start tasks while the database moves."""
    ecs, wanted = around.client("ecs"), 0
    for service in around.manifest.services:
        found = ecs.describe_services(cluster=service.cluster, services=[service.name])["services"]
        if not found or found[0].get("status") != "ACTIVE":
            yield finding(service.name, "failed", "The service does not exist", "Start provision")
            continue
        wanted += found[0]["desiredCount"]
        yield _steadiness(service.name, found[0])
    if not wanted:
        yield finding(
            around.migration.environment,
            "failed",
            "The app does not run: the smoke test at the end could not pass",
            "Start it first (aws ecs update-service --desired-count)",
        )


def _steadiness(name: str, state: dict[str, Any]) -> Finding:
    wanted, running = state["desiredCount"], state["runningCount"]
    if not wanted:
        return finding(
            name,
            "warning",
            "The service is set to run no task; it will run none after the migration either",
            "Start it first if it should run",
        )
    deployments = [item for item in state.get("deployments", []) if item.get("status") != "INACTIVE"]
    moving = (
        len(deployments) > 1
        or len(state.get("taskSets", [])) > 1  # the blue/green deployments of CodeDeploy
        or any(item.get("rolloutState") == "IN_PROGRESS" for item in deployments)
    )
    return either(
        name,
        moving or running < wanted,
        f"{running} of {wanted} tasks run, no deployment is under way",
        "A deployment is under way" if moving else f"{running} of {wanted} tasks run",
        "Wait until the service is steady (aws ecs wait services-stable)",
    )


def pipelines_are_idle(around: Surroundings) -> Iterator[Finding]:
    """A pipeline that executes may deploy during the migration."""
    for pipeline in around.manifest.pipelines:
        busy = busy_stages(around.client("codepipeline"), pipeline.name)
        yield either(
            pipeline.name,
            busy,
            "The pipeline is idle",
            f"The pipeline executes {listed(busy)}",
            "Wait until it has ended, or stop it",
        )


def no_release_is_under_way(around: Surroundings) -> Iterator[Finding]:
    """A deployment that is not over may roll back, and so start or end tasks, during the migration."""
    for deployment in around.manifest.deployments:
        busy = deployments_under_way(around.client("codedeploy"), [deployment])
        yield either(
            deployment.application,
            busy,
            "No deployment is under way",
            f"Not over yet: {listed(busy)}",
            "Wait until it has ended, its termination wait included, or stop it (aws deploy stop-deployment)",
        )


def alarms_are_quiet(around: Surroundings) -> Iterator[Finding]:
    """An alarm before the migration hides one caused by it."""
    names = [arn.split(":alarm:", 1)[-1] for arn in around.manifest.alarm_arns]
    for start in range(0, len(names), 100):
        answer = around.client("cloudwatch").describe_alarms(
            AlarmNames=names[start : start + 100], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        for alarm in answer.get("MetricAlarms", []) + answer.get("CompositeAlarms", []):
            raised = alarm["StateValue"] == "ALARM"
            yield finding(
                alarm["AlarmName"],
                "warning" if raised else "passed",
                f"The alarm's state is {alarm['StateValue']}. {alarm.get('StateReason', '')}".strip(),
                "Find out what raised it before the migration hides it" if raised else None,
            )


def scheduled_work_is_listed(around: Surroundings) -> Iterator[Finding]:
    """What will be stopped and started again is named, so that nobody is surprised."""
    events, scheduler = around.client("events"), around.client("scheduler")
    items = [
        (rule.name, events.describe_rule(Name=rule.name, EventBusName=rule.event_bus_name)["State"])
        for rule in around.manifest.rules
    ] + [
        (item.name, scheduler.get_schedule(Name=item.name, GroupName=item.group_name)["State"])
        for item in around.manifest.schedules
    ]
    if not items:
        yield finding(around.migration.environment, "passed", "No rule or schedule needs to be stopped")
    for name, state in items:
        yield finding(name, "passed", f"It is {state.lower()} and stays off while the database moves")


# ---------------------------------------------------------------- the runbooks


def no_other_run_is_under_way(around: Surroundings) -> Iterator[Finding]:
    """The lock refuses a second run; this finds one that works without it."""
    states = around.client("stepfunctions")
    others = [
        f"{machine} {execution['name']}"
        for machine in ("migrate", "provision")
        for execution in running_executions(states, around.settings.state_machine_arn(machine))
        # migrations that start behind us are refused by the lock; one from before us works without it
        if execution["executionArn"] != around.execution_arn
        and (machine == "provision" or execution["startDate"] < _started(states, around.execution_arn))
    ]
    yield either(
        around.migration.environment,
        others,
        "No other run is under way",
        f"Also running: {listed(others)}",
        "Wait until it has ended",
    )


def _started(states: Any, arn: str) -> datetime:
    started: datetime = states.describe_execution(executionArn=arn)["startDate"]
    return started


def database_jobs_exist(around: Surroundings) -> Iterator[Finding]:
    """The build inside the VPC does the copying."""
    yield project_exists(around, around.manifest.builds.database_jobs, "database jobs")


DATABASE_CHECKS: dict[str, Check] = {
    "instance": instance_is_available,
    "pending modifications": nothing_is_pending,
    "maintenance": no_maintenance_is_due,
    "backups": backups_are_on,
    "storage": storage_is_enough,
    "engine version": engine_version_is_offered,
    "deletion protection": deletion_protection_is_noted,
    "labels": a_label_is_free,
}
"""When the database moves."""

CHECKS: dict[str, Check] = {
    "services": services_are_steady,
    "names of the stores": stores_are_read_by_name,
    "pipelines": pipelines_are_idle,
    "releases": no_release_is_under_way,
    "alarms": alarms_are_quiet,
    "scheduled work": scheduled_work_is_listed,
    "other runs": no_other_run_is_under_way,
    "database jobs": database_jobs_exist,
}
"""Whatever moves: the list of files that rows refer to is the database jobs' work, too."""
