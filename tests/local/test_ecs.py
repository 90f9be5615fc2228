"""ECS behaves like ECS, with a load balancer and a scalable target in front: tests that would pass against
AWS."""

import json
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.blue_green import default_network
from tests.local.conftest import LocalAWS
from tests.local.waiting import eventually

pytestmark = pytest.mark.local

IMAGE = "know-me/api:test"
WEB = textwrap.dedent(
    """
    import json, os, signal, urllib.request
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    about = json.load(urllib.request.urlopen(os.environ["ECS_CONTAINER_METADATA_URI_V4"]))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, body):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            if self.path == "/crash":
                os._exit(9)
            seen = {"environment": dict(os.environ), "for": self.headers["X-Forwarded-For"]}
            self.answer(json.dumps(seen).encode())

        def do_POST(self):
            self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    address = about["Networks"][0]["IPv4Addresses"][0]
    ThreadingHTTPServer((address, 8000), Handler).serve_forever()
    """
)


@dataclass
class World:
    """A cluster, a role that may read secrets, a load balancer and a target group."""

    ecs: Any
    logs: Any
    elb: Any
    scaling: Any
    role: str
    secret: str
    network: dict[str, Any]
    load_balancer: str
    address: str
    listener: str
    target_group: str

    def define(self, family: str, script: str, **settings: Any) -> str:
        """Register a task definition that runs a Python script."""
        container = {
            "name": "api",
            "image": IMAGE,
            "entryPoint": ["python", "-c"],
            "command": [script],
            "portMappings": [{"containerPort": 8000}],
            "stopTimeout": 2,
            "secrets": [{"name": "PASSWORD", "valueFrom": f"{self.secret}:password::"}],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": "/tests/ecs",
                    "awslogs-region": "us-east-1",
                    "awslogs-stream-prefix": "t",
                },
            },
        }
        answer = self.ecs.register_task_definition(
            family=family,
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="256",
            memory="512",
            executionRoleArn=self.role,
            taskRoleArn=self.role,
            containerDefinitions=[{**container, **settings}],
        )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def run(self, definition: str, **arguments: Any) -> str:
        """Run one task; return its ARN."""
        answer = self.ecs.run_task(
            cluster="tests",
            taskDefinition=definition,
            launchType="FARGATE",
            networkConfiguration=self.network,
            **arguments,
        )
        return str(answer["tasks"][0]["taskArn"])

    def task(self, arn: str) -> dict[str, Any]:
        return self.ecs.describe_tasks(cluster="tests", tasks=[arn])["tasks"][0]

    def ended(self, arn: str) -> dict[str, Any]:
        """Wait until a task has stopped."""
        eventually(lambda: self.task(arn)["lastStatus"] == "STOPPED")
        return self.task(arn)

    def service(self, name: str = "web") -> dict[str, Any]:
        return self.ecs.describe_services(cluster="tests", services=[name])["services"][0]

    def steady(self, count: int, definition: str | None = None) -> dict[str, Any]:
        """Wait until the service has one completed deployment with its tasks running."""

        def done() -> bool:
            service = self.service()
            first = service["deployments"][0]
            return (
                len(service["deployments"]) == 1
                and first["rolloutState"] == "COMPLETED"
                and service["runningCount"] == count
                and definition in (None, first["taskDefinition"])
            )

        eventually(done)
        return self.service()

    def get(self, path: str = "/", data: bytes | None = None) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", data=data, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


