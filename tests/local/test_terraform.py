"""The infrastructure, applied by plain terraform: complete, without drift, without secrets in its state."""

# ruff: noqa: S310 - addresses of our own server

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError
from know_me.application import definition_of, reads_bucket_by_name, reads_database_by_name
from know_me.manifest import Manifest, read_manifest

from .conftest import PROJECT, LocalAWS, free_port

pytestmark = [pytest.mark.local, pytest.mark.migration]

ENVIRONMENT = "terraformed"
DATABASE = {"active": "blue", "all": {"blue": {"engine_version": None}}}
BLUE = {"database": DATABASE, "media": {"active": "blue", "all": {"blue": {"unfinished": False}}}}
BOTH_GREEN = {
    "database": {"active": "blue", "all": {"blue": {"engine_version": None}, "green": {}}},
    "media": {"active": "blue", "all": {"blue": {"unfinished": False}, "green": {"unfinished": True}}},
}
MEDIA_GREEN = {"database": DATABASE, "media": BOTH_GREEN["media"]}
MEDIA_MOVED = {
    "database": DATABASE,
    "media": {"active": "green", "all": {"blue": {"unfinished": False}, "green": {"unfinished": False}}},
}
FILE_COLUMN = {"table": "public.know_me_photo", "column": "file", "prefix": "media/"}


@dataclass
class Root:
    """The root module in a directory of its own."""

    directory: Path
    environment: dict[str, str]
    aws: LocalAWS

    def terraform(
        self, *arguments: str, accept: tuple[int, ...] = (0,)
    ) -> "subprocess.CompletedProcess[str]":
        """Run terraform."""
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode in accept, done.stdout[-3000:] + done.stderr
        return done

    def plan(self, generations: dict[str, Any]) -> dict[str, set[str]]:
        """Plan for a document of generations; return addresses by what would happen to them."""
        self.set(generations)
        self.terraform("plan", "-no-color", "-input=false", "-out=test.tfplan")
        found: dict[str, set[str]] = {}
        for change in self.planned_changes():
            found.setdefault("+".join(change["change"]["actions"]), set()).add(change["address"])
        return {actions: found[actions] for actions in found if actions not in ("no-op", "read")}

    def planned_changes(self) -> list[dict[str, Any]]:
        """Return the changes of the latest plan."""
        document = json.loads(self.terraform("show", "-json", "test.tfplan").stdout)
        changes: list[dict[str, Any]] = document["resource_changes"]
        return changes

    def outputs(self) -> dict[str, Any]:
        """Return the outputs."""
        found = json.loads(self.terraform("output", "-json").stdout)
        return {name: output["value"] for name, output in found.items()}

    def apply(self, generations: dict[str, Any]) -> None:
        """Apply a document of generations."""
        self.set(generations)
        self.terraform("apply", "-no-color", "-input=false", "-auto-approve")

    def set(self, generations: dict[str, Any]) -> None:
        """Write the document of generations as the build does."""
        (self.directory / "generations.auto.tfvars.json").write_text(json.dumps({"generations": generations}))


