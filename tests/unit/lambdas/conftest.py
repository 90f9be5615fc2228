"""What the tests of the steps share: an environment on paper, and AWS in the process."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from know_me.manifest import Manifest
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from moto import mock_aws

ENVIRONMENT = "staging"
REGION = "us-east-1"
ACCOUNT = "123456789012"
BUCKET = f"know-me-staging-artifacts-{ACCOUNT}"
LOCK_TABLE = "know-me-staging-lock"
COPY_ROLE = f"arn:aws:iam::{ACCOUNT}:role/know-me-staging-media-copy"
APPLICATION_SECRET = (
    f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:know-me/staging/database/application-AbCdEf"
)
MEDIA_BUCKET_PARAMETER = "/know-me/staging/media/bucket"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def execution(machine: str, name: str) -> str:
    return f"arn:aws:states:{REGION}:{ACCOUNT}:execution:know-me-staging-{machine}:{name}"


def database(generation: str) -> dict[str, Any]:
    return {
        "generation": generation,
        "instance_id": f"know-me-staging-{generation}",
        "endpoint": f"know-me-staging-{generation}.abc.{REGION}.rds.amazonaws.com",
        "port": 5432,
        "database_name": "know_me",
        "engine_version": "17.4",
        "allocated_storage": 20,
        "master_secret_arn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!{generation}",
        "application_secret_arn": APPLICATION_SECRET,
        "application_secret_label": generation,
        "application_role": "know_me",
        "subnet_ids": ["subnet-1"],
        "security_group_ids": ["sg-1"],
    }


def bucket(generation: str) -> dict[str, Any]:
    name = f"know-me-staging-media-{generation}"
    return {
        "generation": generation,
        "bucket": f"{name}-{ACCOUNT}",
        "changes_rule": f"{name}-changes",
        "changes_queue_url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}-changes",
    }


def manifest_document(
    *generations: str,
    active: str = "blue",
    media: tuple[str, ...] = ("blue",),
    active_media: str = "blue",
) -> dict[str, Any]:
    return {
        "version": 1,
        "environment": ENVIRONMENT,
        "region": REGION,
        "account_id": ACCOUNT,
        "cluster": {"name": "know-me-staging", "arn": "arn:cluster"},
        "services": [
            {
                "name": "know-me-staging-api",
                "cluster": "know-me-staging",
                "container": "api",
                "task_definition_family": "know-me-staging-api",
            }
        ],
        "scalable_targets": [
            {
                "service_namespace": "ecs",
                "resource_id": "service/know-me-staging/know-me-staging-api",
                "scalable_dimension": "ecs:service:DesiredCount",
            }
        ],
        "rules": [{"name": "nightly", "event_bus_name": "default"}],
        "schedules": [{"name": "background-jobs", "group_name": "default"}],
        "pipelines": [{"name": "api", "stages": ["Source", "Deploy"]}],
        "deployments": [{"application": "know-me-staging-api", "deployment_group": "know-me-staging-api"}],
        "database": {
            "active": active,
            "generations": {name: database(name) for name in generations or ("blue",)},
        },
        "media": {
            "active": active_media,
            "generations": {name: bucket(name) for name in media},
            "copy_role_arn": COPY_ROLE,
            "migration_principals": [COPY_ROLE, f"arn:aws:iam::{ACCOUNT}:role/know-me-staging-media-jobs"],
            "file_columns": [{"table": "public.know_me_photo", "column": "file", "prefix": "media/"}],
        },
        "builds": {
            "database_jobs": "know-me-staging-database-jobs",
            "media_jobs": "know-me-staging-media-jobs",
        },
        "health_check_url": "http://api.example.com/status/",
        "web_url": "https://app.staging.example.com",
        "alarm_arns": [],
        "topic_arns": ["arn:topic"],
    }


@pytest.fixture
def settings() -> Settings:
    return Settings(
        environment=ENVIRONMENT,
        artifacts_bucket=BUCKET,
        lock_table=LOCK_TABLE,
        notification_topic_arn=f"arn:aws:sns:{REGION}:{ACCOUNT}:know-me-staging-notifications",
        state_machine_arn_prefix=f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:know-me-staging-",
        execution_arn_prefix=f"arn:aws:states:{REGION}:{ACCOUNT}:execution:know-me-staging-",
        database_jobs_build="know-me-staging-database-jobs",
        media_jobs_build="know-me-staging-media-jobs",
        terraform_build="know-me-staging-terraform",
        single_copy_limit_bytes=5 * 1024**3,
        approval_mode="destructive",
        approval_timeout_seconds=86400,
    )


@pytest.fixture
def manifest() -> Manifest:
    return Manifest.model_validate(manifest_document())


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[None]:
    """AWS in the process, with what the orchestrator's stack has, and the environment of a function."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "POWERTOOLS_SERVICE_NAME": "know-me",
        "POWERTOOLS_METRICS_NAMESPACE": "KnowMe",
        "POWERTOOLS_TRACE_DISABLED": "true",
        **{key.upper(): str(value) for key, value in settings.model_dump().items()},
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        boto3.client("dynamodb").create_table(
            TableName=LOCK_TABLE,
            KeySchema=[{"AttributeName": "environment", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "environment", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield


@pytest.fixture
def folder(aws: None) -> RunFolder:
    return RunFolder(boto3.client("s3"), BUCKET, "run-1")


def put_parameter(name: str, document: Any) -> None:
    boto3.client("ssm").put_parameter(
        Name=f"/know-me/{ENVIRONMENT}/{name}", Value=json.dumps(document), Type="String", Overwrite=True
    )


def get_parameter(name: str) -> Any:
    answer = boto3.client("ssm").get_parameter(Name=f"/know-me/{ENVIRONMENT}/{name}")
    return json.loads(answer["Parameter"]["Value"])


class Stubbed:
    """Clients that answer only what a test tells them, and complain about anything else or anything left."""

    def __init__(self) -> None:
        self._stubbers: dict[str, Stubber] = {}
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        if service not in self._clients:
            client = boto3.client(
                service, region_name=REGION, aws_access_key_id="testing", aws_secret_access_key="testing"
            )
            self._clients[service], self._stubbers[service] = client, Stubber(client)
            self._stubbers[service].activate()
        return self._clients[service]

    def expect(self, service: str, action: str, parameters: dict[str, Any], answer: dict[str, Any]) -> None:
        self.client(service)
        self._stubbers[service].add_response(action, answer, parameters)

    def refuse(self, service: str, action: str, code: str, parameters: dict[str, Any]) -> None:
        self.client(service)
        self._stubbers[service].add_client_error(action, code, code, expected_params=parameters)

    def assert_no_pending_responses(self) -> None:
        for stubber in self._stubbers.values():
            stubber.assert_no_pending_responses()


@pytest.fixture
def stubbed() -> Iterator[Stubbed]:
    clients = Stubbed()
    yield clients
    clients.assert_no_pending_responses()
