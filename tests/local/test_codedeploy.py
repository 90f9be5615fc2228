"""CodeDeploy releases ECS services, with processes behind a load balancer: tests that would pass against
AWS, were it not for the shortened waits."""

import io
import json
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
import uuid
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.blue_green import balanced
from tests.local.conftest import LocalAWS
from tests.local.waiting import eventually

pytestmark = pytest.mark.local

CLUSTER = "releases"
IMAGE = "know-me/api:test"
WEB = textwrap.dedent(
    """
    import json, os, signal, sys, urllib.request
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if os.environ["RELEASE"] == "broken":
        sys.exit(1)
    about = json.load(urllib.request.urlopen(os.environ["ECS_CONTAINER_METADATA_URI_V4"]))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

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
HOOK = textwrap.dedent(
    """
    import json, os
    import boto3

    def handler(event, context):
        if os.environ.get("QUEUE"):
            boto3.client("sqs").send_message(QueueUrl=os.environ["QUEUE"], MessageBody=json.dumps(event))
        if os.environ.get("ANSWER"):
            boto3.client("codedeploy").put_lifecycle_event_hook_execution_status(
                deploymentId=event["DeploymentId"],
                lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
                status=os.environ["ANSWER"],
            )
    """
)
HALF = {
    "type": "TimeBasedCanary",
    "timeBasedCanary": {"canaryPercentage": 50, "canaryInterval": 60},
}
EVERY_ROLLBACK = {
    "enabled": True,
    "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"],
}


@dataclass
class World:
    """A cluster, a load balancer with production and test traffic, functions that answer hooks."""

    aws: LocalAWS
    role: str
    network: dict[str, Any]
    address: str
    listeners: tuple[str, str]
    groups: dict[str, str]
    queue: str
    functions: dict[str, str]
    definitions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ecs, self.elb, self.deploy = (self.aws.client(each) for each in ("ecs", "elbv2", "codedeploy"))

    def define(self, release: str) -> str:
        """Return a task definition that answers every request with the name of its release."""
        if release not in self.definitions:
            answer = self.ecs.register_task_definition(
                family="release",
                networkMode="awsvpc",
                requiresCompatibilities=["FARGATE"],
                cpu="256",
                memory="512",
                containerDefinitions=[
                    {
                        "name": "api",
                        "image": IMAGE,
                        "entryPoint": ["python", "-c"],
                        "command": [WEB],
                        "portMappings": [{"containerPort": 8000}],
                        "stopTimeout": 2,
                        "environment": [{"name": "RELEASE", "value": release}],
                    }
                ],
            )
            self.definitions[release] = str(answer["taskDefinition"]["taskDefinitionArn"])
        return self.definitions[release]

    def get(self, *, test: bool = False) -> str:
        """Return the release that answers."""
        port = 8443 if test else 80
        try:
            with urllib.request.urlopen(f"http://{self.address}:{port}/", timeout=10) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return str(error.code)

    def lead_to_blue(self) -> None:
        """Let both listeners forward to the first target group alone."""
        for listener in self.listeners:
            self.elb.modify_listener(
                ListenerArn=listener,
                DefaultActions=[{"Type": "forward", "TargetGroupArn": self.groups["blue"]}],
            )


@dataclass
class App:
    """A service that CodeDeploy releases, release 1 in place."""

    world: World
    name: str

    def service(self) -> dict[str, Any]:
        answer = self.world.ecs.describe_services(cluster=CLUSTER, services=[self.name])
        found: dict[str, Any] = answer["services"][0]
        return found

    def settled(self, count: int = 1) -> bool:
        """Whether the primary task set has all its tasks, and they are healthy."""
        primary = self.service()["taskSets"][0]
        return primary["runningCount"] == count and primary["stabilityStatus"] == "STEADY_STATE"

    def group(self, **changes: Any) -> None:
        """Change the deployment group."""
        self.world.deploy.update_deployment_group(
            applicationName=self.name, currentDeploymentGroupName=self.name, **changes
        )

    def appspec(self, release: str, hooks: dict[str, str]) -> str:
        properties = {
            "TaskDefinition": self.world.define(release),
            "LoadBalancerInfo": {"ContainerName": "api", "ContainerPort": 8000},
        }
        service = {"Type": "AWS::ECS::Service", "Properties": properties}
        return json.dumps(
            {
                "version": 0.0,
                "Resources": [{"TargetService": service}],
                "Hooks": [{event: function} for event, function in hooks.items()],
            }
        )

    def release(self, release: str, hooks: dict[str, str] | None = None, **settings: Any) -> str:
        """Begin a deployment; return its id."""
        content = self.appspec(release, hooks or {})
        revision = {"revisionType": "AppSpecContent", "appSpecContent": {"content": content}}
        answer = self.world.deploy.create_deployment(
            applicationName=self.name,
            deploymentGroupName=self.name,
            **{"revision": revision, **settings},
        )
        return str(answer["deploymentId"])

    def deployment(self, identity: str) -> dict[str, Any]:
        found: dict[str, Any] = self.world.deploy.get_deployment(deploymentId=identity)["deploymentInfo"]
        return found

    def ended(self, identity: str) -> dict[str, Any]:
        """Wait until a deployment has ended; return it."""
        eventually(lambda: self.deployment(identity)["status"] in ("Succeeded", "Failed", "Stopped"))
        return self.deployment(identity)

    def rolled_back(self, identity: str) -> dict[str, Any]:
        """Wait until a deployment has ended and its rollback succeeded; return it."""
        ended = self.ended(identity)
        rollback = self.ended(ended["rollbackInfo"]["rollbackDeploymentId"])
        assert (rollback["status"], rollback["creator"]) == ("Succeeded", "codeDeployRollback")
        assert rollback["rollbackInfo"]["rollbackTriggeringDeploymentId"] == identity
        return ended

    def target(self, identity: str) -> dict[str, Any]:
        """Return the ECS target of a deployment."""
        (name,) = self.world.deploy.list_deployment_targets(deploymentId=identity)["targetIds"]
        assert name == f"{CLUSTER}:{self.name}"
        answer = self.world.deploy.get_deployment_target(deploymentId=identity, targetId=name)
        found: dict[str, Any] = answer["deploymentTarget"]["ecsTarget"]
        return found

    def events(self, identity: str) -> dict[str, str]:
        """Return lifecycle event → status."""
        return {
            event["lifecycleEventName"]: event["status"] for event in self.target(identity)["lifecycleEvents"]
        }

    def asked(self) -> dict[str, str]:
        """Wait for a question to the function that only tells; return its two ids."""
        sqs = self.world.aws.client("sqs")

        def receive() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = sqs.receive_message(QueueUrl=self.world.queue).get("Messages", [])
            return found

        (message,) = eventually(receive)
        sqs.delete_message(QueueUrl=self.world.queue, ReceiptHandle=message["ReceiptHandle"])
        found: dict[str, str] = json.loads(message["Body"])
        return found

    def answer(self, question: dict[str, str], status: str) -> None:
        self.world.deploy.put_lifecycle_event_hook_execution_status(
            deploymentId=question["DeploymentId"],
            lifecycleEventHookExecutionId=question["LifecycleEventHookExecutionId"],
            status=status,
        )

    def is_as_before(self) -> None:
        """Assert that release 1 has all traffic, and nothing else runs."""
        assert {self.world.get() for _ in range(10)} == {"1"}
        assert {self.world.get(test=True) for _ in range(5)} == {"1"}
        (task_set,) = self.service()["taskSets"]
        assert (task_set["status"], task_set["taskDefinition"]) == ("PRIMARY", self.world.define("1"))


@pytest.fixture(scope="module")
def world(local_aws: LocalAWS) -> World:
    local_aws.client("ecs").create_cluster(clusterName=CLUSTER)
    role = local_aws.all_powerful_role("codedeploy.amazonaws.com", "lambda.amazonaws.com")
    balancer = balanced(local_aws, CLUSTER)
    queue = local_aws.client("sqs").create_queue(QueueName="hooks")["QueueUrl"]
    functions = {
        name: _function(local_aws, name, role, variables)
        for name, variables in {
            "agrees": {"ANSWER": "Succeeded"},
            "objects": {"ANSWER": "Failed"},
            "tells": {"QUEUE": queue},
            "says-nothing": {},
        }.items()
    }
    return World(
        local_aws,
        role,
        balancer.network,
        balancer.address,
        (balancer.production, balancer.test),
        balancer.groups,
        queue,
        functions,
    )


def _function(local_aws: LocalAWS, name: str, role: str, variables: dict[str, str]) -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("index.py", HOOK)
    made = local_aws.client("lambda").create_function(
        FunctionName=f"hook-{name}",
        Runtime=f"python3.{sys.version_info.minor}",
        Handler="index.handler",
        Role=role,
        Code={"ZipFile": buffer.getvalue()},
        Timeout=30,
        Environment={"Variables": variables},
    )
    return str(made["FunctionName"])


@pytest.fixture
def app(world: World) -> Iterator[App]:
    """A service with release 1 and a deployment group with production and test traffic."""
    name = f"app-{uuid.uuid4().hex[:8]}"
    world.lead_to_blue()
    # A minute lasts a tenth of a second; a hook has its hour.
    world.aws.control("POST", "codedeploy", {"seconds_per_minute": 0.1})
    world.ecs.create_service(
        cluster=CLUSTER,
        serviceName=name,
        taskDefinition=world.define("1"),
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=world.network,
        deploymentController={"type": "CODE_DEPLOY"},
        loadBalancers=[
            {"targetGroupArn": world.groups["blue"], "containerName": "api", "containerPort": 8000}
        ],
    )
    world.deploy.create_application(applicationName=name, computePlatform="ECS")
    world.deploy.create_deployment_group(
        applicationName=name,
        deploymentGroupName=name,
        serviceRoleArn=world.role,
        deploymentStyle={"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        blueGreenDeploymentConfiguration=termination(0),
        ecsServices=[{"clusterName": CLUSTER, "serviceName": name}],
        autoRollbackConfiguration=EVERY_ROLLBACK,
        loadBalancerInfo={
            "targetGroupPairInfoList": [
                {
                    "targetGroups": [{"name": f"{CLUSTER}-blue"}, {"name": f"{CLUSTER}-green"}],
                    "prodTrafficRoute": {"listenerArns": [world.listeners[0]]},
                    "testTrafficRoute": {"listenerArns": [world.listeners[1]]},
                }
            ]
        },
    )
    app = App(world, name)
    eventually(app.settled)
    yield app
    if name in world.deploy.list_applications()["applications"]:
        for identity in world.deploy.list_deployments(
            applicationName=name, deploymentGroupName=name, includeOnlyStatuses=["InProgress", "Ready"]
        )["deployments"]:
            world.deploy.stop_deployment(deploymentId=identity, autoRollbackEnabled=False)
            app.ended(identity)
        world.deploy.delete_application(applicationName=name)
    world.aws.control("DELETE", "codedeploy")
    world.ecs.delete_service(cluster=CLUSTER, service=name, force=True)
    eventually(lambda: app.service()["status"] == "INACTIVE")


def termination(minutes: int, **ready: Any) -> dict[str, Any]:
    """Return a blue/green configuration that keeps the original task set for some minutes."""
    return {
        "terminateBlueInstancesOnDeploymentSuccess": {
            "action": "TERMINATE",
            "terminationWaitTimeInMinutes": minutes,
        },
        "deploymentReadyOption": ready or {"actionOnTimeout": "CONTINUE_DEPLOYMENT"},
    }


# ---------------------------------------------------------------------- a release


def test_a_release_asks_its_hooks_tests_and_then_moves_all_traffic(
    world: World, app: App, queue: tuple[str, str]
):
    # Given the states of deployments in a queue
    events, sqs = world.aws.client("events"), world.aws.client("sqs")
    pattern = {"source": ["aws.codedeploy"], "detail": {"application": [app.name]}}
    events.put_rule(Name=app.name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=app.name, Targets=[{"Id": "queue", "Arn": queue[1]}])
    tells, agrees = world.functions["tells"], world.functions["agrees"]
    # When release 2 begins
    hooks = {
        "BeforeInstall": tells,
        "AfterInstall": agrees,
        "AfterAllowTestTraffic": tells,
        "BeforeAllowTraffic": agrees,
        "AfterAllowTraffic": agrees,
    }
    identity = app.release("2", hooks)
    # Then before BeforeInstall is answered nothing of it is there, and no other can begin
    question = app.asked()
    assert question["DeploymentId"] == identity
    assert len(app.service()["taskSets"]) == 1
    with pytest.raises(ClientError, match="DeploymentLimitExceededException"):
        app.release("2")
    app.answer(question, "Succeeded")
    # And at AfterAllowTestTraffic the test listener has release 2, production release 1
    question = app.asked()
    assert (world.get(), world.get(test=True)) == ("1", "2")
    target = app.target(identity)
    assert [(each["taskSetLabel"], each["trafficWeight"]) for each in target["taskSetsInfo"]] == [
        ("Blue", 100.0),
        ("Green", 0.0),
    ]
    original, replacement = app.service()["taskSets"]
    assert (original["status"], replacement["status"]) == ("PRIMARY", "ACTIVE")
    assert (replacement["startedBy"], replacement["externalId"]) == ("CODE_DEPLOY", identity)
    app.answer(question, "Succeeded")
    # And in the end release 2 has everything, and the original task set is gone
    ended = app.ended(identity)
    assert (ended["status"], ended["creator"]) == ("Succeeded", "user")
    assert ended["deploymentOverview"]["Succeeded"] == 1
    assert {world.get() for _ in range(10)} == {"2"}
    service = app.service()
    (task_set,) = service["taskSets"]
    assert (task_set["status"], task_set["id"]) == ("PRIMARY", replacement["id"])
    assert service["taskDefinition"] == task_set["taskDefinition"] == world.define("2")
    assert set(app.events(identity).values()) == {"Succeeded"}
    assert list(app.events(identity))[:3] == ["BeforeInstall", "Install", "AfterInstall"]
    with pytest.raises(ClientError, match="LifecycleEventAlreadyCompletedException"):
        app.answer(question, "Failed")
    states: list[str] = []
    while len(states) < 2:
        for message in eventually(lambda: sqs.receive_message(QueueUrl=queue[0]).get("Messages")):
            event = json.loads(message["Body"])
            assert event["detail-type"] == "CodeDeploy Deployment State-change Notification"
            assert event["detail"]["deploymentId"] == identity
            states.append(event["detail"]["state"])
            sqs.delete_message(QueueUrl=queue[0], ReceiptHandle=message["ReceiptHandle"])
    assert states == ["START", "SUCCESS"]
    # And the group knows it
    group = world.deploy.get_deployment_group(applicationName=app.name, deploymentGroupName=app.name)
    assert group["deploymentGroupInfo"]["lastSuccessfulDeployment"]["deploymentId"] == identity
    events.remove_targets(Rule=app.name, Ids=["queue"])
    events.delete_rule(Name=app.name)


def test_no_request_is_lost_while_two_releases_follow_each_other(world: World, app: App):
    # When releases come, the second from a file in S3, while requests are made
    s3 = world.aws.client("s3")
    s3.create_bucket(Bucket=app.name)
    s3.put_object(Bucket=app.name, Key="appspec.yaml", Body=app.appspec("3", {}).encode())
    location = {"bucket": app.name, "key": "appspec.yaml", "bundleType": "YAML"}
    seen: list[str] = []
    for settings in (
        {"deploymentConfigName": "CodeDeployDefault.ECSCanary10Percent5Minutes"},
        {"revision": {"revisionType": "S3", "s3Location": location}},
    ):
        identity = app.release("2", **settings)
        while app.deployment(identity)["status"] in ("Created", "InProgress"):
            seen.append(world.get())
        assert app.deployment(identity)["status"] == "Succeeded"
    # Then only releases answered, in their order at last
    seen.append(world.get())
    assert set(seen) <= {"1", "2", "3"}
    assert seen[-1] == "3"
    # And the history is the newest first, with what was there before
    known = world.deploy.list_deployments(applicationName=app.name, deploymentGroupName=app.name)
    assert known["deployments"][0] == identity
    assert len(known["deployments"]) == 2
    batch = world.deploy.batch_get_deployments(deploymentIds=known["deployments"])["deploymentsInfo"]
    assert [each["status"] for each in batch] == ["Succeeded", "Succeeded"]
    assert batch[0]["previousRevision"]["revisionType"] == "AppSpecContent"


def test_a_canary_divides_the_traffic_and_a_stop_without_rollback_leaves_it_so(world: World, app: App):
    # Given a configuration with half the traffic for a long time
    world.deploy.create_deployment_config(
        deploymentConfigName=app.name, computePlatform="ECS", trafficRoutingConfig=HALF
    )
    world.aws.control("POST", "codedeploy", {"seconds_per_minute": 60})
    identity = app.release("2", deploymentConfigName=app.name)
    eventually(lambda: app.events(identity)["AllowTraffic"] == "InProgress" and world.get() == "2")
    # Then about half of the requests are answered by each (chance of a false alarm: one in a million)
    seen = Counter(world.get() for _ in range(300))
    assert set(seen) == {"1", "2"}
    assert 105 < seen["2"] < 195
    assert [each["trafficWeight"] for each in app.target(identity)["taskSetsInfo"]] == [50.0, 50.0]
    # When it is stopped without a rollback
    world.deploy.stop_deployment(deploymentId=identity, autoRollbackEnabled=False)
    stopped = app.ended(identity)
    assert (stopped["status"], stopped["errorInformation"]["code"]) == ("Stopped", "MANUAL_STOP")
    assert "rollbackDeploymentId" not in stopped["rollbackInfo"]
    assert len(app.service()["taskSets"]) == 2
    with pytest.raises(ClientError, match="DeploymentAlreadyCompletedException"):
        world.deploy.stop_deployment(deploymentId=identity)
    # Then the next release puts everything right
    assert app.ended(app.release("3"))["status"] == "Succeeded"
    assert {world.get() for _ in range(10)} == {"3"}
    assert len(app.service()["taskSets"]) == 1
    world.deploy.delete_deployment_config(deploymentConfigName=app.name)


# ---------------------------------------------------------------------- what goes wrong


def test_a_hook_that_objects_fails_the_deployment_and_rolls_it_back(world: World, app: App):
    # When the function objects after the test traffic
    identity = app.release("2", {"AfterAllowTestTraffic": world.functions["objects"]})
    # Then
    failed = app.rolled_back(identity)
    assert (failed["status"], failed["errorInformation"]["code"]) == ("Failed", "HOOK_EXECUTION_FAILURE")
    events = app.events(identity)
    assert (events["AllowTestTraffic"], events["AfterAllowTestTraffic"]) == ("Succeeded", "Failed")
    assert (events["BeforeAllowTraffic"], events["AllowTraffic"]) == ("Skipped", "Skipped")
    app.is_as_before()


def test_a_hook_that_never_answers_or_is_not_there_fails_the_deployment(world: World, app: App):
    world.aws.control("POST", "codedeploy", {"hook_seconds": 1})
    silent = app.rolled_back(app.release("2", {"BeforeInstall": world.functions["says-nothing"]}))
    assert (silent["status"], silent["errorInformation"]["code"]) == ("Failed", "HOOK_EXECUTION_FAILURE")
    assert "timed out" in silent["errorInformation"]["message"]
    absent = app.rolled_back(app.release("2", {"BeforeInstall": "no-such-function"}))
    assert absent["errorInformation"]["code"] == "INVALID_LAMBDA_FUNCTION"
    app.is_as_before()


def test_an_alarm_after_the_traffic_moved_brings_it_back(world: World, app: App):
    # Given an alarm, and a release that keeps the original task set for a while
    alarms = world.aws.client("cloudwatch")
    alarms.put_metric_alarm(
        AlarmName=app.name, Namespace="t", MetricName="errors", Statistic="Sum", Period=60,
        EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    alarms.set_alarm_state(AlarmName=app.name, StateValue="OK", StateReason="test")
    app.group(
        blueGreenDeploymentConfiguration=termination(2880),
        alarmConfiguration={"enabled": True, "alarms": [{"name": app.name}]},
    )
    identity = app.release("2")
    eventually(lambda: app.deployment(identity)["instanceTerminationWaitTimeStarted"])
    assert {world.get() for _ in range(10)} == {"2"}
    assert app.service()["taskDefinition"] == world.define("2")
    # When
    alarms.set_alarm_state(AlarmName=app.name, StateValue="ALARM", StateReason="test")
    # Then
    stopped = app.rolled_back(identity)
    assert (stopped["status"], stopped["errorInformation"]["code"]) == ("Stopped", "ALARM_ACTIVE")
    assert app.name in stopped["errorInformation"]["message"]
    app.is_as_before()
    # And as long as it is active nothing is released
    again = app.rolled_back(app.release("2"))
    assert again["errorInformation"]["code"] == "ALARM_ACTIVE"
    app.is_as_before()


def test_a_stop_rolls_back_when_the_group_says_so(world: World, app: App):
    app.group(blueGreenDeploymentConfiguration=termination(2880))
    identity = app.release("2")
    eventually(lambda: app.deployment(identity)["instanceTerminationWaitTimeStarted"])
    world.deploy.stop_deployment(deploymentId=identity)
    assert app.rolled_back(identity)["errorInformation"]["code"] == "MANUAL_STOP"
    app.is_as_before()


def test_a_release_that_does_not_start_times_out_and_never_gets_traffic(world: World, app: App):
    world.aws.control("POST", "codedeploy", {"stability_seconds": 3})
    failed = app.rolled_back(app.release("broken"))
    assert (failed["status"], failed["errorInformation"]["code"]) == ("Failed", "TIMEOUT")
    app.is_as_before()


def test_what_cannot_be_read_or_made_fails_with_its_reason(world: World, app: App):
    nowhere = {"bucket": "nowhere", "key": "appspec.json", "bundleType": "JSON"}
    for revision, code in (
        ({"revisionType": "S3", "s3Location": nowhere}, "REVISION_MISSING"),
        ({"revisionType": "AppSpecContent", "appSpecContent": {"content": "{}"}}, "INVALID_REVISION"),
        (
            {
                "revisionType": "AppSpecContent",
                "appSpecContent": {
                    "content": app.appspec("1", {}).replace(world.define("1"), "no-such-family")
                },
            },
            "ECS_UPDATE_ERROR",
        ),
    ):
        failed = app.rolled_back(app.release("1", revision=revision))
        assert (failed["status"], failed["errorInformation"]["code"]) == ("Failed", code)
    app.is_as_before()


# ---------------------------------------------------------------------- waits


def test_a_deployment_waits_for_permission_and_can_be_told_not_to_wait_for_termination(
    world: World, app: App
):
    # Given a group that reroutes only when told, and keeps the original task set
    app.group(
        blueGreenDeploymentConfiguration=termination(
            2880, actionOnTimeout="STOP_DEPLOYMENT", waitTimeInMinutes=2880
        )
    )
    identity = app.release("2")
    eventually(lambda: app.deployment(identity)["status"] == "Ready")
    assert (world.get(), world.get(test=True)) == ("1", "2")
    with pytest.raises(ClientError, match="InvalidDeploymentStatusException"):
        world.deploy.continue_deployment(deploymentId=identity, deploymentWaitType="TERMINATION_WAIT")
    # When it may go on
    world.deploy.continue_deployment(deploymentId=identity, deploymentWaitType="READY_WAIT")
    eventually(lambda: app.deployment(identity)["instanceTerminationWaitTimeStarted"])
    assert world.get() == "2"
    with pytest.raises(ClientError, match="DeploymentIsNotInReadyStateException"):
        world.deploy.continue_deployment(deploymentId=identity)
    # And need not wait any more
    world.deploy.continue_deployment(deploymentId=identity, deploymentWaitType="TERMINATION_WAIT")
    assert app.ended(identity)["status"] == "Succeeded"


def test_a_deployment_that_gets_no_permission_in_time_is_stopped(world: World, app: App):
    ready = {"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 1}
    app.group(blueGreenDeploymentConfiguration=termination(0, **ready))
    assert app.rolled_back(app.release("2"))["status"] == "Stopped"
    app.is_as_before()


# ---------------------------------------------------------------------- the service


def test_the_desired_count_is_that_of_every_task_set_and_autoscaling_moves_it(world: World, app: App):
    # Given a release that keeps the original task set
    app.group(blueGreenDeploymentConfiguration=termination(2880))
    identity = app.release("2")
    eventually(lambda: app.deployment(identity)["instanceTerminationWaitTimeStarted"])
    # When the service is scaled, by a scalable target's bounds
    scaling = world.aws.client("application-autoscaling")
    which = {
        "ServiceNamespace": "ecs",
        "ResourceId": f"service/{CLUSTER}/{app.name}",
        "ScalableDimension": "ecs:service:DesiredCount",
    }
    scaling.register_scalable_target(**which, MinCapacity=2, MaxCapacity=3)
    # Then both task sets follow
    eventually(lambda: [each["runningCount"] for each in app.service()["taskSets"]] == [2, 2])
    assert app.service()["desiredCount"] == 2
    world.deploy.continue_deployment(deploymentId=identity, deploymentWaitType="TERMINATION_WAIT")
    assert app.ended(identity)["status"] == "Succeeded"
    eventually(lambda: app.settled(2))
    # And it can be stopped altogether, and started again
    world.ecs.update_service(cluster=CLUSTER, service=app.name, desiredCount=0)
    eventually(lambda: app.service()["runningCount"] == 0)
    assert world.get() == "503"
    world.ecs.update_service(cluster=CLUSTER, service=app.name, desiredCount=1)
    eventually(lambda: app.settled() and world.get() == "2")
    scaling.deregister_scalable_target(**which)


def test_only_a_release_changes_what_a_service_runs(world: World, app: App):
    for change in (
        {"taskDefinition": world.define("2")},
        {"forceNewDeployment": True},
        {"networkConfiguration": world.network},
        {"loadBalancers": app.service()["loadBalancers"]},
        {"platformVersion": "1.4.0"},
    ):
        with pytest.raises(ClientError, match="CODE_DEPLOY deployment controller") as caught:
            world.ecs.update_service(cluster=CLUSTER, service=app.name, **change)
        assert caught.value.response["Error"]["Code"] == "InvalidParameterException"
    kept = world.ecs.update_service(cluster=CLUSTER, service=app.name, healthCheckGracePeriodSeconds=7)
    assert kept["service"]["healthCheckGracePeriodSeconds"] == 7
    app.is_as_before()


def test_a_service_that_codedeploy_cannot_release_is_refused(world: World, app: App):
    common = {"cluster": CLUSTER, "serviceName": "refused", "taskDefinition": world.define("1")}
    for settings, words in (
        ({}, "must have one load balancer"),
        ({"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}},
         "only with ECS deployment controller"),
    ):  # fmt: skip
        with pytest.raises(ClientError, match=words):
            world.ecs.create_service(**common, deploymentController={"type": "CODE_DEPLOY"}, **settings)
    # And a service with another controller has no group
    world.ecs.create_service(**common, desiredCount=0, networkConfiguration=world.network)
    for service, words in (("refused", "CODE_DEPLOY deployment controller"), ("absent", "does not exist")):
        with pytest.raises(ClientError, match=words) as caught:
            app.group(ecsServices=[{"clusterName": CLUSTER, "serviceName": service}])
        assert caught.value.response["Error"]["Code"] == "InvalidECSServiceException"
    world.ecs.delete_service(cluster=CLUSTER, service="refused", force=True)


# ---------------------------------------------------------------------- applications and groups


def test_tags_and_deployments_follow_when_application_and_group_get_other_names(world: World, app: App):
    # Given a group with tags and a deployment
    identity = app.ended(app.release("2"))["deploymentId"]
    group = "arn:aws:codedeploy:us-east-1:123456789012:deploymentgroup"
    world.deploy.tag_resource(ResourceArn=f"{group}:{app.name}/{app.name}", Tags=[{"Key": "a", "Value": "b"}])
    # When both are renamed
    world.deploy.update_application(applicationName=app.name, newApplicationName=f"{app.name}-2")
    world.deploy.update_deployment_group(
        applicationName=f"{app.name}-2",
        currentDeploymentGroupName=app.name,
        newDeploymentGroupName="other",
    )
    # Then
    found = world.deploy.list_deployments(
        applicationName=f"{app.name}-2", deploymentGroupName="other", includeOnlyStatuses=["Succeeded"]
    )
    assert found["deployments"] == [identity]
    tags = world.deploy.list_tags_for_resource(ResourceArn=f"{group}:{app.name}-2/other")["Tags"]
    assert tags == [{"Key": "a", "Value": "b"}]
    with pytest.raises(ClientError, match="ApplicationDoesNotExistException"):
        world.deploy.get_application(applicationName=app.name)
    # And what is deleted twice is no error
    for _ in range(2):
        world.deploy.delete_deployment_group(applicationName=f"{app.name}-2", deploymentGroupName="other")
        world.deploy.delete_application(applicationName=f"{app.name}-2")


def test_what_is_there_already_or_cannot_be_is_refused_by_name(world: World, app: App):
    known = world.deploy.get_deployment_group(applicationName=app.name, deploymentGroupName=app.name)
    settings = {
        name: known["deploymentGroupInfo"][name]
        for name in (
            "serviceRoleArn", "deploymentStyle", "blueGreenDeploymentConfiguration", "ecsServices",
            "loadBalancerInfo",
        )
    }  # fmt: skip
    nobody = "arn:aws:iam::123456789012:role/nobody"
    for group, change, name in (
        (app.name, {}, "DeploymentGroupAlreadyExistsException"),
        ("second", {}, "ECSServiceMappingLimitExceededException"),
        ("second", {"serviceRoleArn": nobody}, "InvalidRoleException"),
        ("second", {"deploymentConfigName": "absent"}, "DeploymentConfigDoesNotExistException"),
        (
            "second",
            {"deploymentConfigName": "CodeDeployDefault.OneAtATime"},
            "InvalidDeploymentConfigNameException",
        ),
    ):
        with pytest.raises(ClientError) as caught:
            world.deploy.create_deployment_group(
                applicationName=app.name, deploymentGroupName=group, **{**settings, **change}
            )
        assert caught.value.response["Error"]["Code"] == name
    with pytest.raises(ClientError, match="ApplicationAlreadyExistsException"):
        world.deploy.create_application(applicationName=app.name, computePlatform="ECS")
    # And what is not implemented says so
    with pytest.raises(ClientError, match="codedeploy:ListOnPremisesInstances is not implemented"):
        world.deploy.list_on_premises_instances()


# ---------------------------------------------------------------------- Terraform

TERRAFORM = """
terraform {
  required_providers { aws = { source = "hashicorp/aws", version = "~> 5.100" } }
}
variable "wait" { type = number }
variable "name" { type = string }
variable "role" { type = string }
variable "alarm" { type = string }
variable "topic" { type = string }
variable "listeners" { type = list(string) }

resource "aws_codedeploy_app" "api" {
  name             = var.name
  compute_platform = "ECS"
  tags             = { Part = "api" }
}

resource "aws_codedeploy_deployment_config" "slowly" {
  deployment_config_name = "${var.name}-slowly"
  compute_platform       = "ECS"
  traffic_routing_config {
    type = "TimeBasedLinear"
    time_based_linear {
      percentage = 25
      interval   = 2
    }
  }
}

resource "aws_codedeploy_deployment_group" "api" {
  app_name               = aws_codedeploy_app.api.name
  deployment_group_name  = var.name
  service_role_arn       = var.role
  deployment_config_name = aws_codedeploy_deployment_config.slowly.id
  tags                   = { Wait = tostring(var.wait) }

  deployment_style {
    deployment_type   = "BLUE_GREEN"
    deployment_option = "WITH_TRAFFIC_CONTROL"
  }
  blue_green_deployment_config {
    deployment_ready_option { action_on_timeout = "CONTINUE_DEPLOYMENT" }
    terminate_blue_instances_on_deployment_success {
      action                           = "TERMINATE"
      termination_wait_time_in_minutes = var.wait
    }
  }
  ecs_service {
    cluster_name = "releases"
    service_name = var.name
  }
  load_balancer_info {
    target_group_pair_info {
      target_group { name = "releases-blue" }
      target_group { name = "releases-green" }
      prod_traffic_route { listener_arns = [var.listeners[0]] }
      test_traffic_route { listener_arns = [var.listeners[1]] }
    }
  }
  auto_rollback_configuration {
    enabled = true
    events  = ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"]
  }
  alarm_configuration {
    enabled = true
    alarms  = [var.alarm]
  }
  trigger_configuration {
    trigger_name       = "ends"
    trigger_target_arn = var.topic
    trigger_events     = ["DeploymentSuccess", "DeploymentFailure"]
  }
}
"""


def test_terraform_makes_reads_changes_and_destroys_all_of_it(
    world: World, app: App, tmp_path: Path, queue: tuple[str, str]
):
    # Given no application but a service, an alarm, and a topic that a queue listens to
    world.deploy.delete_application(applicationName=app.name)
    alarms, sns, sqs = (world.aws.client(each) for each in ("cloudwatch", "sns", "sqs"))
    alarms.put_metric_alarm(
        AlarmName=f"{app.name}-quiet", Namespace="t", MetricName="errors", Statistic="Sum", Period=60,
        EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    topic = sns.create_topic(Name=app.name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue[1])
    (tmp_path / "main.tf").write_text(TERRAFORM)
    variables = {
        "name": app.name,
        "role": world.role,
        "alarm": f"{app.name}-quiet",
        "topic": topic,
        "listeners": json.dumps(world.listeners),
    }
    environment = world.aws.environment() | {f"TF_VAR_{name}": text for name, text in variables.items()}

    def terraform(*arguments: str, expected: int = 0) -> None:
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == expected, done.stdout[-3000:] + done.stderr

    terraform("init", "-input=false")
    # When it is applied, then the next plan is empty
    terraform("apply", "-auto-approve", "-input=false", "-var=wait=5")
    terraform("plan", "-detailed-exitcode", "-input=false", "-var=wait=5")
    # And when something changes, the change is there and the plan is empty again
    terraform("plan", "-detailed-exitcode", "-input=false", "-var=wait=0", expected=2)
    terraform("apply", "-auto-approve", "-input=false", "-var=wait=0")
    terraform("plan", "-detailed-exitcode", "-input=false", "-var=wait=0")
    group = f"arn:aws:codedeploy:us-east-1:123456789012:deploymentgroup:{app.name}/{app.name}"
    tags = world.deploy.list_tags_for_resource(ResourceArn=group)["Tags"]
    assert tags == [{"Key": "Wait", "Value": "0"}]
    # And what it made releases, and tells the topic
    identity = app.release("2")
    assert app.ended(identity)["status"] == "Succeeded"
    assert app.deployment(identity)["deploymentConfigName"] == f"{app.name}-slowly"
    (message,) = eventually(lambda: sqs.receive_message(QueueUrl=queue[0]).get("Messages"))
    told = json.loads(json.loads(message["Body"])["Message"])
    assert (told["deploymentId"], told["status"]) == (identity, "SUCCEEDED")
    with pytest.raises(ClientError, match="DeploymentConfigInUseException"):
        world.deploy.delete_deployment_config(deploymentConfigName=f"{app.name}-slowly")
    # And it is destroyed
    terraform("destroy", "-auto-approve", "-input=false", "-var=wait=0")
    assert app.name not in world.deploy.list_applications()["applications"]