@pytest.fixture(scope="module")
def root(local_aws: LocalAWS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Root]:
    """An environment with one generation, applied; destroyed afterwards."""
    directory = tmp_path_factory.mktemp("terraform") / "root"
    shutil.copytree(PROJECT / "terraform", directory, ignore=shutil.ignore_patterns(".terraform", "tests"))
    s3 = local_aws.client("s3")
    s3.create_bucket(Bucket="terraformed-state")
    variables = {
        "environment": ENVIRONMENT,
        "artifacts_bucket": "terraformed-artifacts",
        "notification_topic_arn": "arn:aws:sns:us-east-1:123456789012:know-me-terraformed-notifications",
        "database_jobs_source": "terraformed-artifacts/bundle.zip",
        "database_engine_version": _newest_engine_version(local_aws),
        "database_skip_final_snapshot": "true",
        "deletion_protection": "false",
        "secret_recovery_days": "0",
        "s3_use_path_style": "true",
        "api_image": "know-me/api:demo",
        "api_secrets": json.dumps({"APPLE_SHARED_SECRET": "apple-shared-secret"}),
        "apple_product_codes": json.dumps(["know-me.premium"]),
        "api_listener_port": str(free_port()),
        "media_cors_origins": json.dumps(["https://app.example.com"]),
        "media_file_columns": json.dumps([FILE_COLUMN]),
    }
    made = Root(
        directory,
        local_aws.environment() | {f"TF_VAR_{name}": value for name, value in variables.items()},
        local_aws,
    )
    made.set(BLUE)
    made.terraform(
        "init",
        "-input=false",
        "-backend-config=bucket=terraformed-state",
        "-backend-config=key=terraform.tfstate",
        "-backend-config=region=us-east-1",
        "-backend-config=use_path_style=true",
        "-backend-config=workspace_key_prefix=environments",
    )
    made.terraform("workspace", "select", "-or-create", ENVIRONMENT)
    try:
        made.terraform("apply", "-no-color", "-input=false", "-auto-approve")
        yield made
    finally:
        made.set(BLUE)
        made.terraform("destroy", "-no-color", "-input=false", "-auto-approve")


def _newest_engine_version(aws: LocalAWS) -> str:
    offered = aws.client("rds").describe_db_engine_versions(Engine="postgres")["DBEngineVersions"]
    return str(max(int(version["EngineVersion"].split(".")[0]) for version in offered))


def bucket(generation: str) -> str:
    """Return the name of a media bucket."""
    return f"know-me-{ENVIRONMENT}-media-{generation}-123456789012"


def media_bucket_of_tasks(root: Root) -> str:
    """Return the bucket that tasks of the API find under the name that stays."""
    found = root.aws.client("ssm").get_parameter(Name=f"/know-me/{ENVIRONMENT}/media/bucket")
    return str(found["Parameter"]["Value"])


def task_definition(root: Root) -> dict[str, Any]:
    """Return the revision of the API's task definition from which a release starts."""
    parameter = root.aws.client("ssm").get_parameter(Name=f"/know-me/{ENVIRONMENT}/api/task-definition")
    found: dict[str, Any] = root.aws.client("ecs").describe_task_definition(
        taskDefinition=parameter["Parameter"]["Value"]
    )["taskDefinition"]
    return found


def heard(root: Root, queue_url: str, count: int) -> set[tuple[str, str]]:
    """Return type and key of the changes in a queue, once that many have come."""
    sqs = root.aws.client("sqs")
    found: set[tuple[str, str]] = set()
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        answer = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        events = [json.loads(message["Body"]) for message in answer.get("Messages", [])]
        found |= {(event["detail-type"], event["detail"]["object"]["key"]) for event in events}
    return found


@pytest.fixture(scope="module")
def manifest(root: Root) -> Manifest:
    """The manifest as the runbooks read it."""
    return read_manifest(root.aws.client("ssm"), ENVIRONMENT)


def test_second_plan_is_empty(root: Root) -> None:
    assert root.plan(BLUE) == {}


def test_manifest_is_what_the_runbooks_read(manifest: Manifest) -> None:
    assert manifest.environment == ENVIRONMENT
    assert manifest.active_database.instance_id == f"know-me-{ENVIRONMENT}-blue"
    assert manifest.builds.database_jobs == f"know-me-{ENVIRONMENT}-database-jobs"
    assert [service.name for service in manifest.services] == [f"know-me-{ENVIRONMENT}-api"]
    assert manifest.health_check_url.endswith("/status/")
    assert manifest.builds.media_jobs == f"know-me-{ENVIRONMENT}-media-jobs"