@pytest.fixture(scope="module")
def world(local_aws: Any) -> World:
    iam, secrets = (local_aws.client(each) for each in ("iam", "secretsmanager"))
    elb, logs, ecs = (local_aws.client(each) for each in ("elbv2", "logs", "ecs"))
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "ecs-tasks.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    role = iam.create_role(
        RoleName="tests-ecs",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )["Role"]["Arn"]
    read = ["secretsmanager:GetSecretValue", "ssm:GetParameters"]
    allow = {"Effect": "Allow", "Action": [*read, "logs:*"], "Resource": "*"}
    iam.put_role_policy(
        RoleName="tests-ecs",
        PolicyName="read",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
    )
    secret = secrets.create_secret(Name="tests/ecs", SecretString=json.dumps({"password": "s3cret"}))["ARN"]
    logs.create_log_group(logGroupName="/tests/ecs")
    ecs.create_cluster(clusterName="tests")
    vpc, subnets, groups = default_network(local_aws)
    balancer = elb.create_load_balancer(Name="tests", Subnets=subnets, SecurityGroups=groups)[
        "LoadBalancers"
    ][0]
    target_group = elb.create_target_group(
        Name="tests",
        Protocol="HTTP",
        Port=8000,
        VpcId=vpc,
        TargetType="ip",
        HealthCheckPath="/status/",
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
        UnhealthyThresholdCount=2,
        HealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]
    listener = elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": target_group}],
    )["Listeners"][0]["ListenerArn"]
    network = {
        "awsvpcConfiguration": {"subnets": subnets, "securityGroups": groups, "assignPublicIp": "DISABLED"}
    }
    return World(
        ecs,
        logs,
        elb,
        local_aws.client("application-autoscaling"),
        role,
        secret,
        network,
        balancer["LoadBalancerArn"],
        balancer["DNSName"],
        listener,
        target_group,
    )


@pytest.fixture
def service(world: World) -> Iterator[str]:
    """A service of two web tasks behind the load balancer; returns its task definition."""
    definition = world.define("web", WEB, environment=[{"name": "RELEASE", "value": "1"}])
    world.ecs.create_service(
        cluster="tests",
        serviceName="web",
        taskDefinition=definition,
        desiredCount=2,
        launchType="FARGATE",
        networkConfiguration=world.network,
        loadBalancers=[{"targetGroupArn": world.target_group, "containerName": "api", "containerPort": 8000}],
        deploymentConfiguration={
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
            "maximumPercent": 200,
            "minimumHealthyPercent": 100,
        },
    )
    world.steady(2)
    yield definition
    world.ecs.delete_service(cluster="tests", service="web", force=True)
    eventually(lambda: world.service()["status"] == "INACTIVE")


# ---------------------------------------------------------------------- tasks


def test_a_task_reports_its_exit_code_and_its_output_is_in_the_log(world: World):
    # When
    task = world.ended(world.run(world.define("exits", "print('done'); raise SystemExit(3)")))
    # Then
    assert (task["containers"][0]["exitCode"], task["stopCode"]) == (3, "EssentialContainerExited")
    assert task["stoppedReason"] == "Essential container in task exited"
    stream = f"t/api/{task['taskArn'].rsplit('/', 1)[-1]}"
    events = world.logs.get_log_events(logGroupName="/tests/ecs", logStreamName=stream)["events"]
    assert [event["message"] for event in events] == ["done"]


def test_the_states_of_a_task_are_events(world: World, local_aws: LocalAWS):
    # Given a rule that sends the events of stopped tasks to a queue
    events, queues = local_aws.client("events"), local_aws.client("sqs")
    queue = queues.create_queue(QueueName="task-events")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.ecs"], "detail-type": ["ECS Task State Change"]}
    events.put_rule(Name="task-events", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="task-events", Targets=[{"Id": "queue", "Arn": arn}])
    # When a task runs and ends
    task = world.ended(world.run(world.define("events", "pass")))
    # Then its last state arrives
    seen = []
    deadline = time.monotonic() + 10
    while "STOPPED" not in seen and time.monotonic() < deadline:
        for message in queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            detail = json.loads(message["Body"])["detail"]
            if detail["taskArn"] == task["taskArn"]:
                seen.append(detail["lastStatus"])
            queues.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert "STOPPED" in seen


def test_a_container_sees_only_what_ecs_gives_it(world: World, monkeypatch: pytest.MonkeyPatch):
    # Given a command that prints its environment, overridden for this run
    script = "import json, os; print(json.dumps(dict(os.environ)))"
    definition = world.define("environment", script, environment=[{"name": "COLOUR", "value": "blue"}])
    # When
    arn = world.run(
        definition,
        overrides={"containerOverrides": [{"name": "api", "environment": [{"name": "EXTRA", "value": "1"}]}]},
    )
    task = world.ended(arn)
    # Then
    stream = f"t/api/{arn.rsplit('/', 1)[-1]}"
    (event,) = world.logs.get_log_events(logGroupName="/tests/ecs", logStreamName=stream)["events"]
    seen = json.loads(event["message"])
    assert task["containers"][0]["exitCode"] == 0
    assert (seen["COLOUR"], seen["EXTRA"], seen["PASSWORD"]) == ("blue", "1", "s3cret")
    assert "AWS_SECRET_ACCESS_KEY" not in seen
    assert not [name for name in seen if name.startswith(("PYTEST", "VIRTUAL_ENV", "MOTO"))]


