"""An environment as far as releases need it: CodeDeploy, its hook, the runbooks, their real steps.

The image is a shell script: `serve` answers with the name of its release, `migrate` and `background-jobs` do
what the release says. The steps are the real functions with the real layer, the state machines the real
definitions; the role may do everything.
"""

import io
import json
import re
import sys
import textwrap
import urllib.request
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.layer import layer_contents
from tests.local.blue_green import balanced
from tests.local.conftest import LocalAWS
from tests.local.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
STEPS = (
    "start_schema_migration",
    "find_new_image",
    "find_running_image",
    "read_task_outcome",
    "report_lost_schema_migration",
)
SERVE = textwrap.dedent(
    """
    import json, os, signal, urllib.request
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    about = json.load(urllib.request.urlopen(os.environ["ECS_CONTAINER_METADATA_URI_V4"]))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = os.environ["RELEASE"].encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    address = about["Networks"][0]["IPv4Addresses"][0]
    ThreadingHTTPServer((address, 8000), Handler).serve_forever()
    """
)
IMAGE = """
case "$0" in
  serve) exec python -c "$SERVE" ;;
  migrate) eval "$MIGRATE" ;;
  background-jobs) eval "$JOBS" ;;
  *) echo "no command $0" >&2; exit 64 ;;
esac
"""
"""`entryPoint`: the command is its $0."""