def test_manifest_names_the_media_and_who_moves_them(manifest: Manifest) -> None:
    blue = manifest.media.generations["blue"]
    assert (manifest.media.active, blue.bucket) == ("blue", bucket("blue"))
    assert blue.changes_queue_url.endswith(f"/{blue.changes_rule}")
    assert manifest.media.copy_role_arn.endswith(f":role/know-me-{ENVIRONMENT}-media-copy")
    assert [principal.split(":role/")[1] for principal in manifest.media.migration_principals] == [
        f"know-me-{ENVIRONMENT}-media-copy",
        f"know-me-{ENVIRONMENT}-media-jobs",
        f"know-me/{ENVIRONMENT}/orchestrator/*",
    ]
    assert [column.model_dump() for column in manifest.media.file_columns] == [FILE_COLUMN]


def test_manifest_names_the_web_app_and_the_alarms(root: Root, manifest: Manifest) -> None:
    # Given what Terraform published
    names = [arn.partition(":alarm:")[2] for arn in manifest.alarm_arns]
    # When the alarms are asked for
    alarms = root.aws.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
    # Then each exists and tells the topic, and the web app has a name
    assert {alarm["AlarmName"] for alarm in alarms} == set(names)
    assert f"know-me-{ENVIRONMENT}-database-blue-cpu" in names
    assert {action for alarm in alarms for action in alarm["AlarmActions"]} == {
        f"arn:aws:sns:us-east-1:123456789012:know-me-{ENVIRONMENT}-notifications"
    }
    assert manifest.web_url == root.outputs()["web_url"]


def test_load_balancer_is_behind_the_firewall(root: Root) -> None:
    # Given
    balancer = root.aws.client("elbv2").describe_load_balancers(Names=[f"know-me-{ENVIRONMENT}-api"])
    arn = balancer["LoadBalancers"][0]["LoadBalancerArn"]
    # When
    acl = root.aws.client("wafv2").get_web_acl_for_resource(ResourceArn=arn)["WebACL"]
    # Then
    assert acl["Name"] == f"know-me-{ENVIRONMENT}-api"
    assert {rule["Name"] for rule in acl["Rules"]} >= {"hosts", "rate", "AWSManagedRulesCommonRuleSet"}


def test_settings_of_the_app_reach_the_container(root: Root) -> None:
    # Given
    container = task_definition(root)["containerDefinitions"][0]
    secrets = {each["name"]: each["valueFrom"] for each in container["secrets"]}
    # When the secret that a person fills is looked at
    secret = root.aws.client("secretsmanager").describe_secret(SecretId=secrets["APPLE_SHARED_SECRET"])
    # Then it is there without a value, and what is not secret is in the environment
    assert secret["Name"] == f"know-me/{ENVIRONMENT}/api/apple-shared-secret"
    assert not secret.get("VersionIdsToStages")
    variables = {each["name"]: each["value"] for each in container["environment"]}
    assert variables["APPLE_PRODUCT_CODES"] == "know-me.premium"
    assert variables["WEB_APP_URL"] == root.outputs()["web_url"]


def test_new_generation_only_adds(root: Root) -> None:
    # When a candidate is planned beside the running database
    planned = root.plan(BOTH_GREEN)
    # Then nothing of the old one is touched; the manifest and the dashboard learn of the new one
    assert planned.pop("update") == {
        "module.manifest.aws_ssm_parameter.manifest",
        "module.watching.aws_cloudwatch_dashboard.this",
    }
    assert planned.keys() == {"create"}
    assert 'module.database["green"].aws_db_instance.this' in planned["create"]
    assert 'module.media["green"].aws_s3_bucket.this' in planned["create"]
    assert all("green" in address for address in planned["create"])


def test_api_finds_the_bucket_and_the_database_under_names_that_stay(root: Root, manifest: Manifest) -> None:
    container = task_definition(root)["containerDefinitions"][0]
    assert reads_database_by_name(container, manifest)
    assert reads_bucket_by_name(container, manifest)
    assert media_bucket_of_tasks(root) == bucket("blue")