def test_a_task_acts_as_its_own_role(world: World):
    script = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
    arn = world.run(world.define("role", script))
    assert world.ended(arn)["containers"][0]["exitCode"] == 0
    stream = f"t/api/{arn.rsplit('/', 1)[-1]}"
    (event,) = world.logs.get_log_events(logGroupName="/tests/ecs", logStreamName=stream)["events"]
    assert ":assumed-role/tests-ecs/" in event["message"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"image": "nowhere/unknown:1"}, "CannotPullContainerError"),
        (
            {"secrets": [{"name": "X", "valueFrom": "/no/such/parameter"}]},
            "ResourceInitializationError: unable to pull",
        ),
        ({"entryPoint": ["no-such-program"]}, "CannotStartContainerError"),
    ],
)
def test_a_task_that_cannot_start_says_why(world: World, settings: dict[str, Any], reason: str):
    task = world.ended(world.run(world.define("broken", "pass", **settings)))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith(reason)
    assert "startedAt" not in task


def test_a_secret_without_the_key_fails_the_start(world: World):
    secrets = [{"name": "X", "valueFrom": f"{world.secret}:absent::"}]
    task = world.ended(world.run(world.define("keyless", "pass", secrets=secrets)))
    assert "did not contain json key absent" in task["stoppedReason"]


def test_tasks_read_the_current_version_of_a_secret_when_they_start(world: World, local_aws: LocalAWS):
    # Given a secret with two labelled versions, the first of which is the current one, and a parameter
    secrets, ssm = local_aws.client("secretsmanager"), local_aws.client("ssm")
    arn = secrets.create_secret(Name="tests/ecs/application")["ARN"]
    versions = [
        secrets.put_secret_value(
            SecretId=arn, SecretString=json.dumps({"host": name, "port": port}), VersionStages=[name]
        )["VersionId"]
        for name, port in (("blue", 5432), ("green", 5433))
    ]
    ssm.put_parameter(Name="/tests/ecs/bucket", Value="files", Type="String")
    parameter = ssm.get_parameter(Name="/tests/ecs/bucket")["Parameter"]["ARN"]
    sources = {
        "HOST": f"{arn}:host::",
        "PORT": f"{arn}:port::",
        "GREEN": f"{arn}:host:green:",
        "BUCKET": parameter,
    }
    definition = world.define(
        "named",
        "import os; print([os.environ[name] for name in ('HOST', 'PORT', 'GREEN', 'BUCKET')])",
        secrets=[{"name": name, "valueFrom": source} for name, source in sources.items()],
    )

    def seen() -> str:
        stream = f"t/api/{world.ended(world.run(definition))['taskArn'].rsplit('/', 1)[-1]}"
        (event,) = world.logs.get_log_events(logGroupName="/tests/ecs", logStreamName=stream)["events"]
        return str(event["message"])

    # When tasks start before and after the current version is another one
    before = seen()
    secrets.update_secret_version_stage(
        SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=versions[1], RemoveFromVersionId=versions[0]
    )
    # Then the same task definition leads elsewhere; what names a label does not move
    assert before == "['blue', '5432', 'green', 'files']"
    assert seen() == "['green', '5433', 'green', 'files']"


def test_stop_sends_sigterm_and_kills_what_does_not_end(world: World):
    # Given a task that ignores SIGTERM
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    arn = world.run(world.define("stubborn", script))
    eventually(lambda: world.task(arn)["lastStatus"] == "RUNNING")
    time.sleep(0.3)
    # When
    world.ecs.stop_task(cluster="tests", task=arn, reason="enough")
    # Then
    task = world.ended(arn)
    assert (task["containers"][0]["exitCode"], task["stoppedReason"]) == (137, "enough")
    assert task["stopCode"] == "UserInitiated"