@dataclass
class World:
    """An environment as far as releases need it."""

    aws: LocalAWS
    environment: str
    role: str
    network: dict[str, Any]
    address: str
    listeners: tuple[str, str]
    queue: str
    machines: dict[str, str]

    @property
    def name(self) -> str:
        """Of the cluster, and the beginning of every other name."""
        return f"know-me-{self.environment}"

    @property
    def api(self) -> str:
        """Of service, task definition family, application and deployment group."""
        return f"{self.name}-api"

    def define(self, release: str, *, migrate: str = "exit 0", jobs: str = "exit 0") -> str:
        """Register a release; return the ARN of its task definition."""
        environment = {"RELEASE": release, "SERVE": SERVE, "MIGRATE": migrate, "JOBS": jobs}
        answer = self.aws.client("ecs").register_task_definition(
            family=self.api,
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="256",
            memory="512",
            executionRoleArn=self.role,
            taskRoleArn=self.role,
            containerDefinitions=[
                {
                    "name": "api",
                    "image": "know-me/api:test",
                    "entryPoint": ["/bin/bash", "-c", IMAGE],
                    "command": ["serve"],
                    "portMappings": [{"containerPort": 8000}],
                    "stopTimeout": 2,
                    "environment": [{"name": key, "value": value} for key, value in environment.items()],
                    "logConfiguration": {
                        "logDriver": "awslogs",
                        "options": {
                            "awslogs-group": f"/{self.name}/api",
                            "awslogs-region": "us-east-1",
                            "awslogs-stream-prefix": "api",
                        },
                    },
                }
            ],
        )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def service(self) -> dict[str, Any]:
        found: dict[str, Any] = self.aws.client("ecs").describe_services(
            cluster=self.name, services=[self.api]
        )["services"][0]
        return found

    def serving(self) -> str:
        """Return the release that answers."""
        with urllib.request.urlopen(f"http://{self.address}/", timeout=10) as answer:
            return str(answer.read().decode())

    def settled(self) -> bool:
        """Whether one task set is left, and steady."""
        sets = self.service()["taskSets"]
        return len(sets) == 1 and sets[0]["stabilityStatus"] == "STEADY_STATE"

    def release(self, definition: str) -> str:
        """Deploy as the pipeline does; return the deployment's id."""
        properties = {
            "TaskDefinition": definition,
            "LoadBalancerInfo": {"ContainerName": "api", "ContainerPort": 8000},
        }
        content = json.dumps(
            {
                "version": 0.0,
                "Resources": [{"TargetService": {"Type": "AWS::ECS::Service", "Properties": properties}}],
                "Hooks": [{"BeforeInstall": f"{self.name}-start-schema-migration"}],
            }
        )
        return str(
            self.aws.client("codedeploy").create_deployment(
                applicationName=self.api,
                deploymentGroupName=self.api,
                revision={"revisionType": "AppSpecContent", "appSpecContent": {"content": content}},
            )["deploymentId"]
        )

    def ended(self, deployment: str) -> dict[str, Any]:
        """Wait until a deployment, and its rollback if it has one, are over; return it."""
        deploy = self.aws.client("codedeploy")

        def over(name: str) -> dict[str, Any] | None:
            found: dict[str, Any] = deploy.get_deployment(deploymentId=name)["deploymentInfo"]
            return found if found["status"] in ("Succeeded", "Failed", "Stopped") else None

        found: dict[str, Any] = eventually(lambda: over(deployment))
        rollback = found.get("rollbackInfo", {}).get("rollbackDeploymentId")
        if rollback:
            eventually(lambda: over(rollback))
        return found

    def execution(self, machine: str, name: str) -> dict[str, Any]:
        """Wait until an execution has ended; return it."""
        states = self.aws.client("stepfunctions")
        arn = f"{self.machines[machine].replace(':stateMachine:', ':execution:')}:{name}"

        def over() -> dict[str, Any] | None:
            found: dict[str, Any] = states.describe_execution(executionArn=arn)
            return found if found["status"] != "RUNNING" else None

        found: dict[str, Any] = eventually(over)
        return found

    def run_jobs(self) -> dict[str, Any]:
        """Run the background jobs once; return the execution when it has ended."""
        name = f"x{uuid.uuid4().hex[:8]}"
        self.start_jobs(name)
        return self.execution("background-jobs", name)

    def start_jobs(self, name: str) -> None:
        self.aws.client("stepfunctions").start_execution(
            stateMachineArn=self.machines["background-jobs"], name=name, input="{}"
        )

    def jobs(self, status: str = "RUNNING") -> list[str]:
        """Return the tasks of the background jobs."""
        found: list[str] = self.aws.client("ecs").list_tasks(
            cluster=self.name, startedBy="background-jobs", desiredStatus=status
        )["taskArns"]
        return found

    def hold_lock(self, *, purpose: str | None) -> None:
        """Take the lock for a run, or give it back."""
        table, dynamodb = f"{self.name}-lock", self.aws.client("dynamodb")
        if purpose is None:
            dynamodb.delete_item(TableName=table, Key={"environment": {"S": self.environment}})
            return
        item = {
            "environment": self.environment,
            "run_id": "a-run",
            "execution_arn": "arn:a-run",
            "purpose": purpose,
            "taken_at": "2026-03-01T12:00:00+00:00",
        }
        dynamodb.put_item(TableName=table, Item={key: {"S": value} for key, value in item.items()})

    def told(self) -> list[dict[str, Any]]:
        """Return what the topic told since the last look."""
        sqs, found = self.aws.client("sqs"), []
        while messages := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                found.append(json.loads(message["Body"]))
        return found


