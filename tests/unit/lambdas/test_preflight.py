"""Preflight: what AWS knows, and what each answer means for a migration."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from know_me.checks import Surroundings
from know_me.errors import PreflightFailed
from know_me.findings import Finding, judge, refuse_failed
from know_me.generations import Generations
from know_me.manifest import Manifest
from know_me.media_checks import MEDIA_CHECKS
from know_me.preflight import CHECKS, DATABASE_CHECKS, _guarded, run_checks
from know_me.requests import Migration, plan_migration
from know_me.settings import Settings

from tests.unit.lambdas.conftest import (
    APPLICATION_SECRET,
    BUCKET,
    MEDIA_BUCKET_PARAMETER,
    NOW,
    Stubbed,
    execution,
    manifest_document,
)

MANIFEST = Manifest.model_validate(
    {**manifest_document(), "alarm_arns": ["arn:aws:cloudwatch:us-east-1:1:alarm:slow"]}
)
GENERATIONS = Generations.model_validate({"database": {"active": "blue", "all": {"blue": {}}}})
INSTANCE: dict[str, Any] = {
    "DBInstanceIdentifier": "know-me-staging-blue",
    "DBInstanceArn": "arn:aws:rds:us-east-1:123456789012:db:know-me-staging-blue",
    "DBInstanceStatus": "available",
    "EngineVersion": "17.4",
    "AllocatedStorage": 50,
    "BackupRetentionPeriod": 7,
    "LatestRestorableTime": NOW - timedelta(minutes=4),
    "DeletionProtection": True,
    "PendingModifiedValues": {},
}
SERVICE = {"status": "ACTIVE", "desiredCount": 2, "runningCount": 2, "deployments": [{"status": "PRIMARY"}]}

EVERY_CHECK = {**DATABASE_CHECKS, **CHECKS, **MEDIA_CHECKS}
OLD_BUCKET = "know-me-staging-media-blue-123456789012"
NEW_BUCKET = "know-me-staging-media-green-123456789012"


def planned(request: dict[str, Any]) -> Migration:
    return plan_migration(
        request,
        run_id="run-1",
        environment="staging",
        manifest=MANIFEST,
        generations=GENERATIONS,
        bucket=BUCKET,
        single_copy_limit_bytes=5 * 1024**3,
    )


Judge = Callable[..., list[Finding]]


@pytest.fixture
def check(stubbed: Stubbed, settings: Settings) -> Judge:
    """Run one check of the table on an instance that differs from a good one."""

    def run(name: str, request: dict[str, Any] | None = None, **instance: Any) -> list[Finding]:
        migration = planned(request or {})
        around = Surroundings(
            migration=migration,
            manifest=MANIFEST,
            settings=settings,
            client=stubbed.client,
            now=NOW,
            execution_arn=execution("migrate", "run-1"),
            instance={**INSTANCE, **instance},
        )
        return list(_guarded(name, EVERY_CHECK[name], around))

    return run


@pytest.mark.parametrize(
    ("name", "request_document", "instance", "expected"),
    [
        ("instance", {}, {}, ["passed"]),
        ("instance", {}, {"DBInstanceStatus": "stopped"}, ["failed"]),
        ("pending modifications", {}, {}, ["passed"]),
        ("pending modifications", {}, {"PendingModifiedValues": {"AllocatedStorage": 100}}, ["failed"]),
        ("backups", {}, {}, ["passed", "passed"]),
        ("backups", {}, {"BackupRetentionPeriod": 0, "LatestRestorableTime": None}, ["failed", "skipped"]),
        ("backups", {}, {"LatestRestorableTime": NOW - timedelta(hours=2)}, ["passed", "warning"]),
        ("storage", {"allocated_storage": 20}, {}, ["warning"]),
        ("storage", {"allocated_storage": 50}, {}, ["passed"]),
        ("storage", {}, {}, ["passed"]),
        ("engine version", {}, {}, ["passed"]),
        ("engine version", {"engine_version": "16"}, {}, ["failed"]),
        ("deletion protection", {}, {}, ["passed"]),
        ("deletion protection", {}, {"DeletionProtection": False}, ["warning"]),
    ],
)
def test_what_the_instance_says(
    check: Judge, name: str, request_document: dict[str, Any], instance: dict[str, Any], expected: list[str]
) -> None:
    findings = check(name, request_document, **instance)
    assert [finding.result for finding in findings] == expected
    assert all(finding.remedy for finding in findings if finding.result in ("warning", "failed"))
    assert {finding.check for finding in findings} == {name}


@pytest.mark.parametrize(("offered", "expected"), [([{"EngineVersion": "18"}], "passed"), ([], "failed")])
def test_a_newer_version_must_be_offered(
    check: Judge, stubbed: Stubbed, offered: list[Any], expected: str
) -> None:
    stubbed.expect(
        "rds",
        "describe_db_engine_versions",
        {"Engine": "postgres", "EngineVersion": "18"},
        {"DBEngineVersions": offered},
    )
    assert [finding.result for finding in check("engine version", {"engine_version": "18"})] == [expected]


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ([], "passed"),
        ([{"Action": "os-upgrade"}], "warning"),
        ([{"Action": "db-upgrade", "CurrentApplyDate": NOW}], "failed"),
    ],
)
def test_maintenance_that_is_scheduled_stops_a_migration(
    check: Judge, stubbed: Stubbed, details: list[Any], expected: str
) -> None:
    stubbed.expect(
        "rds",
        "describe_pending_maintenance_actions",
        {"ResourceIdentifier": INSTANCE["DBInstanceArn"]},
        {"PendingMaintenanceActions": [{"PendingMaintenanceActionDetails": details}]},
    )
    assert [finding.result for finding in check("maintenance")] == [expected]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "passed"),
        ({"runningCount": 1}, "failed"),
        ({"deployments": [{"status": "PRIMARY"}, {"status": "ACTIVE"}]}, "failed"),
        ({"deployments": [{"status": "PRIMARY", "rolloutState": "IN_PROGRESS"}]}, "failed"),
        ({"taskSets": [{"status": "PRIMARY"}, {"status": "ACTIVE"}]}, "failed"),
    ],
)
def test_a_service_must_be_steady(
    check: Judge, stubbed: Stubbed, change: dict[str, Any], expected: str
) -> None:
    stubbed.expect(
        "ecs",
        "describe_services",
        {"cluster": "know-me-staging", "services": ["know-me-staging-api"]},
        {"services": [{**SERVICE, **change}]},
    )
    assert [finding.result for finding in check("services")] == [expected]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"desiredCount": 0, "runningCount": 0}, ["warning", "failed"]),
        ({"status": "INACTIVE"}, ["failed", "failed"]),
    ],
)
def test_an_app_that_does_not_run_could_not_pass_its_smoke_test(
    check: Judge, stubbed: Stubbed, change: dict[str, Any], expected: list[str]
) -> None:
    stubbed.expect(
        "ecs",
        "describe_services",
        {"cluster": "know-me-staging", "services": ["know-me-staging-api"]},
        {"services": [{**SERVICE, **change}]},
    )
    assert [finding.result for finding in check("services")] == expected


def expect_names(
    stubbed: Stubbed,
    *,
    source: str = f"{APPLICATION_SECRET}:host::",
    current: str = "blue",
    bucket: str = OLD_BUCKET,
) -> None:
    stubbed.expect(
        "ecs",
        "describe_services",
        {"cluster": "know-me-staging", "services": ["know-me-staging-api"]},
        {"services": [{**SERVICE, "taskDefinition": "arn:task:7"}]},
    )
    secrets = [
        {"name": "DATABASE_HOST", "valueFrom": source},
        {"name": "MEDIA_BUCKET", "valueFrom": MEDIA_BUCKET_PARAMETER},
    ]
    stubbed.expect(
        "ecs",
        "describe_task_definition",
        {"taskDefinition": "arn:task:7"},
        {"taskDefinition": {"containerDefinitions": [{"name": "api", "secrets": secrets}]}},
    )
    expect_labels(stubbed, {"b" * 32: ["blue"], "c" * 32: ["other"]}, current)
    stubbed.expect("ssm", "get_parameter", {"Name": MEDIA_BUCKET_PARAMETER}, {"Parameter": {"Value": bucket}})


def expect_labels(stubbed: Stubbed, versions: dict[str, list[str]], current: str = "") -> None:
    stubbed.expect(
        "secretsmanager",
        "describe_secret",
        {"SecretId": APPLICATION_SECRET},
        {
            "VersionIdsToStages": {
                version: [*labels, *(["AWSCURRENT"] if current in labels else [])]
                for version, labels in versions.items()
            }
        },
    )


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, ["passed", "passed", "passed"]),
        ({"source": "arn:aws:secretsmanager:us-east-1:1:secret:x:host::"}, ["failed", "passed", "passed"]),
        ({"current": "other"}, ["passed", "failed", "passed"]),
        ({"bucket": NEW_BUCKET}, ["passed", "passed", "failed"]),
    ],
)
def test_the_app_must_read_the_active_stores_under_the_names_that_stay(
    check: Judge, stubbed: Stubbed, state: dict[str, str], expected: list[str]
) -> None:
    expect_names(stubbed, **state)
    assert [finding.result for finding in check("names of the stores")] == expected


@pytest.mark.parametrize(
    ("taken", "expected"), [(["blue", "x"], "passed"), ([f"g{number}" for number in range(20)], "failed")]
)
def test_a_candidate_needs_a_label_of_the_secret(
    check: Judge, stubbed: Stubbed, taken: list[str], expected: str
) -> None:
    expect_labels(stubbed, {"b" * 32: taken})
    assert [finding.result for finding in check("labels")] == [expected]


@pytest.mark.parametrize(("status", "expected"), [("Succeeded", "passed"), ("InProgress", "failed")])
def test_a_pipeline_must_be_idle(check: Judge, stubbed: Stubbed, status: str, expected: str) -> None:
    stubbed.expect(
        "codepipeline",
        "get_pipeline_state",
        {"name": "api"},
        {
            "stageStates": [
                {"stageName": "Deploy", "latestExecution": {"pipelineExecutionId": "1", "status": status}}
            ]
        },
    )
    assert [finding.result for finding in check("pipelines")] == [expected]


@pytest.mark.parametrize(("under_way", "expected"), [([], "passed"), (["d-1"], "failed")])
def test_no_deployment_may_be_under_way(
    check: Judge, stubbed: Stubbed, under_way: list[str], expected: str
) -> None:
    stubbed.expect(
        "codedeploy",
        "list_deployments",
        {
            "applicationName": "know-me-staging-api",
            "deploymentGroupName": "know-me-staging-api",
            "includeOnlyStatuses": ["Created", "Queued", "InProgress", "Baking", "Ready"],
        },
        {"deployments": under_way},
    )
    (found,) = check("releases")
    assert found.result == expected
    assert all(name in found.message for name in under_way)


@pytest.mark.parametrize(("state", "expected"), [("OK", "passed"), ("ALARM", "warning")])
def test_a_raised_alarm_is_a_warning(check: Judge, stubbed: Stubbed, state: str, expected: str) -> None:
    stubbed.expect(
        "cloudwatch",
        "describe_alarms",
        {"AlarmNames": ["slow"], "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]},
        {"MetricAlarms": [{"AlarmName": "slow", "StateValue": state, "StateReason": "Because."}]},
    )
    assert [finding.result for finding in check("alarms")] == [expected]


def test_the_build_of_the_database_jobs_must_exist(check: Judge, stubbed: Stubbed) -> None:
    stubbed.expect(
        "codebuild", "batch_get_projects", {"names": ["know-me-staging-database-jobs"]}, {"projects": []}
    )
    assert [finding.result for finding in check("database jobs")] == ["failed"]


def test_a_check_that_aws_does_not_answer_fails_and_says_so(check: Judge, stubbed: Stubbed) -> None:
    stubbed.refuse("codepipeline", "get_pipeline_state", "AccessDeniedException", {"name": "api"})
    (finding,) = check("pipelines")
    assert finding.result == "failed"
    assert "AccessDeniedException" in finding.message


def test_another_run_that_works_without_the_lock_is_found(
    check: Judge, stubbed: Stubbed, settings: Settings
) -> None:
    for machine, names in (("migrate", ["run-1"]), ("provision", ["by-hand"])):
        stubbed.expect(
            "stepfunctions",
            "list_executions",
            {"stateMachineArn": settings.state_machine_arn(machine), "statusFilter": "RUNNING"},
            {
                "executions": [
                    {
                        "executionArn": execution(machine, name),
                        "stateMachineArn": "arn",
                        "name": name,
                        "status": "RUNNING",
                        "startDate": NOW,
                    }
                    for name in names
                ]
            },
        )
    (finding,) = check("other runs")
    assert (finding.result, finding.message) == ("failed", "Also running: provision by-hand")


@pytest.mark.parametrize(
    ("name", "bucket", "answer", "expected", "words"),
    [
        ("media bucket", OLD_BUCKET, None, "passed", "exists"),
        ("media bucket", OLD_BUCKET, "404", "failed", "does not exist"),
        ("media bucket", OLD_BUCKET, "403", "failed", "may not be looked at"),
        ("new media bucket", NEW_BUCKET, "404", "passed", "The name is free"),
        ("new media bucket", NEW_BUCKET, "403", "failed", "Somebody else has a bucket of this name"),
        ("new media bucket", NEW_BUCKET, None, "warning", "has not published it"),
    ],
)
def test_a_bucket_is_ours_or_somebody_elses_or_not_there(
    check: Judge, stubbed: Stubbed, name: str, bucket: str, answer: str | None, expected: str, words: str
) -> None:
    asked = {"Bucket": bucket, "ExpectedBucketOwner": "123456789012"}
    if answer is None:
        stubbed.expect("s3", "head_bucket", asked, {})
    else:
        stubbed.refuse("s3", "head_bucket", answer, asked)
    (finding,) = check(name)
    assert (finding.result, finding.check, finding.subject) == (expected, name, bucket)
    assert words in finding.message
    assert (finding.remedy is None) == (expected == "passed")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [({"Status": "Enabled"}, "passed"), ({"Status": "Suspended"}, "failed"), ({}, "failed")],
)
def test_the_bucket_must_keep_versions(
    check: Judge, stubbed: Stubbed, answer: dict[str, Any], expected: str
) -> None:
    stubbed.expect("s3", "get_bucket_versioning", {"Bucket": OLD_BUCKET}, answer)
    assert [finding.result for finding in check("media versions")] == [expected]


@pytest.mark.parametrize(
    ("configured", "expected"), [({"EventBridgeConfiguration": {}}, "passed"), ({}, "failed")]
)
def test_a_copy_ahead_must_hear_of_changes(
    check: Judge, stubbed: Stubbed, configured: dict[str, Any], expected: str
) -> None:
    stubbed.expect("s3", "get_bucket_notification_configuration", {"Bucket": OLD_BUCKET}, configured)
    assert [finding.result for finding in check("media changes")] == [expected]


def test_without_a_copy_ahead_nobody_has_to_hear_of_changes(check: Judge) -> None:
    assert [finding.result for finding in check("media changes", {"copy_ahead": False})] == ["skipped"]


@pytest.fixture
def every_check_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks that say only that they ran."""

    def ran(around: Surroundings) -> Iterator[Finding]:
        yield Finding(check="", result="passed", subject="s", message="Ran")

    for table in (DATABASE_CHECKS, CHECKS, MEDIA_CHECKS):
        for name in table:
            monkeypatch.setitem(table, name, ran)