def test_tasks_are_listed_by_desired_status_and_family(world: World):
    arn = world.run(world.define("listed", "import time; time.sleep(60)"), startedBy="the-tests")
    assert world.ecs.list_tasks(cluster="tests", family="listed")["taskArns"] == [arn]
    assert world.ecs.list_tasks(cluster="tests", startedBy="the-tests")["taskArns"] == [arn]
    world.ecs.stop_task(cluster="tests", task=arn)
    world.ended(arn)
    assert world.ecs.list_tasks(cluster="tests", family="listed")["taskArns"] == []
    assert world.ecs.list_tasks(cluster="tests", family="listed", desiredStatus="STOPPED")["taskArns"] == [
        arn
    ]


def test_an_inactive_definition_and_a_missing_network_are_refused(world: World):
    definition = world.define("gone", "pass")
    with pytest.raises(ClientError, match="Network Configuration must be provided"):
        world.ecs.run_task(cluster="tests", taskDefinition=definition)
    world.ecs.deregister_task_definition(taskDefinition=definition)
    with pytest.raises(ClientError, match="inactive"):
        world.run(definition)


def test_what_is_missing_is_a_failure_not_an_error(world: World):
    answer = world.ecs.describe_services(cluster="tests", services=["absent"])
    assert [failure["reason"] for failure in answer["failures"]] == ["MISSING"]
    answer = world.ecs.describe_tasks(cluster="tests", tasks=["0" * 32])
    assert [failure["reason"] for failure in answer["failures"]] == ["MISSING"]


# ---------------------------------------------------------------------- services


def test_the_load_balancer_answers_from_healthy_tasks_and_503_without_any(world: World, service: str):
    # Then two healthy targets answer
    health = world.elb.describe_target_health(TargetGroupArn=world.target_group)["TargetHealthDescriptions"]
    assert [each["TargetHealth"]["State"] for each in health] == ["healthy", "healthy"]
    status, body = world.get()
    assert (status, json.loads(body)["for"]) == (200, "127.0.0.1")
    assert world.get("/echo", data=b"x" * 300_000) == (200, b"x" * 300_000)
    # When the service is scaled to nothing
    world.ecs.update_service(cluster="tests", service="web", desiredCount=0)
    eventually(lambda: world.service()["runningCount"] == 0)
    # Then
    assert world.get()[0] == 503


def test_a_task_that_dies_is_replaced(world: World, service: str):
    # Given
    before = set(world.ecs.list_tasks(cluster="tests", serviceName="web")["taskArns"])
    # When one crashes while it answers
    assert world.get("/crash")[0] == 502
    # Then there are two again, one of them new
    eventually(lambda: set(world.ecs.list_tasks(cluster="tests", serviceName="web")["taskArns"]) != before)
    world.steady(2)
    after = set(world.ecs.list_tasks(cluster="tests", serviceName="web")["taskArns"])
    assert len(after - before) == 1


def test_a_rolling_deployment_never_stops_answering(world: World, service: str):
    # When
    second = world.define("web", WEB, environment=[{"name": "RELEASE", "value": "2"}])
    world.ecs.update_service(cluster="tests", service="web", taskDefinition=second)
    assert [each["status"] for each in world.service()["deployments"]] == ["PRIMARY", "ACTIVE"]
    seen = set()
    while world.service()["deployments"][0]["rolloutState"] != "COMPLETED":
        seen.add(world.get()[0])
    # Then
    assert seen == {200}
    assert json.loads(world.get()[1])["environment"]["RELEASE"] == "2"
    assert "has reached a steady state" in world.steady(2, second)["events"][0]["message"]


def test_a_deployment_that_cannot_start_is_rolled_back(world: World, service: str):
    # When
    broken = world.define("web", "raise SystemExit(1)")
    world.ecs.update_service(cluster="tests", service="web", taskDefinition=broken)
    eventually(lambda: world.service()["taskDefinition"] == service)
    # Then
    final = world.steady(2, service)
    assert any("deployment failed: tasks failed to start" in event["message"] for event in final["events"])
    assert world.get()[0] == 200