@contextmanager
def opened(aws: LocalAWS, environment: str) -> Iterator[World]:
    """Make an environment, with release 1 in place; take what runs in it down again."""
    name = f"know-me-{environment}"
    role = aws.all_powerful_role(
        *(f"{each}.amazonaws.com" for each in ("codedeploy", "lambda", "states", "ecs-tasks", "events"))
    )
    aws.client("ecs").create_cluster(clusterName=name)
    balancer = balanced(aws, f"{name}-api")
    listeners = (balancer.production, balancer.test)
    aws.client("logs").create_log_group(logGroupName=f"/{name}/api")
    topic, queue = _topic(aws, name)
    aws.client("dynamodb").create_table(
        TableName=f"{name}-lock",
        KeySchema=[{"AttributeName": "environment", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "environment", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    aws.client("ssm").put_parameter(
        Name=f"/know-me/{environment}/manifest", Value=json.dumps(_manifest(environment)), Type="String"
    )
    functions = _functions(aws, environment, role, topic)
    machines = {
        machine: _machine(aws, environment, role, machine, topic, functions)
        for machine in ("schema-migration", "background-jobs")
    }
    _safety_net(aws, name, machines["schema-migration"], functions["report_lost_schema_migration"])
    world = World(aws, environment, role, balancer.network, balancer.address, listeners, queue, machines)
    aws.control("POST", "codedeploy", {"seconds_per_minute": 0.1})
    aws.client("ecs").create_service(
        cluster=name,
        serviceName=world.api,
        taskDefinition=world.define("1"),
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=balancer.network,
        deploymentController={"type": "CODE_DEPLOY"},
        loadBalancers=[
            {"targetGroupArn": balancer.groups["blue"], "containerName": "api", "containerPort": 8000}
        ],
    )
    _deployment_group(aws, name, role, listeners)
    eventually(world.settled)
    try:
        yield world
    finally:
        aws.control("DELETE", "codedeploy")
        aws.client("ecs").delete_service(cluster=name, service=world.api, force=True)
        eventually(lambda: world.service()["status"] == "INACTIVE")


def _topic(aws: LocalAWS, name: str) -> tuple[str, str]:
    topic = aws.client("sns").create_topic(Name=f"{name}-notifications")["TopicArn"]
    sqs = aws.client("sqs")
    queue = sqs.create_queue(QueueName=f"{name}-told")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return str(topic), str(queue)


def _manifest(environment: str) -> dict[str, Any]:
    name = f"know-me-{environment}"
    database = {
        "generation": "blue",
        "instance_id": f"{name}-blue",
        "endpoint": "blue.example.com",
        "port": 5432,
        "database_name": "know_me",
        "engine_version": "17.4",
        "allocated_storage": 20,
        "master_secret_arn": "arn:master",
        "application_secret_arn": "arn:application",
        "application_secret_label": "blue",
        "application_role": "know_me",
        "subnet_ids": [],
        "security_group_ids": [],
    }
    bucket = {
        "generation": "blue",
        "bucket": f"{name}-media-blue",
        "changes_rule": "changes",
        "changes_queue_url": "https://queue",
    }
    service = {
        "name": f"{name}-api",
        "cluster": name,
        "container": "api",
        "task_definition_family": f"{name}-api",
    }
    return {
        "version": 1,
        "environment": environment,
        "region": "us-east-1",
        "account_id": "123456789012",
        "cluster": {"name": name, "arn": "arn:cluster"},
        "services": [service],
        "scalable_targets": [],
        "rules": [],
        "schedules": [],
        "pipelines": [],
        "deployments": [{"application": f"{name}-api", "deployment_group": f"{name}-api"}],
        "database": {"active": "blue", "generations": {"blue": database}},
        "media": {
            "active": "blue",
            "generations": {"blue": bucket},
            "copy_role_arn": "arn:copy",
            "migration_principals": [],
            "file_columns": [],
        },
        "builds": {"database_jobs": "d", "media_jobs": "m"},
        "health_check_url": "http://example.com/status/",
        "web_url": "https://app.example.com",
        "alarm_arns": [],
        "topic_arns": [],
    }


def _functions(aws: LocalAWS, environment: str, role: str, topic: str) -> dict[str, str]:
    """Deploy the real steps with their real layer; return step → ARN."""
    name = f"know-me-{environment}"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    layer = layer_contents(ROOT, python=python, architecture="x86_64").directory
    functions = aws.client("lambda")
    libraries = functions.publish_layer_version(
        LayerName=f"{name}-libraries", Content={"ZipFile": _zipped(layer)}
    )["LayerVersionArn"]
    prefix = "arn:aws:states:us-east-1:123456789012"
    variables = {
        "ENVIRONMENT": environment,
        "ARTIFACTS_BUCKET": f"{name}-artifacts",
        "LOCK_TABLE": f"{name}-lock",
        "NOTIFICATION_TOPIC_ARN": topic,
        "STATE_MACHINE_ARN_PREFIX": f"{prefix}:stateMachine:{name}-",
        "EXECUTION_ARN_PREFIX": f"{prefix}:execution:{name}-",
        "DATABASE_JOBS_BUILD": "d",
        "MEDIA_JOBS_BUILD": "m",
        "TERRAFORM_BUILD": "t",
        "SINGLE_COPY_LIMIT_BYTES": "5368709120",
        "APPROVAL_MODE": "destructive",
        "APPROVAL_TIMEOUT_SECONDS": "86400",
        "POWERTOOLS_SERVICE_NAME": "release",
        "POWERTOOLS_METRICS_NAMESPACE": "KnowMe",
        "POWERTOOLS_TRACE_DISABLED": "true",
    }
    code = _zipped(ROOT / "lambdas")
    return {
        step: functions.create_function(
            FunctionName=f"{name}-{step.replace('_', '-')}",
            Runtime=f"python{python}",
            Handler=f"{step}.lambda_handler",
            Role=role,
            Layers=[libraries],
            Code={"ZipFile": code},
            Timeout=60,
            Environment={"Variables": variables},
        )["FunctionArn"]
        for step in STEPS
    }


def _zipped(directory: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        for path in sorted(directory.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                opened.write(path, path.relative_to(directory))
    return buffer.getvalue()


def _machine(
    aws: LocalAWS, environment: str, role: str, machine: str, topic: str, functions: dict[str, str]
) -> str:
    text = (ROOT / "statemachines" / f"{machine}.asl.json").read_text()
    values = {f"{step.title().replace('_', '')}Function": arn for step, arn in functions.items()} | {
        "NotificationTopic": topic,
        "Environment": environment,
    }
    text = re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], text)
    created = aws.client("stepfunctions").create_state_machine(
        name=f"know-me-{environment}-{machine}", definition=text, roleArn=role
    )
    return str(created["stateMachineArn"])


def _safety_net(aws: LocalAWS, environment_name: str, machine: str, function: str) -> None:
    pattern = {
        "source": ["aws.states"],
        "detail": {"status": ["FAILED", "TIMED_OUT", "ABORTED"], "stateMachineArn": [machine]},
    }
    events, name = aws.client("events"), f"{environment_name}-schema-migration-lost"
    rule = events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
    events.put_targets(Rule=name, Targets=[{"Id": "function", "Arn": function}])
    aws.client("lambda").add_permission(
        FunctionName=function,
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )


def _deployment_group(aws: LocalAWS, name: str, role: str, listeners: tuple[str, str]) -> None:
    deploy = aws.client("codedeploy")
    deploy.create_application(applicationName=f"{name}-api", computePlatform="ECS")
    deploy.create_deployment_group(
        applicationName=f"{name}-api",
        deploymentGroupName=f"{name}-api",
        serviceRoleArn=role,
        deploymentStyle={"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        blueGreenDeploymentConfiguration={
            "terminateBlueInstancesOnDeploymentSuccess": {
                "action": "TERMINATE",
                "terminationWaitTimeInMinutes": 0,
            },
            "deploymentReadyOption": {"actionOnTimeout": "CONTINUE_DEPLOYMENT"},
        },
        ecsServices=[{"clusterName": name, "serviceName": f"{name}-api"}],
        autoRollbackConfiguration={
            "enabled": True,
            "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_REQUEST"],
        },
        loadBalancerInfo={
            "targetGroupPairInfoList": [
                {
                    "targetGroups": [{"name": f"{name}-api-blue"}, {"name": f"{name}-api-green"}],
                    "prodTrafficRoute": {"listenerArns": [listeners[0]]},
                    "testTrafficRoute": {"listenerArns": [listeners[1]]},
                }
            ]
        },
    )