@pytest.mark.usefixtures("every_check_named")
class TestWhatIsChecked:
    def checked(self, stubbed: Stubbed, settings: Settings, *stores: str) -> set[str]:
        if "database" in stores:
            stubbed.expect(
                "rds",
                "describe_db_instances",
                {"DBInstanceIdentifier": "know-me-staging-blue"},
                {"DBInstances": [INSTANCE]},
            )
        arn = execution("migrate", "run-1")
        migration = planned({"stores": list(stores)})
        findings = run_checks(migration, MANIFEST, settings, stubbed.client, NOW, arn)
        return {finding.check for finding in findings}

    def test_both_stores_when_both_move(self, stubbed: Stubbed, settings: Settings) -> None:
        assert self.checked(stubbed, settings, "database", "media") == set(EVERY_CHECK)

    def test_nothing_of_the_database_when_it_stays(self, stubbed: Stubbed, settings: Settings) -> None:
        assert self.checked(stubbed, settings, "media") == {*CHECKS, *MEDIA_CHECKS}

    def test_nothing_of_the_media_when_they_stay(self, stubbed: Stubbed, settings: Settings) -> None:
        assert self.checked(stubbed, settings, "database") == {*CHECKS, *DATABASE_CHECKS}

    def test_an_instance_that_does_not_exist_is_one_finding_among_the_others(
        self, stubbed: Stubbed, settings: Settings
    ) -> None:
        asked = {"DBInstanceIdentifier": "know-me-staging-blue"}
        stubbed.refuse("rds", "describe_db_instances", "DBInstanceNotFound", asked)
        arn = execution("migrate", "run-1")
        findings = run_checks(planned({"stores": ["database"]}), MANIFEST, settings, stubbed.client, NOW, arn)
        assert {finding.check for finding in findings} == {"instance", *CHECKS}
        assert [finding.check for finding in findings if finding.result == "failed"] == ["instance"]


def test_one_failed_finding_stops_the_run_naming_every_failure_and_remedy() -> None:
    findings = [
        Finding(
            check="backups", result="failed", subject="blue", message="Backups are off", remedy="Turn them on"
        ),
        Finding(check="slots", result="failed", subject="s1", message="A slot is there.", remedy="Drop it."),
        Finding(check="storage", result="warning", subject="blue", message="Little"),
    ]
    verdict = judge(findings)
    with pytest.raises(PreflightFailed) as refused:
        refuse_failed(verdict)
    assert str(refused.value) == (
        "2 checks failed. backups (blue): Backups are off. Turn them on. "
        "slots (s1): A slot is there. Drop it. "
        "Then start the migration again."
    )
    refuse_failed(judge(findings[2:]))