def test_releases_of_the_api_are_codedeploys(root: Root, manifest: Manifest) -> None:
    service = manifest.services[0]
    (found,) = root.aws.client("ecs").describe_services(cluster=service.cluster, services=[service.name])[
        "services"
    ]
    assert found["deploymentController"] == {"type": "CODE_DEPLOY"}
    assert definition_of(found) == task_definition(root)["taskDefinitionArn"]


def test_only_static_files_are_public(root: Root) -> None:
    # Given a file of the app and one that a person uploaded
    s3 = root.aws.client("s3")
    for key in ("static/app.css", "media/photo.jpg"):
        s3.put_object(Bucket=bucket("blue"), Key=key, Body=key.encode())
    anybody = root.aws.variables["AWS_ENDPOINT_URL_S3"] + "/" + bucket("blue")
    # When somebody without credentials reads them
    with urllib.request.urlopen(f"{anybody}/static/app.css", timeout=30) as answer:
        content = answer.read()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{anybody}/media/photo.jpg", timeout=30)
    # Then
    assert content == b"static/app.css"
    assert refused.value.code == 403


def test_changes_of_the_bucket_reach_the_queue_once_a_run_listens(root: Root, manifest: Manifest) -> None:
    # Given a rule that is disabled until then
    events, s3, blue = root.aws.client("events"), root.aws.client("s3"), manifest.media.generations["blue"]
    assert events.describe_rule(Name=blue.changes_rule)["State"] == "DISABLED"
    s3.put_object(Bucket=blue.bucket, Key="media/before", Body=b"")
    # When a run enables it and files change
    events.enable_rule(Name=blue.changes_rule)
    s3.put_object(Bucket=blue.bucket, Key="media/new", Body=b"1")
    s3.delete_object(Bucket=blue.bucket, Key="media/new")
    # Then these changes are heard and the earlier one is not; Terraform has nothing to put right
    assert heard(root, blue.changes_queue_url, 2) == {
        ("Object Created", "media/new"),
        ("Object Deleted", "media/new"),
    }
    assert root.plan(BLUE) == {}
    events.disable_rule(Name=blue.changes_rule)


def test_media_candidate_is_written_by_migrations_until_it_is_active(root: Root) -> None:
    # Given a candidate beside the running bucket, and a writer who is no migration
    s3 = root.aws.client("s3")
    root.apply(MEDIA_GREEN)
    # When the writer writes
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket("green"), Key="media/early", Body=b"")
    s3.put_object(Bucket=bucket("blue"), Key="media/meanwhile", Body=b"")
    # Then the candidate refuses, and the API stays where it was
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert media_bucket_of_tasks(root) == bucket("blue")
    assert root.plan(MEDIA_GREEN) == {}
    before = task_definition(root)["taskDefinitionArn"]
    # When the candidate becomes the active generation
    root.apply(MEDIA_MOVED)
    # Then it is the other one that only migrations write, and the API has moved
    s3.put_object(Bucket=bucket("green"), Key="media/late", Body=b"")
    with pytest.raises(ClientError) as refused:
        s3.delete_object(Bucket=bucket("blue"), Key="media/meanwhile")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert media_bucket_of_tasks(root) == bucket("green")
    assert root.plan(MEDIA_MOVED) == {}
    # And without another task definition: that would be a release
    assert task_definition(root)["taskDefinitionArn"] == before
    # When everything goes back, then what is in a bucket that nothing protects goes with it
    root.apply(BLUE)
    assert bucket("green") not in {found["Name"] for found in s3.list_buckets()["Buckets"]}
    assert root.plan(BLUE) == {}