def test_a_service_of_codedeploy_starts_again_at_once_after_none_and_back(world: World, local_aws: LocalAWS):
    # Given a service whose tasks fail because a parameter is missing, so that it starts them ever more rarely
    missing = [{"name": "X", "valueFrom": "/tests/ecs/later"}]
    definition = world.define("later", WEB, secrets=missing)
    world.ecs.create_service(
        cluster="tests",
        serviceName="later",
        taskDefinition=definition,
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=world.network,
        deploymentController={"type": "CODE_DEPLOY"},
        loadBalancers=[{"targetGroupArn": world.target_group, "containerName": "api", "containerPort": 8000}],
    )
    eventually(lambda: any("consistently" in event["message"] for event in world.service("later")["events"]))
    local_aws.client("ssm").put_parameter(Name="/tests/ecs/later", Value="x", Type="String")
    # When a new deployment is forced, then that is refused; none and back is not
    with pytest.raises(ClientError, match="CODE_DEPLOY"):
        world.ecs.update_service(cluster="tests", service="later", forceNewDeployment=True)
    for count in (0, 1):
        world.ecs.update_service(cluster="tests", service="later", desiredCount=count)
    eventually(lambda: world.service("later")["runningCount"] == 1, seconds=10)
    world.ecs.delete_service(cluster="tests", service="later", force=True)
    eventually(lambda: world.service("later")["status"] == "INACTIVE")


def test_a_service_above_zero_is_deleted_only_by_force(world: World, service: str):
    with pytest.raises(ClientError, match="scaled above 0"):
        world.ecs.delete_service(cluster="tests", service="web")
    with pytest.raises(ClientError, match="while Services are active"):
        world.ecs.delete_cluster(cluster="tests")


# ---------------------------------------------------------------------- load balancer


def test_rules_answer_by_path_before_the_default(world: World):
    # Given
    fixed = {
        "Type": "fixed-response",
        "FixedResponseConfig": {"StatusCode": "404", "MessageBody": "not here"},
    }
    away = {
        "Type": "redirect",
        "RedirectConfig": {"StatusCode": "HTTP_301", "Protocol": "HTTPS", "Port": "443"},
    }
    made = [
        world.elb.create_rule(
            ListenerArn=world.listener,
            Priority=priority,
            Actions=[action],
            Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": [path]}}],
        )["Rules"][0]["RuleArn"]
        for priority, path, action in ((10, "/admin/*", fixed), (20, "/secure/*", away))
    ]
    # Then
    assert world.get("/admin/users") == (404, b"not here")
    opener = urllib.request.build_opener(
        type("Stay", (urllib.request.HTTPRedirectHandler,), {"redirect_request": lambda *_: None})
    )
    with pytest.raises(urllib.error.HTTPError) as moved:
        opener.open(f"http://{world.address}/secure/x?y=1", timeout=10)
    assert (moved.value.code, moved.value.headers["Location"]) == (
        301,
        f"https://{world.address}/secure/x?y=1",
    )
    for arn in made:
        world.elb.delete_rule(RuleArn=arn)


# ---------------------------------------------------------------------- scaling


def test_a_scalable_target_moves_the_service_into_its_bounds_unless_suspended(world: World, service: str):
    # Given a target
    which = {
        "ServiceNamespace": "ecs",
        "ResourceId": "service/tests/web",
        "ScalableDimension": "ecs:service:DesiredCount",
    }
    arn = world.scaling.register_scalable_target(**which, MinCapacity=1, MaxCapacity=1, Tags={"a": "b"})[
        "ScalableTargetARN"
    ]
    # Then the desired count is in its bounds, and the tags are there
    assert world.service()["desiredCount"] == 1
    assert world.scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"a": "b"}
    # When it is suspended, a higher minimum moves nothing and one flag leaves the others alone
    world.scaling.register_scalable_target(**which, SuspendedState={"DynamicScalingOutSuspended": True})
    world.scaling.register_scalable_target(**which, SuspendedState={"ScheduledScalingSuspended": True})
    world.scaling.register_scalable_target(**which, MinCapacity=2, MaxCapacity=4)
    (target,) = world.scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    assert target["SuspendedState"] == {
        "DynamicScalingInSuspended": False,
        "DynamicScalingOutSuspended": True,
        "ScheduledScalingSuspended": True,
    }
    assert world.service()["desiredCount"] == 1
    world.scaling.deregister_scalable_target(**which)
