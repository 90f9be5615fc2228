"""Releases from end to end: CodeDeploy, its hook, the runbooks and their real steps, on real processes.

The image is a shell script: `serve` answers with the name of its release, `migrate` and `background-jobs` do
what the release says. The steps are the real functions with the real layer, the state machines the real
definitions, the roles of CodeDeploy and the task the least that they need to exist; the names are those of an
environment `release`.
"""

import io
import json
import re
import sys
import textwrap
import time
import urllib.request
import uuid
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.layer import layer_contents
from tests.local.conftest import LocalAWS

pytestmark = pytest.mark.local

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = "release"
NAME = f"know-me-{ENVIRONMENT}"
API = f"{NAME}-api"
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


def wait(check: Callable[[], Any], seconds: float = 90) -> Any:
    """Return the first true answer."""
    end = time.monotonic() + seconds
    while not (answer := check()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.2)
    return answer


@dataclass
class World:
    """An environment as far as releases need it."""

    aws: LocalAWS
    role: str
    network: dict[str, Any]
    address: str
    listeners: tuple[str, str]
    queue: str
    machines: dict[str, str]

    def define(self, release: str, *, migrate: str = "exit 0", jobs: str = "exit 0") -> str:
        """Register a release; return the ARN of its task definition."""
        environment = {"RELEASE": release, "SERVE": SERVE, "MIGRATE": migrate, "JOBS": jobs}
        answer = self.aws.client("ecs").register_task_definition(
            family=API,
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
                            "awslogs-group": f"/{NAME}/api",
                            "awslogs-region": "us-east-1",
                            "awslogs-stream-prefix": "api",
                        },
                    },
                }
            ],
        )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def service(self) -> dict[str, Any]:
        found: dict[str, Any] = self.aws.client("ecs").describe_services(cluster=NAME, services=[API])[
            "services"
        ][0]
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
                "Hooks": [{"BeforeInstall": f"{NAME}-start-schema-migration"}],
            }
        )
        return str(
            self.aws.client("codedeploy").create_deployment(
                applicationName=API,
                deploymentGroupName=API,
                revision={"revisionType": "AppSpecContent", "appSpecContent": {"content": content}},
            )["deploymentId"]
        )

    def ended(self, deployment: str) -> dict[str, Any]:
        """Wait until a deployment, and its rollback if it has one, are over; return it."""
        deploy = self.aws.client("codedeploy")

        def over(name: str) -> dict[str, Any] | None:
            found: dict[str, Any] = deploy.get_deployment(deploymentId=name)["deploymentInfo"]
            return found if found["status"] in ("Succeeded", "Failed", "Stopped") else None

        found: dict[str, Any] = wait(lambda: over(deployment))
        rollback = found.get("rollbackInfo", {}).get("rollbackDeploymentId")
        if rollback:
            wait(lambda: over(rollback))
        return found

    def execution(self, machine: str, name: str) -> dict[str, Any]:
        """Wait until an execution has ended; return it."""
        states = self.aws.client("stepfunctions")
        arn = f"{self.machines[machine].replace(':stateMachine:', ':execution:')}:{name}"

        def over() -> dict[str, Any] | None:
            found: dict[str, Any] = states.describe_execution(executionArn=arn)
            return found if found["status"] != "RUNNING" else None

        found: dict[str, Any] = wait(over)
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
            cluster=NAME, startedBy="background-jobs", desiredStatus=status
        )["taskArns"]
        return found

    def hold_lock(self, *, purpose: str | None) -> None:
        """Take the lock for a run, or give it back."""
        table, dynamodb = f"{NAME}-lock", self.aws.client("dynamodb")
        if purpose is None:
            dynamodb.delete_item(TableName=table, Key={"environment": {"S": ENVIRONMENT}})
            return
        item = {
            "environment": ENVIRONMENT,
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


@pytest.fixture(scope="module")
def world(local_aws: LocalAWS) -> Iterator[World]:
    """The environment, with release 1 in place."""
    aws = local_aws
    role = aws.all_powerful_role(
        *(f"{each}.amazonaws.com" for each in ("codedeploy", "lambda", "states", "ecs-tasks", "events"))
    )
    network, address, listeners, groups = _network(aws)
    aws.client("logs").create_log_group(logGroupName=f"/{NAME}/api")
    topic, queue = _topic(aws)
    aws.client("dynamodb").create_table(
        TableName=f"{NAME}-lock",
        KeySchema=[{"AttributeName": "environment", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "environment", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    aws.client("ssm").put_parameter(
        Name=f"/know-me/{ENVIRONMENT}/manifest", Value=json.dumps(_manifest()), Type="String"
    )
    functions = _functions(aws, role, topic)
    machines = {
        name: _machine(aws, role, name, topic, functions) for name in ("schema-migration", "background-jobs")
    }
    _safety_net(aws, machines["schema-migration"], functions["report_lost_schema_migration"])
    world = World(aws, role, network, address, listeners, queue, machines)
    aws.control("POST", "codedeploy", {"seconds_per_minute": 0.1})
    aws.client("ecs").create_service(
        cluster=NAME,
        serviceName=API,
        taskDefinition=world.define("1"),
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=network,
        deploymentController={"type": "CODE_DEPLOY"},
        loadBalancers=[{"targetGroupArn": groups["blue"], "containerName": "api", "containerPort": 8000}],
    )
    _deployment_group(aws, role, listeners)
    wait(world.settled)
    yield world
    aws.control("DELETE", "codedeploy")
    aws.client("ecs").delete_service(cluster=NAME, service=API, force=True)
    wait(lambda: world.service()["status"] == "INACTIVE")


def _network(aws: LocalAWS) -> tuple[dict[str, Any], str, tuple[str, str], dict[str, str]]:
    elb, ec2 = aws.client("elbv2"), aws.client("ec2")
    aws.client("ecs").create_cluster(clusterName=NAME)
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    inside = [{"Name": "vpc-id", "Values": [vpc]}]
    subnets = [each["SubnetId"] for each in ec2.describe_subnets(Filters=inside)["Subnets"]][:2]
    security = [ec2.describe_security_groups(Filters=inside)["SecurityGroups"][0]["GroupId"]]
    balancer = elb.create_load_balancer(Name=API, Subnets=subnets, SecurityGroups=security)["LoadBalancers"][
        0
    ]
    groups = {
        colour: elb.create_target_group(
            Name=f"{API}-{colour}",
            Protocol="HTTP",
            Port=8000,
            VpcId=vpc,
            TargetType="ip",
            HealthCheckPath="/",
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2,
            UnhealthyThresholdCount=2,
            HealthyThresholdCount=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        for colour in ("blue", "green")
    }
    production, test = (
        elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"],
            Protocol="HTTP",
            Port=port,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": groups["blue"]}],
        )["Listeners"][0]["ListenerArn"]
        for port in (80, 8443)
    )
    network = {
        "awsvpcConfiguration": {"subnets": subnets, "securityGroups": security, "assignPublicIp": "DISABLED"}
    }
    return network, str(balancer["DNSName"]), (production, test), groups


def _topic(aws: LocalAWS) -> tuple[str, str]:
    topic = aws.client("sns").create_topic(Name=f"{NAME}-notifications")["TopicArn"]
    sqs = aws.client("sqs")
    queue = sqs.create_queue(QueueName=f"{NAME}-told")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return str(topic), str(queue)


def _manifest() -> dict[str, Any]:
    database = {
        "generation": "blue",
        "instance_id": f"{NAME}-blue",
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
        "bucket": f"{NAME}-media-blue",
        "changes_rule": "changes",
        "changes_queue_url": "https://queue",
    }
    service = {"name": API, "cluster": NAME, "container": "api", "task_definition_family": API}
    return {
        "version": 1,
        "environment": ENVIRONMENT,
        "region": "us-east-1",
        "account_id": "123456789012",
        "cluster": {"name": NAME, "arn": "arn:cluster"},
        "services": [service],
        "scalable_targets": [],
        "rules": [],
        "schedules": [],
        "pipelines": [],
        "deployments": [{"application": API, "deployment_group": API}],
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
        "alarm_arns": [],
        "topic_arns": [],
    }


def _functions(aws: LocalAWS, role: str, topic: str) -> dict[str, str]:
    """Deploy the real steps with their real layer; return step → ARN."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    layer = layer_contents(ROOT, python=python, architecture="x86_64").directory
    functions = aws.client("lambda")
    libraries = functions.publish_layer_version(
        LayerName=f"{NAME}-libraries", Content={"ZipFile": _zipped(layer)}
    )["LayerVersionArn"]
    prefix = "arn:aws:states:us-east-1:123456789012"
    variables = {
        "ENVIRONMENT": ENVIRONMENT,
        "ARTIFACTS_BUCKET": f"{NAME}-artifacts",
        "LOCK_TABLE": f"{NAME}-lock",
        "NOTIFICATION_TOPIC_ARN": topic,
        "STATE_MACHINE_ARN_PREFIX": f"{prefix}:stateMachine:{NAME}-",
        "EXECUTION_ARN_PREFIX": f"{prefix}:execution:{NAME}-",
        "DATABASE_JOBS_BUILD": "d",
        "MEDIA_JOBS_BUILD": "m",
        "TERRAFORM_BUILD": "t",
        "SINGLE_COPY_LIMIT_BYTES": "5368709120",
        "POWERTOOLS_SERVICE_NAME": "release",
        "POWERTOOLS_METRICS_NAMESPACE": "KnowMe",
        "POWERTOOLS_TRACE_DISABLED": "true",
    }
    code = _zipped(ROOT / "lambdas")
    return {
        step: functions.create_function(
            FunctionName=f"{NAME}-{step.replace('_', '-')}",
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


def _machine(aws: LocalAWS, role: str, name: str, topic: str, functions: dict[str, str]) -> str:
    text = (ROOT / "statemachines" / f"{name}.asl.json").read_text()
    values = {f"{step.title().replace('_', '')}Function": arn for step, arn in functions.items()} | {
        "NotificationTopic": topic,
        "Environment": ENVIRONMENT,
    }
    text = re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], text)
    created = aws.client("stepfunctions").create_state_machine(
        name=f"{NAME}-{name}", definition=text, roleArn=role
    )
    return str(created["stateMachineArn"])


def _safety_net(aws: LocalAWS, machine: str, function: str) -> None:
    pattern = {
        "source": ["aws.states"],
        "detail": {"status": ["FAILED", "TIMED_OUT", "ABORTED"], "stateMachineArn": [machine]},
    }
    events, name = aws.client("events"), f"{NAME}-schema-migration-lost"
    rule = events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
    events.put_targets(Rule=name, Targets=[{"Id": "function", "Arn": function}])
    aws.client("lambda").add_permission(
        FunctionName=function,
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )


def _deployment_group(aws: LocalAWS, role: str, listeners: tuple[str, str]) -> None:
    deploy = aws.client("codedeploy")
    deploy.create_application(applicationName=API, computePlatform="ECS")
    deploy.create_deployment_group(
        applicationName=API,
        deploymentGroupName=API,
        serviceRoleArn=role,
        deploymentStyle={"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        blueGreenDeploymentConfiguration={
            "terminateBlueInstancesOnDeploymentSuccess": {
                "action": "TERMINATE",
                "terminationWaitTimeInMinutes": 0,
            },
            "deploymentReadyOption": {"actionOnTimeout": "CONTINUE_DEPLOYMENT"},
        },
        ecsServices=[{"clusterName": NAME, "serviceName": API}],
        autoRollbackConfiguration={
            "enabled": True,
            "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_REQUEST"],
        },
        loadBalancerInfo={
            "targetGroupPairInfoList": [
                {
                    "targetGroups": [{"name": f"{API}-blue"}, {"name": f"{API}-green"}],
                    "prodTrafficRoute": {"listenerArns": [listeners[0]]},
                    "testTrafficRoute": {"listenerArns": [listeners[1]]},
                }
            ]
        },
    )


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
    wait(lambda: world.serving() == "2")
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
    (message,) = wait(world.told)
    assert message["Subject"] == f"Know Me {ENVIRONMENT}: the schema migration of {deployment} failed"
    assert "column exists" in message["Message"]
    wait(world.settled)
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
    wait(world.told)
    wait(world.settled)
    assert world.serving() == before


def test_a_migration_that_is_stopped_by_hand_fails_its_release_within_seconds(world: World) -> None:
    # Given a migration that takes for ever
    deployment = world.release(world.define("5", migrate="sleep 600"))
    ecs = world.aws.client("ecs")
    wait(lambda: ecs.list_tasks(cluster=NAME, startedBy=deployment)["taskArns"])
    # When somebody stops the execution
    machine = world.machines["schema-migration"].replace(":stateMachine:", ":execution:")
    world.aws.client("stepfunctions").stop_execution(executionArn=f"{machine}:{deployment}")
    # Then CodeDeploy does not wait for an hour, the task ends, and people are told
    assert world.ended(deployment)["status"] == "Failed"
    wait(lambda: not ecs.list_tasks(cluster=NAME, startedBy=deployment)["taskArns"])
    (message,) = wait(world.told)
    assert "was stopped by hand" in message["Message"]
    wait(world.settled)


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
    wait(world.jobs)
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
    wait(world.settled)


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
        wait(seen.exists, seconds=150)
        # And a rule that a migration disabled starts nothing more
        events.disable_rule(Name=name)
        ran = len(seen.read_text().split())
        time.sleep(65)
        assert len(seen.read_text().split()) == ran
    finally:
        events.remove_targets(Rule=name, Ids=["machine"])
        events.delete_rule(Name=name)