def test_fence_of_the_steps_is_what_terraform_writes(root: Root, manifest: Manifest) -> None:
    # Given the statement that Terraform plans for a generation that is not active
    planned = root.plan(MEDIA_MOVED)
    assert 'module.media["blue"].aws_s3_bucket_policy.this' in planned["update"]
    after = next(
        json.loads(change["change"]["after"]["policy"])
        for change in root.planned_changes()
        if change["address"] == 'module.media["blue"].aws_s3_bucket_policy.this'
    )
    written = [each for each in after["Statement"] if each["Sid"] == "OnlyMigrationsWrite"]
    # When a run puts the contract's statement on the bucket
    principals = {"ArnNotLike": {"aws:PrincipalArn": manifest.media.migration_principals}}
    # Then it is the same
    assert written == [
        {
            "Sid": "OnlyMigrationsWrite",
            "Effect": "Deny",
            "Principal": "*",
            "Action": [
                "s3:PutObject",
                "s3:PutObjectTagging",
                "s3:DeleteObject",
                "s3:DeleteObjectVersion",
                "s3:DeleteObjectTagging",
                "s3:RestoreObject",
            ],
            "Resource": f"arn:aws:s3:::{bucket('blue')}/*",
            "Condition": principals,
        }
    ]


def test_master_secret_opens_the_database_over_tls_only(root: Root, manifest: Manifest) -> None:
    # Given
    database = manifest.active_database
    secret = json.loads(
        root.aws.client("secretsmanager").get_secret_value(SecretId=database.master_secret_arn)[
            "SecretString"
        ]
    )
    target = {
        "host": database.endpoint,
        "port": database.port,
        "dbname": database.database_name,
        "user": secret["username"],
        "password": secret["password"],
    }
    # When
    with psycopg.connect(
        **target, sslmode="verify-full", sslrootcert=root.aws.variables["PGSSLROOTCERT"]
    ) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    # Then
    assert row is not None
    assert row[0].startswith(database.engine_version.split(".")[0])
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(**target, sslmode="disable")


def test_application_secret_is_made_without_a_value(root: Root, manifest: Manifest) -> None:
    secrets = root.aws.client("secretsmanager")
    assert not secrets.describe_secret(SecretId=manifest.active_database.application_secret_arn).get(
        "VersionIdsToStages"
    )


def test_no_password_is_in_the_state(root: Root, manifest: Manifest) -> None:
    # Given every password of the environment
    secrets = root.aws.client("secretsmanager")
    master = json.loads(
        secrets.get_secret_value(SecretId=manifest.active_database.master_secret_arn)["SecretString"]
    )
    django = secrets.get_secret_value(SecretId=f"know-me/{ENVIRONMENT}/api/django-secret-key")["SecretString"]
    # When the whole history of the state is read
    s3 = root.aws.client("s3")
    states = [
        s3.get_object(Bucket="terraformed-state", Key=found["Key"])["Body"].read().decode()
        for found in s3.list_objects_v2(Bucket="terraformed-state")["Contents"]
    ]
    # Then
    assert any("aws_db_instance" in state for state in states)
    assert len(django) == 50
    assert not [state for state in states if master["password"] in state or django in state]


def test_environment_that_is_not_the_workspace_is_refused(root: Root) -> None:
    # When somebody applies another environment's settings here
    done = subprocess.run(
        ["terraform", "plan", "-no-color", "-input=false"],
        cwd=root.directory,
        env=root.environment | {"TF_VAR_environment": "production"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    # Then
    assert done.returncode == 1
    assert "must be the selected workspace" in " ".join(done.stderr.replace("│", " ").split())


def test_production_keeps_its_deletion_protection(root: Root) -> None:
    # Given the workspace of production, where nothing is
    environment = root.environment | {"TF_VAR_environment": "production"}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["terraform", *arguments],
            cwd=root.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    assert run("workspace", "select", "-or-create", "production").returncode == 0
    # When somebody plans it with settings of a throw-away environment
    try:
        done = run("plan", "-no-color", "-input=false")
    finally:
        root.terraform("workspace", "select", ENVIRONMENT)
    # Then each of them is refused
    said = " ".join(done.stderr.replace("│", " ").split())
    assert done.returncode == 1
    assert "deletion_protection must be true for production" in said
    assert "database_skip_final_snapshot must be false for production" in said
